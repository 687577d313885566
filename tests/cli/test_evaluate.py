import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.cli.cases import (
    CLASSES,
    NOTHING,
    boxes_only,
    failed,
    files,
    numbered,
    of_one_class_each,
    scenes,
    video_set,
    write_videos,
)
from tests.formats.strategies import SHARED, needs_shared
from tests.metrics.evaluation_cases import SIZE, observation, true_scene
from tltm_graph.cli import evaluate as module
from tltm_graph.cli import main
from tltm_graph.formats import FORMATS, YOUTUBE_VIS_2019, VideoSet, map_classes
from tltm_graph.formats.mot import MOT_CLASSES
from tltm_graph.formats.video import is_held_out
from tltm_graph.metrics import Evaluation
from tltm_graph.metrics.evaluation import RULES
from tltm_graph.metrics.oracle import ORACLES
from tltm_graph.structures import Tracks

TRUTH, FOUND = scenes()


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Truth and predictions of three videos, in several formats."""
    root = tmp_path_factory.mktemp("sets")
    for side, tracks in (("truth", TRUTH), ("found", FOUND)):
        videos = video_set(tracks)
        write_videos(root / f"{side}.csv", "csv", videos)
        write_videos(root / f"{side}_davis", "davis", videos)
        write_videos(root / f"{side}_bdd.json", "bdd100k", video_set(tracks, ("car", "pedestrian", "rider")))
    write_videos(root / "truth.json", "youtube_vis", video_set(TRUTH))
    write_videos(root / "found.json", "youtube_vis_results", video_set(FOUND))
    return root


def strict(path: Path) -> dict:
    """The content of a JSON file that any reader accepts."""

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is not JSON")

    return json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)


def evaluate(truth: Path | str, predictions: Path | str, output: Path | str, **more) -> dict:
    return module.evaluate(truth=truth, predictions=predictions, output=output, **more)


def run(folder: Path, tmp_path: Path, truth="truth.json", found="found.json", **more) -> dict:
    """The report; makes sure that it is what was written."""
    report = evaluate(folder / truth, folder / found, tmp_path / "out", **more)
    assert strict(tmp_path / "out" / "scores.json") == json.loads(json.dumps(report))
    assert files(tmp_path / "out") == {"scores.json", "scores.md"}
    return report


def test_scores_are_those_of_the_metrics(folder, tmp_path):
    report = run(folder, tmp_path)
    evaluation = Evaluation(("ap", "hota", "clear", "idf1", "edges"), CLASSES)
    for number, name in enumerate(TRUTH, start=1):
        evaluation.update(name, number, TRUTH[name], of_one_class_each(FOUND[name]))  # as the format keeps them
    scores = evaluation.compute()
    for key in ("AP", "HOTA", "MOTA", "IDF1", "EdgeF1"):
        assert report["scores"]["overall"][key] == pytest.approx(scores.overall[key], abs=1e-12)
        assert 0 < report["scores"]["overall"][key] < 1
    assert list(report["scores"]["per_video"]) == list(TRUTH)
    assert list(report["scores"]["per_class"]) == list(CLASSES)
    assert report["classes"] == CLASSES
    assert report["videos"] == 3
    assert report["notes"] == []
    settings = report["settings"]
    assert (settings["on"], settings["rules"], settings["truth_format"]) == ("masks", "plain", "youtube_vis")
    text = (tmp_path / "out" / "scores.md").read_text(encoding="utf-8")
    for title in ("## By class", "## By video", "| AP ", "| HOTA ", "| MOTA ", "| IDF1 ", "| EdgePr ", "| cat "):
        assert title in text
    assert f"{100 * scores.overall['HOTA']:.2f}" in text
    assert "nan" not in text.lower()


def test_every_format_of_the_same_tracks_scores_alike(folder, tmp_path):
    first = run(folder, tmp_path, class_agnostic=True, metrics=["hota", "clear", "idf1", "edges"])["scores"]["overall"]
    for truth, found in (("truth.csv", "found.csv"), ("truth.json", "found.csv"), ("truth.csv", "found.json")):
        other = run(folder, tmp_path, truth, found, class_agnostic=True, metrics=["hota", "clear", "idf1", "edges"])
        assert other["scores"]["overall"] == first, (truth, found)
    for truth, found in (("truth_davis", "found_davis"), ("truth.json", "found_davis")):  # scores are lost: none counts
        other = run(folder, tmp_path, truth, found, metrics=["hota", "clear", "idf1", "edges"])
        assert other["scores"]["overall"] == pytest.approx(first, abs=1e-9), (truth, found)


def test_what_the_benchmark_of_the_truth_scores(folder, tmp_path):
    identities = ("hota", "clear", "idf1", "edges")
    davis = run(folder, tmp_path, "truth_davis", "found_davis")
    assert davis["settings"]["metrics"] == ("jf", *identities)
    assert davis["classes"] is None
    assert 0 < davis["scores"]["overall"]["JF_mean"] < 1
    bdd = run(folder, tmp_path, "truth_bdd.json", "found_bdd.json")
    assert (bdd["settings"]["metrics"], bdd["settings"]["rules"]) == (("ap", *identities), "bdd100k")
    assert "mMOTA" in bdd["scores"]["overall"]
    assert len(bdd["classes"]) == 8
    assert set(bdd["scores"]["per_class"]) == {"car", "pedestrian", "rider"}


@pytest.mark.parametrize("form", ["mot_truth", "mot", None])
def test_mot_is_scored_by_its_rules_whatever_it_is_called(tmp_path, form):
    rows = [
        (0, observation(1, 0, 0, 4, 8)),
        (0, observation(2, 10, 0, 14, 8, label=6)),
        (0, observation(3, 20, 0, 24, 8, score=0)),
    ]
    truth = Tracks.from_observations(rows, SIZE, 1)
    found = Tracks.from_observations([(f, row._replace(label=0, score=0.9)) for f, row in rows[:2]], SIZE, 1)
    write_videos(tmp_path / "truth", "mot_truth", video_set({"v": truth}, MOT_CLASSES))
    write_videos(tmp_path / "found", "mot", video_set({"v": found}, None))
    report = run(tmp_path, tmp_path, "truth", "found", truth_format=form, oracles=list(ORACLES))
    assert (report["settings"]["rules"], report["settings"]["on"], report["classes"]) == ("mot17", "boxes", None)
    assert report["settings"]["metrics"] == ("hota", "clear", "idf1", "edges")
    scores = report["scores"]["overall"]
    assert (scores["CLR_TP"], scores["CLR_FP"], scores["CLR_FN"]) == (1, 0, 0)
    for oracle in ORACLES:
        assert report["oracles"][oracle]["MOTA"] == 1, "distractors and boxes of flag 0 are nothing to find"
    with pytest.raises(ValueError, match="rules 'mot17' on boxes"):
        evaluate(tmp_path / "truth", tmp_path / "found", tmp_path / "out", on="masks")


def test_mots(tmp_path):
    truth = numbered(true_scene(1, num_classes=2))
    write_videos(tmp_path / "truth", "mots", video_set({"v": truth}, ("car", "pedestrian")))
    write_videos(tmp_path / "found.csv", "csv", video_set({"v": truth}, ("car", "pedestrian")))
    report = run(tmp_path, tmp_path, "truth", "found.csv")
    assert (report["settings"]["rules"], report["settings"]["on"]) == ("mots", "masks")
    assert report["scores"]["overall"]["HOTA"] == 1
    with pytest.raises(ValueError, match="rules 'mots' on masks"):
        evaluate(tmp_path / "truth", tmp_path / "found.csv", tmp_path / "out", on="boxes")


# Which videos


@pytest.fixture
def two_of_three(tmp_path) -> Path:
    return write_videos(tmp_path / "some.csv", "csv", video_set({name: FOUND[name] for name in ("a", "c")}))


def test_missing_videos(folder, tmp_path, two_of_three):
    with pytest.raises(
        ValueError, match=r"predictions for all 3 videos, got none for 1 of them \(b\): pass missing='empty'"
    ):
        evaluate(folder / "truth.json", two_of_three, tmp_path / "deep" / "out")
    assert not (tmp_path / "deep").exists()
    empty = run(folder, tmp_path, found=two_of_three, missing="empty")
    assert "Note: 1 videos without predictions count as empty: b." in (tmp_path / "out" / "scores.md").read_text()
    skip = run(folder, tmp_path, found=two_of_three, missing="skip")
    assert empty["notes"] == ["1 videos without predictions count as empty: b."]
    assert skip["notes"] == ["1 videos without predictions are not scored: b."]
    assert (empty["videos"], skip["videos"]) == (3, 2)
    assert empty["scores"]["per_video"]["b"]["HOTA"] == 0
    assert list(skip["scores"]["per_video"]) == ["a", "c"]
    of_b = sum(map(len, TRUTH["b"].values()))
    assert empty["scores"]["overall"]["CLR_FN"] == skip["scores"]["overall"]["CLR_FN"] + of_b
    with pytest.raises(ValueError, match=r"missing to be one of \['error', 'empty', 'skip'\], got 'ignore'"):
        evaluate(folder / "truth.json", two_of_three, tmp_path / "out", missing="ignore")


def test_all_videos_missing(folder, tmp_path):
    (tmp_path / "none.csv").write_text("video,frame,track_id,x,y,width,height\n")
    with pytest.raises(ValueError, match="for at least one of the 3 videos"):
        evaluate(folder / "truth.json", tmp_path / "none.csv", tmp_path / "out", missing="skip")
    report = run(folder, tmp_path, found=tmp_path / "none.csv", missing="empty", class_agnostic=True)
    assert (report["scores"]["overall"]["HOTA"], report["scores"]["overall"]["AP"]) == (0, 0)
    bare = write_videos(tmp_path / "boxes.csv", "csv", video_set({n: boxes_only(t) for n, t in TRUTH.items()}))
    boxes = run(folder, tmp_path, bare, tmp_path / "none.csv", missing="empty", class_agnostic=True)
    assert boxes["settings"]["on"] == "boxes", "the truth has no masks"


def test_results_for_all_videos_may_leave_out_empty_ones(folder, tmp_path):
    """In results of YouTube-VIS a video without entries has no objects: that is what the servers take it for."""
    entries = [entry for entry in json.loads((folder / "found.json").read_text()) if entry["video_id"] != 2]
    (tmp_path / "found.json").write_text(json.dumps(entries))
    report = run(folder, tmp_path, found=tmp_path / "found.json")
    assert report["scores"]["per_video"]["b"]["CLR_TP"] == 0
    assert report["scores"]["per_video"]["b"]["CLR_FN"] == sum(map(len, TRUTH["b"].values()))


def test_unknown_video(folder, tmp_path):
    other = write_videos(tmp_path / "x.csv", "csv", video_set({**FOUND, "x": FOUND["a"]}))
    with pytest.raises(
        ValueError, match=r"for the videos of '.*truth.json' \(a, b, c\), got some for 'x' in '.*x.csv'"
    ):
        evaluate(folder / "truth.json", other, tmp_path / "out")
    with pytest.raises(ValueError, match="got some for 'x'"):  # not even if the part has it no more
        evaluate(folder / "truth.json", other, tmp_path / "out", part="train")


def test_only_video_of_another_name(tmp_path):
    write_videos(tmp_path / "t.csv", "csv", video_set({"truth": TRUTH["a"]}))
    write_videos(tmp_path / "f.csv", "csv", video_set({"run": TRUTH["a"]}))
    report = run(tmp_path, tmp_path, "t.csv", "f.csv")
    assert report["scores"]["overall"]["HOTA"] == 1
    assert report["notes"] == ["The only video is 'truth' in the truth, 'run' in the predictions."]
    write_videos(tmp_path / "both.csv", "csv", video_set({"run": TRUTH["a"], "other": TRUTH["a"]}))
    with pytest.raises(ValueError, match="got some for 'run'"):
        evaluate(tmp_path / "t.csv", tmp_path / "both.csv", tmp_path / "out")


def test_part(tmp_path):
    names = [f"video{number}" for number in range(30)]
    held_out = [name for name in names if is_held_out(name)]
    assert 0 < len(held_out) < 10
    truth, found = ({name: numbered(side[key]) for name in names for key in ("a",)} for side in (TRUTH, FOUND))
    write_videos(tmp_path / "t.csv", "csv", video_set(truth))
    write_videos(tmp_path / "f.csv", "csv", video_set(found))
    options = {"metrics": ["clear"], "class_agnostic": True}
    parts = {part: run(tmp_path, tmp_path, "t.csv", "f.csv", part=part, **options) for part in ("train", "val", None)}
    assert list(parts["val"]["scores"]["per_video"]) == held_out
    for count in ("CLR_TP", "CLR_FN", "CLR_FP"):
        whole = parts[None]["scores"]["overall"][count]
        assert whole == sum(parts[part]["scores"]["overall"][count] for part in ("train", "val"))
    train = next(name for name in names if not is_held_out(name))
    write_videos(tmp_path / "one.csv", "csv", video_set({train: found[train]}))
    few = write_videos(tmp_path / "few.csv", "csv", video_set({n: truth[n] for n in (train, held_out[0])}))
    with pytest.raises(ValueError, match="predictions for all 1 videos, got none"):
        evaluate(few, tmp_path / "one.csv", tmp_path / "out", part="val")  # of another part, although both are alone
    only = write_videos(tmp_path / "only.csv", "csv", video_set({train: truth[train]}))
    with pytest.raises(ValueError, match="at least one video to score"):
        evaluate(only, tmp_path / "one.csv", tmp_path / "out", part="val")


def test_predictions_that_do_not_fit(folder, tmp_path):
    longer = replace(
        FOUND["a"], num_frames=40, tracks={1: replace(FOUND["a"][1], frames=tuple(range(30, 30 + len(FOUND["a"][1]))))}
    )
    write_videos(tmp_path / "long.csv", "csv", video_set({**FOUND, "a": longer}))
    for options in ({}, {"metrics": ["hota"]}, {"metrics": ["jf"]}, {"oracles": list(ORACLES)}):
        with pytest.raises(ValueError, match=r"Expected tracks of the 4 frames of video 'a', got 40"):
            evaluate(folder / "truth.json", tmp_path / "long.csv", tmp_path / "deep" / "out", **options)
    other = Tracks.from_observations(
        [(0, observation(1, 0, 0, 4, 8)._replace(mask={"size": [20, 20], "counts": "0X;8"}))], (20, 20), 4
    )
    write_videos(tmp_path / "size.csv", "csv", video_set({**FOUND, "a": other}))
    for options in ({}, {"metrics": ["hota"]}, {"metrics": ["jf"]}):
        with pytest.raises(ValueError, match=r"20|size"):
            evaluate(folder / "truth.csv", tmp_path / "size.csv", tmp_path / "deep" / "out", **options)
    assert not (tmp_path / "deep").exists(), "nothing half-written is left"


# Classes


def with_classes(tmp_path: Path, names: tuple[str, ...] | None, tracks=FOUND) -> Path:
    return write_videos(tmp_path / "named.csv", "csv", video_set(tracks, names))


def test_classes_go_by_name_not_by_number(folder, tmp_path):
    order = ("bird", "cat", "dog")
    turned = map_classes(video_set(FOUND), {name: name for name in CLASSES}, order)
    write_videos(tmp_path / "turned.csv", "csv", turned)
    expected = run(folder, tmp_path, found="found.csv")["scores"]
    other = run(folder, tmp_path, found=tmp_path / "turned.csv")
    assert other["scores"]["overall"]["AP"] == pytest.approx(expected["overall"]["AP"])
    assert other["scores"]["per_class"]["dog"]["HOTA"] == expected["per_class"]["dog"]["HOTA"]
    assert other["notes"] == []


def test_classes_that_the_truth_lacks_are_left_out_and_told(folder, tmp_path):
    found = with_classes(tmp_path, ("cat", "dog", "plane"))
    report = run(folder, tmp_path, found=found)
    assert report["notes"] == ["Predictions of 1 classes that the truth lacks are left out: plane."]
    assert report["scores"]["per_class"]["bird"]["CLR_TP"] == 0
    expected = run(folder, tmp_path, found="found.csv")["scores"]["per_class"]
    for key in ("HOTA", "MOTA", "IDF1"):
        assert report["scores"]["per_class"]["cat"][key] == expected["cat"][key]


def test_no_class_in_common(folder, tmp_path):
    found = with_classes(tmp_path, ("x", "y", "z"))
    with pytest.raises(ValueError, match="predictions of the classes cat, dog, bird, got x, y, z: name a class map"):
        evaluate(folder / "truth.json", found, tmp_path / "out")
    agnostic = run(folder, tmp_path, found=found, class_agnostic=True)
    assert agnostic["classes"] is None
    assert agnostic["scores"]["per_class"] == {}
    assert agnostic["scores"]["overall"]["HOTA"] > run(folder, tmp_path)["scores"]["overall"]["HOTA"]


def test_class_map(folder, tmp_path):
    found = with_classes(tmp_path, ("x", "y", "z"))
    table = tmp_path / "map.json"
    table.write_text(json.dumps({"classes": {"x": "cat", "y": "dog", "z": "bird"}}))
    expected = run(folder, tmp_path, found="found.csv")["scores"]["overall"]
    assert run(folder, tmp_path, found=found, class_map=str(table))["scores"]["overall"] == pytest.approx(expected)
    table.write_text(json.dumps({"classes": {"x": "cat", "y": "whale"}}))
    part = run(folder, tmp_path, found=found, class_map=str(table))
    assert part["notes"] == ["Predictions of 2 classes that the truth lacks are left out: y, z."]
    assert part["scores"]["per_class"]["dog"]["CLR_TP"] == 0
    for classes in ({"x": "whale"}, {"other": "cat"}, {}):
        table.write_text(json.dumps({"classes": classes}))
        with pytest.raises(ValueError, match="got x, y, z: name a class map"):
            evaluate(folder / "truth.json", found, tmp_path / "out", class_map=str(table))
    with pytest.raises(ValueError, match="Expected a class map of"):
        evaluate(folder / "truth.json", found, tmp_path / "out", class_map="nothing")


def test_predictions_without_classes(folder, tmp_path):
    report = run(folder, tmp_path, found="found_davis")
    assert report["classes"] is None
    assert report["notes"] == ["The predictions have no classes: classes are ignored."]


# What is compared


def test_masks_if_both_sides_have_them(folder, tmp_path):
    bare = write_videos(tmp_path / "boxes.csv", "csv", video_set({n: boxes_only(t) for n, t in FOUND.items()}))
    assert run(folder, tmp_path)["settings"]["on"] == "masks"
    on_boxes = run(folder, tmp_path, found=bare)
    assert on_boxes["settings"]["on"] == "boxes"
    explicit = run(folder, tmp_path, on="boxes", found="found.csv")
    assert explicit["scores"]["overall"] == on_boxes["scores"]["overall"]
    with pytest.raises(ValueError, match="masks"):
        evaluate(folder / "truth.json", bare, tmp_path / "out", on="masks")
    # what is to be found in the first video does not decide where nothing is
    for first in ("truth", "found"):
        sides = {"truth": {**TRUTH}, "found": {n: boxes_only(t) for n, t in FOUND.items()}}
        sides[first]["a"] = replace(NOTHING, num_frames=TRUTH["a"].num_frames)
        paths = [
            write_videos(tmp_path / f"{side}.json", form, video_set(sides[side]))
            for side, form in (("truth", "youtube_vis"), ("found", "youtube_vis_results"))
        ]
        assert run(tmp_path, tmp_path, *paths)["settings"]["on"] == "boxes"


def test_nothing_anywhere(tmp_path):
    """Neither objects nor predictions: no number stands for it, and the file is JSON all the same."""
    none = video_set({"a": NOTHING, "b": replace(NOTHING, num_frames=0)})
    write_videos(tmp_path / "t.json", "youtube_vis", none)
    write_videos(tmp_path / "f.json", "youtube_vis_results", none)
    report = run(
        tmp_path,
        tmp_path,
        "t.json",
        "f.json",
        oracles=list(ORACLES),
        metrics=["ap", "hota", "clear", "idf1", "edges", "jf"],
    )
    assert report["scores"]["overall"]["AP"] is None
    assert report["scores"]["overall"]["JF_mean"] is None
    assert report["scores"]["overall"]["HOTA"] == 0
    assert report["scores"]["per_class"] == {}
    assert set(report["scores"]["per_video"]) == {"a", "2"}, "a video without frames has no folder to be called by"
    assert "| AP " in (tmp_path / "out" / "scores.md").read_text()
    assert "–" in (tmp_path / "out" / "scores.md").read_text()
    write_videos(tmp_path / "no.json", "youtube_vis", video_set({}))
    with pytest.raises(ValueError, match="at least one video to score in '.*no.json', got none"):
        evaluate(tmp_path / "no.json", tmp_path / "f.json", tmp_path / "out")


# J and F


def test_label_maps_and_tracks_score_alike(folder, tmp_path):
    options = {"metrics": ["jf"]}
    first = run(folder, tmp_path, "truth_davis", "found_davis", **options)["scores"]
    for truth, found in (("truth.csv", "found_davis"), ("truth.json", "found.json"), ("truth_davis", "found.csv")):
        other = run(folder, tmp_path, truth, found, **options)["scores"]
        assert other["per_video"] == first["per_video"], (truth, found)


def test_semi_supervised(tmp_path):
    """Objects have the ids of the first true frame, in files of tracks as in label maps."""
    rows = [(t, observation(i, 5 * i, 2 * t, 5 * i + 4, 2 * t + 8)) for t in range(5) for i in (1, 2)]
    truth = Tracks.from_observations(rows, SIZE, 5)
    swapped = Tracks.from_observations([(t, row._replace(id=3 - row.id)) for t, row in rows], SIZE, 5)
    for name, tracks in (
        ("t", truth),
        ("swapped", swapped),
        ("far", replace(truth, tracks={1: truth[1], 77: truth[2]})),
    ):
        write_videos(tmp_path / name, "davis", video_set({"v": tracks}, None))
        write_videos(tmp_path / f"{name}.csv", "csv", video_set({"v": tracks}, None))
    for true in ("t", "t.csv"):
        for suffix in ("", ".csv"):
            both = run(tmp_path, tmp_path, true, f"t{suffix}", metrics=["jf-semi", "jf"])["scores"]["overall"]
            assert both["JF_mean"] == both["JF_mean_semi"] == 1
            other = run(tmp_path, tmp_path, true, f"swapped{suffix}", metrics=["jf-semi", "jf"])["scores"]["overall"]
            assert (other["JF_mean"], other["J_mean_semi"]) == (1, 0)
        with pytest.raises(ValueError, match="predicted ids from 1 to 20 for the metric jf-semi, got 77"):
            evaluate(tmp_path / true, tmp_path / "far.csv", tmp_path / "out", metrics=["jf-semi"])


def test_ids_that_are_not_used_are_no_objects(tmp_path):
    """True ids 7 and 200: ids 1 to 199 would be objects that nobody shows, and every method would find them."""
    rows = [(t, observation(i, 5 * n, 0, 5 * n + 4, 8)) for t in range(4) for n, i in enumerate((200, 7))]
    truth = Tracks.from_observations(rows, SIZE, 4)
    half = Tracks.from_observations([row for row in rows if row[1].id == 7], SIZE, 4)
    write_videos(tmp_path / "t.csv", "csv", video_set({"v": truth}, None))
    write_videos(tmp_path / "f.csv", "csv", video_set({"v": half}, None))
    report = run(tmp_path, tmp_path, "t.csv", "f.csv", metrics=["jf"], oracles=["detection"])
    assert report["scores"]["overall"]["JF_mean"] == 0.5
    assert report["oracles"]["detection"]["JF_mean"] == 1
    with pytest.raises(ValueError, match="Video 'v': Expected true ids from 1 to 2 for the metric jf-semi, got 7"):
        evaluate(tmp_path / "t.csv", tmp_path / "f.csv", tmp_path / "out", metrics=["jf-semi"])
    with pytest.raises(ValueError, match="no oracles with the metric jf-semi"):
        evaluate(tmp_path / "t.csv", tmp_path / "f.csv", tmp_path / "out", metrics=["jf-semi"], oracles=["mask"])


def test_objects_that_come_late_are_told(tmp_path):
    rows = [(t, observation(1, 0, 0, 4, 8)) for t in range(4)] + [(t, observation(2, 10, 0, 14, 8)) for t in (2, 3)]
    truth = Tracks.from_observations(rows, SIZE, 4)
    late = Tracks.from_observations(rows[4:], SIZE, 4)
    write_videos(tmp_path / "t.csv", "csv", video_set({"v": truth, "w": late}, None))
    report = run(tmp_path, tmp_path, "t.csv", "t.csv", metrics=["jf"])
    assert report["scores"]["overall"]["JF_mean"] == 1
    assert report["notes"] == [
        "jf: 2 objects that come after the first frame are not scored.",
        "jf: 1 videos without an object in the first frame are not scored.",
    ]
    assert report["scores"]["per_video"]["w"]["JF_mean"] is None


def test_union(tmp_path):
    """All objects as one, whatever their ids are, in palette pictures and in black and white ones."""
    pixels = np.zeros((4, 20, 30), np.uint8)
    for frame in range(4):
        pixels[frame, 2:8, frame : frame + 6] = 1
        pixels[frame, 12:18, frame : frame + 6] = 2
    found = {
        "two": np.where(pixels == 1, 255, pixels * 5),
        "white": np.where(pixels > 0, 255, 0),
        "half": np.where(pixels == 1, 9, 0),
    }
    for name, maps in {"truth": pixels, **found}.items():
        (tmp_path / name / "v").mkdir(parents=True)
        for frame, values in enumerate(maps.astype(np.uint8)):
            Image.fromarray(values).save(tmp_path / name / "v" / f"{frame:05d}.png")
    for metric in ("jf", "jf-semi"):
        for name, expected in (("two", 1), ("white", 1), ("half", 0.5)):
            report = evaluate(
                tmp_path / "truth", tmp_path / name, tmp_path / "out", truth_format="davis",
                predictions_format="label_maps", metrics=[metric], union=True,
            )  # fmt: skip
            assert report["scores"]["overall"]["J_mean"] == pytest.approx(expected), (metric, name)


@needs_shared
def test_scores_of_davis_2016(tmp_path):
    expected = json.loads((SHARED / "davis_jf" / "expected.json").read_text())["dog"]
    report = evaluate(
        SHARED / "davis2016" / "Annotations" / "480p" / "dog", SHARED / "davis_jf" / "osvos_results" / "dog",
        tmp_path / "out", metrics=["jf-semi"], union=True,
    )  # fmt: skip
    scores = report["scores"]["overall"]
    assert scores["J_mean"] == pytest.approx(expected["J_semisup"], abs=1e-6)
    assert scores["F_mean"] == pytest.approx(expected["F_semisup"], abs=1e-3)


# Oracles


def test_oracles(folder, tmp_path):
    report = run(folder, tmp_path, oracles=list(ORACLES))
    plain = report["scores"]["overall"]
    assert list(report["oracles"]) == list(ORACLES)
    for name, row in (("detection", "CLR_Re"), ("association", "AssA"), ("class", "CLR_F1"), ("mask", "LocA")):
        assert report["oracles"][name][row] > plain[row]
        assert set(report["oracles"][name]) == set(plain)
    page = (tmp_path / "out" / "scores.md").read_text()
    assert "## What each part costs" in page
    for name in ORACLES:
        assert f"| perfect {name}" in page
    assert report["scores"] == run(folder, tmp_path)["scores"], "the scores themselves do not change"
    with pytest.raises(ValueError, match=r"Expected oracles of \['detection', .*\], got \['luck'\]"):
        evaluate(folder / "truth.json", folder / "found.json", tmp_path / "out", oracles=["luck"])


@pytest.mark.parametrize("kind", [tuple, set, frozenset, dict.fromkeys])
def test_any_collection_will_do(folder, tmp_path, kind):
    run(folder, tmp_path, oracles=kind(["class"]), metrics=kind(["hota"]))


def test_a_metric_named_twice_counts_once(folder, tmp_path):
    run(folder, tmp_path, metrics=["hota", "hota"])
    assert (tmp_path / "out" / "scores.md").read_text().count("| HOTA") == 2 + 1  # all, by class, by video


# Files


def test_after_an_interrupt_nothing_is_left(folder, tmp_path, monkeypatch):
    """Ctrl-C while the second video is scored, with and without earlier scores."""
    update = Evaluation.update

    def interrupted(self, name, *rest):
        if name == "b":
            raise KeyboardInterrupt
        update(self, name, *rest)

    run(folder, tmp_path)
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    monkeypatch.setattr(Evaluation, "update", interrupted)
    for out in ("out", "new/out"):
        with pytest.raises(KeyboardInterrupt):
            evaluate(folder / "truth.json", folder / "found.json", tmp_path / out, metrics=["hota"])
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before
    assert not (tmp_path / "new").exists()


def test_bad_paths_and_files(folder, tmp_path):
    with pytest.raises(FileNotFoundError, match="found nothing at 'nowhere'"):
        evaluate("nowhere", folder / "found.json", tmp_path / "deep/out")
    with pytest.raises(FileNotFoundError, match=r"found nothing at '.*none.json'"):
        evaluate(folder / "truth.json", folder / "none.json", tmp_path / "deep/out")
    (tmp_path / "broken.json").write_text((folder / "found.json").read_text()[:-9])
    with pytest.raises(ValueError, match=r"broken.json', got a damaged or cut-off JSON file"):
        evaluate(
            folder / "truth.json",
            tmp_path / "broken.json",
            tmp_path / "deep/out",
            predictions_format="youtube_vis_results",
        )
    with pytest.raises(ValueError, match="Expected a format of"):
        evaluate(folder / "truth.json", folder / "found.json", tmp_path / "deep/out", predictions_format="magic")
    with pytest.raises(ValueError, match="Expected metrics of"):
        evaluate(folder / "truth.json", folder / "found.json", tmp_path / "deep/out", metrics=["magic"])
    assert not (tmp_path / "deep").exists()
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="Expected a folder to write to for '.*file/scores.json', got: Not a directory"):
        evaluate(folder / "truth.json", folder / "found.json", tmp_path / "file")


def test_the_sets_class_filter_of_youtube_vis(tmp_path):
    """Forty classes, of which a video has two: the others have no row and are in no mean."""
    rows = [(t, observation(n + 1, 5 * n, 0, 5 * n + 4, 8, label=(0, 39)[n])) for t in range(3) for n in (0, 1)]
    videos = video_set({"v": Tracks.from_observations(rows, SIZE, 3)}, YOUTUBE_VIS_2019)
    write_videos(tmp_path / "t.json", "youtube_vis", videos)
    write_videos(tmp_path / "f.json", "youtube_vis_results", videos)
    scores = run(tmp_path, tmp_path, "t.json", "f.json")["scores"]
    assert list(scores["per_class"]) == [YOUTUBE_VIS_2019[0], YOUTUBE_VIS_2019[39]]
    assert scores["overall"]["AP"] == pytest.approx(1)


def test_every_rule_and_every_list_of_metrics_is_of_a_format():
    assert set(module._RULES) <= set(module._METRICS) <= set(FORMATS)
    assert set(module._RULES.values()) <= set(RULES)


@pytest.mark.parametrize("metrics", [["hota"], ["jf"]])
@pytest.mark.parametrize("frame", ["00000", "00002", "00003"])
def test_a_missing_label_map_shifts_nothing(folder, tmp_path, metrics, frame):
    shutil.copytree(folder / "truth_davis", tmp_path / "found")
    (tmp_path / "found" / "a" / f"{frame}.png").unlink()
    with pytest.raises(ValueError, match="video 'a'") as error:
        evaluate(folder / "truth_davis", tmp_path / "found", tmp_path / "out", metrics=metrics)
    assert frame in str(error.value) or "none between '00001.png' and '00003.png'" in str(error.value)


def test_predictions_that_count_frames_belong_by_order(folder, tmp_path):
    videos = video_set(TRUTH)
    fives = [replace(v, frame_names=tuple(f"{5 * t:05d}" for t in range(v.num_frames))) for v in videos]
    write_videos(tmp_path / "truth", "davis", VideoSet(fives))
    report = evaluate(tmp_path / "truth", folder / "truth_davis", tmp_path / "out", metrics=["jf", "hota"])
    assert report["scores"]["overall"]["HOTA"] == report["scores"]["overall"]["JF_mean"] == 1


def test_nothing_predicted_is_told(folder, tmp_path):
    (tmp_path / "none.json").write_text("[]")
    report = run(folder, tmp_path, found=tmp_path / "none.json")
    assert report["scores"]["overall"]["HOTA"] == 0
    assert report["notes"] == ["In 3 of 3 videos nothing at all is predicted: a, b, c."]


def test_a_hint_at_the_union(tmp_path):
    one = {"a": Tracks.from_observations([(t, observation(1, 0, 0, 8, 8)) for t in range(4)], SIZE, 4)}
    halves = [(t, observation(i, 4 * i, 0, 4 * i + 4, 8)) for t in range(4) for i in (0, 1)]
    two = {"a": numbered(Tracks.from_observations(halves, SIZE, 4))}
    write_videos(tmp_path / "truth", "davis", video_set(one, None))
    write_videos(tmp_path / "found", "davis", video_set(two, None))
    report = evaluate(tmp_path / "truth", tmp_path / "found", tmp_path / "out", metrics=["jf"])
    assert "--union" in report["notes"][0]
    report = evaluate(tmp_path / "truth", tmp_path / "found", tmp_path / "out", metrics=["jf"], union=True)
    assert report["notes"] == []
    assert report["scores"]["overall"]["JF_mean"] == 1


def test_whole_numbers_as_boxes(folder, tmp_path):
    rows = [(t, observation(1, 0, 0, 8, 8)._replace(mask=None, box=(0, 0, 8, 8))) for t in range(4)]
    tracks = {"a": Tracks.from_observations(rows, SIZE, 4)}
    write_videos(tmp_path / "truth.json", "youtube_vis", video_set(tracks))
    write_videos(tmp_path / "found.json", "youtube_vis_results", video_set(tracks))
    report = evaluate(tmp_path / "truth.json", tmp_path / "found.json", tmp_path / "out")
    assert report["scores"]["overall"]["HOTA"] == report["scores"]["overall"]["IDF1"] == 1


def test_frames_are_not_counted_for_every_class(folder, tmp_path):
    report = run(folder, tmp_path)
    frames = sum(tracks.num_frames for tracks in TRUTH.values())
    assert report["scores"]["overall"]["CLR_Frames"] == frames
    assert {row["CLR_Frames"] for row in report["scores"]["per_class"].values()} == {frames}


def test_rules_for_pedestrians_take_those_of_the_predictions(tmp_path):
    rows = [(t, observation(1, 0, 0, 4, 8)) for t in range(4)]
    truth = Tracks.from_observations(rows, SIZE, 4)
    write_videos(tmp_path / "truth", "mot_truth", video_set({"MOT17-01": truth}, MOT_CLASSES))
    for classes, label, expected in ((("car", "person"), 0, 0), (("car", "person"), 1, 1), (("thing",), 0, 1)):
        found = Tracks.from_observations([(t, row._replace(label=label)) for t, row in rows], SIZE, 4)
        write_videos(tmp_path / "found.csv", "csv", video_set({"MOT17-01": found}, classes))
        if len(classes) > 1 and label == 0:  # the table knows the classes of its rows only: a car alone
            cars = [(t, row._replace(label=0)) for t, row in rows]
            found = Tracks.from_observations([*cars, (0, observation(2, 12, 0, 16, 8, label=1))], SIZE, 4)
            write_videos(tmp_path / "found.csv", "csv", video_set({"MOT17-01": found}, classes))
        report = evaluate(tmp_path / "truth", tmp_path / "found.csv", tmp_path / "out")
        assert report["scores"]["overall"]["CLR_TP"] == 4 * expected, (classes, label)
    write_videos(tmp_path / "found.csv", "csv", video_set({"MOT17-01": truth_of_label(truth, 1)}, ("cat", "car")))
    with pytest.raises(ValueError, match="Expected predictions of the classes pedestrian, got label_0, car"):
        evaluate(tmp_path / "truth", tmp_path / "found.csv", tmp_path / "out")


def truth_of_label(tracks: Tracks, label: int) -> Tracks:
    return replace(tracks, tracks={i: replace(t, labels=(label,) * len(t)) for i, t in tracks.items()})


def test_mot20_has_its_own_distractors(tmp_path):
    rows = [(0, observation(1, 0, 0, 4, 8)), (0, observation(2, 10, 0, 14, 8, label=5))]
    truth = Tracks.from_observations(rows, SIZE, 1)
    found = Tracks.from_observations([(f, row._replace(label=0)) for f, row in rows], SIZE, 1)
    for name, false in (("MOT17-01", 1), ("MOT20-01", 0)):
        write_videos(tmp_path / name / "truth", "mot_truth", video_set({name: truth}, MOT_CLASSES))
        write_videos(tmp_path / name / "found", "mot", video_set({name: found}, MOT_CLASSES))
        report = evaluate(tmp_path / name / "truth", tmp_path / name / "found", tmp_path / "out")
        assert report["settings"]["rules"] == name[:5].lower()
        assert report["scores"]["overall"]["CLR_FP"] == false


def test_predictions_of_a_video_that_is_not_in_the_list_are_not_taken_for_another(tmp_path):
    write_videos(tmp_path / "set" / "Annotations" / "480p", "davis", video_set({n: TRUTH[n] for n in ("a", "b")}, None))
    (tmp_path / "set" / "ImageSets" / "2017").mkdir(parents=True)
    (tmp_path / "set" / "ImageSets" / "2017" / "val.txt").write_text("b\n")
    only = write_videos(tmp_path / "only", "davis", video_set({"a": TRUTH["a"]}, None))
    with pytest.raises(ValueError, match="got none for 1 of them"):
        evaluate(tmp_path / "set", only, tmp_path / "out", image_set="val")


def test_a_shorter_run_belongs_to_the_whole_video(folder, tmp_path):
    short = {**FOUND, "a": replace(FOUND["a"], num_frames=None or max(t.frames[-1] for t in FOUND["a"].values()) + 1)}
    write_videos(tmp_path / "short.csv", "csv", video_set(short))
    assert run(folder, tmp_path, found=tmp_path / "short.csv")["scores"]["overall"]["HOTA"] > 0


# Command line


def test_eval(sets, tmp_path, capsys):
    out = tmp_path / "out"
    status = main(
        ["eval", "--truth", f"{sets}/truth.json", "--predictions", f"{sets}/found.json", "--output", str(out)]
    )
    assert status == 0
    printed = capsys.readouterr().out
    assert files(out) == {"scores.json", "scores.md"}
    report = json.loads((out / "scores.json").read_text())
    for name in ("AP", "HOTA", "MOTA", "IDF1", "EdgeF1"):
        assert f"{100 * report['scores']['overall'][name]:.2f}" in printed
    for text in ("| AP ", "## By class", "## By video", f"written:\n  {out}/scores.json\n  {out}/scores.md"):
        assert text in printed
    assert (out / "scores.md").read_text().splitlines()[0] in printed


def test_eval_with_every_option(sets, tmp_path, capsys):
    arguments = f"""eval --truth {sets}/truth.json --predictions {sets}/some.csv --output {tmp_path}/out --missing skip
        --truth-format youtube_vis --predictions-format csv --metrics hota jf --on masks --rules plain --class-agnostic
        --oracle all --part train"""
    assert main(arguments.split()) == 0
    report = json.loads((tmp_path / "out" / "scores.json").read_text())
    assert list(report["scores"]["per_video"]) == ["a"]
    assert list(report["oracles"]) == list(ORACLES)
    printed = capsys.readouterr().out
    assert all(f"| perfect {name}" in printed for name in ORACLES)
    assert "Note: 2 videos without predictions are not scored: b, c." in printed
    assert "| AP" not in printed


def test_eval_leaves_long_tables_to_the_file(sets, tmp_path, capsys):
    truth, _ = scenes(1)
    write_videos(tmp_path / "t.csv", "csv", video_set({f"v{n}": truth["a"] for n in range(41)}))
    arguments = f"eval --truth {tmp_path}/t.csv --predictions {tmp_path}/t.csv --output {tmp_path}/out --metrics clear"
    assert main(arguments.split()) == 0
    assert "## By video" not in capsys.readouterr().out
    assert "v40" in (tmp_path / "out" / "scores.md").read_text()


def test_eval_in_plain_words(sets, tmp_path, capsys):
    out = tmp_path / "deep" / "out"
    both = ("eval", "--output", out, "--truth", sets / "truth.json", "--predictions")
    assert "found nothing at" in failed(capsys, *both, sets / "none.json")
    assert "got none for 2 of them (b, c)" in failed(capsys, *both, sets / "some.csv")
    assert "Expected a format of" in failed(capsys, *both, sets / "some.csv", "--predictions-format", "magic")
    assert "'mot17' on boxes" in failed(capsys, *both, sets / "found.json", "--rules", "mot17", "--on", "masks")
    (tmp_path / "cut.json").write_text((sets / "found.json").read_text()[:-5])
    cut = failed(capsys, *both, tmp_path / "cut.json", "--predictions-format", "youtube_vis_results")
    assert "damaged or cut-off JSON" in cut
    assert not (tmp_path / "deep").exists()
    for wrong in (["--metrics", "magic"], ["--oracle", "luck"], ["--rules", "none"], ["--missing", "perhaps"]):
        with pytest.raises(SystemExit) as stop:
            main([str(argument) for argument in (*both, sets / "found.json", *wrong)])
        assert stop.value.code == 2
        assert f"invalid choice: '{wrong[1]}'" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["eval", "convert"])
def test_ctrl_c_leaves_nothing_half_written(command, sets, tmp_path, monkeypatch, capsys):
    def interrupted(*_):
        raise KeyboardInterrupt

    out = tmp_path / "deep" / "out"
    if command == "eval":
        monkeypatch.setattr("tltm_graph.metrics.Evaluation.update", interrupted)
        arguments = [
            "eval",
            "--truth",
            f"{sets}/truth.json",
            "--predictions",
            f"{sets}/found.json",
            "--output",
            str(out),
        ]
    else:
        monkeypatch.setattr("tltm_graph.formats.csv_tracks.CsvWriter._end", interrupted)
        arguments = ["convert", f"{sets}/truth.json", str(out), "--to", "csv"]
    assert main(arguments) == 130
    assert "error: interrupted" in capsys.readouterr().err
    assert not (tmp_path / "deep").exists()
