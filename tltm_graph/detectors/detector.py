from typing import Any, Protocol, runtime_checkable

from tltm_graph.structures import Detections, Frame


@runtime_checkable
class Detector(Protocol):
    """Finds the objects of one frame. Any object with this method and attribute will do.

    :func:`tltm_graph.detectors.check_detector` tells whether it does what trackers rely on.
    """

    class_names: tuple[str, ...] | None
    """Names of the classes that ``labels`` index, or None if they have none."""

    def detect(self, frame: Frame, context: Any = None) -> tuple[Detections, Any]:
        """Finds the objects of ``frame``.

        Args:
            frame: The frame. Not to be changed.
            context: What the call for the previous frame of the same video returned, None for the first frame. The only
                memory a detector has of a video: detectors that need none return None.

        Returns:
            The objects, most confident first, and the context of the next call.
        """
        ...


@runtime_checkable
class Segmenter(Protocol):
    """A detector that finds boxes first and draws masks later, so that none is drawn that nobody will see."""

    def segment(self, detections: Detections, size: tuple[int, int]) -> Detections:
        """Draws the masks of objects that ``detect`` has found.

        Args:
            detections: Some of its objects, in any order, with all that ``detect`` gave them.
            size: Height and width of the frame.

        Returns:
            The same objects, row by row, with masks (N, H, W).
        """
        ...


def expect_pair(detector: Detector, output: Any) -> tuple[Detections, Any]:
    """What a detector returned, if it is what it should be.

    Raises:
        ValueError: If it is not.
    """
    if isinstance(output, tuple) and len(output) == 2 and isinstance(output[0], Detections):
        return output
    raise ValueError(
        f"Expected a pair (Detections, context) from {detector!r}, got {_named(output)}: return detections, None if "
        "nothing is to be remembered; tltm_graph.interop.supervision_detections.from_supervision converts those of "
        "supervision"
    )


def _named(value: Any) -> str:
    """The type of a value; of a tuple, those of what is in it."""
    if isinstance(value, tuple):
        return f"({', '.join(map(_named, value))})"
    if value is None:
        return "None"
    return f"{type(value).__module__.partition('.')[0]}.{type(value).__name__}".removeprefix("builtins.")
