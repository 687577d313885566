"""Upper bounds on what a file may ask for: a short file can describe gigabytes of text, pixels or frames."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, fields


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Upper bounds on files from elsewhere.

    Args:
        max_size: Size of a text, table or archive member after decompression, in MiB.
        max_pixels: Number of pixels of a picture, a mask or a frame of a video.
        max_length: Number of frames of a video.
    """

    max_size: int = 1024
    max_pixels: int = 89_478_485  # Pillow warns of larger pictures; a frame of 8K has 33 million
    max_length: int = 200_000  # two hours at 28 frames per second; scoring as many empty frames takes seconds

    def __post_init__(self) -> None:
        for field in fields(self):
            if getattr(self, field.name) < 1:
                raise ValueError(f"Expected a limit {field.name} of at least 1, got {getattr(self, field.name)}")

    @property
    def max_bytes(self) -> int:
        """``max_size`` in bytes."""
        return self.max_size * 2**20


_DEFAULT = Limits()
_CURRENT: ContextVar[Limits] = ContextVar("limits", default=_DEFAULT)


def current_limits() -> Limits:
    """The limits that readers apply, :class:`Limits` with its defaults unless :func:`limits` sets others."""
    return _CURRENT.get()


@contextmanager
def limits(changed: Limits) -> Iterator[None]:
    """Context in which all readers apply other limits.

    >>> with limits(Limits(max_pixels=10**9)):
    ...     videos = open_videos("huge.json")
    """
    token = _CURRENT.set(changed)
    try:
        yield
    finally:
        _CURRENT.reset(token)


def check_pixels(height: int, width: int, where: str) -> None:
    """Raise a ValueError if a picture, mask or frame is empty or has too many pixels.

    Args:
        height: Height in pixels.
        width: Width in pixels.
        where: Origin of the size, for the error message.
    """
    bound = current_limits().max_pixels
    if height < 1 or width < 1:
        raise ValueError(f"Expected a height and width of at least 1 pixel in {where}, got {height}×{width} (H×W)")
    if height * width > bound:
        raise ValueError(
            f"Expected at most {bound} pixels in {where}, got {height}×{width} (H×W): allow more with max_pixels "
            "(--max-pixels) if the size is right"
        )


def check_length(num_frames: int, where: str) -> None:
    """Raise a ValueError if a video has too many frames.

    Args:
        num_frames: Number of frames, or the index of the last one plus 1.
        where: Origin of the number, for the error message.
    """
    bound = current_limits().max_length
    if num_frames > bound:
        raise ValueError(
            f"Expected a video of at most {bound} frames in {where}, got {num_frames}: allow more with max_length "
            "(--max-length) if the number is right"
        )


def check_size(num_bytes: int, where: str) -> None:
    """Raise a ValueError if a text or archive member is too large after decompression.

    Args:
        num_bytes: Size in bytes.
        where: Origin of the size, for the error message.
    """
    bound = current_limits()
    if num_bytes > bound.max_bytes:
        raise ValueError(
            f"Expected at most {bound.max_size} MiB after decompression in {where}, got more: allow more with max_size "
            "(--max-size) if you trust the file"
        )
