"""Random tracks from hypothesis, and helpers for tests of writers."""

from pathlib import Path

import pytest
import torch
from hypothesis import strategies as st

from tltm_graph.formats.video import Video, VideoSet
from tltm_graph.formats.writer import TracksWriter
from tltm_graph.ops import decode_rle, encode_rle
from tltm_graph.ops.rle import Rle
from tltm_graph.structures import Observation, Tracks

SHARED = Path(__file__).parents[3] / "shared" / "data"
needs_shared = pytest.mark.skipif(not SHARED.exists(), reason="needs the folder 'shared' beside the project")
SIZE = (6, 10)


@st.composite
def random_tracks(
    draw, num_labels: int = 13, with_masks: bool = False, max_id: int = 10**6, least: float = -900.0
) -> Tracks:
    """Draw tracks with gaps, late starts and early ends. Masks are disjoint; boxes have any place and size."""
    num_frames = draw(st.integers(0, 5))
    label, score = st.integers(0, num_labels - 1), st.floats(0, 1)
    rows = []
    for frame in range(num_frames):
        here = draw(st.lists(st.integers(0, max_id), max_size=4, unique=True))
        owner = torch.randint(5, SIZE, generator=torch.Generator().manual_seed(draw(st.integers(0, 99))))
        for index, track_id in enumerate(here):
            mask = encode_rle((owner == index)[None])[0] if with_masks else None
            x, y, width, height = (draw(st.floats(low, 5000.0)) for low in (least, least, 0.0, 0.0))
            rows.append((frame, Observation(track_id, (x, y, x + width, y + height), draw(score), draw(label), mask)))
    return Tracks.from_observations(rows, SIZE, num_frames)


def written(writer: TracksWriter, videos: list[Video]) -> None:
    with writer:
        for video in videos:
            writer.begin(video)
            for frame, observations in video.tracks().observations():
                writer.write(frame, observations)


def video_of(tracks: Tracks, name: str = "clip", **more) -> Video:
    return Video(name, tracks.num_frames, tracks.size, load=lambda: tracks, **more)


def same_again(truth: VideoSet, again: VideoSet) -> None:
    assert [video.name for video in again] == [video.name for video in truth]
    for video, other in zip(truth, again, strict=True):
        assert other.tracks().tracks == video.tracks().tracks, video.name


def block(top: int, left: int, bottom: int, right: int, size: tuple[int, int] = SIZE) -> Rle:
    mask = torch.zeros(1, *size, dtype=torch.bool)
    mask[0, top:bottom, left:right] = True
    return encode_rle(mask)[0]


def as_the_format_keeps(tracks: Tracks, num_frames: int | None = None) -> Tracks:
    """Tracks as MOTS keeps them: one class a track, scores of 1, tight boxes."""
    rows = []
    for frame, observations in tracks.observations():
        for row in observations:
            ys, xs = decode_rle([row.mask], SIZE)[0].numpy().nonzero()
            box = (xs.min(), ys.min(), xs.max() + 1, ys.max() + 1) if len(xs) else (0, 0, 0, 0)
            rows.append((frame, row._replace(box=tuple(map(float, box)), score=1.0, label=row.id % 2)))
    return Tracks.from_observations(rows, SIZE, num_frames)
