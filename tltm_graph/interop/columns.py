from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tltm_graph.ops.rle import Rle
from tltm_graph.structures import Observation, Tracks
from tltm_graph.structures.detections import class_name

_NAMES = ("frame", "track", "x0", "y0", "x1", "y1", "score", "label")


def tracks_to_columns(tracks: Tracks, class_names: Sequence[str] | None = None) -> dict[str, list[Any]]:
    """Convert tracks to columns, for tables of pandas, Arrow and others.

    >>> pandas.DataFrame(tracks_to_columns(tracks))
    >>> pyarrow.table(tracks_to_columns(tracks))

    Args:
        tracks: The tracks of a video.
        class_names: Names of the classes; they add a column ``class_name``.

    Returns:
        Columns ``frame``, ``track``, ``x0``, ``y0``, ``x1``, ``y1`` (pixels), ``score`` and ``label``; ``class_name``
        if names are given; ``mask``, the counts of COCO's compressed run-length encoding, if there are masks. One row
        per observation, ordered by frame, then track.
    """
    rows = [
        (frame, observation)
        for frame, observations in tracks.observations()
        for observation in sorted(observations, key=lambda observation: observation.id)
    ]
    columns: dict[str, list[Any]] = {name: [] for name in _NAMES}
    for frame, observation in rows:
        values = (frame, observation.id, *observation.box, observation.score, observation.label)
        for name, value in zip(_NAMES, values, strict=True):
            columns[name].append(value)
    if class_names is not None:
        columns["class_name"] = [class_name(label, class_names) for label in columns["label"]]
    masks = [observation.mask for _, observation in rows]
    if any(mask is not None for mask in masks):
        columns["mask"] = [None if mask is None else mask["counts"] for mask in masks]
    return columns


def tracks_from_columns(
    columns: Mapping[str, Sequence[Any]], size: tuple[int, int] | None = None, num_frames: int | None = None
) -> Tracks:
    """Build tracks from columns; inverse of :func:`tracks_to_columns`.

    >>> tracks_from_columns(frame.to_dict("list"), size=(720, 1280))  # of pandas
    >>> tracks_from_columns(table.to_pydict(), size=(720, 1280))  # of Arrow

    Args:
        columns: At least ``frame``, ``track``, ``x0``, ``y0``, ``x1`` and ``y1``. ``score`` (default 1), ``label``
            (default 0) and ``mask`` are optional. Other columns are ignored.
        size: Height and width of the video in pixels, required for masks.
        num_frames: Length of the video; None for up to the last observation.

    Raises:
        ValueError: If a column is missing, lengths differ, or there are masks but no size.
    """
    missing = [name for name in _NAMES[:6] if name not in columns]
    if missing:
        raise ValueError(f"Expected columns {list(_NAMES[:6])}, got {list(columns)} without {missing[0]!r}")
    count = len(columns["frame"])
    lengths = {name: len(columns[name]) for name in (*_NAMES, "mask") if name in columns}
    if set(lengths.values()) - {count}:
        raise ValueError(f"Expected columns of equal length, got {lengths}")
    if "mask" in columns and size is None:
        raise ValueError("Expected the size (H, W) of the video for its masks, got none")
    values = {"score": [1.0] * count, "label": [0] * count, "mask": [None] * count} | {n: columns[n] for n in lengths}

    def rows() -> Iterator[tuple[int, Observation]]:
        for frame, track, x0, y0, x1, y1, score, label, counts in zip(
            *(values[name] for name in (*_NAMES, "mask")), strict=True
        ):
            mask: Rle | None = None
            if isinstance(counts, str) and size is not None:
                mask = {"size": list(size), "counts": counts}
            box = (float(x0), float(y0), float(x1), float(y1))
            yield int(frame), Observation(int(track), box, float(score), int(label), mask)

    return Tracks.from_observations(rows(), size, num_frames)
