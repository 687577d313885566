from collections.abc import Sequence
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
    """Encodes bool masks (N, H, W) as COCO run-length encoding, one per mask."""
    pixels = masks.cpu().numpy().astype(np.uint8)
    encoded = coco_mask.encode(np.asfortranarray(pixels.transpose(1, 2, 0))) if len(pixels) else []
    return [{"size": list(map(int, rle["size"])), "counts": rle["counts"].decode("ascii")} for rle in encoded]


def decode_rle(rles: Sequence[Rle], size: tuple[int, int]) -> Tensor:
    """Decodes run-length encodings of one frame of ``size`` (H, W) to bool masks (N, H, W).

    Raises:
        ValueError: If an encoding is for a frame of another size.
    """
    for rle in rles:
        if tuple(rle["size"]) != tuple(size):
            raise ValueError(f"Expected masks of {size[0]}×{size[1]} pixels (H×W), got one of size {rle['size']}")
    if not rles:
        return torch.zeros((0, *size), dtype=torch.bool)
    decoded = coco_mask.decode([{"size": list(r["size"]), "counts": r["counts"].encode("ascii")} for r in rles])
    return torch.from_numpy(np.ascontiguousarray(decoded.transpose(2, 0, 1))).bool()  # (N, H, W)


def rle_to_box(rle: Rle) -> list[float]:
    """Tight box [x, y, width, height] of a mask, as COCO files have it."""
    return coco_mask.toBbox({"size": rle["size"], "counts": rle["counts"].encode("ascii")}).tolist()
