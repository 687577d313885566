from collections.abc import Callable, Sequence

import numpy as np
from pycocotools import mask as coco_mask

from tltm_graph.metrics.overlap import On
from tltm_graph.structures import Track

BLOCK = 128  # masks in one call: with NumPy 2, pycocotools fails on more than 255


def track_iou(predicted: Sequence[Track], truth: Sequence[Track], on: On = "masks") -> np.ndarray:
    r"""Intersection over union of tracks as volumes of space and time.

    .. math:: \frac{\sum_t |p_t \cap g_t|}{\sum_t |p_t \cup g_t|}

    over all frames t, a track being empty where it was not seen; after "Video Instance Segmentation"
    <https://arxiv.org/abs/1905.04804>. Pixels are summed first: it is not the mean of the frames' IoUs. Two tracks
    without a pixel have IoU 0.

    Args:
        predicted: P tracks.
        truth: G tracks of the same video.
        on: Overlap of masks, in whole pixels, or of boxes.

    Returns:
        float64 (P, G) in [0, 1].

    Raises:
        ValueError: If masks are asked for and a track has none, if masks are of different sizes, or a box has no
            finite corners in order.
    """
    size = check_extents(truth, on, None, lambda i: f"true track {i}")
    check_extents(predicted, on, size, lambda i: f"predicted track {i}")
    return iou_of_areas(predicted, truth, frame_areas(predicted, on), frame_areas(truth, on), on)


def check_extents(
    tracks: Sequence[Track], on: On, size: tuple[int, int] | None, where: Callable[[int], str]
) -> tuple[int, int] | None:
    """Makes sure that tracks can be compared: all masks of one size, or boxes that are boxes.

    Args:
        tracks: The tracks.
        on: What is compared.
        size: Height and width of the masks, None for that of the first one.
        where: Says which track the one at an index is, for the error.

    Returns:
        The size of the masks, None if there are none.

    Raises:
        ValueError: With what was expected and found.
    """
    for i, track in enumerate(tracks):
        if on == "boxes":
            boxes = np.array(track.boxes, dtype=np.float64)
            good = np.isfinite(boxes).all(axis=1) & (boxes[:, 2:] >= boxes[:, :2]).all(axis=1)
            if not good.all():
                first = int(good.argmin())
                raise ValueError(
                    f"Expected finite boxes x0 <= x1, y0 <= y1, got {track.boxes[first]} in {where(i)}, frame "
                    f"{track.frames[first]}"
                )
            continue
        if track.masks is None:
            raise ValueError(f"Expected masks, got none for {where(i)}: score on boxes instead")
        for frame, mask in zip(track.frames, track.masks, strict=True):
            height, width = mask["size"]
            if size is None:
                size = (height, width)
            elif (height, width) != size:
                raise ValueError(
                    f"Expected masks of {size[0]}×{size[1]} pixels (H×W), got {height}×{width} in {where(i)}, frame "
                    f"{frame}: scale them first"
                )
    return size


def frame_areas(tracks: Sequence[Track], on: On) -> list[np.ndarray]:
    """Pixels of each track in each of its frames: int64 for masks, float64 for boxes."""
    if on == "boxes":
        boxes = (np.array(track.boxes, dtype=np.float64) for track in tracks)
        return [(box[:, 2] - box[:, 0]) * (box[:, 3] - box[:, 1]) for box in boxes]
    masks = [mask for track in tracks for mask in track.masks or ()]
    # As signed numbers: pycocotools counts in uint32, where a difference of two wraps around.
    blocks = [np.asarray(coco_mask.area(masks[i : i + BLOCK]), np.int64) for i in range(0, len(masks), BLOCK)]
    ends = np.cumsum([len(track) for track in tracks], dtype=np.int64)
    return np.split(np.concatenate(blocks), ends[:-1]) if blocks else []


def iou_of_areas(
    predicted: Sequence[Track],
    truth: Sequence[Track],
    predicted_areas: Sequence[np.ndarray],
    truth_areas: Sequence[np.ndarray],
    on: On,
) -> np.ndarray:
    """:func:`track_iou` of tracks that were checked, with their :func:`frame_areas`.

    The union is the total area of both less the intersection, so only frames with both have to be looked at, once for
    all pairs.
    """
    predicted_at, truth_at = _by_frame(predicted), _by_frame(truth)
    overlaps, rows, columns, sizes = [], [], [], []
    for frame in sorted(predicted_at.keys() & truth_at.keys()):
        seen, true_seen = predicted_at[frame], truth_at[frame]
        of_frame = _box_intersections if on == "boxes" else _mask_shares
        overlaps.append(of_frame([(predicted[i], t) for i, t in seen], [(truth[j], t) for j, t in true_seen]))
        rows += seen
        columns += true_seen
        sizes.append((len(seen), len(true_seen)))
    intersection = np.zeros((len(predicted), len(truth)))
    if overlaps:
        # The pairs of all frames in one go: those of one are so few that NumPy's calls would take most of the time.
        heights, widths = np.array(sizes).T
        width = np.repeat(widths, heights)  # of the frame that each row belongs to
        row = np.repeat([i for i, _ in rows], width)
        shift = np.repeat(np.cumsum(widths) - widths, heights) - (np.cumsum(width) - width)
        column = np.array([j for j, _ in columns])[np.arange(len(row)) + np.repeat(shift, width)]
        overlap = np.concatenate(overlaps, axis=None)
        if on == "masks":
            overlap = np.rint(overlap * np.repeat([predicted_areas[i][t] for i, t in rows], width))
        pair = row * len(truth) + column
        intersection += np.bincount(pair, overlap, minlength=intersection.size).reshape(intersection.shape)
    total, true_total = (np.array([area.sum() for area in areas]) for areas in (predicted_areas, truth_areas))
    union = total.reshape(-1, 1) + true_total.reshape(1, -1) - intersection
    return np.divide(intersection, union, out=np.zeros_like(intersection), where=union > 0)


Seen = tuple[int, int]
"""Which track is in a frame, and at which of its positions."""


def _by_frame(tracks: Sequence[Track]) -> dict[int, list[Seen]]:
    seen: dict[int, list[Seen]] = {}
    for i, track in enumerate(tracks):
        for t, frame in enumerate(track.frames):
            seen.setdefault(frame, []).append((i, t))
    return seen


def _mask_shares(tracks: list[tuple[Track, int]], others: list[tuple[Track, int]]) -> np.ndarray:
    """Share of each mask that lies on each other, float64 (N, M): what pycocotools calculates for crowds."""
    masks, other_masks = ([track.masks[t] for track, t in side if track.masks] for side in (tracks, others))
    return np.asarray(coco_mask.iou(masks, other_masks, [1] * len(other_masks)))


def _box_intersections(tracks: list[tuple[Track, int]], others: list[tuple[Track, int]]) -> np.ndarray:
    boxes, other_boxes = (
        np.array([track.boxes[t] for track, t in side], dtype=np.float64) for side in (tracks, others)
    )
    low = np.maximum(boxes[:, None, :2], other_boxes[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], other_boxes[None, :, 2:])
    return np.maximum(high - low, 0).prod(axis=2)
