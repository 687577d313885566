"""Tracks as YouTube-VIS writes them: an entry or null for each frame of the video."""

from collections.abc import Mapping, Sequence
from typing import Any

from tltm_graph.formats.annotations import to_box, to_rle, to_score
from tltm_graph.formats.video import Video
from tltm_graph.ops import Rle, check_rles, rle_areas
from tltm_graph.structures import Track


def frame_columns(
    entry: dict[str, Any], names: Sequence[str], num_frames: int, where: str
) -> dict[str, list[Any] | None]:
    """What an annotation or a result says of each frame, checked to be one entry or null for each.

    Raises:
        ValueError: If a column has another length, or there are neither masks nor boxes.
    """
    columns = {name: entry.get(name) for name in names}
    for name, values in columns.items():
        if values is not None and (not isinstance(values, list) or len(values) != num_frames):
            length = len(values) if isinstance(values, list) else type(values).__name__
            raise ValueError(
                f"Expected '{name}' with an entry or null for each of the {num_frames} frames, got {length} in {where}"
            )
    if columns["segmentations"] is None and columns["bboxes"] is None:
        raise ValueError(f"Expected 'segmentations' or 'bboxes', got neither in {where}")
    return columns


def whole_track(
    columns: Mapping[str, list[Any] | None], video: Video, label: int, scores: list[float], crowd: bool, where: str
) -> Track:
    """A track from one entry for each frame; masks decide where it is, boxes where there are no masks at all."""
    segmentations, boxes, areas = columns["segmentations"], columns["bboxes"], columns.get("areas")
    masks: tuple[Rle, ...] | None = None
    places = [frame for frame, mask in enumerate(segmentations or ()) if mask is not None]
    if places:
        assert segmentations is not None
        size = video.size or (0, 0)
        masks = tuple(to_rle(segmentations[frame], size, f"frame {frame} of {where}") for frame in places)
        check_rles(masks, size, lambda i: f"frame {places[i]} of {where}")
        shown = rle_areas(masks) > 0
        if shown.any():  # an empty mask stands for null; a track of nothing else must not vanish
            places = [place for place, there in zip(places, shown.tolist(), strict=True) if there]
            masks = tuple(mask for mask, there in zip(masks, shown.tolist(), strict=True) if there)
    else:
        places = [frame for frame, box in enumerate(boxes or ()) if box is not None]
    if not places:  # seen nowhere: it is there to be missed, or to be a false positive, and must not vanish
        if video.size is None or not video.num_frames:
            raise ValueError(f"Expected a mask or a box in at least one frame, got none in {where}")
        places = [0]
        masks = (_empty(video.size),)
        boxes, areas = None, None
    corners = tuple(
        to_box(
            None if boxes is None else boxes[frame], None if masks is None else masks[i], f"frame {frame} of {where}"
        )
        for i, frame in enumerate(places)
    )
    given = None if areas is None else [areas[frame] for frame in places]
    return Track(
        frames=tuple(places),
        boxes=corners,
        scores=tuple(scores[frame] for frame in places),
        labels=(label,) * len(places),
        masks=masks,
        crowd=crowd,
        areas=None if given is None or None in given else tuple(to_score(area, where) for area in given),
    )


def _empty(size: tuple[int, int]) -> Rle:
    return to_rle({"size": list(size), "counts": [size[0] * size[1]]}, size, "an empty mask")


def by_frame(frames: Sequence[int], values: Sequence[Any] | None, num_frames: int) -> list[Any]:
    """One entry for each frame: the value where there is one, else None."""
    column: list[Any] = [None] * num_frames
    for frame, value in zip(frames, values or (), strict=False):
        column[frame] = value
    return column
