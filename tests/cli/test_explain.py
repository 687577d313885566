"""``tltm-graph solve``, ``diff``, ``draw``, ``explain`` and ``mistakes`` on a run of ``tltm-graph track``."""

import json

import pytest

from tltm_graph.cli import main


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
