import math

import pytest
import torch

from benchmarks.reidentification import Group, Seen, area_under_curve, measure


def seen(*ids):
    return Seen(torch.tensor(ids, dtype=torch.int64), torch.zeros(len(ids), 4), {})


def group(previous, current, unknown=()):
    same = torch.tensor([[a == b for b in current] for a in previous]).reshape(len(previous), len(current))
    known = torch.tensor([[(a, b) not in unknown for b in current] for a in previous]).reshape(same.shape)
    return Group(seen(*previous), seen(*current), same, known)


def test_area_under_curve_equals_the_loop():
    torch.manual_seed(0)
    scores, truth = torch.randint(0, 5, (40,)).double(), torch.rand(40) > 0.6
    pairs = [1.0 if a > b else 0.5 if a == b else 0.0 for a in scores[truth].tolist() for b in scores[~truth].tolist()]
    assert area_under_curve(scores, truth) == pytest.approx(sum(pairs) / len(pairs))
    assert math.isnan(area_under_curve(scores[truth], truth[truth]))


def test_measure():
    groups = [group((1, 2, 3), (1, 2)), group((4,), (5, 4, 6), unknown={(4, 6)})]
    scores = [torch.tensor([[0.9, 0.1], [0.8, 0.7], [0.9, 0.9]]), torch.tensor([[0.2, 0.6, 0.9]])]
    measured = measure(groups, scores)
    assert measured.queries == 3, "object 3 has left"
    assert measured.top1 == pytest.approx(200 / 3), "object 2 is taken for 1; the best of 4 is unknown"
    assert measured.chance == pytest.approx(50)
    assert len(measured.scores) == len(measured.truth) == 8
    assert measured.truth.sum() == 3
