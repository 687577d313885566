"""``tltm-graph solve``, ``diff``, ``draw``, ``explain`` and ``mistakes`` on a run of ``tltm-graph track``."""

import json

import pytest
from PIL import Image

from tests.explanation.saved_runs import oracle, saved, scene
from tltm_graph import MovingShapes, SavedGraph, Tracker
from tltm_graph.cli import main
from tltm_graph.commands.source import open_source
from tltm_graph.formats import TrackWriter
from tltm_graph.io import read_frames


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    assert main(["track", "--output", str(folder), "--max-frames", "12", "--save-graph", "--no-overlay"]) == 0
    return folder


def test_the_same_solver_solves_the_same(run, tmp_path, capsys):
    assert main(["solve", str(run), "--output", str(tmp_path)]) == 0
    assert "; 0 of " in capsys.readouterr().out
    assert {path.name for path in tmp_path.iterdir()} == {"tracks.json", "graph.zip", "run.json"}
    assert (tmp_path / "tracks.json").read_bytes() == (run / "tracks.json").read_bytes()
    again, first = SavedGraph(tmp_path / "graph.zip"), SavedGraph(run / "graph.zip")
    assert all(one.tracks.tolist() == other.tracks.tolist() for one, other in zip(again, first, strict=True))
    assert again.about["solved_again"]["graph"] == str(run)


def test_other_settings_solve_otherwise_and_diff_shows_it(run, tmp_path, capsys):
    options = [
        "--solver",
        "greedy",
        "--max-time-since-update",
        "1",
        "--new-track-threshold",
        "0.5",
        "--score-threshold",
        "0.3",
    ]
    assert main(["solve", str(run), "--output", str(tmp_path / "out"), *options]) == 0
    result = json.loads((tmp_path / "out/run.json").read_text())
    assert result["differences"] > 0
    assert "max_time_since_update=1" in result["tracker"] or result["settings"]["max_time_since_update"] == 1
    capsys.readouterr()
    assert main(["diff", str(run), str(tmp_path / "out"), "--limit", "1", "--output", str(tmp_path / "diff.json")]) == 0
    told = json.loads((tmp_path / "diff.json").read_text())
    assert len(told["differences"]) == result["differences"]
    text = capsys.readouterr().out
    assert text.count("\n  < ") == 1
    assert f"{result['differences']} of {result['decisions']} decisions differ" in text
    assert main(["diff", str(run), str(run)]) == 0
    assert capsys.readouterr().out.startswith("0 of ")


def test_what_was_solved_again_can_be_asked_and_solved_again(run, tmp_path, capsys):
    first, second = tmp_path / "first", tmp_path / "second"
    options = ["--max-time-since-update", "1", "--new-track-threshold", "0.5", "--score-threshold", "0.3"]
    assert main(["solve", str(run), "--output", str(first), *options]) == 0
    capsys.readouterr()
    assert main(["solve", str(first), "--output", str(second)]) == 0
    assert "; 0 of " in capsys.readouterr().out
    assert (second / "tracks.json").read_bytes() == (first / "tracks.json").read_bytes()
    assert main(["explain", str(first), "--frame", "11", "--object", "0"]) == 0


