import sys
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import pytest
import torch

from benchmarks import association
from benchmarks.association import best_peer, contenders, main, reentry_table, run, score_table, summary
from benchmarks.association_groups import Group, load_group
from benchmarks.association_scores import Reentries, reentries, score_group
from benchmarks.association_trackers import PACKAGE
from tests.benchmarks.cases import drawn, sequence
from tests.metrics.official_data import DATA, needs_shared
from tltm_graph.association import LearnedAffinity, save_head
from tltm_graph.association.motion_features import NUM_CURRENT, NUM_EDGE, NUM_PREVIOUS
from tltm_graph.nn import TransitionHead

ROWS = {
    ("MOT15", "IoU-Hungarian", "tuned"): [37.4, 38.5, 36.7, 49.3, 37.2, 392],
    ("MOT15", "SORT", "tuned"): [38.1, 40.1, 36.5, 51.1, 36.6, 295],
    ("MOT15", "oracle", "false positives kept"): [43.7, 51.2, 37.7, 64.4, 35.3, 0],
    ("MOT17c", "IoU-Hungarian", "tuned17"): [47.9, 36.2, 63.4, 58.2, 75.3, 1041],
    ("MOT17c", "oracle", "false positives dropped"): [67.6, 68.1, 67.0, 88.9, 80.0, 0],
    ("BDD-seg", "IoU-Hungarian", "default"): [53.8, 50.5, 58.3, 59.0, 52.9, 225],
    ("BDD-seg", "ByteTrack", "tuned"): [58.2, 61.2, 55.9, 70.3, 61.3, 44],
    ("BDD-seg", "OC-SORT", "default"): [46.9, 50.3, 44.2, 55.3, 46.4, 51],
    ("BDD-seg", "BoT-SORT (no CMC)", "default"): [50.1, 45.1, 56.3, 57.3, 56.5, 130],
    ("BDD-seg", "C-BIoU", "default"): [51.4, 46.5, 57.5, 60.3, 58.8, 114],
    ("BDD-seg", "McByte (no CMC, no masks)", "tuned"): [50.4, 44.7, 57.4, 57.9, 58.2, 121],
    ("BDD-seg", "norfair", "tuned"): [50.6, 47.7, 54.2, 59.9, 55.6, 102],
    ("BDD-seg", "oracle", "false positives kept"): [66.9, 76.9, 58.6, 81.8, 65.7, 0],
}
"""HOTA, AssA, DetA, IDF1, MOTA and IDSW that TrackEval computed for these trackers on these detections."""


@cache
def loaded(name: str) -> Group:
    return load_group(name, DATA)


@pytest.mark.slow
@needs_shared
@pytest.mark.parametrize("row", ROWS, ids=lambda row: ", ".join(row))
def test_scores_are_those_of_the_official_code(row):
    group, *tracker = row
    if tracker[0] in PACKAGE:
        pytest.importorskip(PACKAGE[tracker[0]])
    follow = contenders()[tuple(tracker)]
    group = loaded(group)
    scores = score_group(group, {one.name: one.tracks(follow(one).ids) for one in group.sequences})
    assert [round(value, 1) for value in scores.values()] == ROWS[row]


def test_other_heads_are_rows_of_their_own(tmp_path):
    head = str(tmp_path / "head.safetensors")
    save_head(LearnedAffinity.from_file().head, head)
    blind = str(tmp_path / "blind.safetensors")
    torch.manual_seed(0)
    save_head(TransitionHead(NUM_PREVIOUS, NUM_CURRENT, NUM_EDGE), blind)
    video = sequence([[]] * 6, [[0, 100]] * 6)
    rows = contenders([head, blind])
    assert rows["ours", head](video).ids == rows["ours", "default"](video).ids == [[1, 2]] * 6
    assert rows["ours", blind](video).ids != [[1, 2]] * 6
    assert len(rows) == len(contenders()) + 2
    same, other = (run(video, ("ours", given), [head, blind]).metrics for given in (head, blind))
    assert same != other


