import json
import zipfile

import pytest
import torch
from torch_geometric.data import Batch

from tests.cases import EMPTY_FRAMES, Script, blank, drawn
from tests.explanation.saved_runs import oracle, related, saved, scene
from tltm_graph import GraphWriter, SavedGraph, Tracker
from tltm_graph.association import GeometricAffinity
from tltm_graph.explanation import association_graph
from tltm_graph.graph import TRANSITION
from tltm_graph.ops.rle import decode_rle


def same(one, other) -> bool:
    return torch.equal(one, other) and one.dtype == other.dtype


@pytest.mark.parametrize("affinity", [None, GeometricAffinity()], ids=["learned", "by hand"])
def test_every_decision_is_restored(tmp_path, affinity):
    frames = scene()
    tracker = Tracker(oracle(frames), affinity=affinity)
    graph, steps = saved(tracker, frames, tmp_path / "graph.zip", max_edges=1000, frames_each=4)
    assert graph.frames == tuple(range(14))
    assert len(graph) == 14
    assert graph.size == (64, 96)
    assert graph.class_names == frames.class_names
    assert graph.about["tracker"] == repr(tracker)
    for (state, detections), decision in zip(steps, graph, strict=True):
        known = state.decision.compact()
        assert (decision.frame, decision.time) == (known.frame, known.time)
        for side in ("previous", "current"):
            one, other = getattr(decision, side), getattr(known, side)
            assert all(same(getattr(one, name), getattr(other, name)) for name in ("boxes", "scores", "labels", "ids"))
        for name in ("time_since_update", "edge_index", "tracks"):
            assert same(getattr(decision, name), getattr(known, name))
        assert torch.allclose(decision.margins.double(), known.margins)
        for name in ("edges", "births", "misses"):
            assert same(getattr(decision.scores, name), getattr(known.scores, name))
        assert decision.scores.terms.keys() == known.scores.terms.keys()
        for name in ("previous", "current", "births", "misses"):
            assert same(getattr(decision.assignment, name), getattr(known.assignment, name))
        assert detections.masks is not None
        assert decision.masks == known.masks
        assert torch.equal(decode_rle(decision.masks, (64, 96)), detections.masks)
        assert torch.equal(graph[decision.frame].tracks, known.tracks)


def test_terms_add_up_and_few_edges_suffice(tmp_path):
    frames = scene()
    graph, _steps = saved(
        Tracker(oracle(frames), affinity=GeometricAffinity()), frames, tmp_path / "graph.zip", max_edges=2
    )
    for decision in graph:
        sums = torch.stack(list(decision.scores.terms.values())).sum(dim=0)
        assert torch.allclose(sums, decision.scores.edges, atol=1e-6)
        counts = decision.edge_index[1].bincount(minlength=len(decision.current))
        assert (counts <= 3).all()
        assert int(decision.chosen.sum()) == len(decision.assignment)


def test_a_frame_pair_is_a_graph_of_pyg_and_batches(tmp_path):
    frames = scene()
    graph, _ = saved(Tracker(oracle(frames), affinity=GeometricAffinity()), frames, tmp_path / "graph.zip")
    pairs = [decision.to_graph() for decision in graph]
    last = pairs[-1]
    assert last.edge_terms == ["iou", "label", "age"]
    assert last[TRANSITION].edge_attr.shape == (last[TRANSITION].edge_index.shape[1], 3)
    assert last.validate()
    batch = Batch.from_data_list(pairs)
    assert batch["current"].num_nodes == sum(len(decision.current) for decision in graph)
    drawing = association_graph(graph)
    assert drawing.number_of_nodes() == batch["current"].num_nodes
    assert {"frame", "row", "track", "shown", "label", "score", "box", "margin"} <= set(drawing.nodes["13:0"])


def test_frames_without_objects_and_videos_without_frames(tmp_path):
    frames = drawn(EMPTY_FRAMES)
    graph, _ = saved(Tracker(Script(frames)), map(blank, range(4)), tmp_path / "graph.zip")
    assert [len(decision.current) for decision in graph] == [0, 1, 0, 1]
    assert graph[0].to_graph()[TRANSITION].edge_index.shape == (2, 0)
    assert graph[0].masks is None
    none, _ = saved(Tracker(Script([])), [], tmp_path / "none.zip")
    assert len(none) == 0
    assert none.size is None
    assert list(none) == []
    with pytest.raises(ValueError, match="none, it is empty"):
        none[0]


def test_embeddings_and_masks_on_demand_are_restored(tmp_path):
    model, frames = related(), scene(4)
    graph, steps = saved(Tracker(model, max_shown=3), frames, tmp_path / "graph.zip")
    assert any((detections.ids >= 0).any() for _, detections in steps)
    for state, detections in steps:
        found, drawn_ = graph.detections(state.frame), graph.drawn(state.frame)
        assert found.masks is None
        assert same(found.embeddings, state.decision.graph["current"].x)
        assert same(drawn_.boxes, detections.boxes)
        assert same(drawn_.masks, detections.masks)


def test_a_failed_run_leaves_nothing(tmp_path):
    tracker = Tracker(Script(drawn("a\nb")))
    with pytest.raises(RuntimeError, match="no more"), GraphWriter(tmp_path / "graph.zip", tracker) as writer:
        writer.write(tracker.step(tracker.start(), blank(0))[0])
        raise RuntimeError("no more")
    assert list(tmp_path.iterdir()) == []


def test_other_files_are_refused(tmp_path):
    path = tmp_path / "graph.zip"
    with pytest.raises(FileNotFoundError, match="--save-graph writes one"):
        SavedGraph(path)
    frames = scene(6)
    graph, _ = saved(Tracker(oracle(frames)), frames, path, frames_each=3)
    with pytest.raises(ValueError, match=r"one of 6 from 0 to 5\), got 6"):
        graph[6]
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"^Expected an association graph in '[^']*', got a truncated"):
        SavedGraph(path)
    path.write_bytes(b"not a graph")
    with pytest.raises(ValueError, match="truncated, damaged or different"):
        SavedGraph(path)
    path.write_bytes(whole)
    with zipfile.ZipFile(path) as file:
        parts = {name: file.read(name) for name in file.namelist()}
    parts["header.json"] = json.dumps(json.loads(parts["header.json"]) | {"version": 99}).encode()
    with zipfile.ZipFile(path, "w") as file:
        for name, content in parts.items():
            file.writestr(name, content)
    with pytest.raises(ValueError, match="newer tltm-graph"):
        SavedGraph(path)
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("header.json", "{}")
        file.writestr("index.json", "{}")
    with pytest.raises(ValueError, match="got another archive"):
        SavedGraph(path)
