from collections.abc import Mapping, Sequence

import numpy as np
from pycocotools import mask as coco_mask

from tltm_graph.metrics.overlap import On
from tltm_graph.ops.boxes import box_intersections
from tltm_graph.ops.rle import to_coco
from tltm_graph.structures import Track

_BLOCK = 128  # masks in one call; with NumPy 2, pycocotools fails on more than 255

Place = tuple[int, int]
"""Index of a track, and index of a frame within the track."""


def track_iou(predicted: Sequence[Track], truth: Sequence[Track], on: On = "masks") -> np.ndarray:
    r"""Compute the intersection over union of tracks as volumes of space and time.

    .. math:: \frac{\sum_t |p_t \cap g_t|}{\sum_t |p_t \cup g_t|}

    over all frames t, where a track without an observation is empty; after "Video Instance Segmentation"
    <https://arxiv.org/abs/1905.04804>. Pixels are summed before the division, so this is not the mean of the IoUs of
    the frames. Two tracks without a pixel have IoU 0.

    Args:
        predicted: P tracks.
        truth: G tracks of the same video.
        on: Compare masks, in whole pixels, or boxes.

    Returns:
        float64 (P, G) in [0, 1].

    Raises:
        ValueError: If ``on`` is "masks" and a track has none, if masks differ in size, or if the corners of a box are
            not finite or not in order.
    """
    true_tracks = {f"true track {i}": track for i, track in enumerate(truth)}
    check_extents(true_tracks | {f"predicted track {i}": track for i, track in enumerate(predicted)}, on)
    return iou_of_areas(predicted, truth, frame_areas(predicted, on), frame_areas(truth, on), on)


def check_extents(tracks: Mapping[str, Track], on: On) -> None:
    """Check that tracks can be compared: all masks have one size, or all boxes have finite corners in order.

    Args:
        tracks: Tracks, by a name for the error message.
        on: Check masks or boxes.

    Raises:
        ValueError: If a mask is missing or differs in size from the first, or a box is not valid.
    """
    size: tuple[int, int] | None = None
    for name, track in tracks.items():
        if on == "boxes":
            boxes = np.array(track.boxes, dtype=np.float64)
            valid = np.isfinite(boxes).all(axis=1) & (boxes[:, 2:] >= boxes[:, :2]).all(axis=1)
            if not valid.all():
                first = int(valid.argmin())
                raise ValueError(
                    f"Expected finite boxes x0 <= x1, y0 <= y1, got {track.boxes[first]} in {name}, frame "
                    f"{track.frames[first]}"
                )
            continue
        if track.masks is None:
            raise ValueError(f"Expected masks, got none for {name}: score on boxes instead")
        for frame, mask in zip(track.frames, track.masks, strict=True):
            height, width = mask["size"]
            if size is None:
                size = (height, width)
            elif (height, width) != size:
                raise ValueError(
                    f"Expected masks of {size[0]}×{size[1]} pixels (H×W), got {height}×{width} in {name}, frame "
                    f"{frame}: scale them first"
                )


def frame_areas(tracks: Sequence[Track], on: On) -> list[np.ndarray]:
    """Compute the area of each track in each of its frames, in pixels: int64 for masks, float64 for boxes."""
    if on == "boxes":
        boxes = (np.array(track.boxes, dtype=np.float64) for track in tracks)
        return [(box[:, 2] - box[:, 0]) * (box[:, 3] - box[:, 1]) for box in boxes]
    masks = [mask for track in tracks for mask in track.masks or ()]
    # int64, since pycocotools returns uint32, in which a difference of two wraps around
    groups = (to_coco(masks[i : i + _BLOCK]) for i in range(0, len(masks), _BLOCK))
    blocks = [np.asarray(coco_mask.area(group), np.int64) for group in groups]
    ends = np.cumsum([len(track) for track in tracks], dtype=np.int64)
    return np.split(np.concatenate(blocks), ends[:-1]) if blocks else []


def iou_of_areas(
    predicted: Sequence[Track],
    truth: Sequence[Track],
    predicted_areas: Sequence[np.ndarray],
    truth_areas: Sequence[np.ndarray],
    on: On,
) -> np.ndarray:
    """Compute :func:`track_iou` of checked tracks, given their :func:`frame_areas`.

    The union is the total area of both tracks minus the intersection, so only frames with both have to be compared.
    """
    predicted_in, truth_in = _by_frame(predicted), _by_frame(truth)
    pairs, areas, overlaps = list[int](), list[float](), [np.zeros(0)]
    for frame in sorted(predicted_in.keys() & truth_in.keys()):
        places, true_places = predicted_in[frame], truth_in[frame]
        pairs += [i * len(truth) + j for i, _ in places for j, _ in true_places]
        areas += [predicted_areas[i][t] for i, t in places for _ in true_places]
        overlaps.append(_frame_overlap(predicted, truth, places, true_places, on))
    overlap = np.concatenate(overlaps, axis=None)
    if on == "masks":
        overlap = np.rint(overlap * np.array(areas))
    shape = len(predicted), len(truth)
    intersection = np.bincount(np.array(pairs, dtype=np.int64), overlap, shape[0] * shape[1]).reshape(shape)
    total, true_total = (np.array([area.sum() for area in areas]) for areas in (predicted_areas, truth_areas))
    union = total.reshape(-1, 1) + true_total.reshape(1, -1) - intersection
    return np.divide(intersection, union, out=np.zeros(shape), where=union > 0)


def _by_frame(tracks: Sequence[Track]) -> dict[int, list[Place]]:
    places: dict[int, list[Place]] = {}
    for i, track in enumerate(tracks):
        for t, frame in enumerate(track.frames):
            places.setdefault(frame, []).append((i, t))
    return places


def _frame_overlap(
    predicted: Sequence[Track], truth: Sequence[Track], places: list[Place], true_places: list[Place], on: On
) -> np.ndarray:
    """Compute the shared area of each pair of boxes in a frame, or the share of each predicted on each true mask."""
    if on == "boxes":
        boxes = np.array([predicted[i].boxes[t] for i, t in places], dtype=np.float64)
        return box_intersections(boxes, np.array([truth[j].boxes[t] for j, t in true_places], dtype=np.float64))
    masks, true_masks = (
        [tracks[i].masks[t] for i, t in side]  # type: ignore[index]
        for tracks, side in ((predicted, places), (truth, true_places))
    )
    crowds = [1] * len(true_masks)  # the share of the first mask, not the IoU
    return np.asarray(coco_mask.iou(to_coco(masks), to_coco(true_masks), crowds))
