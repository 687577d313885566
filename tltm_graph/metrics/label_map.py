from typing import NamedTuple

import numpy as np


class Box(NamedTuple):
    """Rows ``top`` to ``bottom`` - 1 and columns ``left`` to ``right`` - 1 of a picture."""

    top: int
    bottom: int
    left: int
    right: int


NOWHERE = Box(0, 0, 0, 0)
"""The box of an object that is not in the picture."""


class LabelMap:
    """The objects of one frame as a picture of their ids, and where each is; no mask is made of any of them.

    Args:
        pixels: Integers or bool (H, W), 0 for background, an object's id elsewhere.

    Attributes:
        pixels: The same array.
        boxes: Tight box of every id in the map, in the order of the ids.

    Raises:
        ValueError: If it is not a picture of integers of at least 0.
    """

    def __init__(self, pixels: np.ndarray) -> None:
        if pixels.ndim != 2 or pixels.dtype.kind not in "biu":
            raise ValueError(
                f"Expected a label map of integers (H, W), got {pixels.dtype} of shape {pixels.shape}: read a palette "
                "image without converting it to colours"
            )
        if pixels.dtype.kind == "i" and pixels.size and pixels.min() < 0:
            raise ValueError(f"Expected ids of at least 0 in a label map, got {pixels.min()}")
        self.pixels = pixels
        self.boxes = _boxes(pixels)

    def __repr__(self) -> str:
        height, width = self.pixels.shape
        return f"{type(self).__name__}({height}×{width}, ids {list(self.boxes)})"


def _boxes(pixels: np.ndarray) -> dict[int, Box]:
    """Boxes from the runs of equal pixels in each row: there are a few thousand of those, whatever the ids are."""
    height, width = pixels.shape
    line = pixels.reshape(-1)
    begins = np.ones(len(line), dtype=bool)
    np.not_equal(line[1:], line[:-1], out=begins[1:])
    begins[:: max(width, 1)] = True
    first = np.flatnonzero(begins)
    last = np.append(first[1:], len(line))[: len(first)] - 1
    value = line[first]
    objects = value != 0
    ids, owner = np.unique(value[objects], return_inverse=True)
    rows, left = np.divmod(first[objects], max(width, 1))
    right = last[objects] - rows * width
    low = np.full((2, len(ids)), max(height, width))
    high = np.zeros((2, len(ids)), dtype=np.int64)
    for axis, (least, most) in enumerate(((rows, rows), (left, right))):
        np.minimum.at(low[axis], owner, least)
        np.maximum.at(high[axis], owner, most + 1)
    corners = np.stack([low[0], high[0], low[1], high[1]], axis=1).tolist()
    return {int(object_id): Box(*corner) for object_id, corner in zip(ids.tolist(), corners, strict=True)}
