import reprlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypedDict, TypeGuard

import numpy as np
import torch
from pycocotools import mask as coco_mask
from torch import Tensor

from tltm_graph.limits import check_pixels, current_limits

_MAX_PIXELS = 2**29 - 1  # pycocotools computes runs of more pixels wrongly
_MAX_GROUPS = 6  # characters of one run: 30 bits with the sign
_MAX_OUTLINE = 100  # times the sides of the frame: pycocotools takes 80 bytes for each pixel of a polygon's outline
_FRAME_MASKS = 16  # decoded masks of the largest frame that are held at once


class Rle(TypedDict):
    """A mask in COCO's compressed run-length encoding: ``size`` is [height, width], ``counts`` an ASCII string."""

    size: list[int]
    counts: str


def encode_rle(masks: Tensor) -> list[Rle]:
    """Encode bool masks (N, H, W) as N run-length encodings."""
    pixels = masks.cpu().numpy().astype(np.uint8)
    encoded = coco_mask.encode(np.asfortranarray(pixels.transpose(1, 2, 0))) if len(pixels) else []
    return [{"size": list(map(int, rle["size"])), "counts": rle["counts"].decode("ascii")} for rle in encoded]


def decode_rle(rles: Sequence[Rle], size: tuple[int, int]) -> Tensor:
    """Decode run-length encodings to bool masks (N, H, W).

    Args:
        rles: Encodings of one frame.
        size: Height and width of the frame in pixels.

    Raises:
        ValueError: If an encoding is invalid or belongs to a frame of another size, or all masks together have more
            than 16 times the pixels that one may have.
    """
    if not rles:
        return torch.zeros((0, *size), dtype=torch.bool)
    check_rles(rles, size, lambda index: f"mask {index} of a frame")
    bound = _FRAME_MASKS * current_limits().max_pixels
    if len(rles) * size[0] * size[1] > bound:
        raise ValueError(
            f"Expected at most {bound} pixels in the masks of a frame, got {len(rles)} masks of {size[0]}×{size[1]} "
            "pixels (H×W): allow more with max_pixels (--max-pixels), or leave objects out"
        )
    decoded = coco_mask.decode(to_coco(rles))
    return torch.from_numpy(np.ascontiguousarray(decoded.transpose(2, 0, 1))).view(torch.bool)  # (N, H, W)


def rles_to_tensors(rles: Sequence[Rle]) -> dict[str, Tensor]:
    """Pack run-length encodings of one frame size into tensors for a file; inverse of :func:`rles_from_tensors`."""
    text = "".join(rle["counts"] for rle in rles).encode("ascii")
    return {
        "length": torch.tensor([len(rle["counts"]) for rle in rles], dtype=torch.int64),
        "text": torch.frombuffer(bytearray(text or b"\0"), dtype=torch.uint8),
        "size": torch.tensor(rles[0]["size"] if rles else [1, 1]),
    }


def rles_from_tensors(tensors: Mapping[str, Tensor]) -> list[Rle]:
    """Unpack run-length encodings; inverse of :func:`rles_to_tensors`. Runs are not checked here, but on decoding.

    Raises:
        ValueError: If the tensors are not what :func:`rles_to_tensors` makes.
    """
    parts = [tensors.get(name) for name in ("length", "text", "size")]
    length, text, size = (None if part is None or part.ndim != 1 else part for part in parts)
    valid = (
        length is not None
        and text is not None
        and size is not None
        and not length.is_floating_point()
        and text.dtype == torch.uint8
        and is_size(size.tolist())
        and bool(((length >= 0) & (length <= len(text))).all())
        and int(length.sum()) <= len(text)
        and bool((text < 128).all())
    )
    if not valid:
        shapes = {name: f"{tensor.dtype} {tuple(tensor.shape)}" for name, tensor in tensors.items()}
        raise ValueError(
            f"Expected packed masks: 'length' (N,), 'text' of ASCII codes and 'size' (2,), got damaged ones ({shapes})"
        )
    assert length is not None
    assert text is not None
    assert size is not None
    whole, pair = text.numpy().tobytes().decode("ascii"), size.tolist()
    ends = length.cumsum(dim=0).tolist()
    return [
        {"size": pair, "counts": whole[end - count : end]} for end, count in zip(ends, length.tolist(), strict=True)
    ]


