import pytest
import torch

from tests.cases import FixedLogits, drawn
from tltm_graph import frame_pair_graph
from tltm_graph.association import GeometricAffinity
from tltm_graph.graph import PruneCandidates


@pytest.mark.parametrize(("previous", "current"), [("..", "ab"), ("ab", ".."), ("a.b", "abc")])
@pytest.mark.parametrize("with_logits", [False, True])
def test_equals_the_formula(previous, current, with_logits):
    (before,), (now,) = drawn(previous), drawn(current, {"c": 1})
    graph = frame_pair_graph(before, now)
    m, n = len(before), len(now)
    graph["previous"].time_since_update = torch.arange(1.0, m + 1) ** 2
    logits = torch.linspace(-2, 2, m * n) if with_logits else None
    appearance = None if logits is None else FixedLogits(logits)
    affinity = GeometricAffinity(0.3, label=0.4, age=0.02, relation=0.7, margin=0.1, appearance=appearance)
    scores = affinity.score(graph)
    for e in range(m * n):
        i, j = e // n, e % n
        unseen = (i + 1) ** 2 - 1
        margin = 0.1 + 0.05 * unseen**0.5
        a, b = grown(before.boxes[i].tolist(), margin), grown(now.boxes[j].tolist(), margin)
        expected = iou(a, b) - 0.4 * bool(before.labels[i] != now.labels[j]) - 0.02 * unseen
        if logits is not None:
            expected += 0.7 * (2 / (1 + float((-logits[e]).exp())) - 1)
        assert float(scores.edges[e]) == pytest.approx(expected, abs=1e-5)
    assert scores.births.tolist() == pytest.approx([0.3] * n)
    assert scores.misses.tolist() == [0] * m
    torch.testing.assert_close(sum(scores.terms.values()), scores.edges)


def grown(box, margin):
    x0, y0, x1, y1 = box
    return x0 - margin * (x1 - x0), y0 - margin * (y1 - y0), x1 + margin * (x1 - x0), y1 + margin * (y1 - y0)


def iou(a, b):
    inter = max(0, min(a[2], b[2]) - max(a[0], b[0])) * max(0, min(a[3], b[3]) - max(a[1], b[1]))
    return inter / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - inter)


def test_pruned_graphs_score_the_same_edges():
    graph = frame_pair_graph(*drawn("ab.c\na.bc"))
    whole, part = GeometricAffinity().score(graph), GeometricAffinity().score(PruneCandidates(1)(graph))
    assert 0 < len(part.edges) < len(whole.edges)
    assert set(part.edges.tolist()) <= set(whole.edges.tolist())


def test_an_appearance_model_makes_vetoes_and_abstains():
    (before,), (now,) = drawn("a"), drawn("a")
    far = now.replace(boxes=now.boxes + 100)

    def matches(current, logit: float) -> bool:
        affinity = GeometricAffinity(appearance=FixedLogits(torch.tensor([logit])))
        scores = affinity.score(frame_pair_graph(before, current))
        return bool(scores.edges[0] > scores.births[0])

    assert [matches(now, logit) for logit in (-30.0, 0.0, 30.0)] == [False, True, True]
    assert [matches(far, logit) for logit in (-30.0, 0.0, 30.0)] == [False, False, True]


def test_boxes_without_area_have_finite_scores():
    (one,) = drawn("a")
    point = one.replace(boxes=torch.tensor([[5.0, 5.0, 5.0, 5.0]]))
    assert torch.isfinite(GeometricAffinity().score(frame_pair_graph(point, point)).edges).all()