def test_doubts_are_listed_and_explained(run, tmp_path, capsys):
    assert main(["explain", str(run), "--limit", "3"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    margins = [float(line.split()[0]) for line in lines[1:]]
    assert margins == sorted(margins)
    _, frame, row, track, _ = lines[1].split()
    asked = ["explain", str(run), "--frame", frame]
    picture = ["--picture", str(tmp_path / "why.png")]
    assert main([*asked, "--object", row, "--output", str(tmp_path / "why.json"), *picture]) == 0
    assert (tmp_path / "why.png").read_bytes().startswith(b"\x89PNG")
    text, _, files = capsys.readouterr().out.partition("written:\n")
    assert files.split() == [str(tmp_path / "why.json"), str(tmp_path / "why.png")]
    assert main([*asked, "--track", track]) == 0
    assert capsys.readouterr().out == text
    assert text.startswith(f"frame {frame}, object {row} (")
    told = json.loads((tmp_path / "why.json").read_text())
    assert told["margin"] == pytest.approx(margins[0], abs=1e-3)
    total = sum(told["terms"].values()) + sum(message["value"] for message in told["messages"])
    assert total == pytest.approx(told["score"], abs=1e-6)


def test_what_was_wrong_is_told_with_its_cause(tmp_path, capsys):
    run, poor = tmp_path / "run", "oracle?miss_rate=0.4&jitter=0.3&false_positives=1"
    told = ["--output", str(run), "--max-frames", "30", "--save-graph", "--no-overlay"]
    assert main(["track", "--detector", poor, "--solver", "greedy", *told]) == 0
    capsys.readouterr()
    files = ["--output", str(tmp_path / "wrong.json"), "--picture", str(tmp_path / "wrong.svg")]
    assert main(["mistakes", str(run), *files]) == 0
    text, told = capsys.readouterr().out, json.loads((tmp_path / "wrong.json").read_text())
    assert f"{len(told['mistakes'])} of {told['decisions']} decisions are wrong" in text
    assert sum(told["causes"].values()) == len(told["mistakes"]) > 0
    drawn = (tmp_path / "wrong.svg").read_text()
    assert all((f"<!-- {cause} ({count}) -->" in drawn) == (count > 0) for cause, count in told["causes"].items())


def test_the_truth_may_be_a_file(run, tmp_path, capsys):
    scene = open_source(None)
    assert isinstance(scene, MovingShapes)
    with TrackWriter(tmp_path / "truth.json") as writer:
        for index in range(12):
            writer.write(index, scene.truth(index))
    assert main(["mistakes", str(run)]) == 0
    known = capsys.readouterr().out
    assert main(["mistakes", str(run), "--truth", str(tmp_path / "truth.json")]) == 0
    assert capsys.readouterr().out == known


def test_runs_are_drawn_side_by_side(run, tmp_path, capsys):
    other = tmp_path / "other"
    assert main(["solve", str(run), "--solver", "greedy", "--output", str(other)]) == 0
    both = ["draw", str(run), str(other), "--strip", "--width", "160"]
    assert main([*both, "--output", str(tmp_path / "both.gif"), "--begin", "4", "--end", "9"]) == 0
    assert "5 pictures" in capsys.readouterr().out
    with Image.open(tmp_path / "both.gif") as picture:
        assert picture.n_frames == 5
        assert picture.width == 320
        assert picture.height == 96 + 150
    assert main(["draw", str(other)]) == 0
    drawn = list(read_frames(other / "drawn.mp4"))
    assert [frame.size for frame in drawn] == [(192, 320)] * 12
    assert len({frame.image.float().mean().item() for frame in drawn}) == 12


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["explain", "RUN", "--frame", "99", "--track", "0"], "Expected a frame of"),
        (["explain", "RUN", "--frame", "3", "--track", "999"], "one of [0, 1, 2, 3, 4]"),
        (["explain", "RUN", "--frame", "3"], "Expected --track or --object beside --frame"),
        (["explain", "RUN", "--track", "0"], "Expected --frame beside --track"),
        (["explain", "RUN", "--frame", "1", "--object", "0", "--weights", "tltm:none.safetensors"], "none.safetensors"),
        (["view", "RUN", "--explained", "0", "--source", "0"], "got the stream '0': name its recording"),
        (["view", "RUN", "--explained", "0", "--source", "nowhere.mp4"], "nowhere.mp4"),
        (["solve", "RUN", "--output", "RUN"], "is also the input, and would be lost"),
        (["solve", "RUN", "--solver", "argmax", "--max-time-since-update", "3"], "a memory of its own"),
        (["solve", "nothing.zip"], "found no file 'nothing.zip'"),
        (["mistakes", "RUN", "--truth", "nothing.json"], "nothing.json"),
        (["draw", "RUN", "--begin", "99", "--output", "out.mp4"], "Expected frames from 99 on, got none"),
        (["draw", "RUN", "--output", "out.webm"], "Expected a file .mp4 or .gif"),
        (["draw", "RUN", "--source", "nowhere.mp4", "--output", "out.mp4"], "nowhere.mp4"),
        (["draw", "RUN", "--width", "1"], "width of at least 2"),
        (["diff", "RUN", "pyproject.toml"], "truncated, damaged or different"),
    ],
)
def test_mistakes_are_told(run, capsys, arguments, message):
    assert main([argument.replace("RUN", str(run)) for argument in arguments]) == 1
    assert message in capsys.readouterr().err


def test_a_graph_of_a_tracker_of_one_s_own_is_for_python(tmp_path, capsys):
    frames = scene(3)
    saved(Tracker(oracle(frames)), frames, tmp_path / "graph.zip")
    assert main(["solve", str(tmp_path)]) == 1
    assert "replay and explain take the parts of your own tracker" in capsys.readouterr().err
    assert main(["explain", str(tmp_path)]) == 0  # the list of doubts needs no parts
