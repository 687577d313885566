"""Identities in unlabelled videos, from detections that overlap from frame to frame without a rival."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torchvision.ops import box_iou

from tltm_graph.structures import Detections


def unambiguous_chains(
    frames: Sequence[Detections],
    min_iou: float = 0.5,
    max_rival_iou: float = 0.3,
    max_gap: int = 3,
    min_length: int = 30,
) -> list[Tensor]:
    """Link detections of one class that overlap from frame to frame, where no other pair could be meant.

    A detection continues a chain if their IoU is above ``min_iou``, and neither overlaps another one of the class by
    more than ``max_rival_iou``. An object that is hidden longer gets a new chain when it returns, so two chains are
    not always different objects: see :func:`known_pairs`.

    Args:
        frames: Detections of each frame of a video.
        min_iou: IoU of a link.
        max_rival_iou: Largest IoU of a rival.
        max_gap: Maximum distance of a link, in frames.
        min_length: Minimum number of frames from the first to the last detection of a chain.

    Returns:
        Chain of each detection of each frame (N,), -1 for none.
    """
    chains: list[tuple[int, int, Tensor, int]] = []  # first and last frame, last box, label
    ids: list[list[int]] = []
    for t, detections in enumerate(frames):
        live = [k for k, chain in enumerate(chains) if t - chain[1] <= max_gap]
        boxes = torch.stack([chains[k][2] for k in live]) if live else detections.boxes.new_zeros((0, 4))
        labels = torch.tensor([chains[k][3] for k in live], dtype=torch.int64)
        last = torch.tensor([chains[k][1] for k in live])
        # A newer chain at the same place has taken over: the older one must not block it.
        newer = (last[None] > last[:, None]) & (labels[None] == labels[:, None])
        over = (newer & (box_iou(boxes, boxes) > max_rival_iou)).any(dim=1)
        live, boxes, labels = (
            [k for k, gone in zip(live, over.tolist(), strict=True) if not gone],
            boxes[~over],
            labels[~over],
        )
        iou = box_iou(boxes, detections.boxes) * (labels[:, None] == detections.labels[None])
        near = iou > max_rival_iou
        link = (iou > min_iou) & (near.sum(dim=0, keepdim=True) == 1) & (near.sum(dim=1, keepdim=True) == 1)
        own = []
        for column in range(len(detections)):
            rows = link[:, column].nonzero().flatten().tolist()
            number = live[rows[0]] if rows else len(chains)
            box, label = detections.boxes[column], int(detections.labels[column])
            if rows:
                chains[number] = (chains[number][0], t, box, label)
            else:
                chains.append((t, t, box, label))
            own.append(number)
        ids.append(own)
    long = [last - first + 1 >= min_length for first, last, _, _ in chains]
    return [torch.tensor([k if long[k] else -1 for k in own], dtype=torch.int64) for own in ids]


def known_pairs(frames: Sequence[Detections], ids: Sequence[Tensor], max_iou: float = 0.3) -> set[tuple[int, int]]:
    """Select the pairs of chains that are certainly different objects.

    They have a frame in common and never overlap by more than ``max_iou``: a duplicate of another class is no other
    object.

    Args:
        frames: Detections of each frame of a video.
        ids: Their chains, of :func:`unambiguous_chains`.
        max_iou: Largest IoU of two objects.

    Returns:
        Pairs of different chains, in both orders.
    """
    together: set[tuple[int, int]] = set()
    duplicates: set[tuple[int, int]] = set()
    for detections, chains in zip(frames, ids, strict=True):
        known = chains >= 0
        present = chains[known].tolist()
        overlap = box_iou(detections.boxes[known], detections.boxes[known]) > max_iou
        for row, chain in enumerate(present):
            for column, other in enumerate(present):
                if row != column:
                    (duplicates if overlap[row, column] else together).add((chain, other))
    return together - duplicates
