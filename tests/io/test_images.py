import os
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from tltm_graph.io.images import open_image
from tltm_graph.limits import Limits, limits


def png_header(height: int, width: int) -> bytes:
    """A file of 80 bytes that claims to hold a picture of any size."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0" * 99)) + chunk(b"IEND", b"")


@pytest.mark.filterwarnings("error")
def test_large_pictures_are_refused_before_they_are_decoded(tmp_path):
    for height, width in ((13_000, 13_000), (1, 2**31 - 1), (9_460, 9_460)):
        (tmp_path / "a.png").write_bytes(png_header(height, width))
        with (
            pytest.raises(
                ValueError, match=rf"at most 89478485 pixels in '.*a.png', got {height}×{width}.*--max-pixels"
            ),
            open_image(tmp_path / "a.png"),
        ):
            pass
    guard = Image.MAX_IMAGE_PIXELS
    try:
        (tmp_path / "a.png").write_bytes(png_header(20_000, 20_000))
        with limits(Limits(max_pixels=400_000_000)), open_image(tmp_path / "a.png") as image:
            assert image.size == (20_000, 20_000)
            assert Image.MAX_IMAGE_PIXELS == 400_000_000, "Pillow must not refuse what the limit allows"
    finally:
        Image.MAX_IMAGE_PIXELS = guard


@pytest.mark.parametrize("size", [(0, 5), (5, 0), (0, 0)])
def test_empty_pictures(tmp_path, size):
    (tmp_path / "a.png").write_bytes(png_header(*size))
    with pytest.raises(ValueError, match="in '.*a.png'"), open_image(tmp_path / "a.png"):
        pass


def test_damaged_pictures(tmp_path):
    Image.fromarray(np.zeros((30, 40, 3), np.uint8)).save(tmp_path / "a.png")
    whole = (tmp_path / "a.png").read_bytes()
    for content in (
        b"",
        b"abc",
        whole[:20],
        whole[:60],
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 5 5\n",
        b"P6\n9 9\n255\n",
    ):
        (tmp_path / "b.png").write_bytes(content)
        with (
            pytest.raises(ValueError, match="Expected an image in '.*b.png', got a damaged file or no image: [^\n]+$"),
            open_image(tmp_path / "b.png") as image,
        ):
            image.load()


def test_pictures_that_are_no_files(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(ValueError, match="got a pipe, a socket or a device"), open_image(tmp_path / "pipe.png"):
        pass
    with (
        pytest.raises(FileNotFoundError, match="file with a mask, found none"),
        open_image(tmp_path / "x.png", "a mask"),
    ):
        pass
