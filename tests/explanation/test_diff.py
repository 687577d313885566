import pytest

from tests.cases import Script, blank, drawn
from tests.explanation.saved_runs import saved
from tltm_graph import Detections, Tracker, TrackManager
from tltm_graph.association import GeometricAffinity
from tltm_graph.explanation import differences


def run(frames, path, size=(40, 200), **options):
    tracker = Tracker(Script(frames), **({"affinity": GeometricAffinity()} | options))
    return saved(tracker, (blank(t, size) for t in range(len(frames))), path)[0]


def test_a_run_does_not_differ_from_itself(tmp_path):
    graph = run(drawn("ab..\na.b.\n.ab."), tmp_path / "a.zip")
    assert list(differences(graph, graph)) == []


def test_a_longer_memory_continues_an_earlier_track(tmp_path):
    frames = drawn("a..b\na...\na...\na..b\na..b")
    remembers = run(frames, tmp_path / "a.zip")
    forgets = run(frames, tmp_path / "b.zip", track_manager=TrackManager(max_time_since_update=1))
    (one,) = differences(remembers, forgets)  # in the last frame both go on the object of the frame before
    assert (one.frame, one.label) == (3, 0)
    assert (one.first.row, one.first.before, one.first.text()) == (1, (0, 1), "track 2, object 1 of frame 0")
    assert (one.second.before, one.second.text()) == (None, "new, track 3")
    assert one.to_dict()["first"]["before"] == (0, 1)
    (other,) = differences(forgets, remembers)
    assert (other.first, other.second) == (one.second, one.first)


def test_objects_are_found_again_by_overlap(tmp_path):
    frames = drawn("a..b\na..b")
    moved = [
        Detections((found.boxes + 3).flip(0), found.scores.flip(0), found.labels.flip(0)) for found in frames
    ]  # in another order, too
    assert list(differences(run(frames, tmp_path / "a.zip"), run(moved, tmp_path / "b.zip"))) == []


def test_a_detection_of_one_run_only_is_a_difference(tmp_path):
    one, other = run(drawn("a..b\na..b"), tmp_path / "a.zip"), run(drawn("a..b\na..."), tmp_path / "b.zip")
    (lost,) = differences(one, other)
    assert lost.second is None
    assert lost.first.row == 1
    (more,) = differences(other, one)
    assert more.first is None
    assert more.second.row == 1


def test_runs_on_different_videos_are_refused(tmp_path):
    one = run(drawn("a\na"), tmp_path / "a.zip")
    with pytest.raises(ValueError, match=r"got 2 in .* and 1 in"):
        list(differences(one, run(drawn("a"), tmp_path / "b.zip")))
    with pytest.raises(ValueError, match=r"got frames of \(40, 200\) and of \(50, 200\)"):
        list(differences(one, run(drawn("a\na"), tmp_path / "c.zip", size=(50, 200))))
