import math

import numpy as np
import pytest
import torch
from torch_geometric.data import Batch

from tests.cases import CROSSING, Script, blank, drawn
from tltm_graph import Detections, Tracker
from tltm_graph.association import Affinity, Assignment, EdgeScores
from tltm_graph.association.common_motion import common_motion
from tltm_graph.association.motion_features import NUM_CURRENT, NUM_EDGE, NUM_PREVIOUS, motion_features
from tltm_graph.graph import TRANSITION, frame_pair_graph
from tltm_graph.structures.motion import Motion
from tltm_graph.tracking import Memory, TrackManager

SIDES = ("current", "previous")


def pair(m: int, n: int, seed: int = 0):
    """A graph of m tracks that were seen a few times and n detections."""
    random = torch.Generator().manual_seed(seed)

    def boxes(count):
        centre = 200 * torch.rand((count, 2), generator=random)
        size = 20 + 30 * torch.rand((count, 2), generator=random)
        return torch.cat([centre - size / 2, centre + size / 2], dim=1)

    def some(count):
        scores = torch.rand(count, generator=random)
        return Detections(boxes(count), scores, torch.randint(0, 2, (count,), generator=random))

    life = TrackManager(new_track_threshold=0.0)
    first = some(m)
    memory = Memory.empty()
    index = torch.arange(m)
    none = index[:0]
    memory, _, _ = life.update(memory, first, Assignment(none, none, index, none), 0.0)
    rows = torch.arange(len(memory))
    for t in range(1, 4):
        noise = 3 * torch.randn((len(memory), 2), generator=random).repeat(1, 2)
        tracks = memory.detections()
        again = tracks.replace(boxes=tracks.boxes + noise, ids=None)
        memory, _, _ = life.update(memory, again, Assignment(rows, rows, none, none), float(t))
    current = some(n)
    graph = frame_pair_graph(life.predict(memory, 6.0).replace(ids=None), current)
    graph["previous"].time_since_update = memory.time_since_update(6.0)
    graph.scene = torch.tensor([[240.0, 320.0, 0.04]])
    life.add_motion(graph, memory, 6.0)
    return graph


def slow_edges(graph, features, logits=None):
    """Edge features one by one, in plain arithmetic."""
    previous, current = graph["previous"], graph["current"]
    motion, places = Motion(previous.motion.numpy()), previous.places.clone()
    places[..., 2:] = places[..., 2:].clamp(min=1)
    seen = [((a + c) / 2, (b + d) / 2, c - a, d - b) for a, b, c, d in current.boxes.tolist()]
    shift = common_motion(
        places[:, 1].numpy(),
        motion.velocities[:, 1],
        motion.observations[:, 1],
        previous.time_since_update.numpy(),
        np.array(seen),
    )
    shift = np.zeros((len(places), 2)) if shift is None else shift

    def iou(p, q):
        (x, y, w, h), (u, v, a, b) = p, q
        across = max(0.0, min(x + w / 2, u + a / 2) - max(x - w / 2, u - a / 2))
        down = max(0.0, min(y + h / 2, v + b / 2) - max(y - h / 2, v - b / 2))
        return across * down / (w * h + a * b - across * down)

    def far(i, j):
        (x, y, w, h), (u, v, a, b) = places[i, 1].tolist(), seen[j]
        away = math.hypot((u - x) / math.sqrt(w * a), (v - y) / math.sqrt(h * b))
        return away / (1 + 0.3 * math.sqrt(float(previous.time_since_update[i])))

    rows = []
    for kept, (i, j) in zip(features.kept.tolist(), features.edge_index.T.tolist(), strict=True):
        quick, middle, patient = places[i].tolist()
        last = motion.last[i].tolist()
        shifted = [middle[0] + float(shift[i, 0]), middle[1] + float(shift[i, 1]), *middle[2:]]
        u, v, a, b = seen[j]
        w, h = math.sqrt(middle[2] * a), math.sqrt(middle[3] * b)
        row = []
        for place in (middle, quick, last, patient, shifted):
            row += [math.asinh((u - place[0]) / w / 0.1), math.asinh((v - place[1]) / h / 0.1)]
        gap, jitter = float(previous.time_since_update[i]), motion.noise[i].tolist()
        spread = jitter[0] * math.sqrt(1 + 0.3 * gap)
        row += [math.asinh((u - middle[0]) / w / spread), math.asinh((v - middle[1]) / h / spread)]
        for place in (middle, last, patient):
            row += [math.asinh(math.log(a / place[2]) / 0.1), math.asinh(math.log(b / place[3]) / 0.1)]
        row += [math.asinh(math.log(a / middle[2]) / jitter[1]), math.asinh(math.log(b / middle[3]) / jitter[1])]
        row.append(math.log(math.hypot((u - middle[0]) / w, (v - middle[1]) / h) + 0.02))
        row.append(math.asinh((v + b / 2 - middle[1] - middle[3] / 2) / h / 0.1))
        row += [iou(middle, seen[j]), iou(shifted, seen[j])]
        grow = 1 + 2 * (0.15 + 0.05 * math.sqrt(max(0, gap - 1)))
        row.append(iou((middle[0], middle[1], middle[2] * grow, middle[3] * grow), seen[j]))
        row.append(float(previous.labels[i] == current.labels[j]))
        row.append(float(current.scores[j] - previous.scores[i]))
        others = [far(k, j) for k in range(len(places)) if k != i]
        row.append(max(-4, min(4, math.log((min(others, default=9.0) + 0.02) / (far(i, j) + 0.02)))))
        others = [far(i, k) for k in range(len(seen)) if k != j]
        row.append(max(-4, min(4, math.log((min(others, default=9.0) + 0.02) / (far(i, j) + 0.02)))))
        guess = math.log(max(len(places), len(seen)))
        row += [0.0, 0.0] if logits is None else [(float(logits[kept]) + guess) / 3, 1.0]
        rows.append(row)
    return torch.tensor(rows).reshape(-1, NUM_EDGE)


