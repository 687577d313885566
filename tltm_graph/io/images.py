from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock

from PIL import Image

from tltm_graph.io.text import check_file
from tltm_graph.limits import check_pixels, current_limits
from tltm_graph.printable import one_line

_FORMATS = ("BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")
"""Formats that are opened whatever the suffix says. Others of Pillow call programs, or are too rare to be trusted."""

_OPENING = Lock()


@contextmanager
def open_image(path: str | Path, what: str = "an image") -> Iterator[Image.Image]:
    """Open a picture after a check of its size, before any pixel is decoded.

    The block may only use Pillow: each of its errors is taken for damage of the file.

    Args:
        path: Path of the file.
        what: Expected content, for error messages.

    Raises:
        FileNotFoundError: If the file does not exist.
        ValueError: If it is no picture, is damaged, is empty, or has more pixels than
            :attr:`tltm_graph.limits.Limits.max_pixels`.
    """
    check_file(path, what)
    try:
        with _without_guard():
            image = Image.open(path, formats=_FORMATS)
    except Exception as error:  # Pillow raises errors of many kinds for damaged files
        raise _damaged(path, what, error) from error
    with image:
        check_pixels(image.height, image.width, f"'{path}'")
        try:
            yield image
        except Exception as error:
            raise _damaged(path, what, error) from error


def _damaged(path: str | Path, what: str, error: Exception) -> ValueError:
    reason = one_line(str(error)) or type(error).__name__
    return ValueError(f"Expected {what} in '{path}', got a damaged file or no image: {reason}")


@contextmanager
def _without_guard() -> Iterator[None]:
    """Switch Pillow's limit off while a header is read, and raise it to ours for decoding."""
    with _OPENING:
        guard = Image.MAX_IMAGE_PIXELS
        Image.MAX_IMAGE_PIXELS = None
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = None if guard is None else max(guard, current_limits().max_pixels)
