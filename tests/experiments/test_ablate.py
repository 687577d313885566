import json
import math
from dataclasses import asdict, replace
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch_geometric.data import HeteroData

from experiments import ablate
from experiments.ablation import iou_tracker as tuning
from experiments.ablation.alive import SEEDS, Share, changed_decisions, measure_alive, regained_ids, shuffled, zeroed
from experiments.ablation.analysis import Mean, difference, mean_of
from experiments.ablation.iou_tracker import IouSetting, iou_tracker, tune
from experiments.ablation.lab import Lab, Plan, track_cached
from experiments.ablation.models import WithoutPrevious, start_model, train_model
from experiments.ablation.results import Result, check_settings, read_results, write_result
from experiments.ablation.rows import ROWS, gnn_tracker
from experiments.ablation.scoring import METRICS, SceneScores, ScoredScene, frames_only, score
from tests.cases import LEAVING, Script, blank, drawn
from tltm_graph import Detector, MovingShapes, Tracker, TrackManager
from tltm_graph.association import GeometricAffinity, LearnedAffinity, save_head
from tltm_graph.association.motion_features import NUM_CURRENT, NUM_EDGE, NUM_PREVIOUS
from tltm_graph.detectors import ReplayDetector, cache_detections
from tltm_graph.graph import TRANSITION
from tltm_graph.models import TLTM, save_model, tltm_tiny
from tltm_graph.nn import TransitionHead
from tltm_graph.synthetic import STANDARD, TEST, VAL

SMALL = (48, 80)


