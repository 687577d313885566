"""``tltm-graph solve``, ``diff``, ``draw``, ``explain`` and ``mistakes`` on a run of ``tltm-graph track``."""

import pytest

from tltm_graph.cli import main


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["explain", "RUN", "--frame", "99", "--track", "0"], "Expected a frame of"),
        (["explain", "RUN", "--frame", "3", "--track", "999"], "one of [0, 1, 2, 3, 4]"),
        (["explain", "RUN", "--frame", "3"], "either --track or --object with --frame, got neither"),
        (["explain", "RUN", "--track", "0"], "Expected --frame with --track"),
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
def test_errors_name_the_cause(run, capsys, arguments, message):
    assert main([argument.replace("RUN", str(run)) for argument in arguments]) == 1
    assert message in capsys.readouterr().err