def is_size(value: Any) -> TypeGuard[Sequence[int]]:
    """Check for a height and width: two integers of at least 1."""
    return (
        isinstance(value, list | tuple)
        and len(value) == 2
        and type(value[0]) is int
        and type(value[1]) is int
        and min(value) > 0
    )


def to_coco(rles: Sequence[Rle]) -> list[dict]:
    """Convert encodings to those of ``pycocotools.mask``, which have counts as bytes.

    Only what its functions ``area``, ``iou`` and ``toBbox`` need is checked here: a size to divide by, and an end of
    the counts. The functions ``decode`` and ``merge`` write to memory as the runs say: call :func:`decode_rle` and
    :func:`merge_rles` instead.
    """
    for rle in rles:
        size, counts = rle["size"], rle["counts"]
        if not is_size(size) or not counts.isascii() or counts[-1:] >= "P" or "\0" in counts:
            raise ValueError(
                "Expected masks with a height and width of at least 1 pixel and complete counts, got size "
                f"{reprlib.repr(size)} and counts {reprlib.repr(counts)}"
            )
    return [{"size": list(rle["size"]), "counts": rle["counts"].encode("ascii")} for rle in rles]


def merge_rles(rles: Sequence[Rle]) -> Rle:
    """Compute the union of masks of one size.

    Raises:
        ValueError: If there is no mask, an encoding is invalid, or masks differ in size.
    """
    size = rles[0]["size"]
    check_rles(rles, (size[0], size[1]), lambda index: f"mask {index} of a union")
    return _to_rle(coco_mask.merge(to_coco(rles), intersect=False))


def runs_to_rle(runs: Sequence[int] | np.ndarray, size: tuple[int, int], where: str) -> Rle:
    """Encode run lengths, zeros first, in COCO's compressed form.

    Args:
        runs: Integers of at least 0 that cover the frame.
        size: Height and width of the frame in pixels.
        where: Origin of the mask, for the error message.

    Raises:
        ValueError: If the runs do not cover the frame, or the frame is too large.
    """
    height, width = size
    _check_area(size, where)
    if isinstance(runs, list):
        if not all(type(run) is int and run >= 0 for run in runs):
            raise ValueError(
                f"Expected run lengths as whole numbers of at least 0, got {reprlib.repr(runs)} in {where}"
            )
        if sum(runs) != height * width:
            raise ValueError(f"Expected runs that cover {height}×{width} pixels, got {sum(runs)} in {where}")
        if 0 in runs[1:]:
            runs = _without_empty(runs)  # pycocotools ends the comparison of two masks at an empty run of both
    return _to_rle(coco_mask.frPyObjects({"size": [height, width], "counts": runs}, height, width))


def polygons_to_rle(polygons: Sequence[list[Any]], size: tuple[int, int], where: str) -> Rle:
    """Encode the union of polygons.

    Args:
        polygons: Lists [x0, y0, x1, y1, …] in pixels, which lie at most 1000 pixels or twice the frame's longer side
            from the origin.
        size: Height and width of the frame in pixels.
        where: Origin of the mask, for the error message.

    Raises:
        ValueError: If a polygon is not such a list, has coordinates far outside the frame or a very long outline, or
            the frame is too large.
    """
    height, width = size
    _check_area(size, where)
    reach = max(1000, 2 * max(size))
    most = 0.0  # length of the outlines if each edge were as long as its polygon
    for polygon in polygons:
        numeric = all((type(v) is int or type(v) is float) and v == v for v in polygon)  # NaN is not itself
        if not numeric or len(polygon) < 6 or len(polygon) % 2:
            raise ValueError(
                f"Expected polygons [x0, y0, …] of at least three corners, got {reprlib.repr(polygon)} in {where}"
            )
        low, high = min(polygon), max(polygon)
        if low < -reach or high > reach:
            raise ValueError(
                f"Expected polygons [x0, y0, …] with coordinates from {-reach} to {reach} in a frame of "
                f"{height}×{width} pixels (H×W), got {reprlib.repr(polygon)} in {where}: cut them off at the frame"
            )
        most += (high - low) * len(polygon) / 2
    longest = min(max(10_000, _MAX_OUTLINE * (height + width)), 10_000_000)
    if most > longest:
        corners = [np.array(polygon, dtype=np.float64).reshape(-1, 2) for polygon in polygons]
        length = sum(float(np.abs(each - np.roll(each, 1, axis=0)).max(axis=1).sum()) for each in corners)
        if length > longest:
            raise ValueError(
                f"Expected polygons with outlines of at most {longest} pixels, got {length:.0f} in {where}: simplify "
                "them, or give the mask as run lengths"
            )
    return _to_rle(coco_mask.merge(coco_mask.frPyObjects(polygons, height, width)))


