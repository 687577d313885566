"""Truth and predictions as the label maps that J and F are defined on."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import zip_longest

import numpy as np

from tltm_graph.formats import Video
from tltm_graph.formats.davis import MAX_LABEL, VOID, label_maps_of
from tltm_graph.metrics.davis import MAX_PROPOSALS
from tltm_graph.metrics.overlap import check_same_video
from tltm_graph.structures import Tracks


def check_given_ids(tracks: Tracks | None, side: str, most: int) -> None:
    """Ids that do not fit in a label map would be counted anew, and be those of other objects."""
    ids = [] if tracks is None else [track_id for track_id, track in tracks.items() if not track.crowd]
    wrong = next((track_id for track_id in ids if not 1 <= track_id <= most), None)
    if wrong is not None:
        raise ValueError(
            f"Expected {side} ids from 1 to {most} for the metric jf-semi, got {wrong}: number the objects of the "
            "first true frame 1, 2, …, and predict with these ids"
        )


def counted_anew(truth: Tracks) -> Tracks:
    """Objects as 1, 2, … in the order in which they appear: J and F would take unused ids below for objects."""
    objects = sorted((track for track in truth.values() if not track.crowd), key=lambda track: track.frames[0])
    if len(objects) > MAX_LABEL:
        raise ValueError(f"Expected at most {MAX_LABEL} true objects for J and F, got {len(objects)}: score otherwise")
    crowds = [track for track in truth.values() if track.crowd]
    return replace(truth, tracks=dict(enumerate([*objects, *crowds], start=1)))


def label_map_pairs(
    true: Video, truth: Tracks | None, found: Video | None, predicted: Tracks | None, union: bool
) -> Iterator[tuple[np.ndarray | None, np.ndarray | None]]:
    """Both sides as label maps, as they are in their files where they are label maps."""
    num_frames, size = true.num_frames or 0, true.size
    if predicted is not None and (found is None or found.label_map is None):
        if truth is not None:
            check_same_video(truth, predicted)
            num_frames, size = truth.num_frames, truth.size
        predicted = replace(predicted, num_frames=num_frames, size=predicted.size or size)
    true_maps, found_maps = (
        _maps(true, truth, MAX_LABEL),
        _maps(found, predicted, MAX_LABEL if union else MAX_PROPOSALS),
    )
    if union:
        true_maps, found_maps = map(_merged, true_maps), map(_as_one, found_maps)
    return zip_longest(true_maps, found_maps)


def _merged(pixels: np.ndarray) -> np.ndarray:
    """All true objects as object 1; void stays void."""
    return np.where(pixels == VOID, VOID, pixels > 0).astype(np.uint8)


def _as_one(pixels: np.ndarray) -> np.ndarray:
    """All predicted objects as object 1: predictions have no void."""
    return (pixels > 0).astype(np.uint8)


def _maps(video: Video | None, tracks: Tracks | None, most: int) -> Iterator[np.ndarray]:
    if video is not None and video.label_map is not None:
        return _read_ahead(map(video.label_map, range(video.num_frames or 0)))
    assert tracks is not None
    return label_maps_of(tracks, most)


def _read_ahead(maps: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    """The same maps; the next one is read while the caller works on this one."""
    with ThreadPoolExecutor(1) as reader:
        coming = reader.submit(next, maps, None)
        while (pixels := coming.result()) is not None:
            coming = reader.submit(next, maps, None)
            yield pixels
