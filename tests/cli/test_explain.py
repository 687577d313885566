"""``tltm-graph solve``, ``diff``, ``draw``, ``explain`` and ``mistakes`` on a run of ``tltm-graph track``."""

import json
import re

import pytest
import torch

from tests.cli.test_track import CLIP
from tltm_graph.cli import main
from tltm_graph.io import VideoWriter


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


@pytest.mark.slow
def test_what_fusion_and_appearance_did(tmp_path, capsys):
    options = ["--max-frames", "5", "--save-graph", "--no-overlay", "--output", str(tmp_path)]
    assert main(["track", "--source", str(CLIP), *options]) == 0
    explain = ["explain", str(tmp_path), "--frame", "4", "--object", "0"]
    capsys.readouterr()
    assert main([*explain, "--alone"]) == 0
    text = capsys.readouterr().out
    assert "\n  log-odds of the appearance: " in text
    assert "equalized colour" in text
    assert "\n  without appearance the edge would " in text
    score = re.search(r"\n  without the previous frames its confidence would be (\d\.\d\d), not (\d\.\d\d)\n", text)
    assert abs(float(score[1]) - float(score[2])) < 0.2, "the frame is sharp"
    assert main(["explain", str(tmp_path), "--alone"]) == 1
    assert "Expected --frame with --track, --object, --output, --picture or --alone" in capsys.readouterr().err
    assert main([*explain, "--alone", "--weights", "precomputed:none.json"]) == 1
    other = tmp_path / "other.mp4"
    with VideoWriter(other) as writer:
        for _ in range(6):
            writer.write(torch.zeros(3, 32, 32, dtype=torch.uint8))
    assert main([*explain, "--alone", "--source", str(other)]) == 1
    assert "Expected pictures of" in capsys.readouterr().err
