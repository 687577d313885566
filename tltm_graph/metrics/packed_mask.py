from collections.abc import Sequence
from math import isqrt
from typing import NamedTuple

import numpy as np

from tltm_graph.metrics.label_map import NOWHERE, Box, LabelMap

_WORD = 64


class PackedMask(NamedTuple):
    """A mask at one bit a pixel, cut to a window round the object.

    Words lie column after column, so that moving the mask down or sideways is moving long contiguous stretches. Words
    begin at multiples of 64 pixels of the frame: two masks of a frame are compared without shifting one.

    Args:
        top: Row of the frame in which the window begins; negative above the frame.
        left: Word of the frame in which the window begins: column 64 ``left``.
        words: uint64 (words across, rows); the least bit is the leftmost pixel.
    """

    top: int
    left: int
    words: np.ndarray

    @property
    def bottom(self) -> int:
        """The row after the window."""
        return self.top + self.words.shape[1]

    @property
    def right(self) -> int:
        """The word after the window."""
        return self.left + self.words.shape[0]


def pack_masks(masks: np.ndarray, void: np.ndarray | None, margin: int) -> list[PackedMask]:
    """Packs bool masks (N, H, W).

    Args:
        masks: The masks.
        void: bool (H, W), pixels that are taken out of every mask.
        margin: Pixels the window reaches beyond the object: above and below also beyond the frame, to the sides not.
    """
    return [_pack(mask[_inside(box)], box, mask.shape[1], void, margin) for mask in masks for box in [_tight_box(mask)]]


def pack_labels(label_map: LabelMap, ids: Sequence[int], void: np.ndarray | None, margin: int) -> list[PackedMask]:
    """Packs the objects ``ids`` of a label map, like :func:`pack_masks`; those not in the map are empty."""
    pixels = label_map.pixels
    boxes = [label_map.boxes.get(i, NOWHERE) for i in ids]
    return [
        _pack(pixels[_inside(box)] == i, box, pixels.shape[1], void, margin) for i, box in zip(ids, boxes, strict=True)
    ]


def boundary(mask: PackedMask, size: Sequence[int]) -> PackedMask:
    """Pixels that differ from their right, lower or lower right neighbour.

    Beyond the frame the pixels at its edge go on, so that an edge of the mask at the edge of the frame is no boundary.

    Args:
        mask: With a margin of at least 1.
        size: Of the frame (H, W).
    """
    height, width = size
    words = mask.words
    right = words >> 1
    right[:-1] |= words[1:] << (_WORD - 1)
    if mask.right * _WORD >= width:
        right[-1:] |= words[-1:] & np.uint64(1 << (width - 1) % _WORD)
    sideways = words ^ right
    edge = sideways.copy()
    edge[:, :-1] |= sideways[:, 1:] | (words[:, :-1] ^ words[:, 1:])
    last = height - 1 - mask.top
    edge[:, last : last + 1] = sideways[:, last : last + 1]
    edge[:, : max(-mask.top, 0)] = 0  # the window begins above the frame
    return mask._replace(words=edge)


def dilate(mask: PackedMask, radius: int) -> PackedMask:
    """Pixels with one of the mask at most ``radius`` away: dilation by the disk x² + y² ≤ radius².

    The disk is cut into rows: its row at height d is the mask widened by √(radius² - d²) to both sides. From the outer
    rows to the middle one, what was widened for the row before is widened further. Pixels above and below the frame may
    be reached too.

    Args:
        mask: With at least ``radius`` empty rows above and below, and as much margin to the sides as the frame has.
        radius: In pixels.
    """
    widened, by = mask.words, 0
    reached = np.zeros_like(widened)
    line = reached.reshape(-1)  # one stretch: what leaves a column of words at its end are the empty rows
    for d in range(radius, 0, -1):
        widened, by = _widen(widened, by, isqrt(radius * radius - d * d))
        source = widened.reshape(-1)
        line[d:] |= source[:-d]
        line[:-d] |= source[d:]
    return mask._replace(words=reached | _widen(widened, by, radius)[0])


def num_pixels(masks: Sequence[PackedMask]) -> np.ndarray:
    """Pixels of each mask, int64 (N,)."""
    return np.array([np.bitwise_count(mask.words).sum(dtype=np.int64) for mask in masks], dtype=np.int64)


