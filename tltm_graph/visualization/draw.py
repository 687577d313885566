from typing import Any

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


class Overlay:
    """Overlay of tracks on the frames of a video: masks or boxes, ids, class names and trails.

    A track keeps its colour through the video. Its class is the one with the largest sum of scores so far. Detections
    without an id are not drawn. Use a new overlay for each video, because it keeps the trails.

    Args:
        class_names: Names of the classes; None to show ids only.
        trail: Length of the trails in frames.
    """

    def __init__(self, class_names: tuple[str, ...] | None = None, trail: int = 30) -> None:
        self.class_names = class_names
        self._votes: dict[int, dict[int, float]] = {}  # track -> class -> sum of scores
        self._last_frame: dict[int, int] = {}  # track -> frame of its last observation
        by_id: dict[str, Any] = {
            "color": supervision.ColorPalette.from_hex(list(PALETTE)),
            "color_lookup": supervision.ColorLookup.TRACK,
        }
        self._trail = supervision.TraceAnnotator(
            **by_id, position=supervision.Position.CENTER, trace_length=trail, thickness=2
        )
        self._mask = supervision.MaskAnnotator(**by_id, opacity=0.45)
        self._outline = supervision.PolygonAnnotator(**by_id, thickness=2)
        self._box = supervision.BoxAnnotator(**by_id, thickness=2)
        self._label = supervision.LabelAnnotator(
            **by_id, text_color=supervision.Color.BLACK, text_scale=0.45, text_padding=3, smart_position=True
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
        tracked = detections[detections.ids >= 0].to("cpu")
        assert tracked.ids is not None
        scene = np.ascontiguousarray(
            frame.image.cpu().numpy().transpose(1, 2, 0)[:, :, ::-1]
        )  # supervision draws in BGR
        self._vote(frame.index, tracked)
        objects = to_supervision(tracked)
        shapes: list[Any] = [self._box] if tracked.masks is None else [self._mask, self._outline]
        for annotator in [*(shapes if len(tracked) else []), self._trail]:  # trails shrink in empty frames too
            scene = annotator.annotate(scene, objects)
        if len(tracked):
            scene = self._label.annotate(scene, objects, labels=list(map(self._caption, tracked.ids.tolist())))
        return torch.from_numpy(np.ascontiguousarray(scene[:, :, ::-1].transpose(2, 0, 1)))

    def _vote(self, frame: int, tracked: Detections) -> None:
        assert tracked.ids is not None
        for gone in [track for track, last in self._last_frame.items() if frame - last > _MAX_TIME_SINCE_UPDATE]:
            del self._last_frame[gone], self._votes[gone]
        for track, label, score in zip(
            tracked.ids.tolist(), tracked.labels.tolist(), tracked.scores.tolist(), strict=True
        ):
            votes = self._votes.setdefault(track, {})
            votes[label] = votes.get(label, 0.0) + score
            self._last_frame[track] = frame

    def _caption(self, track: int) -> str:
        votes = self._votes[track]
        label = max(votes, key=votes.__getitem__)
        return (
            f"{track} {self.class_names[label]}" if self.class_names and label < len(self.class_names) else str(track)
        )
