from abc import abstractmethod
from typing import Any, Protocol, runtime_checkable

from tltm_graph.association import Affinity
from tltm_graph.structures import Detections, Frame


@runtime_checkable
class Detector(Protocol):
    """Detection of the objects of one frame.

    Inherit from it, set ``class_names`` and implement :meth:`detect`; everything else has a default.
    :func:`tltm_graph.detectors.check_detector` checks all that a tracker relies on.
    """

    class_names: tuple[str, ...] | None = None
    """Names of the classes that ``labels`` index, None if they have none."""

    num_frames: int | None = None
    """Length of the one video that the detections are for, None if they are for any video."""

    size: tuple[int, int] | None = None
    """Height and width in pixels of the frames that the detections are for, None if they are for any size."""

    masks_on_demand: bool = False
    """True if :meth:`detect` returns no masks and :meth:`segment` draws them for selected objects."""

    new_track_threshold: float | None = None
    """Minimum detection score, in [0, 1], that should start a track; None for the default of the tracker."""

    @abstractmethod
    def detect(self, frame: Frame, context: Any = None) -> tuple[Detections, Any]:
        """Detect the objects of a frame.

        Args:
            frame: The frame, not to be modified.
            context: Second value that the call for the previous frame of the same video returned, None for the first
                frame. It is the only memory of a video: two videos may alternate.

        Returns:
            The objects, highest score first, and the context for the next frame, None if the detector needs none.
        """
        ...

    def segment(self, detections: Detections, size: tuple[int, int]) -> Detections:
        """Draw the masks of some of the detected objects. Called only if ``masks_on_demand`` is True.

        Args:
            detections: Some of the objects of one frame, in any order, with all fields that :meth:`detect` set.
            size: Height and width of the frame in pixels.

        Returns:
            The same objects, row by row, with masks (N, H, W).
        """
        return detections

    def scale(self, size: tuple[int, int]) -> float:
        """Ratio of the network's input size to the size (H, W) of a frame."""
        return 1.0

    def affinity(self) -> Affinity | None:
        """Affinity trained for this detector, None to use the tracker's default."""
        return None


def expect_pair(detector: Detector, output: Any) -> tuple[Detections, Any]:
    """Check that a detector returned detections and a context.

    Raises:
        ValueError: If it returned anything else.
    """
    if isinstance(output, tuple) and len(output) == 2 and isinstance(output[0], Detections):
        return output
    raise ValueError(
        f"Expected a pair (Detections, context) from {detector!r}, got {_type_name(output)}: return detections and "
        "None if the detector needs no context; tltm_graph.interop.supervision_detections.from_supervision converts "
        "detections of supervision"
    )


def _type_name(value: Any) -> str:
    """Name of a value's type; of a tuple, the names of its elements' types."""
    if isinstance(value, tuple):
        return f"({', '.join(map(_type_name, value))})"
    if value is None:
        return "None"
    return f"{type(value).__module__.partition('.')[0]}.{type(value).__name__}".removeprefix("builtins.")