def num_common_pixels(masks: Sequence[PackedMask], others: Sequence[PackedMask]) -> np.ndarray:
    """Pixels that each mask has in common with each other one, int64 (N, M); all are of one frame.

    Each mask is laid over all others whose windows it touches at once; for this the M others are brought to one window,
    which takes about M·H·W / 8 bytes at most.
    """
    common = np.zeros((len(masks), len(others)), dtype=np.int64)
    window = _hull(others)
    stack = np.zeros((len(others), window.right - window.left, window.bottom - window.top), dtype=np.uint64)
    for layer, other in zip(stack, others, strict=True):
        top, left = other.top - window.top, other.left - window.left
        layer[left : left + other.words.shape[0], top : top + other.words.shape[1]] = other.words
    corners = np.array([_window(other) for other in others], dtype=np.int64).reshape(-1, 4)
    for row, mask in enumerate(masks):
        both = _intersection(_window(mask), window)
        touching = np.flatnonzero(
            (np.maximum(corners[:, 0], both.top) < np.minimum(corners[:, 1], both.bottom))
            & (np.maximum(corners[:, 2], both.left) < np.minimum(corners[:, 3], both.right))
        )
        layers = stack[
            touching,
            both.left - window.left : both.right - window.left,
            both.top - window.top : both.bottom - window.top,
        ]
        layers &= _cut(mask, both)
        common[row, touching] = np.bitwise_count(layers).sum(axis=(1, 2), dtype=np.int64)
    return common


def num_paired_common_pixels(masks: Sequence[PackedMask], others: Sequence[PackedMask]) -> np.ndarray:
    """Pixels that each mask has in common with the other at the same place in the sequence, int64 (N,)."""
    common = []
    for mask, other in zip(masks, others, strict=True):
        both = _intersection(_window(mask), _window(other))
        common.append(np.bitwise_count(_cut(mask, both) & _cut(other, both)).sum(dtype=np.int64))
    return np.array(common, dtype=np.int64)


def _tight_box(mask: np.ndarray) -> Box:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return Box(int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1) if len(rows) else NOWHERE


def _inside(box: Box) -> tuple[slice, slice]:
    return slice(box.top, box.bottom), slice(box.left, box.right)


def _pack(object_: np.ndarray, box: Box, width: int, void: np.ndarray | None, margin: int) -> PackedMask:
    if box == NOWHERE:
        return PackedMask(0, 0, np.zeros((0, 0), dtype=np.uint64))
    top, bottom = box.top - margin, box.bottom + margin
    left, right = max(box.left - margin, 0) // _WORD, -(-min(box.right + margin, width) // _WORD)
    window = np.zeros((bottom - top, (right - left) * _WORD), dtype=bool)
    target = window[box.top - top : box.bottom - top, box.left - left * _WORD : box.right - left * _WORD]
    target[...] = object_
    if void is not None:
        target &= ~void[_inside(box)]
    words = np.packbits(window, axis=1, bitorder="little").view("<u8")
    return PackedMask(top, left, np.ascontiguousarray(words.T, dtype=np.uint64))  # (words across, rows)


def _widen(words: np.ndarray, by: int, to: int) -> tuple[np.ndarray, int]:
    """Words that were widened ``by`` pixels to both sides, widened ``to`` pixels."""
    while by < to:
        step = min(to - by, max(by, 1), _WORD - 1)  # at most what there is, else a gap opens in the middle
        wider = words << step
        wider |= words >> step
        wider[1:] |= words[:-1] >> (_WORD - step)
        wider[:-1] |= words[1:] << (_WORD - step)
        wider |= words
        words, by = wider, by + step
    return words, by


def _window(mask: PackedMask) -> Box:
    return Box(mask.top, mask.bottom, mask.left, mask.right)


def _hull(masks: Sequence[PackedMask]) -> Box:
    windows = [_window(mask) for mask in masks if mask.words.size]
    if not windows:
        return NOWHERE
    tops, bottoms, lefts, rights = zip(*windows, strict=True)
    return Box(min(tops), max(bottoms), min(lefts), max(rights))


def _intersection(window: Box, other: Box) -> Box:
    top, left = max(window.top, other.top), max(window.left, other.left)
    return Box(top, max(min(window.bottom, other.bottom), top), left, max(min(window.right, other.right), left))


def _cut(mask: PackedMask, window: Box) -> np.ndarray:
    return mask.words[
        window.left - mask.left : window.right - mask.left, window.top - mask.top : window.bottom - mask.top
    ]
