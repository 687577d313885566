from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from tltm_graph.extras import missing_extra
from tltm_graph.structures import Detections, Frame
from tltm_graph.visualization.drawing import PALETTE

try:
    import supervision

    from tltm_graph.interop.supervision_detections import to_supervision
except ImportError as error:
    raise missing_extra("supervision", "to draw into a video") from error

_MAX_TIME_SINCE_UPDATE = 600  # frames after which the class votes of a track are dropped
_CLASS_MARGIN = 1.5  # a track changes its class only if another one has this many times the votes
_MIN_LABELLED_SIDE = 96  # pixels; labels would cover smaller frames
_FONT = cv2.FONT_HERSHEY_SIMPLEX


class Overlay:
    """Overlay of tracks on the frames of a video: masks or boxes, labels, trails, and the number of the frame.

    A track keeps its colour through the video. Its class is the one with the largest sum of scores so far; to avoid
    flicker, it changes only for a class with 1.5 times the sum. Lines and text grow with the frame; there is no text in
    frames whose shorter side is below 96 pixels. Detections without an id are not drawn. Use a new overlay for each
    video, because it keeps the trails.

    Args:
        class_names: Names of the classes; None to show ids and scores only.
        trail: Length of the trails in frames; 0 for none.
        labels: True to label each object with its id, class and score.
        counter: True to write the number and the time of the frame into its corner.

    Raises:
        ValueError: If the length is negative.
    """

    def __init__(
        self, class_names: tuple[str, ...] | None = None, trail: int = 30, labels: bool = True, counter: bool = True
    ) -> None:
        if trail < 0:
            raise ValueError(f"Expected a trail of at least 0 frames, got {trail}")
        self.class_names = class_names
        self.trail, self.labels, self.counter = trail, labels, counter
        self._classes: dict[int, int] = {}  # track -> class that it is shown with
        self._votes: dict[int, dict[int, float]] = {}  # track -> class -> sum of scores
        self._last_frame: dict[int, int] = {}  # track -> frame of its last observation
        self._size: tuple[int, int] | None = None

    def _prepare(self, size: tuple[int, int]) -> None:
        """Make the annotators for frames of a size (H, W)."""
        self._size = size
        height, width = size
        thickness = max(1, round(min(size) / 400))
        self._text_scale = max(0.4, 0.9 * supervision.calculate_optimal_text_scale((width, height)))
        self._text_thickness = max(1, round(1.4 * self._text_scale))
        by_track: dict[str, Any] = {
            "color": supervision.ColorPalette.from_hex(list(PALETTE)),
            "color_lookup": supervision.ColorLookup.TRACK,
        }
        mask = supervision.MaskAnnotator(**by_track, opacity=0.45)
        outline = supervision.PolygonAnnotator(**by_track, thickness=thickness)
        self._with_masks = [mask, outline]
        self._with_boxes = [supervision.BoxAnnotator(**by_track, thickness=thickness)]
        self._trails = (
            supervision.TraceAnnotator(
                **by_track,
                position=supervision.Position.CENTER,
                trace_length=self.trail,
                thickness=max(1, round(1.5 * thickness)),
            )
            if self.trail
            else None
        )
        self._label = supervision.LabelAnnotator(
            **by_track,
            text_color=supervision.Color.BLACK,
            text_scale=self._text_scale,
            text_thickness=self._text_thickness,
            text_padding=max(2, round(6 * self._text_scale)),
            smart_position=True,
        )

    def draw(self, frame: Frame, detections: Detections) -> Tensor:
        """Draw the detections on a copy of the frame, RGB (3, H, W) uint8.

        Args:
            frame: Frame; it is not changed.
            detections: Detections of the frame, with ids.

        Raises:
            ValueError: If the detections have no ids.
        """
        if detections.ids is None:
            raise ValueError("Expected detections with ids, got none: run them through a Tracker")
        if self._size != frame.size:
            self._prepare(frame.size)
        tracked = detections[detections.ids >= 0].to("cpu")
        assert tracked.ids is not None
        scene = np.ascontiguousarray(
            frame.image.cpu().numpy().transpose(1, 2, 0)[:, :, ::-1]
        )  # supervision draws in BGR
        self._vote(frame.index, tracked)
        objects = to_supervision(tracked)
        shapes = self._with_boxes if tracked.masks is None else self._with_masks
        if len(tracked):
            for annotator in shapes:
                scene = annotator.annotate(scene, objects)
        if self._trails is not None:  # trails shrink in empty frames too
            scene = self._trails.annotate(scene, objects)
        is_large = min(frame.size) >= _MIN_LABELLED_SIDE
        if len(tracked) and self.labels and is_large:
            captions = list(map(self._caption, tracked.ids.tolist(), tracked.scores.tolist()))
            scene = self._label.annotate(scene, objects, labels=captions)
        if self.counter and is_large:
            self._count(scene, frame)
        return torch.from_numpy(np.ascontiguousarray(scene[:, :, ::-1].transpose(2, 0, 1)))

    def _vote(self, frame: int, tracked: Detections) -> None:
        assert tracked.ids is not None
        for gone in [track for track, last in self._last_frame.items() if frame - last > _MAX_TIME_SINCE_UPDATE]:
            del self._last_frame[gone], self._votes[gone], self._classes[gone]
        for track, label, score in zip(
            tracked.ids.tolist(), tracked.labels.tolist(), tracked.scores.tolist(), strict=True
        ):
            votes = self._votes.setdefault(track, {})
            votes[label] = votes.get(label, 0.0) + score
            shown = self._classes.setdefault(track, label)
            best = max(votes, key=votes.__getitem__)
            if votes[best] > _CLASS_MARGIN * votes[shown]:
                self._classes[track] = best
            self._last_frame[track] = frame

    def _caption(self, track: int, score: float) -> str:
        label = self._classes[track]
        name = f" {self.class_names[label]}" if self.class_names and label < len(self.class_names) else ""
        return f"{track}{name} {score:.2f}"

    def _count(self, scene: np.ndarray, frame: Frame) -> None:
        """Write the number and the time of the frame, black on white and in the upper left corner."""
        minutes, seconds = divmod(round(frame.time, 2), 60)
        text = f"frame {frame.index}  {int(minutes)}:{seconds:05.2f}"
        (width, height), below = cv2.getTextSize(text, _FONT, self._text_scale, self._text_thickness)
        margin = round(0.4 * height)
        cv2.rectangle(scene, (0, 0), (width + 2 * margin, height + below + margin), (255, 255, 255), cv2.FILLED)
        place = (margin, height + margin)
        cv2.putText(scene, text, place, _FONT, self._text_scale, (0, 0, 0), self._text_thickness, cv2.LINE_AA)
