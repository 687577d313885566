"""``tltm-graph solve``, ``diff``, ``draw``, ``explain`` and ``mistakes`` on a run of ``tltm-graph track``."""

import json

import pytest

from tltm_graph import MovingShapes
from tltm_graph.cli import main
from tltm_graph.cli.saved_run import open_source
from tltm_graph.formats import TrackWriter


@pytest.mark.slow
def test_what_was_wrong_is_told_with_its_cause(tmp_path, capsys):
    run, poor = tmp_path / "run", "oracle?miss_rate=0.4&jitter=0.3&false_positives=1"
    told = ["--output", str(run), "--max-frames", "30", "--save-graph", "--no-overlay"]
    assert main(["track", "--source", "shapes", "--detector", poor, "--solver", "greedy", *told]) == 0
    capsys.readouterr()
    files = ["--output", str(tmp_path / "wrong.json"), "--picture", str(tmp_path / "wrong.svg")]
    assert main(["mistakes", str(run), *files]) == 0
    text, told = capsys.readouterr().out, json.loads((tmp_path / "wrong.json").read_text())
    assert f"{len(told['mistakes'])} of {told['decisions']} decisions are wrong" in text
    assert sum(told["causes"].values()) == len(told["mistakes"]) > 0
    drawn = (tmp_path / "wrong.svg").read_text()
    assert all((f"<!-- {cause} ({count}) -->" in drawn) == (count > 0) for cause, count in told["causes"].items())


def test_the_truth_may_be_a_file(run, tmp_path, capsys):
    scene = open_source("shapes")
    assert isinstance(scene, MovingShapes)
    with TrackWriter(tmp_path / "truth.json") as writer:
        for index in range(12):
            writer.write(index, scene.truth(index))
    assert main(["mistakes", str(run)]) == 0
    known = capsys.readouterr().out
    assert main(["mistakes", str(run), "--truth", str(tmp_path / "truth.json")]) == 0
    assert capsys.readouterr().out == known