class TrueDetector(Detector):
    """Detector of the true objects of a scene, with their identities as embeddings."""

    class_names = MovingShapes.class_names

    def __init__(self, scene):
        self.scene = scene

    def detect(self, frame, context=None):
        truth = self.scene.truth(frame.index)
        embeddings = F.one_hot(truth.ids, 8).float()
        return truth.replace(scores=0.9 * truth.scores, ids=None, embeddings=embeddings), None


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Folder with random weights of two models and of an association head."""
    folder = tmp_path_factory.mktemp("weights")
    for seed in range(2):
        torch.manual_seed(seed)
        save_model(tltm_tiny(MovingShapes.class_names, min_size=48, max_size=80), folder / f"model{seed}.safetensors")
    save_head(TransitionHead(NUM_PREVIOUS, NUM_CURRENT, NUM_EDGE), folder / "head.safetensors")
    return folder


@pytest.fixture
def detected_scenes(monkeypatch):
    """Replace all models by the truth. Lists the seeds of the detected scenes, in order."""
    seeds = []

    def cache_truth(model, scene, affinity, masks=True):
        seeds.append(scene.seed)
        return cache_detections(TrueDetector(scene), scene, masks=masks)

    def is_same(self, graph):
        row, column = graph[TRANSITION].edge_index
        return 16 * (graph["previous"].x[row] * graph["current"].x[column]).sum(dim=1) - 8

    for module in ("lab", "alive"):
        monkeypatch.setattr(f"experiments.ablation.{module}.cache_detections", cache_truth)
    monkeypatch.setattr(TLTM, "score", is_same)
    return seeds


def a_plan(folder, output, **changes):
    plan = Plan(output, str(folder / "model{seed}.safetensors"), folder / "head.safetensors", detector_steps=0)
    return replace(plan, **({"scenes": 2, "val_scenes": 1, "frames": 12, "size": (96, 160)} | changes))


def a_result(row, seed, overall, scenes=None):
    """A result with the same score in all metrics."""
    by_scene = {name: dict.fromkeys(METRICS, value) for name, value in (scenes or {}).items()}
    return Result(row, seed, SceneScores(dict.fromkeys(METRICS, overall), by_scene), [])


# Scores, results and differences


def test_scores_of_the_truth_and_of_clean_frames_alone():
    scene = MovingShapes(12, (96, 160), num_objects=4, seed=7, difficulty=STANDARD)
    scored = ScoredScene.of(scene)
    assert scored.degraded == {i for i in range(12) if scene.degraded(i)}
    perfect = score([scored], [scored.truth], scene.class_names)
    assert perfect.overall == pytest.approx(dict.fromkeys(METRICS, 1.0))
    assert perfect.scenes == {"scene 7": perfect.overall}
    clean_frames = frozenset(range(12)) - scored.degraded
    clean_only = frames_only(scored.truth, clean_frames)
    for frame, rows in scored.truth.observations():
        assert clean_only.at(frame).ids.tolist() == ([row.id for row in rows] if frame in clean_frames else [])
    scores = score([scored], [clean_only], scene.class_names).overall
    assert (scores["AP degraded"], scores["AP clean"]) == (0, 1)
    assert 0 < scores["AP"] < 1
    assert len(frames_only(scored.truth, ())) == 0


def test_differences_are_taken_pair_by_pair():
    reference = {s: a_result("a", s, v, {"x": v, "y": v - 0.1}) for s, v in ((0, 0.2), (1, 0.5), (2, 0.8))}
    better = {s: a_result("b", s, v, {"x": v, "y": v - 0.4}) for s, v in ((0, 0.3), (1, 0.62), (2, 0.91), (3, 0.0))}
    d = difference(better, reference, "AP")
    assert (d.seeds.count, d.scenes.count) == (3, 2)
    assert d.seeds.value == pytest.approx(0.11)
    assert d.seeds.error == pytest.approx(0.01 / math.sqrt(3)), "independent of the spread of 0.3 over the seeds"
    assert d.scenes.value == pytest.approx((0.11 + (0.11 - 0.3)) / 2)
    assert d.scenes.error == pytest.approx(0.3 / 2)
    assert (d.seeds.is_significant, d.scenes.is_significant) == (True, False)
    assert mean_of(reference, "AP").error == pytest.approx(0.3 / math.sqrt(3))


def test_means_of_few_values():
    assert math.isnan(Mean.of([]).value)
    single = Mean.of([0.3, math.nan])
    assert single.value == 0.3
    assert math.isnan(single.error)
    assert not single.is_significant
    assert math.isnan(difference({}, {}, "AP").seeds.value)


def test_results_are_read_as_they_were_written(tmp_path):
    assert read_results(tmp_path, "gnn") == {}
    result = replace(a_result("gnn", 0, math.nan, {"scene 1": 0.5}), notes=["tuned"])
    write_result(tmp_path, result)
    assert repr(read_results(tmp_path, "gnn")) == repr({0: result})


def test_a_folder_has_results_of_one_plan(tmp_path):
    check_settings(tmp_path, {"scenes": 2, "head": "abc"})
    check_settings(tmp_path, {"scenes": 2, "weights of seed 1": "def"})
    with pytest.raises(ValueError, match="head abc .*got xyz.*--output"):
        check_settings(tmp_path, {"head": "xyz"})
    assert json.loads((tmp_path / "settings.json").read_text())["head"] == "abc"


# The GNN


class Swapped:
    """Appearance model that is sure that two objects have changed places."""

    def encode(self, detections):
        return torch.zeros(len(detections), 1)

    def score(self, graph):
        row, column = graph[TRANSITION].edge_index
        return torch.where(row == column, -8.0, 8.0)


def test_zeroed_and_shuffled_logits():
    graph = HeteroData()
    graph[TRANSITION].edge_index = torch.cartesian_prod(torch.arange(2), torch.arange(3)).T
    assert zeroed(Swapped()).score(graph).tolist() == [0] * 6
    orders = [shuffled(Swapped(), seed).score(graph).tolist() for seed in range(8)]
    assert orders == [shuffled(Swapped(), seed).score(graph).tolist() for seed in range(8)]
    assert all(sorted(order) == sorted(Swapped().score(graph).tolist()) for order in orders)
    assert len({tuple(order) for order in orders}) > 1
    (objects,) = drawn("a..b")
    assert zeroed(Swapped()).encode(objects).shape == shuffled(Swapped()).encode(objects).shape == (2, 1)


def test_changed_decisions_are_counted_from_one_memory():
    still = Script(drawn("a.......b\n a.......b\n a.......b"))
    video = [blank(i) for i in range(3)]

    def tracker(appearance):
        return Tracker(still, GeometricAffinity(appearance=appearance), track_manager=TrackManager(min_hits=1))

    others = {"zeroed": tracker(zeroed(Swapped()))}
    changed = changed_decisions(tracker(Swapped()), others, video)
    assert changed == {"zeroed": Share(4, 6)}, "all decisions but those of the first frame"
    assert changed_decisions(others["zeroed"], others, video) == {"zeroed": Share(0, 6)}
    assert changed_decisions(tracker(Swapped()), others, []) == {"zeroed": Share()}


COMES_BACK = """
    a...........b
    a...........b
    ............b
    ............b
    ............b
    .....a......b
    .....a......b
