from collections.abc import Callable, Mapping, Sequence
from typing import TypedDict

import numpy as np
import torch
from pycocotools import mask as coco_mask
from torch import Tensor


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
        ValueError: If an encoding belongs to a frame of another size.
    """
    for rle in rles:
        if tuple(rle["size"]) != tuple(size):
            raise ValueError(f"Expected masks of {size[0]}×{size[1]} pixels (H×W), got one of size {rle['size']}")
    if not rles:
        return torch.zeros((0, *size), dtype=torch.bool)
    decoded = coco_mask.decode(to_coco(rles))
    return torch.from_numpy(np.ascontiguousarray(decoded.transpose(2, 0, 1))).bool()  # (N, H, W)


def rles_to_tensors(rles: Sequence[Rle]) -> dict[str, Tensor]:
    """Pack run-length encodings of one frame size into tensors for a file; inverse of :func:`rles_from_tensors`."""
    text = "".join(rle["counts"] for rle in rles).encode("ascii")
    return {
        "length": torch.tensor([len(rle["counts"]) for rle in rles], dtype=torch.int64),
        "text": torch.frombuffer(bytearray(text or b"\0"), dtype=torch.uint8),
        "size": torch.tensor(rles[0]["size"] if rles else [1, 1]),
    }


def rles_from_tensors(tensors: Mapping[str, Tensor]) -> list[Rle]:
    """Unpack run-length encodings; inverse of :func:`rles_to_tensors`."""
    size, text = tensors["size"].tolist(), tensors["text"].numpy().tobytes()
    ends = tensors["length"].cumsum(dim=0).tolist()
    return [
        {"size": size, "counts": text[end - length : end].decode("ascii")}
        for end, length in zip(ends, tensors["length"].tolist(), strict=True)
    ]


def to_coco(rles: Sequence[Rle]) -> list[dict]:
    """Convert encodings to those of ``pycocotools.mask``, which have counts as bytes."""
    return [{"size": list(rle["size"]), "counts": rle["counts"].encode("ascii")} for rle in rles]


def rle_to_box(rle: Rle) -> list[float]:
    """Compute the tight box [x, y, width, height] of a mask in pixels, as in COCO files."""
    return coco_mask.toBbox(to_coco([rle])[0]).tolist()


def rle_areas(rles: Sequence[Rle]) -> np.ndarray:
    """Count the pixels of each mask, int64 (N,), without decoding."""
    runs, _, lengths = _runs(rles)
    position = np.arange(len(runs)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    mask_index = np.repeat(np.arange(len(rles)), lengths)
    ones = position % 2 == 1  # runs of zeros and ones alternate, zeros first
    return np.bincount(mask_index[ones], runs[ones], minlength=len(rles)).astype(np.int64)


def check_rles(rles: Sequence[Rle], size: tuple[int, int], where: Callable[[int], str]) -> None:
    """Check that each encoding is a valid mask of a frame, without decoding it.

    The runs must have lengths of at least 0 and cover the frame exactly. ``pycocotools`` accepts many that do not.

    Args:
        rles: Encodings to check.
        size: Height and width of the frame in pixels.
        where: Function that describes the origin of the mask at an index, for the error message.

    Raises:
        ValueError: If an encoding is invalid or belongs to another frame size.
    """
    for index, rle in enumerate(rles):
        if not isinstance(rle, dict) or not isinstance(rle.get("counts"), str) or not rle["counts"].isascii():
            raise ValueError(f"Expected a compressed run-length encoding (a string of counts) in {where(index)}")
        if list(rle.get("size", ())) != list(size):
            raise ValueError(
                f"Expected a mask of {size[0]}×{size[1]} pixels (H×W), got one of size {rle.get('size')} in "
                f"{where(index)}"
            )
    runs, whole, lengths = _runs(rles)
    ends = np.cumsum(lengths)
    total = np.add.reduceat(np.append(runs, 0), ends - lengths) if len(rles) else runs
    total[lengths == 0] = 0
    negative = np.zeros(len(rles), dtype=bool)
    negative[np.repeat(np.arange(len(rles)), lengths)[runs < 0]] = True
    bad = (total != size[0] * size[1]) | negative | ~whole
    if bad.any():
        index = int(bad.argmax())
        raise ValueError(
            f"Expected runs that cover the {size[0]}×{size[1]} pixels of the frame, got damaged ones (they cover "
            f"{int(total[index])} pixels) in {where(index)}: the encoding was cut off or belongs to another frame size"
        )


def _runs(rles: Sequence[Rle]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Parse the runs of all masks: concatenated runs, completeness of each string, and number of runs of each mask.

    A number consists of groups of five bits, least significant first, stored as characters from code 48. Bit 5 marks
    that more groups follow; bit 4 of the last group is the sign. From the fourth run on, the number is the difference
    to the run two positions before.
    """
    sizes = np.fromiter((len(rle["counts"]) for rle in rles), dtype=np.int64, count=len(rles))
    code = np.frombuffer("".join(rle["counts"] for rle in rles).encode("ascii"), dtype=np.uint8).astype(np.int64) - 48
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
    place = np.minimum(np.arange(len(code)) - np.repeat(begin, stop - begin + 1), 11)
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
