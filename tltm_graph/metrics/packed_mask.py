from collections.abc import Sequence
from math import isqrt
from typing import NamedTuple

import numpy as np

_WORD = 64  # pixels


class Box(NamedTuple):
    """Rows ``top`` to ``bottom`` - 1 and columns (or words) ``left`` to ``right`` - 1 of a frame."""

    top: int
    bottom: int
    left: int
    right: int


EMPTY_BOX = Box(0, 0, 0, 0)
"""Box of an object without pixels."""


class LabelMap:
    """Objects of one frame as an image of their ids, with the tight box of each.

    Args:
        pixels: Integers or bool (H, W), 0 for background, otherwise the id of an object.

    Attributes:
        pixels: The array as given.
        boxes: Tight box of each id in the map, sorted by id.

    Raises:
        ValueError: If the array is not (H, W), not of integers, or has negative values.
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
        self.boxes = _boxes_of_ids(pixels)

    def __repr__(self) -> str:
        height, width = self.pixels.shape
        return f"{type(self).__name__}({height}×{width}, ids {list(self.boxes)})"


class PackedMask(NamedTuple):
    """A mask with one bit for each pixel, cut to a window around the object.

    Words are stored column by column, so that a shift of the mask moves long contiguous stretches of memory. Words
    start at multiples of 64 pixels of the frame, so that two masks of a frame are compared without a shift.

    Args:
        window: Rows of the frame, and words across: word i starts at column 64 · i. Rows may lie outside the frame.
        words: Pixels, uint64 (words across, rows); the lowest bit is the leftmost pixel.
    """

    window: Box
    words: np.ndarray


def pack_masks(masks: np.ndarray, void: np.ndarray | None, margin: int) -> list[PackedMask]:
    """Pack bool masks (N, H, W).

    Args:
        masks: Masks of one frame.
        void: Pixels to remove from each mask, bool (H, W); None for none.
        margin: Distance between object and edge of the window, in pixels. Above and below, the window may reach beyond
            the frame.
    """
    return [_pack(mask[_slices(box)], box, mask.shape[1], void, margin) for mask in masks for box in [_box_of(mask)]]


def pack_labels(label_map: LabelMap, ids: Sequence[int], void: np.ndarray | None, margin: int) -> list[PackedMask]:
    """Pack the objects ``ids`` of a label map, like :func:`pack_masks`. Objects not in the map are empty."""
    pixels = label_map.pixels
    boxes = [label_map.boxes.get(i, EMPTY_BOX) for i in ids]
    return [
        _pack(pixels[_slices(box)] == i, box, pixels.shape[1], void, margin) for i, box in zip(ids, boxes, strict=True)
    ]


def boundary(mask: PackedMask, size: Sequence[int]) -> PackedMask:
    """Find the pixels that differ from their right, lower or lower right neighbour.

    Neighbours outside the frame equal the nearest pixel inside, so that the edge of the frame is no boundary.

    Args:
        mask: Mask with a margin of at least 1.
        size: Height and width of the frame.
    """
    height, width = size
    words = mask.words
    right = words >> 1
    right[:-1] |= words[1:] << (_WORD - 1)
    if mask.window.right * _WORD >= width:
        right[-1:] |= words[-1:] & np.uint64(1 << (width - 1) % _WORD)
    sideways = words ^ right
    edge = sideways.copy()
    edge[:, :-1] |= sideways[:, 1:] | (words[:, :-1] ^ words[:, 1:])
    last = height - 1 - mask.window.top
    edge[:, last : last + 1] = sideways[:, last : last + 1]
    edge[:, : max(-mask.window.top, 0)] = 0  # rows above the frame
    return mask._replace(words=edge)


def dilate(mask: PackedMask, radius: int) -> PackedMask:
    """Dilate a mask by the disk x² + y² ≤ radius². The result may have pixels above and below the frame.

    The disk is the union of its rows: the row at height d widens the mask by √(radius² - d²) to both sides. From the
    outer rows to the middle one, each row widens the result of the row before.

    Args:
        mask: Mask with at least ``radius`` empty rows above and below. To the sides it has the same margin, or less
            where the frame ends.
        radius: Radius of the disk, in pixels.
    """
    widened, width = mask.words, 0
    reached = np.zeros_like(widened)
    line = reached.reshape(-1)  # shifts across the end of a column only move empty rows
    for d in range(radius, 0, -1):
        widened, width = _widen(widened, width, isqrt(radius * radius - d * d))
        source = widened.reshape(-1)
        line[d:] |= source[:-d]
        line[:-d] |= source[d:]
    return mask._replace(words=reached | _widen(widened, width, radius)[0])


def num_pixels(masks: Sequence[PackedMask]) -> np.ndarray:
    """Count the pixels of each mask, int64 (N,)."""
    return np.array([np.bitwise_count(mask.words).sum(dtype=np.int64) for mask in masks], dtype=np.int64)


def num_common_pixels(masks: Sequence[PackedMask], others: Sequence[PackedMask]) -> np.ndarray:
    """Count the pixels that each mask has in common with each other one of the same frame, int64 (N, M).

    Each mask is compared with all others whose windows it touches in one operation. For this the M others are copied to
    one common window, of at most about M·H·W / 8 bytes.
    """
    common = np.zeros((len(masks), len(others)), dtype=np.int64)
    window = _common_window(others)
    stack = np.zeros((len(others), window.right - window.left, window.bottom - window.top), dtype=np.uint64)
    for layer, other in zip(stack, others, strict=True):
        layer[_within(window, other.window)] = other.words
    corners = np.array([other.window for other in others], dtype=np.int64).reshape(-1, 4)
    for row, mask in enumerate(masks):
        both = _intersection(mask.window, window)
        touching = np.flatnonzero(
            (np.maximum(corners[:, 0], both.top) < np.minimum(corners[:, 1], both.bottom))
            & (np.maximum(corners[:, 2], both.left) < np.minimum(corners[:, 3], both.right))
        )
        layers = stack[touching, *_within(window, both)]
        layers &= mask.words[_within(mask.window, both)]
        common[row, touching] = np.bitwise_count(layers).sum(axis=(1, 2), dtype=np.int64)
    return common


def _boxes_of_ids(pixels: np.ndarray) -> dict[int, Box]:
    """Find tight boxes from the runs of equal pixels in each row: a few thousand, whatever the number of ids."""
    height, width = pixels.shape
    line = pixels.reshape(-1)
    is_start = np.ones(len(line), dtype=bool)
    np.not_equal(line[1:], line[:-1], out=is_start[1:])
    is_start[:: max(width, 1)] = True
    first = np.flatnonzero(is_start)
    last = np.append(first[1:], len(line))[: len(first)] - 1
    values = line[first]
    is_object = values != 0
    ids, index = np.unique(values[is_object], return_inverse=True)  # index: that of the id of each run
    rows, left = np.divmod(first[is_object], max(width, 1))
    right = last[is_object] - rows * width
    low = np.full((2, len(ids)), max(height, width))
    high = np.zeros((2, len(ids)), dtype=np.int64)
    for axis, (lowest, highest) in enumerate(((rows, rows), (left, right))):
        np.minimum.at(low[axis], index, lowest)
        np.maximum.at(high[axis], index, highest + 1)
    corners = np.stack([low[0], high[0], low[1], high[1]], axis=1).tolist()
    return {int(object_id): Box(*corner) for object_id, corner in zip(ids.tolist(), corners, strict=True)}


def _box_of(mask: np.ndarray) -> Box:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return Box(int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1) if len(rows) else EMPTY_BOX


def _slices(box: Box) -> tuple[slice, slice]:
    return slice(box.top, box.bottom), slice(box.left, box.right)


def _pack(pixels: np.ndarray, box: Box, width: int, void: np.ndarray | None, margin: int) -> PackedMask:
    """Pack the pixels of a box in a frame of some width."""
    if box == EMPTY_BOX:
        return PackedMask(EMPTY_BOX, np.zeros((0, 0), dtype=np.uint64))
    top, bottom = box.top - margin, box.bottom + margin
    left, right = max(box.left - margin, 0) // _WORD, -(-min(box.right + margin, width) // _WORD)
    window = np.zeros((bottom - top, (right - left) * _WORD), dtype=bool)
    target = window[box.top - top : box.bottom - top, box.left - left * _WORD : box.right - left * _WORD]
    target[...] = pixels
    if void is not None:
        target &= ~void[_slices(box)]
    words = np.packbits(window, axis=1, bitorder="little").view("<u8")
    return PackedMask(Box(top, bottom, left, right), np.ascontiguousarray(words.T, dtype=np.uint64))


def _widen(words: np.ndarray, width: int, new_width: int) -> tuple[np.ndarray, int]:
    """Widen words, already ``width`` pixels wider on both sides, to ``new_width``; return both."""
    while width < new_width:
        step = min(new_width - width, max(width, 1), _WORD - 1)  # a step above the width would leave a gap
        wider = words << step
        wider |= words >> step
        wider[1:] |= words[:-1] >> (_WORD - step)
        wider[:-1] |= words[1:] << (_WORD - step)
        wider |= words
        words, width = wider, width + step
    return words, width


def _common_window(masks: Sequence[PackedMask]) -> Box:
    windows = [mask.window for mask in masks if mask.words.size]
    if not windows:
        return EMPTY_BOX
    tops, bottoms, lefts, rights = zip(*windows, strict=True)
    return Box(min(tops), max(bottoms), min(lefts), max(rights))


def _intersection(window: Box, other: Box) -> Box:
    top, left = max(window.top, other.top), max(window.left, other.left)
    return Box(top, max(min(window.bottom, other.bottom), top), left, max(min(window.right, other.right), left))


def _within(window: Box, part: Box) -> tuple[slice, slice]:
    """Return the slices of a part of a window in its words (words across, rows)."""
    return slice(part.left - window.left, part.right - window.left), slice(
        part.top - window.top, part.bottom - window.top
    )
