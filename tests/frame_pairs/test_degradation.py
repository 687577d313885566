import pytest
import torch

from tltm_graph.frame_pairs.degradation import DEGRADATIONS, darken, degrade, occlude
from tltm_graph.frame_pairs.sampling import seeded_generator


def picture(size=(60, 80)):
    noise = torch.rand(1, 3, 15, 20, generator=seeded_generator(0))
    return (255 * torch.nn.functional.interpolate(noise, size))[0].to(torch.uint8)


def error(image, other):
    return float((image.float() - other.float()).abs().mean())


@pytest.mark.parametrize("name", DEGRADATIONS)
def test_stronger_is_worse_and_seeds_repeat(name):
    image, kept = picture(), picture()
    weak, strong = (DEGRADATIONS[name](image, strength, seeded_generator(1)) for strength in (0.0, 1.0))
    assert torch.equal(image, kept), "the input was changed"
    assert weak.shape == strong.shape == image.shape
    assert weak.dtype == strong.dtype == torch.uint8
    assert 1 < error(image, weak) < error(image, strong)
    assert torch.equal(strong, DEGRADATIONS[name](image, 1.0, seeded_generator(1)))


@pytest.mark.parametrize("name", DEGRADATIONS)
@pytest.mark.parametrize("size", [(1, 1), (2, 90), (3, 3)])
def test_small_images(name, size):
    image = torch.full((3, *size), 100, dtype=torch.uint8)
    assert DEGRADATIONS[name](image, 1.0, seeded_generator(2)).shape == (3, *size)


def test_dark_frames_keep_a_share_of_the_light():
    image = torch.full((3, 200, 200), 200, dtype=torch.uint8)
    assert float(darken(image, 0.0, seeded_generator(0)).float().mean()) == pytest.approx(0.35 * 200, abs=1)


def test_one_rectangle_is_covered():
    image = torch.zeros(3, 100, 200, dtype=torch.uint8)
    changed = (occlude(image, 0.5, seeded_generator(3)) != 0).any(dim=0)
    rows, columns = changed.any(dim=1).nonzero().flatten(), changed.any(dim=0).nonzero().flatten()
    assert len(rows) == int(rows[-1] - rows[0]) + 1
    assert 0.35 * 100 <= len(rows) <= 0.6 * 100
    assert 0.35 * 200 <= len(columns) <= 0.6 * 200


def test_kind_and_strength_are_random():
    image, generator = picture(), seeded_generator(4)
    assert len({degrade(image, generator).numpy().tobytes() for _ in range(8)}) == 8