@pytest.mark.parametrize(("m", "n"), [(4, 5), (1, 3), (3, 1), (12, 14)])
@pytest.mark.parametrize("told", [False, True])
def test_edges_are_what_the_slow_loop_says(m, n, told):
    graph = pair(m, n)
    logits = torch.randn(m * n, generator=torch.Generator().manual_seed(1)) if told else None
    features = motion_features(graph, logits)
    assert torch.equal(graph[TRANSITION].edge_index[:, features.kept], features.edge_index)
    assert torch.allclose(features.edges, slow_edges(graph, features, logits), atol=2e-4)


@pytest.mark.parametrize(("m", "n"), [(0, 0), (0, 3), (3, 0), (1, 1)])
def test_empty_sides(m, n):
    features = motion_features(pair(m, n))
    assert features.previous.shape == (m, NUM_PREVIOUS)
    assert features.current.shape == (n, NUM_CURRENT)
    assert features.edges.shape == (len(features.kept), NUM_EDGE)
    assert features.edge_index.shape == (2, len(features.kept))


def test_features_do_not_depend_on_the_resolution():
    graph, large = pair(4, 5), pair(4, 5)
    for nodes in (large["previous"], large["current"]):
        nodes.boxes = 4 * nodes.boxes
    tracks = large["previous"]
    tracks.places, motion = 4 * tracks.places, Motion(tracks.motion.numpy())
    tracks.motion = torch.from_numpy(
        Motion.of(
            **motion.columns()
            | {"places": 4 * motion.places, "velocities": 4 * motion.velocities, "last": 4 * motion.last}
        ).table
    )
    large.scene = torch.tensor([[960.0, 1280.0, 0.04]])
    small, big = motion_features(graph), motion_features(large)
    for name in ("previous", "current", "edges"):
        assert torch.allclose(getattr(small, name), getattr(big, name), atol=1e-3), name


