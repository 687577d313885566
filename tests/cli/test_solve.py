"""``tltm-graph solve``, ``diff``, ``draw``, ``explain`` and ``mistakes`` on a run of ``tltm-graph track``."""

import pytest

from tests.cli.cases import files
from tests.explanation.saved_runs import oracle, saved, scene
from tltm_graph import SavedGraph, Tracker
from tltm_graph.cli import main


def test_the_same_solver_solves_the_same(run, tmp_path, capsys):
    assert main(["solve", str(run), "--output", str(tmp_path)]) == 0
    assert "; 0 of " in capsys.readouterr().out
    assert files(tmp_path) == {"tracks.json", "graph.zip", "run.json"}
    assert (tmp_path / "tracks.json").read_bytes() == (run / "tracks.json").read_bytes()
    again, first = SavedGraph(tmp_path / "graph.zip"), SavedGraph(run / "graph.zip")
    assert all(one.tracks.tolist() == other.tracks.tolist() for one, other in zip(again, first, strict=True))
    assert again.about["solved_again"]["graph"] == str(run)


@pytest.mark.slow
def test_what_was_solved_again_can_be_asked_and_solved_again(run, tmp_path, capsys):
    first, second = tmp_path / "first", tmp_path / "second"
    options = ["--max-time-since-update", "1", "--new-track-threshold", "0.5", "--score-threshold", "0.3"]
    assert main(["solve", str(run), "--output", str(first), *options]) == 0
    capsys.readouterr()
    assert main(["solve", str(first), "--output", str(second)]) == 0
    assert "; 0 of " in capsys.readouterr().out
    assert (second / "tracks.json").read_bytes() == (first / "tracks.json").read_bytes()
    assert main(["explain", str(first), "--frame", "11", "--object", "0"]) == 0


def test_a_graph_of_a_tracker_of_one_s_own_is_for_python(tmp_path, capsys):
    frames = scene(3)
    saved(Tracker(oracle(frames)), frames, tmp_path / "graph.zip")
    assert main(["solve", str(tmp_path)]) == 1
    assert "call replay and explain in Python" in capsys.readouterr().err
    assert main(["explain", str(tmp_path)]) == 0  # the list of doubts needs no parts