def rle_to_box(rle: Rle) -> list[float]:
    """Compute the tight box [x, y, width, height] of a mask in pixels, as in COCO files.

    Raises:
        ValueError: If the encoding is invalid.
    """
    _checked_runs([rle], "mask {}".format)
    return rle_to_boxes([rle])[0]


def rle_to_boxes(rles: Sequence[Rle]) -> list[list[float]]:
    """Compute the tight boxes [x, y, width, height] in pixels of masks that :func:`check_rles` has checked."""
    return coco_mask.toBbox(to_coco(rles)).tolist() if rles else []


def rle_areas(rles: Sequence[Rle]) -> np.ndarray:
    """Count the pixels of each mask, int64 (N,), without decoding.

    Raises:
        ValueError: If an encoding is invalid.
    """
    owner, begin, end = rle_intervals(rles)
    return np.bincount(owner, end - begin, minlength=len(rles)).astype(np.int64)


def rle_intervals(
    rles: Sequence[Rle], size: tuple[int, int] | None = None, where: Callable[[int], str] = "mask {}".format
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """List the intervals of pixels of each mask, down the columns.

    Args:
        rles: Encodings, which are checked.
        size: Height and width of the frame in pixels; None for masks of any size.
        where: Function that describes the origin of the mask at an index, for the error message.

    Returns:
        Index of the mask, first pixel and end of each interval, int64 (R,), ordered by mask and pixel.

    Raises:
        ValueError: If an encoding is invalid.
    """
    runs, lengths = _checked_runs(rles, where, size)
    owner = np.repeat(np.arange(len(rles)), lengths)
    areas = np.array([rle["size"][0] * rle["size"][1] for rle in rles], dtype=np.int64)
    end = np.cumsum(runs) - (np.cumsum(areas) - areas)[owner]  # the runs of a mask cover its frame
    position = np.arange(len(runs)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    ones = (position % 2 == 1) & (runs > 0)
    return owner[ones], (end - runs)[ones], end[ones]


def check_rles(rles: Sequence[Rle], size: tuple[int, int], where: Callable[[int], str]) -> None:
    """Check that each encoding is a valid mask of a frame, without decoding it.

    The runs must have lengths of at least 0 and cover the frame exactly. ``pycocotools`` accepts many that do not, and
    then reads and writes memory that is not its own: every encoding from outside passes here.

    Args:
        rles: Encodings to check.
        size: Height and width of the frame in pixels.
        where: Function that describes the origin of the mask at an index, for the error message.

    Raises:
        ValueError: If an encoding is invalid or belongs to another frame size, or the frame is too large.
    """
    _checked_runs(rles, where, size)


def _checked_runs(
    rles: Sequence[Rle], where: Callable[[int], str], frame: tuple[int, int] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Check encodings; returns the concatenated runs, and the number of runs of each mask."""
    areas = []
    wanted = None if frame is None else list(frame)
    checked: Sequence[int] | None = None
    area = 0
    for index, rle in enumerate(rles):
        counts = rle.get("counts") if isinstance(rle, dict) else None
        if not isinstance(counts, str) or not counts.isascii():
            raise ValueError(f"Expected a compressed run-length encoding (a string of counts) in {where(index)}")
        size = rle.get("size")
        if size == checked and checked is not None:
            areas.append(area)
            continue
        if not is_size(size):
            raise ValueError(
                f"Expected a mask with a height and width as 'size', got {reprlib.repr(size)} in {where(index)}"
            )
        if wanted is not None and list(size) != wanted:
            raise ValueError(
                f"Expected a mask of {wanted[0]}×{wanted[1]} pixels (H×W), got one of size {list(size)} in "
                f"{where(index)}"
            )
        _check_area((size[0], size[1]), where(index))
        checked, area = size, size[0] * size[1]
        areas.append(area)
    runs, whole, lengths = _runs(rles)
    ends = np.cumsum(lengths)
    total = np.add.reduceat(np.append(runs, 0), ends - lengths) if len(rles) else runs
    total[lengths == 0] = 0
    negative = np.zeros(len(rles), dtype=bool)
    negative[np.repeat(np.arange(len(rles)), lengths)[runs < 0]] = True
    bad = (total != np.array(areas, dtype=np.int64)) | negative | ~whole
    if bad.any():
        index = int(bad.argmax())
        height, width = rles[index]["size"]
        raise ValueError(
            f"Expected runs that cover the {height}×{width} pixels of the frame, got damaged ones (they cover "
            f"{int(total[index])} pixels) in {where(index)}: the encoding was cut off or belongs to another frame size"
        )
    return runs, lengths


def _check_area(size: tuple[int, int], where: str) -> None:
    check_pixels(*size, where)
    if size[0] * size[1] > _MAX_PIXELS:
        raise ValueError(
            f"Expected a mask of at most {_MAX_PIXELS} pixels, got {size[0]}×{size[1]} (H×W) in {where}: pycocotools "
            "holds no larger ones, scale it down"
        )


def _without_empty(runs: Sequence[int]) -> list[int]:
    """Merge the neighbours of empty runs."""
    merged, value = [0], 0
    for index, run in enumerate(runs):
        if run and index % 2 != value:
            merged.append(run)
            value = 1 - value
        else:
            merged[-1] += run
    return merged


def _to_rle(encoded: dict[str, Any]) -> Rle:
    return Rle(size=list(map(int, encoded["size"])), counts=encoded["counts"].decode("ascii"))


def _runs(rles: Sequence[Rle]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Parse the runs of all masks: concatenated runs, validity of each string, and number of runs of each mask.

    A number consists of groups of five bits, least significant first, stored as characters from code 48. Bit 5 marks
    that more groups follow; bit 4 of the last group is the sign. From the fourth run on, the number is the difference
    to the run two positions before.
    """
    sizes = np.fromiter((len(rle["counts"]) for rle in rles), dtype=np.int64, count=len(rles))
    text = np.frombuffer("".join(rle["counts"] for rle in rles).encode("ascii"), dtype=np.uint8)
    other = text - np.uint8(48) > 63  # characters that are no groups; below 48, the difference wraps around
    code = text.astype(np.int64) - 48
    ends = np.cumsum(sizes)
    last = (code & 0x20) == 0
    whole = np.ones(len(rles), dtype=bool)
    filled = sizes > 0
    whole[filled] = last[ends[filled] - 1]
    last[ends[filled] - 1] = True  # a truncated string must not continue into the next one
    stop = last.nonzero()[0]
    if len(stop) == 0:
        return np.zeros(0, dtype=np.int64), whole, np.zeros(len(rles), dtype=np.int64)
    begin = np.concatenate([[0], stop[:-1] + 1])
    place = np.arange(len(code)) - np.repeat(begin, stop - begin + 1)
    if other.any() or place.max() >= _MAX_GROUPS:
        wrong = other | (place >= _MAX_GROUPS)
        whole[np.searchsorted(ends, wrong.nonzero()[0], side="right")] = False
        place = np.minimum(place, _MAX_GROUPS)
    value = np.add.reduceat((code & 0x1F) << (5 * place), begin)
    value -= np.where(code[stop] & 0x10, 1 << (5 * (place[stop] + 1)), 0)
    number_ends = np.searchsorted(stop, ends - 1, side="right")
    lengths = np.diff(number_ends, prepend=0)
    first = np.repeat(number_ends - lengths, lengths)
    index = np.arange(len(value)) - first  # within the mask
    runs = value.copy()
    for parity in (1, 0):
        rows = (index > 0) & (index % 2 == parity)
        if rows.any():
            total = np.cumsum(value[rows])
            head = np.searchsorted(rows.nonzero()[0], first[rows])  # start of this mask's cumulative sums
            runs[rows] = total - np.where(head > 0, total[head - 1], 0)
    return runs, whole, lengths
