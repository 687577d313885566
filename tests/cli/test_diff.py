"""``tltm-graph solve``, ``diff``, ``draw``, ``explain`` and ``mistakes`` on a run of ``tltm-graph track``."""

import json

import pytest

from tltm_graph.cli import main


@pytest.mark.slow
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
