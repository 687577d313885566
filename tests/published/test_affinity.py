import pytest
import torch

from tests.cases import FixedLogits, drawn
from tltm_graph import frame_pair_graph
from tltm_graph.graph import PruneCandidates
from tltm_graph.published import PublishedAffinity


@pytest.mark.parametrize("gate", [0.3, None])
def test_equals_the_formula(gate):
    (before,), (now,) = drawn("ab"), drawn("b.ac", {"c": 2})
    now = now.replace(boxes=now.boxes - 5, scores=torch.tensor([0.9, 0.5, 0.2]))
    logits = torch.linspace(-1, 2, 6)
    affinity = PublishedAffinity(match=0.5, score=1.5, iou=2.5, label=10, iou_gate=gate, appearance=FixedLogits(logits))
    scores = affinity.score(frame_pair_graph(before, now))
    p = logits.sigmoid().reshape(2, 3).double()
    for j in range(3):
        total = 1 + p[:, j].exp().sum()
        log_score = 1.5 * float(now.scores[j].log())
        assert float(scores.births[j]) == pytest.approx(-0.5 * float(total.log()) + log_score + 10, abs=1e-5)
        for i in range(2):
            overlap = inclusive_iou(before.boxes[i].tolist(), now.boxes[j].tolist())
            if gate is not None and overlap < gate:
                overlap = -10000
            same = bool(before.labels[i] == now.labels[j])
            expected = 0.5 * float(p[i, j] - total.log()) + log_score + 2.5 * overlap + 10 * same
            assert float(scores.edges[3 * i + j]) == pytest.approx(expected, abs=1e-4, rel=1e-6)


def inclusive_iou(a, b):
    width = max(0, min(a[2], b[2]) - max(a[0], b[0]) + 1)
    height = max(0, min(a[3], b[3]) - max(a[1], b[1]) + 1)
    area = [(x[2] - x[0] + 1) * (x[3] - x[1] + 1) for x in (a, b)]
    return width * height / (sum(area) - width * height)


def test_the_relation_cannot_decide_between_old_and_new():
    """The known limit of the published rule: overlap of 0.3 and the same class always win, whatever the GNN says."""
    (before,), (now,) = drawn("a"), drawn("a")
    certain_it_is_another = PublishedAffinity(appearance=FixedLogits(torch.tensor([-50.0]))).score(
        frame_pair_graph(before, now)
    )
    assert certain_it_is_another.edges[0] > certain_it_is_another.births[0]
    far = now.replace(boxes=now.boxes + 15)
    certain_it_is_the_same = PublishedAffinity(appearance=FixedLogits(torch.tensor([50.0]))).score(
        frame_pair_graph(before, far)
    )
    assert certain_it_is_the_same.edges[0] < certain_it_is_the_same.births[0]


def test_bad_input():
    graph = frame_pair_graph(*drawn("a.......b.\na.......b."))
    with pytest.raises(ValueError, match="Expected all 2 × 2 edges, got 2: do not prune them"):
        PublishedAffinity().score(PruneCandidates(1)(graph))
    graph["current"].scores = torch.tensor([0.5, 0.0])
    with pytest.raises(ValueError, match="scores above 0, got 0"):
        PublishedAffinity().score(graph)


def test_boxes_score_as_in_the_resized_image_of_the_network():
    (previous,), (current,) = drawn("ab.c"), drawn("b.ac")
    current = current.replace(boxes=current.boxes - 5)
    in_network = PublishedAffinity().score(frame_pair_graph(previous, current))
    scale = 0.5859
    shrunk = [d.replace(boxes=d.boxes * scale) for d in (previous, current)]
    graph = frame_pair_graph(*shrunk)
    graph.scene = torch.tensor([[480.0, 640.0, 0.04]])
    affinity = PublishedAffinity(scale=lambda size: {(480, 640): 1 / scale}[size])
    in_frame = affinity.score(graph)
    torch.testing.assert_close(in_frame.edges, in_network.edges)
    other = PublishedAffinity().score(frame_pair_graph(*shrunk))
    assert not torch.equal(other.edges, in_network.edges)