def test_a_missing_head_fails_before_any_run(monkeypatch, capsys):
    monkeypatch.setattr(association, "ProcessPoolExecutor", None)  # no run
    monkeypatch.setattr(sys, "argv", ["association.py", "--heads", "none.safetensors"])
    with pytest.raises(FileNotFoundError, match="Expected an association head in 'none.safetensors'"):
        main()
    monkeypatch.setattr(sys, "argv", ["association.py", "--trackers", "oracle", "--heads", "none.safetensors"])
    with pytest.raises(SystemExit):
        main()
    assert "expected 'ours' among --trackers" in capsys.readouterr().err


def scores(hota: float) -> dict[str, float]:
    return {"HOTA": hota, "AssA": 2 * hota, "DetA": 30.0, "IDF1": 40.0, "MOTA": 50.0, "IDSW": 6} | {
        "tracks": 9,
        "false": 3,
        "one frame": 1,
        "ms": 1.25,
    }


def test_tables_mark_the_best_other_tracker_and_show_the_difference():
    groups = [Group("toy", (sequence([[]], [[0, 100]]),))] * 2
    rows = {
        ("SORT", "default"): [scores(10.0), scores(20.0)],
        ("SORT", "tuned"): [scores(18.0), scores(14.0)],
        ("ours", "default"): [scores(19.0), scores(21.0)],
        ("oracle", "false positives kept"): [scores(80.0), scores(80.0)],
    }
    assert best_peer(rows) == ("SORT", "tuned")
    table = score_table(groups, rows).splitlines()
    assert table[0] == "*toy: sequences: 1, frames: 1, detections: 2, mean of 2 draws ± standard deviation*"
    scored = "| SORT | default | 15.0 ± 7.1 | 30.0 ± 14.1 | 30.0 ± 0.0 | 40.0 ± 0.0 | 50.0 ± 0.0 | 6 ± 0 |"
    assert f"{scored} 9 ± 0 | 3 ± 0 | 1 ± 0 | 1.25 ± 0.00 |" in table
    (best,) = (line for line in table if "**" in line)
    assert best.startswith("| SORT | tuned | **16.0 ± 2.8** | **32.0 ± 5.7** | **30.0 ± 0.0** |")
    difference = (
        "| toy | default | SORT, tuned | +4.0 ± 4.2 | +8.0 ± 8.5 | +0.0 ± 0.0 | +0.0 ± 0.0 | +0.0 ± 0.0 | +0 ± 0 |"
    )
    assert summary({"toy": rows}).splitlines()[-1] == difference
    assert len(summary({"toy": {row: rows[row] for row in rows if row[0] != "ours"}}).splitlines()) == 2


def test_the_table_of_returns():
    found = reentries(drawn("aa.....aa", "bb......b"), drawn("cc.....cc", "dd......e"))
    table = reentry_table("toy", {("SORT", "default"): found, ("ours", "default"): Reentries.none()}).splitlines()
    assert table[0].startswith("*toy, re-identification after absences: 2 of 5–15, 0 of 16–30, 0 of 31–60 frames;")
    assert table[-2] == "| SORT | default | 50.0 | – | – | 50.0 | 100.0 (1) | – (0) | – (0) | 100.0 (1) |"


@pytest.mark.slow
@needs_shared
def test_the_script(monkeypatch, capsys):
    monkeypatch.setattr(association, "ProcessPoolExecutor", lambda workers, *_: ThreadPoolExecutor(workers))
    arguments = [
        "--groups",
        "BDD-seg",
        "--trackers",
        "IoU-Hungarian",
        "oracle",
        "--seeds",
        "0",
        "1",
        "--data",
        str(DATA),
    ]
    monkeypatch.setattr(sys, "argv", ["association.py", *arguments])
    main()
    printed = capsys.readouterr().out
    assert "*BDD-seg: sequences: 1, frames: 100, detections: 1567*" in printed, "no seed changes these detections"
    assert "| IoU-Hungarian | default | **53.8** | **50.5** |" in printed
    assert "| oracle | false positives kept | 66.9 | 76.9 |" in printed
