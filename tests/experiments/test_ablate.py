import json
import math
from dataclasses import asdict, replace

import pytest
import torch
import torch.nn.functional as F
from torch_geometric.data import HeteroData

pytest.importorskip("matplotlib")
from tltm_graph.models.recorded import RecordedModel, Recording

from experiments import ablate
from experiments.ablation import iou_tracker as tuning
from experiments.ablation import lab as laboratory
from experiments.ablation.alive import Share, alive, changed_decisions, ids_regained
from experiments.ablation.analysis import Mean, difference, mean_of
from experiments.ablation.evidence import ShuffledRelation, ZeroedRelation, with_relation
from experiments.ablation.iou_tracker import IouSetting, iou_tracker, tuned
from experiments.ablation.lab import Lab, Plan
from experiments.ablation.models import detector_of, start_model
from experiments.ablation.relation_variants import RelationLab, Variant, train_gnn
from experiments.ablation.results import Result, Results
from experiments.ablation.rows import PARTS, chosen_rows, gnn_tracker, published_tracker, rows_of
from experiments.ablation.scoring import METRICS, SceneScores, ScoredScene, followed, frames_only, score
from tests.cases import LEAVING, blank, drawn
from tltm_graph import Detections, MovingShapes, Tracker
from tltm_graph.association import GeometricAffinity, LearnedAffinity, save_head
from tltm_graph.association.motion_features import NUM_CURRENT, NUM_EDGE, NUM_PREVIOUS
from tltm_graph.graph import TRANSITION
from tltm_graph.models import TLTM, save_model, tltm_tiny
from tltm_graph.nn import TransitionHead
from tltm_graph.published import PublishedAffinity
from tltm_graph.synthetic import STANDARD
from tltm_graph.tracking import TrackManager
from tltm_graph.training.memory_data import CachedFrame
from tltm_graph.training.relation_objective import RelationObjective

SMALL = (48, 80)
CHANNELS = 8


def seen(scene, jitter=0.0):
    """A recording of the truth: its boxes, its masks, and who is who as nodes."""
    random = torch.Generator().manual_seed(scene.seed)
    objects = []
    for index in range(len(scene)):
        truth = scene.truth(index)
        boxes = truth.boxes + jitter * torch.randn(len(truth), 1, generator=random)
        masks = [_crop(mask, box) for mask, box in zip(truth.masks, truth.boxes.int().tolist(), strict=True)]
        cells = torch.stack(masks).flatten(1) if masks else torch.zeros(0, 28 * 28)
        nodes = F.one_hot(truth.ids, CHANNELS).float()
        objects.append(Detections(boxes, 0.9 * truth.scores, truth.labels, features=torch.cat([nodes, cells], dim=1)))
    times = tuple(scene.frame(index).time for index in range(len(scene)))
    return Recording(tuple(objects), times, scene.size, CHANNELS, scene.class_names)


def _crop(mask, box):
    x0, y0, x1, y1 = box
    return F.interpolate(mask[None, None, y0:y1, x0:x1].float(), (28, 28), mode="bilinear")[0, 0]


