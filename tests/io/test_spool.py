import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.formats.strategies import random_tracks
from tltm_graph.io.spool import Spool
from tltm_graph.structures import Observation, Track, Tracks


def spooled(path, tracks: Tracks) -> Spool:
    spool = Spool(path)
    for frame, rows in tracks.observations():
        spool.add(frame, rows)
    return spool


@given(random_tracks(), st.booleans())
@settings(max_examples=40, deadline=None)
def test_what_goes_in_comes_out(tmp_path_factory, tracks, with_crowd):
    folder = tmp_path_factory.mktemp("spool")
    if with_crowd:
        rows = [
            (f, row._replace(crowd=True, area=row.score * 1e3)) for f, seen in tracks.observations() for row in seen
        ]
        tracks = Tracks.from_observations(rows, tracks.size, tracks.num_frames)
    spool = spooled(folder / "file.json", tracks)
    assert spool.track_ids() == sorted(tracks)
    assert {i: spool.track(i) for i in spool.track_ids()} == tracks.tracks, "to the last bit"
    assert list(spool.frames()) == [(frame, rows) for frame, rows in tracks.observations() if rows]
    spool.close()
    assert list(folder.iterdir()) == []


def test_masks_and_the_order_of_a_frame(tmp_path):
    mask = {"size": [4, 4], "counts": "05;0"}
    rows = [Observation(9, (0.1, 0.2, 1e-300, 7), 0.1 + 0.2, 3, mask), Observation(2, (0.0, 0.0, 1.0, 1.0), mask=mask)]
    spool = Spool(tmp_path / "a.json")
    spool.add(4, iter(rows))
    spool.add(5, [])
    assert list(spool.frames()) == [(4, rows)]
    assert spool.track_ids() == [2, 9]
    assert spool.track(9) == Track((4,), (rows[0].box,), (rows[0].score,), (3,), (mask,))
    spool.add(6, [rows[1]])  # after it was read
    assert spool.track(2).frames == (4, 6)
    spool.close()


def test_nothing(tmp_path):
    spool = Spool(tmp_path / "a.json")
    assert spool.track_ids() == []
    assert list(spool.frames()) == []
    with pytest.raises(KeyError):
        spool.track(1)
    spool.close()
    spool.close()  # twice is once


def test_files_of_one_name_and_two_endings_do_not_meet(tmp_path):
    one, other = Spool(tmp_path / "a.json"), Spool(tmp_path / "a.csv")
    one.add(0, [Observation(1, (0.0, 0.0, 1.0, 1.0))])
    other.add(0, [Observation(2, (0.0, 0.0, 1.0, 1.0))])
    assert one.path != other.path
    assert (one.track_ids(), other.track_ids()) == ([1], [2])
    other.close()
    assert one.path.exists()
    one.close()
    assert list(tmp_path.iterdir()) == []


def test_what_an_earlier_run_left_is_gone(tmp_path):
    first = spooled(tmp_path / "a.json", Tracks.from_observations([(0, Observation(1, (0.0, 0.0, 1.0, 1.0)))], None))
    path = first.path
    first._database.commit()
    first._database.close()  # as if the process had been killed
    assert path.exists()
    again = Spool(tmp_path / "a.json")
    assert again.track_ids() == []
    again.close()


@pytest.mark.slow
def test_memory_does_not_grow(tmp_path):
    """A hundred thousand observations with masks are on disk, not in memory."""
    mask = {"size": [720, 1280], "counts": "x" * 200}
    spool = Spool(tmp_path / "a.json")
    tracemalloc.start()
    for frame in range(4000):
        spool.add(frame, [Observation(i, (0.0, 0.0, 1.0, 1.0), mask=mask) for i in range(5)])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000
    assert spool.path.stat().st_size > 4_000_000
    assert len(spool.track(3)) == 4000
    spool.close()
