import dataclasses

import pytest
import torch

from tests.training.test_objectives import tiny
from tltm_graph import Detections, MovingShapes
from tltm_graph.detectors import OracleDetector
from tltm_graph.graph import TRANSITION
from tltm_graph.models import save_model, tltm_tiny
from tltm_graph.structures import Tracks
from tltm_graph.training import MemoryData, RelationObjective, RenderedVideos
from tltm_graph.training.losses import edge_loss
from tltm_graph.training.memory_data import SAME, CachedFrame, cache_frames, memory_graph

SHAPES = MovingShapes.class_names


class Pooled(OracleDetector):
    """Perfect boxes, whose features are the frame index."""

    def detect(self, frame, context=None):
        seen, _ = super().detect(frame)
        self.asked.append((frame.index, context))
        features = torch.full((len(seen), 2, 1, 1), float(frame.index))
        return seen.replace(ids=None, masks=None, features=features), frame.index


def observations(*ids, frame=0):
    n = len(ids)
    boxes = torch.tensor([[0.0, 0, 10, 10]]).repeat(n, 1)
    features = torch.tensor([[float(frame), float(i)] for i in ids]).reshape(n, 2, 1, 1)
    labels = torch.zeros(n, dtype=torch.int64)
    return CachedFrame(frame, Detections(boxes, torch.ones(n), labels, features=features, ids=torch.tensor(ids).long()))


def test_cache_frames():
    scene = MovingShapes(num_frames=8, size=(48, 64), num_objects=3, seed=1)
    detector = Pooled(scene.truth, SHAPES)
    detector.asked = []
    truth = Tracks.from_stream(((t, scene.truth(t)) for t in range(8)), scene.size, 8)
    seen = cache_frames(detector, scene, truth, {1, 2, 5})
    assert detector.asked == [(1, None), (2, 1), (5, None)], "fused with the frame before, if that is cached too"
    assert [one.frame for one in seen] == [1, 2, 5]
    for one in seen:
        assert one.objects.ids.tolist() == scene.truth(one.frame).ids.tolist()
        assert one.objects.features.dtype == torch.half
    assert cache_frames(detector, scene, truth, {9}) == []


def test_memory_graph():
    seen = [
        observations(4, -1, 7, frame=0),
        observations(4, frame=1),
        observations(frame=2),
        observations(7, 9, -1, 4, frame=10),
    ]
    graph = memory_graph(seen, 3)
    assert graph["previous"].ids.tolist() == [4, 7], "-1 is unknown"
    assert graph["previous"].time_since_update.tolist() == [9, 10]
    assert graph["previous"].x.flatten(1).tolist() == [[1, 4], [0, 7]]
    assert graph["earlier"].x.flatten(1).tolist() == [[0, 4]], "of 4 alone there is one observation more"
    assert graph[SAME].edge_index.tolist() == [[0], [0]]
    assert graph["current"].ids.tolist() == [7, 9, -1, 4]
    store = graph[TRANSITION]
    assert store.y.reshape(2, 4).tolist() == [[0, 0, 0, 1], [1, 0, 0, 0]]
    assert store.known.reshape(2, 4).tolist() == [[True, True, False, True]] * 2
    assert memory_graph(seen, 3, first=1)["previous"].ids.tolist() == [4]
    for now, first in ((3, 2), (3, 3), (0, 0), (2, 0)):
        empty = memory_graph(seen, now, first)
        assert empty[TRANSITION].edge_index.shape == (2, 0)
        assert len(empty["previous"].time_since_update) == empty["previous"].num_nodes
        assert empty["earlier"].num_nodes == (first == 0 and now == 2)


