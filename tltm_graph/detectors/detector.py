from typing import Any, Protocol, runtime_checkable

from tltm_graph.structures import Detections, Frame


@runtime_checkable
class Detector(Protocol):
    """Finds the objects of one frame. Any object with this method and attribute will do.

    :func:`tltm_graph.testing.check_detector` tells whether it does what trackers rely on.
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
