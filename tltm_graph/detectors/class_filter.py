from collections.abc import Sequence
from typing import Any

import torch

from tltm_graph.association import Affinity
from tltm_graph.detectors.detector import Detector
from tltm_graph.structures import Detections, Frame


class ClassFilter(Detector):
    """Detector that returns only the objects of some classes of another detector. Labels keep their numbers.

    Args:
        detector: Detector with class names.
        classes: Names of the classes to keep.

    Raises:
        ValueError: If the detector does not name its classes, or has none of a name.
    """

    def __init__(self, detector: Detector, classes: Sequence[str]) -> None:
        names = detector.class_names
        if not names:
            raise ValueError(f"Expected a detector that names its classes, to select {list(classes)}, got {detector!r}")
        unknown = [name for name in classes if name not in names]
        if unknown:
            raise ValueError(f"Expected classes among {', '.join(names)}, got {', '.join(unknown)}")
        self.detector = detector
        self.labels = torch.tensor([names.index(name) for name in classes])
        """Labels of the classes to keep (C,), int64."""
        self.class_names, self.num_frames, self.size = names, detector.num_frames, detector.size

    @property
    def masks_on_demand(self) -> bool:  # type: ignore[override]
        """True if :meth:`detect` returns no masks."""
        return self.detector.masks_on_demand

    @property
    def new_track_threshold(self) -> float | None:  # type: ignore[override]
        """Minimum score that should start a track: that of the detector."""
        return self.detector.new_track_threshold

    def detect(self, frame: Frame, context: Any = None) -> tuple[Detections, Any]:
        """Detect the objects of these classes: :meth:`Detector.detect`."""
        detections, context = self.detector.detect(frame, context)
        return self.select(detections), context

    def select(self, detections: Detections) -> Detections:
        """Select the objects of these classes."""
        return detections[torch.isin(detections.labels, self.labels.to(detections.labels.device))]

    def segment(self, detections: Detections, size: tuple[int, int]) -> Detections:
        """Draw masks: :meth:`Detector.segment`."""
        return self.detector.segment(detections, size)

    def scale(self, size: tuple[int, int]) -> float:
        """Ratio of the network's input size to the size (H, W) of a frame."""
        return self.detector.scale(size)

    def affinity(self) -> Affinity | None:
        """Affinity of the detector."""
        return self.detector.affinity()

    def __repr__(self) -> str:
        assert self.class_names is not None
        names = [self.class_names[label] for label in self.labels.tolist()]
        return f"{type(self).__name__}({self.detector!r}, {names})"
