from collections.abc import Sequence

import numpy as np
import torch
from pycocotools import mask as coco_mask

from tltm_graph.ops import Rle, encode_rle, rle_to_box, to_coco
from tltm_graph.structures import Observation


def disjoint(observations: Sequence[Observation]) -> list[Observation]:
    """The objects of one frame with every pixel given to one of them, for formats that forbid overlap.

    A pixel that several masks cover goes to the one of the highest score, and to the first of those with equal scores.
    What is left of a mask keeps its holes and its parts; its box is the tight one of what is left, and an annotated
    ``area`` no longer holds and is dropped. Objects of which nothing is left are left out. Those that overlap no other
    come back as they are, to the last bit.

    Args:
        observations: Objects of one frame, all with masks of one size.

    Returns:
        Those that are left, in the order they came.

    Raises:
        ValueError: If an object has no mask, or the masks are of different sizes.
    """
    rows = list(observations)
    masks = [row.mask for row in rows if row.mask is not None]
    if len(masks) < len(rows):
        lacking = next(row.id for row in rows if row.mask is None)
        raise ValueError(f"Expected a mask of every object, got a box only of object {lacking}: write a box format")
    for row, mask in zip(rows, masks, strict=True):
        if list(mask["size"]) != list(masks[0]["size"]):
            raise ValueError(
                f"Expected masks of one size in a frame, got {mask['size']} for object {row.id} and "
                f"{masks[0]['size']} for object {rows[0].id} (H, W)"
            )
    if not rows:
        return []
    encoded = to_coco(masks)
    contested = np.flatnonzero(overlapping(masks).any(axis=1)).tolist()
    taken = np.zeros(masks[0]["size"], dtype=bool)  # (H, W)
    left: dict[int, Observation | None] = dict(enumerate(rows))
    for index in sorted(contested, key=lambda index: -rows[index].score):  # sorted() keeps the order of equals
        pixels = coco_mask.decode(encoded[index]).astype(bool)
        visible = pixels & ~taken
        if not visible.any():
            left[index] = None
        elif (visible != pixels).any():
            rle = encode_rle(torch.from_numpy(visible)[None])[0]
            x, y, width, height = rle_to_box(rle)
            left[index] = rows[index]._replace(box=(x, y, x + width, y + height), mask=rle, area=None)
        taken |= pixels
    return [row for row in left.values() if row is not None]


def overlapping(masks: Sequence[Rle]) -> np.ndarray:
    """Which masks of one size share pixels, bool (N, N); none with itself."""
    encoded = to_coco(masks)
    shared = np.asarray(coco_mask.iou(encoded, encoded, [0] * len(masks))).reshape(len(masks), len(masks)) > 0
    np.fill_diagonal(shared, False)
    return shared
