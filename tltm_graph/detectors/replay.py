from typing import Any, Protocol

import torch
from torch import Tensor

from tltm_graph.detectors.detector import Detector
from tltm_graph.structures import Detections, Frame


class RecordedDetections(Protocol):
    """Detections of a video that were recorded: a :class:`DetectionCache` or a saved graph."""

    @property
    def class_names(self) -> tuple[str, ...] | None: ...
    @property
    def size(self) -> tuple[int, int] | None: ...
    @property
    def masks_on_demand(self) -> bool: ...
    @property
    def scale(self) -> float: ...

    def detections(self, frame: int) -> Detections:
        """Read the detections of a frame, with embeddings if there are some."""
        ...

    def drawn(self, frame: int) -> Detections:
        """Read the same objects as they are shown, with masks."""
        ...


class ReplayDetector(Detector):
    """Detector that replays recorded detections, without looking at the frames.

    Args:
        recording: Recorded detections.
        score_threshold: Minimum score of a replayed detection, in [0, 1].
    """

    def __init__(self, recording: RecordedDetections, score_threshold: float = 0.0) -> None:
        self.recording = recording
        self.score_threshold = score_threshold
        self.class_names = recording.class_names
        self.masks_on_demand = recording.masks_on_demand

    def detect(self, frame: Frame, context: Any = None) -> tuple[Detections, None]:
        """Return the recorded detections of the frame with this index.

        Raises:
            ValueError: If the frame was not recorded, or has another size.
        """
        if self.recording.size is not None and frame.size != self.recording.size:
            raise ValueError(
                f"Expected frames of {self.recording.size} pixels (H, W), got frame {frame.index} of {frame.size}: the "
                "recording is of another video"
            )
        detections = self.recording.detections(frame.index)
        # segment() finds an object again by its frame and row.
        rows = torch.arange(len(detections), dtype=torch.float64)
        places = torch.stack([torch.full_like(rows, frame.index), rows], dim=1)
        kept = (detections.scores >= self.score_threshold) if self.score_threshold > 0 else slice(None)
        return detections.replace(features=places)[kept], None

    def segment(self, detections: Detections, size: tuple[int, int]) -> Detections:
        """Return the recorded masks and boxes of detections that :meth:`detect` returned."""
        places = detections.features
        if places is None:
            raise ValueError(f"Expected detections of this detector, got {detections!r} without their places")
        if len(places) == 0:
            return detections.replace(masks=torch.zeros((0, *size), dtype=torch.bool))
        shown = self.recording.drawn(int(places[0, 0]))[places[:, 1].long()]
        masks: Tensor | None = shown.masks
        if masks is None:
            masks = torch.zeros((len(places), *size), dtype=torch.bool)
        return detections.replace(boxes=shown.boxes, masks=masks)

    def scale(self, size: tuple[int, int]) -> float:
        """Ratio of the recorded detector's input size to the size of the frames."""
        return self.recording.scale

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.recording!r}, score_threshold={self.score_threshold})"