def test_distant_edges_are_gated_unless_the_appearance_model_keeps_them():
    graph = pair(5, 2)
    graph["current"].boxes = graph["current"].boxes + 5000
    assert len(motion_features(graph).kept) == 0
    logits = torch.tensor([[-9.0, 3.0], [-7.0, -5.0], [-5.0, 2.0], [-8.0, 1.0], [-6.0, 0.0]])
    likely = [1, 5, 7, 9]  # all but one track for the duplicate, none for the first
    best_three_of_the_first = [2, 4, 8]
    assert motion_features(graph, logits.flatten()).kept.tolist() == sorted(likely + best_three_of_the_first)
    pruned = torch.arange(10) != 4  # without its best track the first detection has another for a third
    graph[TRANSITION].edge_index = graph[TRANSITION].edge_index[:, pruned]
    left = torch.arange(10)[pruned][motion_features(graph, logits.flatten()[pruned]).kept]
    assert left.tolist() == sorted([*likely, 2, 6, 8])


def test_a_tracker_provides_all_fields():
    seen = []

    class Recording(Affinity):
        def score(self, graph):
            seen.append(motion_features(graph))
            return EdgeScores(
                *(torch.zeros(n) for n in (graph[TRANSITION].num_edges, *(len(graph[s].boxes) for s in SIDES)))
            )

    frames = drawn(CROSSING)
    for _ in Tracker(Script(frames), Recording()).track(blank(t) for t in range(len(frames))):
        pass
    assert len(seen) == len(frames)
    assert all(torch.isfinite(f.previous).all() and torch.isfinite(f.edges).all() for f in seen)


SIZES = [(4, 5), (0, 3), (12, 14), (3, 0), (1, 1), (0, 0), (30, 2), (7, 40)]


def moving(m: int, n: int, seed: int):
    """A pair in which most detections are tracks that moved by one shift, so that there is common motion."""
    graph, count = pair(m, n, seed), min(m, n)
    shift = torch.tensor([60.0, 10.0, 60.0, 10.0])
    graph["current"].boxes = torch.cat([graph["previous"].boxes[:count] + shift, graph["current"].boxes[count:]])
    return graph


@pytest.mark.parametrize("told", [False, True])
def test_a_batch_has_the_features_of_its_graphs(told):
    graphs = [make(m, n, seed) for make in (pair, moving) for seed, (m, n) in enumerate(SIZES)]
    random = torch.Generator().manual_seed(5)
    logits = [torch.randn(graph[TRANSITION].num_edges, generator=random) if told else None for graph in graphs]
    alone = [motion_features(graph, of) for graph, of in zip(graphs, logits, strict=True)]
    batch = Batch.from_data_list(graphs)
    together = motion_features(batch, torch.cat(logits) if told else None)
    for name in ("previous", "current", "edges"):
        expected = torch.cat([getattr(features, name) for features in alone])
        assert torch.allclose(getattr(together, name), expected, atol=1e-6), name
    steps = torch.tensor([[len(g["previous"].boxes), len(g["current"].boxes)] for g in graphs]).cumsum(dim=0)
    starts = torch.cat([torch.zeros(1, 2, dtype=torch.int64), steps[:-1]])
    index = [features.edge_index + start[:, None] for features, start in zip(alone, starts, strict=True)]
    assert together.edge_index.equal(torch.cat(index, dim=1))
    assert batch[TRANSITION].edge_index[:, together.kept].equal(together.edge_index)


def test_a_pruned_graph_gives_the_same_features():
    graph, logits = pair(5, 6), torch.randn(30, generator=torch.Generator().manual_seed(3))
    whole = motion_features(graph, logits)
    left = torch.randperm(30, generator=torch.Generator().manual_seed(4))[:17].sort().values
    graph[TRANSITION].edge_index = graph[TRANSITION].edge_index[:, left]
    part = motion_features(graph, logits[left])
    both = torch.isin(whole.kept, left)
    assert torch.equal(whole.edge_index[:, both], part.edge_index)
    assert torch.equal(left[part.kept], whole.kept[both])
    assert torch.allclose(whole.edges[both], part.edges)


def test_errors():
    graph = frame_pair_graph(drawn("a")[0], drawn("a")[0])
    with pytest.raises(ValueError, match=r"motion of its tracks.*use GeometricAffinity\(\)"):
        motion_features(graph)
