import math

import pytest
import torch

from tltm_graph.association.common_motion import common_motion


def world(count: int = 6, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Boxes 20 × 40 far apart, each with a velocity of its own."""
    random = torch.Generator().manual_seed(seed)
    centres = torch.stack([100.0 * torch.arange(count), torch.zeros(count)], dim=1)
    places = torch.cat([centres, torch.tensor([20.0, 40.0]).expand(count, 2)], dim=1)
    return places, 4 * torch.randn((count, 2), generator=random)


def moved(places: torch.Tensor, by: torch.Tensor) -> torch.Tensor:
    return torch.cat([places[:, :2] + by, places[:, 2:]], dim=1)


def found(places, velocities, current, observations=10.0, gap=1.0):
    m = len(places)
    arrays = (x.double().numpy() for x in (places, velocities, torch.full((m,), observations), torch.full((m,), gap)))
    shift = common_motion(*arrays, current.double().numpy())
    return torch.zeros(m, 2) if shift is None else torch.from_numpy(shift.copy()).float()


def slowly(places, velocities, current):
    """How well each explanation does, witness by witness."""

    def worth(shift_of):
        total = 0.0
        for i, (x, y, w, h) in enumerate(places.tolist()):
            best = 0.0
            for u, v, a, b in current.tolist():
                if abs(math.log(a / w)) < 0.5 and abs(math.log(b / h)) < 0.5:
                    dx, dy = shift_of(i)
                    error = ((u - x - dx) ** 2 + (v - y - dy) ** 2) / (0.15**2 * w * h)
                    best = max(best, math.exp(-error / 2))
            total += best
        return total

    return worth


def test_a_common_shift_is_camera_motion():
    places, velocities = world()
    shift = torch.tensor([30.0, -12.0])
    jitter = torch.tensor([[0.5, 0], [-0.5, 0], [0, 0.5], [0, -0.5], [0.5, 0.5], [-0.5, -0.5]])
    expected = moved(places, shift + jitter)
    assert torch.allclose(found(places, velocities, expected), shift.expand(6, 2), atol=0.3)
    order = torch.randperm(6)
    assert torch.allclose(found(places, velocities, expected[order]), shift.expand(6, 2), atol=0.3)


@pytest.mark.parametrize("missing", [1, 2, 3])
def test_missing_frames_are_distinguished_from_camera_motion(missing):
    places, velocities = world()
    assert torch.allclose(found(places, velocities, moved(places, missing * velocities)), missing * velocities)


def test_the_null_hypothesis_wins_without_a_shift():
    places, velocities = world()
    assert not found(places, velocities, places).any()
    assert not found(places, velocities, moved(places, torch.tensor([2.0, 0.0]))).any(), "within what is expected"
    one = moved(places, torch.zeros(2))
    one[0, 0] += 30
    assert not found(places, velocities, one).any(), "one object alone is no camera"


def test_the_best_hypothesis_equals_an_exhaustive_search():
    for seed in range(10):
        random = torch.Generator().manual_seed(seed)
        places, velocities = world(5, seed)
        current = moved(places, 12 * torch.randn(2, generator=random) + torch.randn((5, 2), generator=random))
        current = current[torch.randperm(5, generator=random)[:4]]
        shift = found(places, velocities, current)
        worth = slowly(places, velocities, current)
        nothing = worth(lambda i: (0.0, 0.0))
        shifts = [tuple((c[:2] - p[:2]).tolist()) for p in places for c in current]
        best = max(worth(lambda i, s=s: s) for s in shifts)
        best = max(best, *(worth(lambda i, k=k, v=velocities: (k * v[i]).tolist()) for k in (1, 2, 3)))
        assert bool(shift.any()) == (best > nothing + 0.5 + 0.1 * 5)
        if shift.any() and torch.allclose(shift, shift[:1].expand_as(shift)):
            assert worth(lambda i, s=shift: s[i].tolist()) > 0.9 * best


def test_new_and_lost_tracks_are_not_witnesses():
    places, velocities = world()
    shifted = moved(places, torch.tensor([30.0, 0.0]))
    assert not found(places, velocities, shifted, observations=2.0).any()
    assert not found(places, velocities, shifted, gap=4.0).any()


@pytest.mark.parametrize(("m", "n"), [(0, 0), (0, 4), (4, 0), (1, 4), (4, 1)])
def test_too_few_witnesses(m, n):
    places, velocities = world(4)
    assert found(places[:m], velocities[:m], moved(places, torch.tensor([30.0, 0.0]))[:n]).tolist() == [[0, 0]] * m
