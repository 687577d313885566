import math

import pytest
import torch

from tests.cases import drawn
from tltm_graph import Detections, frame_pair_graph
from tltm_graph.graph import TRANSITION, AddGeometry, AddLabels, PruneCandidates


def random_pair(m: int, n: int, seed: int = 0) -> tuple[Detections, Detections]:
    random = torch.Generator().manual_seed(seed)
    sides = []
    for count in (m, n):
        corner, size = torch.rand((count, 2), generator=random) * 100, torch.rand((count, 2), generator=random) * 30
        boxes = torch.cat([corner, corner + size + 2], dim=1)
        sides.append(Detections(boxes, torch.rand(count, generator=random), torch.zeros(count, dtype=torch.int64)))
    return sides[0], sides[1]


@pytest.mark.parametrize(("m", "n", "k"), [(0, 0, 1), (0, 4, 1), (3, 0, 2), (6, 5, 1), (6, 5, 2), (3, 4, 9)])
def test_pruning_keeps_the_nearest_objects_of_both_sides(m, n, k):
    previous, current = random_pair(m, n)
    graph = frame_pair_graph(previous, current)
    graph[TRANSITION].edge_attr = torch.arange(m * n)
    pruned = PruneCandidates(k)(graph)
    assert graph[TRANSITION].edge_index.shape[1] == m * n, "a transform leaves its input alone"

    def distance(i: int, j: int) -> float:
        a, b = previous.boxes[i], current.boxes[j]
        gap = ((a[:2] + a[2:]) / 2 - (b[:2] + b[2:]) / 2).norm()
        return float(gap / math.sqrt(math.sqrt((a[2:] - a[:2]).prod() * (b[2:] - b[:2]).prod())))

    expected = {(i, j) for i in range(m) for j in sorted(range(n), key=lambda j: distance(i, j))[:k]}
    expected |= {(i, j) for j in range(n) for i in sorted(range(m), key=lambda i: distance(i, j))[:k]}
    edges = list(map(tuple, pruned[TRANSITION].edge_index.T.tolist()))
    assert edges == sorted(expected)
    assert pruned[TRANSITION].edge_attr.tolist() == [i * n + j for i, j in edges]


def test_pruning_needs_a_candidate():
    assert str(PruneCandidates(4)) == "PruneCandidates(4)"
    with pytest.raises(ValueError, match="at least 1 candidate"):
        PruneCandidates(0)


@pytest.mark.parametrize(("m", "n"), [(0, 3), (2, 0), (4, 3)])
@pytest.mark.parametrize("zoom", [1.0, 3.0])
def test_geometry_equals_the_formula_at_any_resolution(m, n, zoom):
    previous, current = random_pair(m, n)
    zoomed = [side.replace(boxes=side.boxes * zoom) for side in (previous, current)]
    attr = AddGeometry()(frame_pair_graph(*zoomed))[TRANSITION].edge_attr
    assert attr.shape == (m * n, 6)
    for e in range(m * n):
        (ax0, ay0, ax1, ay1), (bx0, by0, bx1, by1) = previous.boxes[e // n].tolist(), current.boxes[e % n].tolist()
        width, height = max(0, min(ax1, bx1) - max(ax0, bx0)), max(0, min(ay1, by1) - max(ay0, by0))
        union = (ax1 - ax0) * (ay1 - ay0) + (bx1 - bx0) * (by1 - by0) - width * height
        expected = [
            ((bx0 + bx1) - (ax0 + ax1)) / 2 / (ax1 - ax0),
            ((by0 + by1) - (ay0 + ay1)) / 2 / (ay1 - ay0),
            math.log((bx1 - bx0) / (ax1 - ax0)),
            math.log((by1 - by0) / (ay1 - ay0)),
            width * height / union,
            float(current.scores[e % n] - previous.scores[e // n]),
        ]
        torch.testing.assert_close(attr[e], torch.tensor(expected), atol=1e-4, rtol=1e-4)


def test_labels():
    previous, current = drawn("ab.\n.ba")
    unknown = current.replace(ids=torch.tensor([0, -1]))
    assert AddLabels()(frame_pair_graph(previous, current))[TRANSITION].y.tolist() == [1, 0, 0, 1]
    assert AddLabels()(frame_pair_graph(previous.replace(ids=torch.tensor([0, -1])), unknown))[
        TRANSITION
    ].y.tolist() == [1, 0, 0, 0]
    with pytest.raises(ValueError, match="Expected 'ids' of the previous objects"):
        AddLabels()(frame_pair_graph(previous.replace(ids=None), current.replace(ids=None)))


def test_geometry_is_appended_to_existing_features():
    graph = frame_pair_graph(*random_pair(2, 3))
    alone = AddGeometry()(frame_pair_graph(*random_pair(2, 3)))[TRANSITION].edge_attr
    graph[TRANSITION].edge_attr = torch.arange(6.0)[:, None]
    assert torch.equal(
        AddGeometry()(graph)[TRANSITION].edge_attr, torch.cat([torch.arange(6.0)[:, None], alone], dim=1)
    )


def test_boxes_without_area_do_not_overlap():
    nothing = Detections(torch.zeros(2, 4), torch.ones(2), torch.zeros(2).long())
    assert AddGeometry()(frame_pair_graph(nothing, nothing))[TRANSITION].edge_attr.abs().sum() == 0
