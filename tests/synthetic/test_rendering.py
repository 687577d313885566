"""Steps of rendering, each compared with a slow, obvious version."""

import numpy as np
import pytest
from PIL import Image

from tltm_graph.synthetic.camera import Lighting, Noise
from tltm_graph.synthetic.rendering import degrade, paint_background, paint_object, smear, smear_margin, smear_steps

MOTIONS = [(0.0, 0.0), (0.9, 0.0), (5.0, 0.0), (0.0, -7.3), (12.4, 4.1), (-9.0, 13.0)]


@pytest.mark.parametrize("motion", MOTIONS)
def test_smear_is_the_sum_of_shifted_pictures(motion):
    steps = smear_steps(np.array(motion))
    x, y = smear_margin(steps)
    sharp = np.random.default_rng(0).integers(0, 256, (40 + y, 50 + x, 3)).astype(np.float64)
    shifts = [np.zeros(2, dtype=int)]
    for step in steps:
        shifts += [shift + step for shift in shifts]
    lowest = np.min(shifts, axis=0)
    expected = sum(sharp[b : b + 40, a : a + 50] for a, b in np.array(shifts) - lowest)
    assert np.array_equal(smear(sharp, steps), expected)
    assert len(steps) == (0 if np.hypot(*motion) < 1 else int(np.ceil(np.log2(np.hypot(*motion) + 1))))
    assert abs(x - abs(motion[0])) <= max(1.5, abs(motion[0]) / 4)
    assert abs(y - abs(motion[1])) <= max(1.5, abs(motion[1]) / 4)


def test_object_is_painted_inside_its_outline():
    """Compare with a test of a hundred points in each pixel."""
    outline = np.array([[4.3, 3.1], [30.7, 8.9], [22.2, 27.5], [9.0, 20.0]])
    picture, owner = np.zeros((32, 40, 3), dtype=np.uint8), np.full((32, 40), -1, dtype=np.int8)
    white = Image.new("RGB", (64, 64), (255, 255, 255))
    window = paint_object(picture, owner, 3, outline, white, np.array([18.0, 15.0]), np.eye(2) * 20, np.zeros(2))
    fine = (np.arange(400) + 0.5) / 10
    x, y = np.meshgrid(fine, fine[:320])
    inside = np.ones_like(x, dtype=bool)
    for (ax, ay), (bx, by) in zip(outline, np.roll(outline, -1, axis=0), strict=True):
        inside &= (bx - ax) * (y - ay) - (by - ay) * (x - ax) >= 0
    share = inside.reshape(32, 10, 40, 10).mean(axis=(1, 3))
    painted = picture[..., 0] / 255
    assert np.abs(painted - share).max() < 0.3
    assert painted.sum() == pytest.approx(share.sum(), rel=0.02)
    for axis in (0, 1):
        middles = [(s.sum(axis=1 - axis) * np.arange(s.shape[axis])).sum() / s.sum() for s in (painted, share)]
        assert abs(middles[0] - middles[1]) < 0.1
    clear = np.abs(share - 0.5) > 0.3
    assert np.array_equal((owner == 3)[clear], (share > 0.5)[clear])
    assert (owner[window] == 3).sum() == (owner == 3).sum()


@pytest.mark.parametrize("motion", MOTIONS)
def test_smear_keeps_the_amount_of_light_and_its_centre(motion):
    turn = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    outline = np.stack([50 + 12 * np.cos(turn), 40 + 12 * np.sin(turn)], axis=1)
    white = Image.new("RGB", (64, 64), (255, 255, 255))
    pictures = []
    for moved in (np.zeros(2), np.array(motion)):
        picture, owner = np.zeros((80, 100, 3), dtype=np.uint8), np.full((80, 100), -1, dtype=np.int8)
        paint_object(picture, owner, 0, outline, white, np.array([50.0, 40.0]), np.eye(2) * 12, moved)
        assert (owner == 0).sum() == pytest.approx(np.pi * 144, rel=0.03), "the mask is sharp"
        pictures.append(picture[..., 0].astype(float))
    sharp, smeared = pictures
    assert smeared.sum() == pytest.approx(sharp.sum(), rel=0.02)
    for axis in (0, 1):
        where = [(light.sum(axis=1 - axis) * np.arange(light.shape[axis])).sum() / light.sum() for light in pictures]
        assert abs(where[0] - where[1]) < 1.1


def test_objects_are_clipped_to_the_picture():
    white = Image.new("RGB", (64, 64), (255, 255, 255))
    square = np.array([[0.0, 0.0], [10.0, 0.0], [10.0, 10.0], [0.0, 10.0]])
    for corner, area in (((-20, 4), 0), ((4, 40), 0), ((-5, -5), 25), ((35, 27), 25), ((12, 12), 100)):
        picture, owner = np.zeros((32, 40, 3), dtype=np.uint8), np.full((32, 40), -1, dtype=np.int8)
        centre = np.array(corner) + 5.0
        window = paint_object(picture, owner, 0, square + corner, white, centre, np.eye(2) * 8, np.array([3.0, 0.0]))
        assert (owner == 0).sum() == area
        assert (window is None) == (area == 0)


def test_background_matches_corner_and_zoom():
    x, y = np.meshgrid(np.arange(200), np.arange(120))
    world = Image.fromarray(np.stack([x, y, 0 * x], axis=2).astype(np.uint8))
    for motion in MOTIONS:
        seen = paint_background(world, np.array([50.0, 30.0]), 1.0, (40, 60), np.array(motion))
        assert seen.shape == (40, 60, 3)
        assert np.abs(seen[..., 0] - (50.0 + np.arange(60))).max() <= 1.5, "a smeared ramp is a ramp"
        assert np.abs(seen[..., 1] - (30.0 + np.arange(40))[:, None]).max() <= 1.5
    zoomed = paint_background(world, np.array([50.0, 30.0]), 2.0, (40, 60), np.zeros(2))
    assert np.abs(zoomed[..., 0] - (49.75 + np.arange(60) / 2)).max() <= 1.0


def test_noise_has_the_right_deviation_and_no_bias():
    grey = np.full((200, 300, 3), 128, dtype=np.uint8)
    for burst, expected in ((None, 4.0), (Noise(30.0), np.hypot(4, 30))):
        noisy = degrade(grey, burst, 4.0, np.random.default_rng(0)).astype(float)
        assert noisy.std() == pytest.approx(expected, rel=0.05)
        assert abs(noisy.mean() - 128) < 0.6
    large = np.full((900, 1200, 3), 128, dtype=np.uint8)  # more pixels than there are stored numbers
    assert degrade(large, None, 4.0, np.random.default_rng(0)).std() == pytest.approx(4, rel=0.05)


def test_light_multiplies():
    grey = np.full((20, 30, 3), 100, dtype=np.uint8)
    lit = degrade(grey, Lighting((np.log(2), 0.0, np.log(3)), (0.0, 0.0)), 0.0, np.random.default_rng(0))
    assert np.abs(lit.astype(float) - [200, 100, 255]).max() <= 1
    sloped = degrade(grey, Lighting((0.0, 0.0, 0.0), (0.5, -0.5)), 0.0, np.random.default_rng(0)).astype(float)
    assert sloped[0, -1, 0] == pytest.approx(min(255, 100 * np.e), abs=1)
    assert sloped[-1, 0, 0] == pytest.approx(100 / np.e, abs=1)
