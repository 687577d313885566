from typing import Any

import numpy as np
import torch
from torch import Tensor

from tltm_graph.extras import missing_extra
from tltm_graph.structures import Detections, Frame
from tltm_graph.visualization.palette import PALETTE

try:
    import supervision

    from tltm_graph.interop.supervision_detections import to_supervision
except ImportError as error:
    raise missing_extra("supervision", "to draw into a video") from error

_REMEMBERED = 600  # frames for which the class of a track that is not seen is known


class Overlay:
    """Draws the objects of a video into its frames: masks or boxes, ids, class names and the trail each has left.

    An id keeps its colour through the video, and has the class that most of its observations speak for, weighed by their
    scores. Objects without an id are left out. Use one overlay for one video: it remembers where objects have been.

    Args:
        class_names: Names of the classes, None to show ids alone.
        trail: Frames that a trail reaches back.
    """

    def __init__(self, class_names: tuple[str, ...] | None = None, trail: int = 30) -> None:
        self.class_names = class_names
        self._votes: dict[int, dict[int, float]] = {}  # track -> class -> the sum of its scores
        self._seen: dict[int, int] = {}  # track -> the frame it was last seen in
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
        """The frame with its objects drawn in: RGB (3, H, W) uint8, a new picture.

        Args:
            frame: The frame. It is not changed.
            detections: Its objects, with ids.
        """
        if detections.ids is None:
            raise ValueError("Expected detections with ids, got none: run them through a Tracker")
        known = detections[detections.ids >= 0].to("cpu")
        assert known.ids is not None
        scene = np.ascontiguousarray(frame.image.cpu().numpy().transpose(1, 2, 0)[:, :, ::-1])  # supervision wants BGR
        self._vote(frame.index, known)
        objects = to_supervision(known)
        shapes: list[Any] = [self._box] if known.masks is None else [self._mask, self._outline]
        for annotator in [*(shapes if len(known) else []), self._trail]:  # trails grow old in empty frames too
            scene = annotator.annotate(scene, objects)
        if len(known):
            scene = self._label.annotate(scene, objects, labels=list(map(self._caption, known.ids.tolist())))
        return torch.from_numpy(np.ascontiguousarray(scene[:, :, ::-1].transpose(2, 0, 1)))

    def _vote(self, frame: int, known: Detections) -> None:
        assert known.ids is not None
        for gone in [track for track, seen in self._seen.items() if frame - seen > _REMEMBERED]:
            del self._seen[gone], self._votes[gone]
        for track, label, score in zip(known.ids.tolist(), known.labels.tolist(), known.scores.tolist(), strict=True):
            votes = self._votes.setdefault(track, {})
            votes[label] = votes.get(label, 0.0) + score
            self._seen[track] = frame

    def _caption(self, track: int) -> str:
        votes = self._votes[track]
        label = max(votes, key=votes.__getitem__)
        return (
            f"{track} {self.class_names[label]}" if self.class_names and label < len(self.class_names) else str(track)
        )