def test_what_nobody_knows_does_not_count():
    model = tiny()
    torch.manual_seed(1)
    features = torch.randn(5, 67, 14, 14)

    def seen(frame, ids, rows):
        objects = observations(*ids, frame=frame).objects
        return CachedFrame(frame, objects.replace(features=features[rows].half()))

    graphs = [memory_graph([seen(0, [4, 7], [0, 1]), seen(3, ids, [2, 3])], 1) for ids in ([4, -1], [4, 8])]
    loss = RelationObjective()(model, [graphs[0]])["gnn_edge"]
    nodes = dict(zip(("previous", "current"), (graphs[1][s].x for s in ("previous", "current")), strict=True))
    assert nodes["previous"].dtype == torch.half
    for side, x in nodes.items():
        graphs[1][side].x = model.relation.encoder(x.float())
    logits = model.relation.score(graphs[1]).reshape(2, 2)[:, 0]
    expected = torch.nn.functional.binary_cross_entropy_with_logits(logits, torch.tensor([1.0, 0.0]))
    torch.testing.assert_close(loss, expected, msg="only transitions to the first detection")
    loss.backward()
    assert all(p.grad is None for p in model.detector.parameters()), "only the relation model learns"


def test_embeddings_are_the_mean_of_all_observations():
    model = tiny()
    torch.manual_seed(1)
    features = torch.randn(7, 67, 14, 14)

    def seen(frame, ids, rows):
        return CachedFrame(frame, observations(*ids, frame=frame).objects.replace(features=features[rows].half()))

    video = [seen(0, [4], [0]), seen(1, [4, 7], [1, 2]), seen(2, [4, -1], [3, 4]), seen(5, [7, 4], [5, 6])]
    graphs = [memory_graph(video, now) for now in (1, 3)]
    loss = RelationObjective()(model, graphs)["gnn_edge"]
    with torch.no_grad():
        nodes = model.relation.encoder(features.half().float())
        logits, truth = [], []
        for graph, x, mean_x, z in (
            (graphs[0], nodes[:1], nodes[:1], nodes[1:3]),
            (graphs[1], nodes[[3, 2]], torch.stack([nodes[[0, 1, 3]].mean(dim=0), nodes[2]]), nodes[5:]),
        ):
            graph["previous"].x, graph["previous"].mean_x, graph["current"].x = x, mean_x, z
            logits.append(model.relation.score(graph))
            truth.append(graph[TRANSITION].y)
    torch.testing.assert_close(loss.detach(), edge_loss(torch.cat(logits), torch.cat(truth)))
    loss.backward()
    assert all(p.grad is not None for p in model.relation.encoder.looks.parameters())


@pytest.fixture
def weights(tmp_path):
    torch.manual_seed(0)
    model = tltm_tiny(SHAPES, min_size=64, max_size=96)
    torch.nn.init.constant_(model.detector.head.cls_logits.bias, 0.5)
    model.detector.decoder = dataclasses.replace(model.detector.decoder, max_objects=6)
    save_model(model, tmp_path / "tiny.safetensors")
    return str(tmp_path / "tiny.safetensors")


@pytest.mark.slow
def test_data_is_the_same_for_any_number_of_processes(weights):
    videos = RenderedVideos(num_scenes=2, num_frames=12, size=(64, 96))
    opened = [MemoryData(videos, weights, runs=2, num_workers=n).open(SHAPES, seed=3) for n in (0, 2)]
    assert opened[0].report == opened[1].report
    assert opened[0].report[0].startswith("2 videos: ")
    assert opened[0].report[0].endswith("objects seen in 12 frames")
    for k in (0, 5, 100):
        one, other = (data.samples[k] for data in opened)
        assert one["previous"].time_since_update.equal(other["previous"].time_since_update)
        assert one["current"].x.equal(other["current"].x)
    loss = RelationObjective()(tltm_tiny(SHAPES), [opened[0].samples[k] for k in range(4)])
    assert loss["gnn_edge"].isfinite()


def test_errors(weights):
    videos = RenderedVideos(num_scenes=1, num_frames=6, size=(64, 96))
    with pytest.raises(ValueError, match=r"Expected a detector of the classes \['cat'\]"):
        MemoryData(videos, weights).open(("cat",))
    with pytest.raises(ValueError, match="Expected at least two frames of each video, got 1 runs of 1"):
        MemoryData(videos, weights, runs=1, run_length=1)
    with pytest.raises(ValueError, match="Expected videos with objects in more than one frame"):
        MemoryData(videos, weights, score_threshold=1.0, num_workers=0).open(SHAPES)
