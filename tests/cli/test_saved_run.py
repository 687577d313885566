"""``tltm-graph solve``, ``diff``, ``draw``, ``explain`` and ``mistakes`` on a run of ``tltm-graph track``."""

import json

import pytest

from benchmarks.shapes_model import TINY
from tltm_graph.cli import main


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["explain", "RUN", "--frame", "99", "--track", "1"], "Expected a frame of"),
        (["explain", "RUN", "--frame", "6", "--track", "999"], "one of [1, 2, 3, 4, 5]"),
        (["explain", "RUN", "--frame", "3"], "either --track or --object with --frame, got neither"),
        (["explain", "RUN", "--track", "1"], "Expected --frame with --track"),
        (["view", "RUN", "--explained", "0", "--source", "0"], "got the stream '0': name its recording"),
        (["view", "RUN", "--explained", "0", "--source", "nowhere.mp4"], "nowhere.mp4"),
        (["solve", "RUN", "--output", "RUN"], "which is read: name another output"),
        (["solve", "RUN", "--solver", "argmax", "--max-time-since-update", "3"], "a memory of its own"),
        (["solve", "nothing.zip"], "found no file 'nothing.zip'"),
        (["mistakes", "RUN", "--truth", "nothing.json"], "nothing.json"),
        (["draw", "RUN", "--begin", "99", "--output", "out.mp4"], "Expected frames from 99 on, got none"),
        (["draw", "RUN", "--output", "out.webm"], "Expected a file .mp4 or .gif"),
        (["draw", "RUN", "--source", "nowhere.mp4", "--output", "out.mp4"], "nowhere.mp4"),
        (["draw", "RUN", "--width", "1"], "Expected a finite number of at least 2 for --width, got 1"),
        (["draw", "RUN", "--width", "1000000"], "Expected at most 89478485 pixels in a picture of --width pixels"),
        (["draw", "RUN", "--seconds", "nan"], "from 0.001 to 3600 for --seconds, got nan"),
        (["draw", "RUN", "--seconds", "inf"], "--seconds, got inf"),
        (["draw", "RUN", "--seconds", "-1"], "--seconds, got -1"),
        (["draw", "RUN", "--begin", "-1"], "of at least 0 for --begin, got -1"),
        (["draw", "RUN", "--begin", "5", "--end", "5"], "of at least 6 for --end, got 5"),
        (["view", "RUN", "--width", "-5"], "of at least 1 for --width, got -5"),
        (["view", "RUN", "--width", "0"], "of at least 1 for --width, got 0"),
        (["view", "RUN", "--explained", "-1"], "of at least 0 for --explained, got -1"),
        (["explain", "RUN", "--frame", "-1", "--object", "0"], "for --frame, got -1"),
        (["explain", "RUN", "--frame", "1", "--object", "-1"], "for --object, got -1"),
        (["explain", "RUN", "--frame", "1", "--track", "-1"], "for --track, got -1"),
        (["explain", "RUN", "--limit", "-1"], "for --limit, got -1"),
        (["diff", "RUN", "RUN", "--limit", "-1"], "for --limit, got -1"),
        (["mistakes", "RUN", "--limit", "-1"], "for --limit, got -1"),
        (["solve", "RUN", "--score-threshold", "nan"], "from 0 to 1 for --score-threshold, got nan"),
        (["solve", "RUN", "--new-track-threshold", "inf"], "from 0 to 1 for --new-track-threshold, got inf"),
        (["solve", "RUN", "--new-track-threshold", "1e400"], "--new-track-threshold, got inf"),
        (["solve", "RUN", "--max-time-since-update", "-1"], "--max-time-since-update, got -1"),
        (["diff", "RUN", "pyproject.toml"], "truncated, damaged or different"),
    ],
)
def test_errors_name_the_cause(run, capsys, arguments, message):
    assert main([argument.replace("RUN", str(run)) for argument in arguments]) == 1
    assert message in capsys.readouterr().err


def test_the_appearance_model_of_a_run_is_built_again(related_run, capsys):
    tracker = json.loads((related_run / "run.json").read_text())["tracker"]
    assert "appearance=TLTM" in tracker, "the appearance model is trained, and used"
    explain = ["explain", str(related_run), "--frame", "1", "--object", "0"]
    assert main([*explain, "--weights", f"tltm:{TINY}"]) == 0
    assert "appearance\n" in capsys.readouterr().out
    assert main(explain) == 1
    assert f"names 'tltm:{TINY}': a graph may name only a model of this package" in capsys.readouterr().err
    assert main([*explain, "--weights", "tltm:none.safetensors"]) == 1
    assert "found no file 'none.safetensors'" in capsys.readouterr().err
