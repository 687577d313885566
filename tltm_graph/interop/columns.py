from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tltm_graph.ops.rle import Rle
from tltm_graph.structures import Observation, Tracks, class_name

_NAMES = ("frame", "track", "x0", "y0", "x1", "y1", "score", "label")


def tracks_to_columns(tracks: Tracks, class_names: Sequence[str] | None = None) -> dict[str, list[Any]]:
    """All observations as columns, for tables of any kind.

    >>> pandas.DataFrame(tracks_to_columns(tracks))
    >>> pyarrow.table(tracks_to_columns(tracks))

    Args:
        tracks: The tracks of a video.
        class_names: Names of the classes, for a column ``class_name``.

    Returns:
        ``frame``, ``track``, ``x0``, ``y0``, ``x1``, ``y1`` in pixels, ``score``, ``label``; ``class_name`` if names
        are given; and ``mask``, COCO's compressed run-length counts, if there are masks. Ordered by frame, then track.
    """
    rows = [
        (frame, seen)
        for frame, observations in tracks.observations()
        for seen in sorted(observations, key=lambda s: s.id)
    ]
    columns: dict[str, list[Any]] = {name: [] for name in _NAMES}
    for frame, seen in rows:
        for name, value in zip(_NAMES, (frame, seen.id, *seen.box, seen.score, seen.label), strict=True):
            columns[name].append(value)
    if class_names is not None:
        columns["class_name"] = [class_name(label, class_names) for label in columns["label"]]
    if any(seen.mask is not None for _, seen in rows):
        columns["mask"] = [None if seen.mask is None else seen.mask["counts"] for _, seen in rows]
    return columns


def tracks_from_columns(
    columns: Mapping[str, Sequence[Any]], size: tuple[int, int] | None = None, num_frames: int | None = None
) -> Tracks:
    """Tracks of the columns that :func:`tracks_to_columns` makes.

    >>> tracks_from_columns(frame.to_dict("list"), size=(720, 1280))  # of pandas
    >>> tracks_from_columns(table.to_pydict(), size=(720, 1280))  # of Arrow

    Args:
        columns: At least ``frame``, ``track``, ``x0``, ``y0``, ``x1`` and ``y1``. Without ``score`` it is 1, without
            ``label`` 0. Others are not looked at.
        size: Height and width of the video in pixels, needed for masks.
        num_frames: Length of the video; None for up to the last observation.

    Raises:
        ValueError: If a column is missing, lengths differ, or there are masks and no size.
    """
    missing = [name for name in _NAMES[:6] if name not in columns]
    if missing:
        raise ValueError(f"Expected columns {list(_NAMES[:6])}, got none of the name {missing[0]!r} in {list(columns)}")
    count = len(columns["frame"])
    lengths = {name: len(columns[name]) for name in (*_NAMES, "mask") if name in columns}
    if set(lengths.values()) - {count}:
        raise ValueError(f"Expected columns of one length, got {lengths}")
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