def identity(graph: HeteroData):
    """Sure of everything, and right."""
    row, column = graph[TRANSITION].edge_index
    same = (graph["previous"].x[row] * graph["current"].x[column]).sum(dim=1)
    return 16 * same - 8


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Weights of models and of a head, all random."""
    folder = tmp_path_factory.mktemp("weights")
    for seed in range(2):
        torch.manual_seed(seed)
        model = tltm_tiny(MovingShapes.class_names, min_size=48, max_size=80)
        model.relation.is_trained.fill_(True)
        save_model(model, folder / f"model{seed}.safetensors")
    save_head(TransitionHead(NUM_PREVIOUS, NUM_CURRENT, NUM_EDGE), folder / "head.safetensors")
    return folder


@pytest.fixture
def truth_seen(monkeypatch):
    """Models see the truth; gives the scenes that were looked at, in order."""
    looked_at = []

    def record(model, scene):
        looked_at.append(scene.seed)
        return seen(scene)

    for module in ("lab", "alive"):
        monkeypatch.setattr(f"experiments.ablation.{module}.record", record)
        monkeypatch.setattr(
            f"experiments.ablation.{module}.RecordedModel",
            lambda recording, scorer, affinity: RecordedModel(recording, identity, affinity),
        )
    return looked_at


def a_plan(folder, output, **changes):
    plan = Plan(output, str(folder / "model{seed}.safetensors"), folder / "head.safetensors", detector_steps=0)
    return replace(plan, **({"scenes": 2, "val_scenes": 1, "frames": 12, "size": (96, 160)} | changes))


def result(row, seed, overall, scenes=None):
    def every(value):
        return dict.fromkeys(METRICS, value)

    scenes = {name: every(value) for name, value in (scenes or {}).items()}
    return Result(row, seed, SceneScores(every(overall), scenes))


# Scores


def test_the_truth_scores_one_and_degraded_frames_count_apart():
    scene = MovingShapes(12, (96, 160), num_objects=4, seed=7, difficulty=STANDARD)
    scored = ScoredScene.of(scene)
    assert 0 < len(scored.degraded) < 12
    assert scored.degraded == {i for i in range(12) if scene.degraded(i)}
    perfect = score([scored], [scored.truth], scene.class_names)
    assert set(perfect.overall) == set(METRICS)
    assert all(value == pytest.approx(1) for value in perfect.overall.values())
    assert perfect.scenes == {"scene 7": perfect.overall}
    clean = frozenset(range(12)) - scored.degraded
    blind = score([scored], [frames_only(scored.truth, clean)], scene.class_names).overall
    assert blind["AP degraded"] == 0
    assert blind["AP clean"] == 1
    assert 0 < blind["AP"] < 1


def test_frames_only():
    scene = MovingShapes(6, SMALL, num_objects=3, seed=1, min_area=8)
    tracks = ScoredScene.of(scene).truth
    part = frames_only(tracks, {1, 4})
    assert part.num_frames == 6
    for frame, rows in tracks.observations():
        assert part.at(frame).ids.tolist() == ([row.id for row in rows] if frame in (1, 4) else [])
    assert len(frames_only(tracks, ())) == 0


# Analysis


def test_differences_are_taken_pair_by_pair():
    reference = {s: result("a", s, v, {"x": v, "y": v - 0.1}) for s, v in ((0, 0.2), (1, 0.5), (2, 0.8))}
    better = {s: result("b", s, v, {"x": v, "y": v - 0.4}) for s, v in ((0, 0.3), (1, 0.62), (2, 0.91), (3, 0.0))}
    d = difference(better, reference, "AP")
    assert (d.seeds.count, d.scenes.count) == (3, 2)
    assert d.seeds.value == pytest.approx(0.11)
    assert d.seeds.error == pytest.approx(0.01 / math.sqrt(3)), "the seeds' own spread of 0.3 does not matter"
    assert d.scenes.value == pytest.approx((0.11 + (0.11 - 0.3)) / 2)
    assert d.scenes.error == pytest.approx(0.3 / 2)
    assert d.verdict == "seeds"
    assert mean_of(reference, "AP").error == pytest.approx(0.3 / math.sqrt(3))


def test_verdicts():
    sure, unsure, less = Mean(0.5, 0.1, 3), Mean(0.5, 0.3, 3), Mean(-0.5, 0.1, 3)
    verdict = lambda seeds, scenes: type(difference({}, {}, "AP"))(seeds, scenes).verdict  # noqa: E731
    assert verdict(sure, sure) == "seeds and scenes"
    assert verdict(unsure, less) == "scenes"
    assert verdict(sure, less) == "mixed"
    assert verdict(unsure, unsure) == "neither"


def test_means_of_little():
    assert math.isnan(Mean.of([]).value)
    one = Mean.of([0.3, math.nan])
    assert one.value == 0.3
    assert math.isnan(one.error)
    assert not one.is_beyond, "one value has no error: nothing is known"
    assert math.isnan(difference({}, {}, "AP").seeds.value)


# Files


def test_results_come_back(tmp_path):
    results = Results(tmp_path)
    assert results.read("gnn", 0) is None
    kept = replace(result("gnn", 0, math.nan, {"scene 1": 0.5}), notes={"chosen": 3})
    results.write(kept)
    again = results.read("gnn", 0)
    assert repr(again) == repr(kept)
    assert results.of_row("gnn", range(3)).keys() == {0}
    assert [path.name for path in results.path("gnn", 0).parent.iterdir()] == ["seed_0.json"]


def test_a_folder_is_of_one_plan(tmp_path):
    results = Results(tmp_path)
    results.check_settings({"scenes": 2, "head": None})
    results.check_settings({"scenes": 2, "head": "abc", "weights of seed 1": "def"})
    with pytest.raises(ValueError, match="Expected head abc as in the results in .*, got xyz: --output names"):
        results.check_settings({"scenes": 2, "head": "xyz"})
    assert json.loads((tmp_path / "settings.json").read_text())["head"] == "abc"


# Evidence


class Fixed:
    """Finds what it is told."""

    class_names = None

    def __init__(self, frames):
        self.frames = frames

    def detect(self, frame, context=None):
        return self.frames[frame.index].replace(ids=None), None


class Swapped:
    """Sure that every object has changed places with the other one."""

    def encode(self, detections):
        return torch.zeros(len(detections), 1)

    def score(self, graph):
        row, column = graph[TRANSITION].edge_index
        return torch.where(row == column, -8.0, 8.0)


def test_robbed_relations():
    (before,), (now,) = drawn("a..b"), drawn("a..b.c")
    graph = HeteroData()
    graph[TRANSITION].edge_index = torch.cartesian_prod(torch.arange(2), torch.arange(3)).T
    logits = Swapped().score(graph)
    assert ZeroedRelation(Swapped()).score(graph).tolist() == [0] * 6
    orders = [ShuffledRelation(Swapped(), seed).score(graph).tolist() for seed in range(8)]
    assert orders == [ShuffledRelation(Swapped(), seed).score(graph).tolist() for seed in range(8)]
    assert all(sorted(order) == sorted(logits.tolist()) for order in orders)
    assert len({tuple(order) for order in orders}) > 1
    assert ZeroedRelation(Swapped()).encode(before).shape == (2, 1)
    assert ShuffledRelation(Swapped()).encode(now).shape == (3, 1)


def test_changed_decisions_are_counted_from_one_memory():
    still = Fixed(drawn("a.......b\n a.......b\n a.......b"))
    tracker = Tracker(still, Swapped(), affinity=GeometricAffinity(), track_manager=TrackManager(min_hits=1))
    video = [blank(i) for i in range(3)]
    assert changed_decisions(tracker, video)["zeroed"] == Share(4, 6), "all but those of the first frame"
    deaf = with_relation(tracker, ZeroedRelation(Swapped()))
    assert changed_decisions(deaf, video) == {"zeroed": Share(0, 6), "shuffled": Share(0, 6)}
    assert changed_decisions(tracker, []) == {"zeroed": Share(), "shuffled": Share()}


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
    ids=["the same", "another", "found late", "not found", "never had one", "at the same place", "soon"],
)
def test_ids_regained(picture, ids, share):
    frames = drawn(picture)
    stream = []
    for number, objects in enumerate(frames):
        told = torch.tensor([ids.get(number, i) if i == 0 else i for i in objects.ids.tolist()])
        stream.append((number, objects.replace(ids=told)))
    assert ids_regained(stream, frames.__getitem__) == share


def test_without_the_relation_nobody_comes_back(folder, tmp_path, truth_seen):
    told = alive(Lab(a_plan(folder, tmp_path, scenes=1, frames=45, size=SMALL)), 0, with_head=True)
    assert set(told) == {"GNN", "published rule", "GNN, learned births"}
    gnn = told["GNN"]
    for scenes in ("look-alikes", "far apart"):
        zeroed, shuffled = (gnn[f"{scenes}, {evidence}"]["count"] for evidence in ("zeroed", "shuffled"))
        assert 0 < zeroed < shuffled, "wrong evidence is worse than none"
    assert gnn["regained"]["of"] == gnn["regained without relation"]["of"] > 0
    assert gnn["regained"]["share"] == 1
    assert gnn["regained without relation"]["share"] < 1
    assert told["published rule"]["regained"]["share"] == 0, "overlap is a wall there"


def test_a_model_brings_its_affinity_unless_another_is_named(folder, tmp_path):
    own = LearnedAffinity.from_file()
    with_own, without = (RecordedModel(seen(MovingShapes(1, (96, 160), seed=1)), identity, a) for a in (own, None))
    named = Lab(a_plan(folder, tmp_path))
    assert named.affinity_of(with_own) is named.learned_affinity
    shipped = Lab(a_plan(folder, tmp_path, head=None))
    assert shipped.affinity_of(with_own) is own
    assert shipped.affinity_of(without) is shipped.learned_affinity


# Training


def test_both_detectors_are_trained_alike(folder, tmp_path):
    pytest.importorskip("lightning")
    pytest.importorskip("supervision")
    weights = {}
    for arm in ("plain", "fused"):
        start = start_model(folder / "model0.safetensors", 0, SMALL)
        model = detector_of(arm, start, 2, tmp_path / arm, 0, SMALL, 1e-3)
        assert (model.detector.fusers is None) == (arm == "plain")
        weights[arm] = model.state_dict()
        again = start_model(folder / "model1.safetensors", 0, SMALL)
        again = detector_of(arm, again, 2, tmp_path / arm, 0, SMALL, 1e-3).state_dict()
        assert all(weights[arm][name].equal(again[name]) for name in again), "read, not trained again"
    start = start_model(folder / "model0.safetensors", 0, SMALL).state_dict()
    assert not weights["plain"]["detector.head.cls_logits.bias"].equal(start["detector.head.cls_logits.bias"])
    assert set(start) - set(weights["plain"]) == {name for name in start if name.startswith("detector.fusers.")}


def test_the_start():
    one, other = (start_model(None, seed, (96, 160)).state_dict() for seed in (0, 1))
    assert any(not one[name].equal(other[name]) for name in one)
    assert start_model(None, 0, (96, 160)).detector.min_size == 96


def test_gnns_learn(folder, tmp_path, monkeypatch):
    def cached(detector, frames, truth, chosen):
        found = {frame.index: truth.at(frame.index) for frame in frames if frame.index in chosen}
        return [
            CachedFrame(index, objects.replace(masks=None, features=objects.ids.float()))
            for index, objects in found.items()
        ]

    monkeypatch.setattr("experiments.ablation.relation_variants.cache_frames", cached)
    monkeypatch.setattr(TLTM, "encode", lambda self, objects: F.one_hot(objects.features.long(), 128).float())
    lab = Lab(a_plan(folder, tmp_path, relation_scenes=3))
    graphs = RelationLab(lab).graphs(0)
    assert len(graphs) == 3 * 11, "12 frames are looked at"
    assert not any(
        a["current"].x.equal(b["current"].x) for a, b in zip(graphs, RelationLab(lab).graphs(1), strict=True)
    )
    start = lab.model("fused", 0).relation
    variant = Variant(aggr="mean", num_steps=2, transition_weight=0.1)
    first, *_, last = (train_gnn(start, graphs, variant, 0, steps) for steps in (1, 1, 25))
    assert (last.gnn.aggr, last.gnn.num_steps, bool(last.is_trained)) == ("mean", 2, True)
    objective = RelationObjective(0.1)
    assert sum(objective(last, graphs).values()) < 0.7 * sum(objective(first, graphs).values())
    twin = train_gnn(start, graphs, variant, 0, 1)
    assert all(p.equal(q) for p, q in zip(first.parameters(), twin.parameters(), strict=True))


# Rows


def test_the_iou_tracker_is_tuned_on_validation_scenes(folder, tmp_path, truth_seen, monkeypatch):
    lab = Lab(a_plan(folder, tmp_path))
    grid = (
        IouSetting(threshold=0.9),
        IouSetting(threshold=0.1, max_time_since_update=15),
        IouSetting(new_track_threshold=0.95),
    )
    setting, told = tuned(lab, "fused", 0, grid)
    assert truth_seen == [2_000_000]
    means = [one["mean"] for one in told["grid"]]
    assert setting == grid[1]
    assert means[1] == max(means) > means[2] == 0
    assert told["chosen"] == asdict(setting)
    monkeypatch.setattr(tuning, "score", None)
    assert tuned(lab, "fused", 0, grid) == (setting, told), "read, not tried again"
    recorded = next(lab.recordings("fused", 0, lab.val_scenes))
    tracks = followed(iou_tracker(recorded, setting), recorded.recording.frames(), lab.plan.size, 12)
    scores = score(lab.val_truth, [tracks], lab.class_names).overall
    assert scores["HOTA"] == told["grid"][1]["HOTA"]


def run(folder, output, *more, seeds=("0", "1")):
    arguments = ["--weights", str(folder / "model{seed}.safetensors"), "--head", str(folder / "head.safetensors")]
    arguments += ["--output", str(output), "--scenes", "2", "--val-scenes", "1", "--frames", "12", "--size", "96"]
    arguments += ["160", "--detector-steps", "0", "--relation-steps", "2", "--relation-scenes", "2", "--threads", "1"]
    arguments += ["--seeds", *seeds, *more]
    return ablate.main(arguments)


def test_a_run_goes_on_where_it_was_stopped(folder, tmp_path, truth_seen, monkeypatch, capsys):
    some = ["--rows", "A", "iou-no-memory", "published", "gnn-zeroed", "gnn-shuffled", "learned", "oracle"]
    some += ["classes", "oracle-classes"]
    monkeypatch.setattr(tuning.tuned, "__defaults__", ((IouSetting(max_time_since_update=15), IouSetting()),))
    scored = []

    def counting(*arguments):
        scored.append(arguments)
        if len(scored) == 5:
            raise KeyboardInterrupt
        return score(*arguments)

    monkeypatch.setattr(ablate, "score", counting)
    assert run(folder, tmp_path, *some) == 130
    assert "stopped; the same command goes on" in capsys.readouterr().err
    assert len(list(tmp_path.glob("rows/*/*.json"))) == 4
    assert "+ ResFuser" in (tmp_path / "ablation.md").read_text()
    assert run(folder, tmp_path, *some) == 0
    assert len(scored) == 5 + 2 * 13 - 4, "each row and seed once, but for the one that was interrupted"
    assert len(truth_seen) == len({*truth_seen}) * 6, "each scene once for each detector and seed"
    monkeypatch.setattr(ablate, "score", None)
    assert run(folder, tmp_path, *some) == 0, "nothing is left to be done"
    report = json.loads((tmp_path / "ablation.json").read_text())
    scores = {key: {name: mean["value"] for name, mean in row["scores"].items()} for key, row in report["rows"].items()}
    assert scores["gnn"]["HOTA"] >= scores["gnn-zeroed"]["HOTA"] > scores["gnn-shuffled"]["HOTA"]
    assert scores["oracle"]["AssA"] >= scores["gnn"]["AssA"] > scores["learned"]["AssA"], "that head knows nothing"
    for metric in ("HOTA", "AssA", "IDF1"):
        assert scores["oracle-classes"][metric] >= scores["classes"][metric] >= scores["gnn-shuffled"][metric]
    against = report["rows"]["gnn-shuffled"]["differences"]["gnn"]["HOTA"]
    assert against["scenes"]["value"] < 0
    text = (tmp_path / "ablation.md").read_text()
    for title in (*(PARTS[part] for part in "ABD"), "Tuned on validation scenes", "was taken out of a detector"):
        assert title in text
    assert PARTS["C"] not in text
    assert text in capsys.readouterr().out
    assert (tmp_path / "ablation.png").read_bytes().startswith(b"\x89PNG")


def test_relation_models_are_trained_and_the_gnn_is_asked(folder, tmp_path, capsys):
    """With models of random weights, which see nothing: every table is there all the same."""
    assert run(folder, tmp_path, "--rows", "relation-sum", "relation-2-steps", "--alive", seeds=["1"]) == 0
    text = capsys.readouterr().out
    assert "| 2 steps | 1 |" in text
    assert "Is the GNN alive?" in text
    assert "| published rule | – | – | – | – | – | – | 0 |" in text


def test_what_cannot_be_run_is_said(folder, tmp_path, capsys):
    assert run(folder, tmp_path, "--rows", "Z") == 2
    assert "got ['Z']" in capsys.readouterr().err
    assert run(folder, tmp_path, seeds=["7"]) == 2
    assert "Expected weights, found no file" in capsys.readouterr().err
    one = str(folder / "model0.safetensors")
    assert run(folder, tmp_path, "--weights", one) == 2
    assert "Expected {seed} in the name of the weights" in capsys.readouterr().err
    assert run(folder, tmp_path, "--head", str(folder / "none"), "--rows", "learned") == 2
    assert "none" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
    with pytest.raises(SystemExit):
        run(folder, tmp_path, "--frames", "1")
    assert "expected --frames of at least 2, got 1" in capsys.readouterr().err


def test_rows(tmp_path, capsys):
    rows = rows_of(Lab(Plan(tmp_path)))
    assert [row.key for row in chosen_rows(rows, ["A"])] == [
        "plain-iou",
        "alone-iou",
        "fused-iou",
        "gnn",
        "learned-gnn",
    ]
    assert [row.key for row in chosen_rows(rows, ["memory-5", "gnn"])] == ["gnn", "memory-5"]
    assert chosen_rows(rows, []) == []
    assert all(other in rows for row in rows.values() for other in row.against)
    assert set("".join(row.parts for row in rows.values())) == set(PARTS)
    assert ablate.main(["--list"]) == 0
    listed = capsys.readouterr().out
    assert all(row.name in listed for row in rows.values())


@pytest.mark.parametrize(("key", "misses"), [("memory-0", 0), ("memory-5", 5), ("memory-15", 15), ("learned-gnn", 60)])
def test_rows_forget_when_they_should(folder, tmp_path, truth_seen, monkeypatch, key, misses):
    made = []

    def follow(tracker, *video):
        made.append(tracker)
        return followed(tracker, *video)

    monkeypatch.setattr(laboratory, "followed", follow)
    rows_of(Lab(a_plan(folder, tmp_path)))[key].run(0)
    assert [(tracker.track_manager.max_time_since_update, type(tracker.affinity)) for tracker in made] == [
        (misses, LearnedAffinity)
    ] * 2


def test_rows_do_not_change_with_the_defaults_of_the_library():
    model = RecordedModel(seen(MovingShapes(2, SMALL, num_objects=2)), identity)
    assert type(gnn_tracker(model).affinity) is Affinity
    assert type(iou_tracker(model, IouSetting()).affinity) is Affinity
    assert type(published_tracker(model, 2.0).affinity) is PublishedAffinity
    assert published_tracker(model, 2.0).affinity.pixel == 2.0
    assert all(tracker.max_shown == 15 for tracker in (gnn_tracker(model), published_tracker(model, 1.0)))


def test_models_are_those_of_the_plan(folder, tmp_path):
    lab = Lab(a_plan(folder, tmp_path))
    assert lab.model("plain", 0).detector.fusers is None
    assert lab.model("fused", 0).detector.fusers is not None
    assert lab.pixel(0) == 2, "the network sees 48×80 of 96×160"
    assert [scene.seed for scene in lab.test_scenes] == [3_000_000, 3_000_001]
    assert laboratory.MAX_SHOWN == 15
