import pytest
import torch

from tltm_graph.frame_pairs.draws import chance, integer, mixed, seeded, uniform


def test_ranges():
    generator = seeded(0)
    numbers = [uniform(generator, -2, 3) for _ in range(2000)]
    assert -2 <= min(numbers) < -1.9
    assert 2.9 < max(numbers) < 3
    whole = [integer(generator, 1, 3) for _ in range(300)]
    assert {*whole} == {1, 2, 3}
    assert all(70 < whole.count(n) < 130 for n in (1, 2, 3))
    assert sum(chance(generator, 0.2) for _ in range(2000)) == pytest.approx(400, abs=60)
    assert not any(chance(generator, 0.0) for _ in range(100))
    assert all(chance(generator, 1.0) for _ in range(100))


def test_seeds_name_things_apart():
    names = [(a, b) for a in range(40) for b in range(40)]
    assert len({mixed(*name) for name in names}) == 1600
    assert mixed(1, 23) != mixed(12, 3)
    assert mixed(-1) != mixed(1)
    assert mixed(0, 7) == 4752394561381373483, "the same on every machine and for ever: runs are resumed by it"
    assert uniform(seeded(3, 4), 0, 1) == uniform(seeded(3, 4), 0, 1) != uniform(seeded(4, 3), 0, 1)


def test_the_global_state_is_left_alone():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    generator = seeded(1)
    uniform(generator, 0, 1), integer(generator, 0, 5), chance(generator, 0.5)
    assert torch.equal(torch.get_rng_state(), before)