"""


@pytest.mark.parametrize(
    ("picture", "ids", "share"),
    [
        (COMES_BACK, {5: 0, 6: 0}, Share(1, 1)),
        (COMES_BACK, {5: 7, 6: 0}, Share(0, 1)),
        (COMES_BACK, {5: -1, 6: 0}, Share(1, 1)),
        (COMES_BACK, {5: -1, 6: -1}, Share(0, 0)),
        (COMES_BACK, {0: -1, 1: -1}, Share(0, 0)),
        (LEAVING, {}, Share(0, 0)),
        (COMES_BACK.replace("    ............b\n", "", 1), {4: 7, 5: 7}, Share(0, 0)),
    ],
    ids=["same id", "other id", "found late", "not found", "no id before", "same place", "short absence"],
)
def test_regained_ids(picture, ids, share):
    frames = drawn(picture)
    stream = []
    for index, objects in enumerate(frames):
        shown = torch.tensor([ids.get(index, i) if i == 0 else i for i in objects.ids.tolist()])
        stream.append((index, objects.replace(ids=shown)))
    assert regained_ids(stream, frames.__getitem__) == share


@pytest.mark.slow
def test_only_the_gnn_regains_ids(folder, tmp_path, detected_scenes):
    measures = measure_alive(Lab(a_plan(folder, tmp_path, scenes=1, frames=30, size=SMALL)), 0)
    assert set(measures) == {"GNN", "published rule", "GNN, learned births"}
    assert detected_scenes == [SEEDS[0]] * 3
    gnn = measures["GNN"]
    for scenes in ("look-alikes", "far apart"):
        counts = [gnn[f"{scenes}, {change}"]["count"] for change in ("zeroed", "shuffled")]
        assert 0 < counts[0] < counts[1], "wrong logits are worse than none"
    assert gnn["regained"]["of"] == gnn["regained without relation"]["of"] > 0
    assert gnn["regained"]["share"] == 1
    assert gnn["regained without relation"]["share"] < 1
    assert measures["published rule"]["regained"]["share"] == 0, "it has an overlap gate"


# Models


def test_models_and_heads_of_a_plan(folder, tmp_path):
    lab = Lab(a_plan(folder, tmp_path))
    plain, fused = lab.model("plain", 0), lab.model("fused", 0)
    assert plain.detector.fusers is None
    assert fused.detector.fusers is not None
    assert lab.model("fused", 0) is fused
    alone = WithoutPrevious(fused)
    scene = lab.test_scenes[0]
    first, context = fused.detect(scene.frame(0))
    assert context is not None
    assert alone.detect(scene.frame(0), context)[0].boxes.equal(first.boxes)
    assert alone.scale(scene.size) == fused.scale(scene.size) == 0.5
    assert ([s.seed for s in lab.test_scenes], [s.seed for s in lab.val_scenes]) == ([*TEST[:2]], [VAL[0]])

    fused.association = LearnedAffinity.from_file()
    assert lab.association_head(0) is not fused.association, "--head comes first"
    shipped = Lab(a_plan(folder, tmp_path, head=None))
    assert shipped.association_head(0).head.state_dict().keys() == fused.association.head.state_dict().keys()
    shipped.model("fused", 0).association = fused.association
    assert shipped.association_head(0) is fused.association


@pytest.mark.slow
def test_training_is_not_repeated(folder, tmp_path):
    pytest.importorskip("lightning")
    pytest.importorskip("supervision")
    bias = "detector.head.cls_logits.bias"
    start, other = (start_model(folder / f"model{seed}.safetensors", 0, SMALL) for seed in (0, 1))
    before = start.state_dict()[bias].clone()
    for model in (start, other):
        train_model(model, 1, tmp_path, 0, SMALL, 1e-3)
    assert not start.state_dict()[bias].equal(before)
    assert other.state_dict()[bias].equal(start.state_dict()[bias]), "loaded, not trained again"


def test_random_start_weights_depend_on_the_seed():
    first, second = (start_model(None, seed, (96, 160)).state_dict() for seed in (0, 1))
    assert any(not first[name].equal(second[name]) for name in first)


# Rows and runs


@pytest.mark.slow
def test_the_iou_tracker_is_tuned_on_validation_scenes(folder, tmp_path, detected_scenes, monkeypatch):
    lab = Lab(a_plan(folder, tmp_path))
    grid = (
        IouSetting(threshold=0.9),
        IouSetting(threshold=0.1, max_time_since_update=15),
        IouSetting(new_track_threshold=0.95),
    )
    assert tune(lab, "fused", 0, grid) == grid[1]
    assert detected_scenes == [VAL[0]]
    content = json.loads((tmp_path / "tuning" / "fused_seed_0.json").read_text())
    means = [tried["mean"] for tried in content["grid"]]
    assert means[1] == max(means) > means[2] == 0
    assert content["chosen"] == asdict(grid[1])
    tracks = [track_cached(cached, partial(iou_tracker, grid[1])) for cached in lab.caches("fused", 0, lab.val_scenes)]
    assert score(lab.val_truth, tracks, lab.class_names).overall["HOTA"] == content["grid"][1]["HOTA"]
    monkeypatch.setattr(tuning, "score", None)
    assert tune(lab, "fused", 0, grid) == grid[1], "read, not computed again"


def test_trackers_do_not_depend_on_defaults_of_the_library():
    scene = MovingShapes(2, SMALL, num_objects=2)
    detector = ReplayDetector(cache_detections(TrueDetector(scene), scene))
    for tracker in (gnn_tracker(detector, None), iou_tracker(IouSetting(), detector)):
        assert type(tracker.affinity) is GeometricAffinity
        assert tracker.max_shown == 15


def run(folder, output, *more, seeds=("0", "1")):
    arguments = ["--weights", str(folder / "model{seed}.safetensors"), "--head", str(folder / "head.safetensors")]
    arguments += ["--output", str(output), "--scenes", "2", "--val-scenes", "1", "--frames", "6", "--size", "96"]
    arguments += ["160", "--detector-steps", "0", "--threads", "1", "--seeds", *seeds, *more]
    return ablate.main(arguments)


@pytest.mark.slow
def test_a_stopped_run_resumes(folder, tmp_path, detected_scenes, monkeypatch, capsys):
    monkeypatch.setattr(tuning.tune, "__defaults__", ((IouSetting(max_time_since_update=15), IouSetting()),))
    scored = []

    def interrupted_score(*arguments):
        scored.append(arguments)
        if len(scored) == 5:
            raise KeyboardInterrupt
        return score(*arguments)

    monkeypatch.setattr(ablate, "score", interrupted_score)
    assert run(folder, tmp_path) == 130
    assert "the same command resumes" in capsys.readouterr().err
    assert len(list(tmp_path.glob("rows/*/*.json"))) == 4
    assert "+ ResFuser" in (tmp_path / "ablation.md").read_text()
    assert run(folder, tmp_path) == 0
    assert len(scored) == 5 + 2 * 5 - 4, "each row and seed once, but for the interrupted one"
    assert len(detected_scenes) == len({*detected_scenes}) * 6, "each scene once for each arm and seed"
    monkeypatch.setattr(ablate, "score", None)
    assert run(folder, tmp_path) == 0, "nothing is left to compute"

    gnn, learned = (read_results(tmp_path, key)[0].scores.overall["AssA"] for key in ("gnn", "learned-gnn"))
    assert gnn > learned, "that head has random weights"
    text = (tmp_path / "ablation.md").read_text()
    for part in ("Table 3", "* fused-iou, seed 1: IouSetting(", "was removed from a detector", "| + GNN | 2 |"):
        assert part in text
    assert all(f"`{row.key}` ({row.title}): {row.description}" in text for row in ROWS.values())
    assert text in capsys.readouterr().out


@pytest.mark.slow
def test_a_run_with_models_that_detect_nothing(folder, tmp_path, capsys):
    assert run(folder, tmp_path, "--rows", "gnn", "--alive", "--frames", "2", seeds=["1"]) == 0
    text = capsys.readouterr().out
    assert "| + GNN | 1 |" in text
    assert "| published rule | – | – | – | – | – | – | 0 |" in text


def test_list_and_errors(folder, tmp_path, capsys):
    assert ablate.main(["--list"]) == 0
    assert capsys.readouterr().out.splitlines()[3].startswith("gnn ")
    assert all(other in ROWS for row in ROWS.values() for other in row.references)
    assert run(folder, tmp_path, seeds=["7"]) == 2
    assert "model7.safetensors" in capsys.readouterr().err
    assert run(folder, tmp_path, "--weights", str(folder / "model0.safetensors")) == 2
    assert "put {seed} into --weights" in capsys.readouterr().err
    assert run(folder, tmp_path, "--head", str(folder / "none")) == 2
    assert "none" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
    for option, message in (("--frames", "--frames of at least 2, got 1"), ("--rows", "invalid choice: '1'")):
        with pytest.raises(SystemExit):
            run(folder, tmp_path, option, "1")
        assert message in capsys.readouterr().err
