import colorsys
import math
from dataclasses import replace

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings

from tests.frame_pairs.cases import blobs, generator, objects, picture
from tltm_graph import Detections
from tltm_graph.frame_pairs import HallucinatedMotion
from tltm_graph.frame_pairs.hallucinated_motion import (
    motion_blur,
    motion_kernel,
    shift_brightness,
    shift_hue,
    shift_saturation,
)
from tltm_graph.frame_pairs.sampling import uniform

SIZE = (40, 60)
STILL = HallucinatedMotion(brightness=0, hue_saturation=0, translation=0, rotation=0, blur_probability=0)
MOVE = replace(STILL, translation=0.3, rotation=35.0, scale=(0.7, 1.4))


def test_brightness_is_clamped():
    image = torch.tensor([0, 100, 250], dtype=torch.uint8).reshape(3, 1, 1)
    assert shift_brightness(image, 20).flatten().tolist() == [20, 120, 255]
    assert shift_brightness(image, -20.4).flatten().tolist() == [0, 80, 230]


@pytest.mark.parametrize("levels", [-10.0, -3.3, 0.0, 7.0, 10.0, 200.0, -200.0])
def test_saturation_pixel_by_pixel(levels):
    image = picture(0, (6, 8))
    image[:, 0, 0], image[:, 0, 1], image[:, 0, 2] = 0, 255, 77  # grey stays grey
    shifted = shift_saturation(image, levels)
    for (r, g, b), ours in zip(image.flatten(1).T.tolist(), shifted.flatten(1).T.tolist(), strict=True):
        h, s, v = colorsys.rgb_to_hsv(r / 255, g / 255, b / 255)
        s = min(1.0, max(0.0, s + levels / 255)) if s > 0 else 0.0
        assert ours == pytest.approx([255 * c for c in colorsys.hsv_to_rgb(h, s, v)], abs=0.501)


def test_hue_pixel_by_pixel():
    image = picture(0, (6, 8))
    shifted = shift_hue(image, 10.0)
    for (r, g, b), ours in zip(image.flatten(1).T.tolist(), shifted.flatten(1).T.tolist(), strict=True):
        h, s, v = colorsys.rgb_to_hsv(r / 255, g / 255, b / 255)
        expected = colorsys.hsv_to_rgb((h + 10 / 255) % 1, s, v)
        assert ours == pytest.approx([255 * c for c in expected], abs=1.01)


def test_shifts_of_two_frames_at_once():
    both = torch.stack([picture(0), picture(1)])
    for shift in (shift_brightness, shift_hue, shift_saturation):
        assert torch.equal(shift(both, 9.0), torch.stack([shift(image, 9.0) for image in both]))


@pytest.mark.parametrize("length", [3, 7, 9])
@pytest.mark.parametrize("angle", [0.0, 33.0, 90.0, 250.0])
@pytest.mark.parametrize("lean", [-1.0, 0.0, 0.4])
def test_kernels_are_weights(length, angle, lean):
    kernel = motion_kernel(length, angle, lean)
    assert kernel.shape == (length, length)
    assert kernel.min() >= 0
    torch.testing.assert_close(kernel.sum(), torch.tensor(1.0))


def test_directions_of_kernels():
    upright, lying = motion_kernel(7, 0.0), motion_kernel(7, 90.0)
    assert upright[:, 3].tolist() == pytest.approx([1 / 7] * 7)
    torch.testing.assert_close(lying, upright.T, atol=1e-6, rtol=0)
    leaning = motion_kernel(7, 0.0, lean=1.0)[:, 3]
    assert leaning.tolist() == pytest.approx([n / 21 for n in (6, 5, 4, 3, 2, 1, 0)])
    turned = motion_kernel(9, 30.0)
    y, x = torch.meshgrid(torch.arange(-4.0, 5), torch.arange(-4.0, 5), indexing="ij")
    assert -(turned * x * y).sum() / (turned * y * y).sum() == pytest.approx(-(3**-0.5), abs=0.05)


def test_motion_blur_pixel_by_pixel():
    image, kernel = picture(0, (12, 14)), motion_kernel(7, 40.0, 0.3)
    blurred = motion_blur(image, kernel)
    for y, x in ((0, 0), (5, 6), (11, 13), (2, 13)):
        total = torch.zeros(3)
        for i in range(7):
            for j in range(7):
                total += kernel[i, j] * image[:, min(11, max(0, y + i - 3)), min(13, max(0, x + j - 3))]
        torch.testing.assert_close(blurred[:, y, x].float(), total, atol=0.501, rtol=0)


def test_motion_blur_keeps_plain_images():
    image = torch.full((3, 2, 3), 200, dtype=torch.uint8)  # smaller than the kernel
    assert torch.equal(motion_blur(image, motion_kernel(9, 77.0)), image)


def drawn_by(motion: HallucinatedMotion, random: torch.Generator) -> tuple[float, float, float, float]:
    """Draw the angle, shifts and scale that a motion draws next."""
    for _ in range(4):
        uniform(random, 0, 1)  # the light
    angle = uniform(random, -motion.rotation, motion.rotation)
    x, y = (uniform(random, -motion.translation, motion.translation) for _ in range(2))
    return angle, x * SIZE[1], y * SIZE[0], uniform(random, *motion.scale)


def source_of(x: float, y: float, angle: float, shift_x: float, shift_y: float, scale: float) -> tuple[float, float]:
    """Map a point of the later frame to the image: invert a clockwise turn about the middle, a scaling and a shift.

    Coordinates are in pixels; the centre of the first row and column is 0.
    """
    middle_x, middle_y = (SIZE[1] - 1) / 2, (SIZE[0] - 1) / 2
    u, v = (x - middle_x - shift_x) / scale, (y - middle_y - shift_y) / scale
    c, s = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    return c * u + s * v + middle_x, c * v - s * u + middle_y


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10**6))
def test_warped_masks_pixel_by_pixel(seed):
    truth = blobs(seed)
    _, moved = MOVE(picture(seed), truth, generator(seed))
    warp = drawn_by(MOVE, generator(seed))
    expected, unsure = torch.zeros_like(truth.masks), torch.zeros(SIZE, dtype=torch.bool)
    for y in range(SIZE[0]):
        for x in range(SIZE[1]):
            u, v = source_of(x, y, *warp)
            unsure[y, x] = min(abs(u % 1 - 0.5), abs(v % 1 - 0.5)) < 1e-3  # two pixels are equally near
            u, v = round(u), round(v)
            if 0 <= u < SIZE[1] and 0 <= v < SIZE[0]:
                expected[:, y, x] = truth.masks[:, v, u]
    kept = expected.flatten(1).any(dim=1).nonzero().flatten()
    assert unsure.float().mean() < 0.05
    if not (expected & unsure).any():
        assert moved.ids.tolist() == truth.ids[kept].tolist(), (
            "objects that left are dropped, the others keep their ids"
        )
    for mask, box, number in zip(moved.masks, moved.boxes, moved.ids.tolist(), strict=True):
        assert ((mask == expected[number]) | unsure).all()
        y, x = mask.nonzero().T
        assert box.tolist() == [x.min(), y.min(), x.max() + 1, y.max() + 1], "tight"


def test_picture_moves_with_the_masks():
    """A bright disc stays under its mask; outside the image the frame is black."""
    y, x = torch.meshgrid(torch.arange(SIZE[0]), torch.arange(SIZE[1]), indexing="ij")
    mask = (y - 18) ** 2 + (x - 33) ** 2 < 81
    image = torch.where(mask, 250, 90).to(torch.uint8).expand(3, -1, -1)
    for seed in range(20):
        later, moved = MOVE(image, objects(mask[None]), generator(seed))
        bright = later[0] > 170
        assert (bright != moved.masks.any(dim=0)).sum() <= 0.15 * bright.sum() + 4
        warp = drawn_by(MOVE, generator(seed))
        for i, j in ((0, 0), (0, SIZE[0] - 1), (SIZE[1] - 1, 0), (SIZE[1] - 1, SIZE[0] - 1)):
            u, v = source_of(i, j, *warp)
            if not (-1 < u < SIZE[1] and -1 < v < SIZE[0]):
                assert (later[:, j, i] == 0).all()


def test_overlapping_objects_stay_whole():
    masks = torch.zeros(2, *SIZE, dtype=torch.bool)
    masks[0, 10:30, 10:40] = True
    masks[1, 15:25, 20:30] = True  # inside the other
    _, moved = STILL(picture(0), objects(masks), generator())
    assert torch.equal(moved.masks, masks)


def test_ranges_of_zero_change_nothing():
    image, truth = picture(0), blobs(0)
    later, moved = STILL(image, truth, generator())
    assert torch.equal(later, image)
    assert torch.equal(moved.masks, truth.masks)
    assert torch.equal(moved.boxes, truth.boxes)


def test_brightness_and_colour_change_alone_or_together():
    gray = torch.full((3, 8, 8), 128, dtype=torch.uint8)
    red = torch.tensor([200, 60, 60], dtype=torch.uint8)[:, None, None].expand(3, 8, 8)
    motion = replace(STILL, brightness=20, hue_saturation=10)
    brighter = other_hue = both = 0
    for seed in range(400):
        changed, coloured = (motion(image, Detections.empty(), generator(seed))[0] for image in (gray, red))
        assert abs(int(changed[0, 0, 0]) - 128) <= 20
        is_brighter = bool(changed[0, 0, 0] != 128)
        has_hue = int(coloured[1, 0, 0]) != int(coloured[2, 0, 0])
        brighter += is_brighter and not has_hue
        other_hue += has_hue and not is_brighter
        both += has_hue and is_brighter
    assert both == pytest.approx(200, abs=40)
    assert brighter == pytest.approx(100, abs=35)
    assert other_hue == pytest.approx(100, abs=35)


def test_probability_of_blur():
    image = picture(0)
    motion = replace(STILL, blur_probability=0.5)
    changed = [not torch.equal(motion(image, Detections.empty(), generator(seed))[0], image) for seed in range(200)]
    assert sum(changed) == pytest.approx(100, abs=30)


def test_range_of_shifts():
    image = torch.zeros(3, *SIZE, dtype=torch.uint8)
    mask = torch.zeros(1, *SIZE, dtype=torch.bool)
    mask[0, 20, 30] = True
    places = []
    for seed in range(300):
        _, moved = replace(STILL, translation=0.2)(image, objects(mask), generator(seed))
        places.append(moved.boxes[0, :2] - torch.tensor([30.0, 20.0]))
    low, high = torch.stack(places).amin(dim=0), torch.stack(places).amax(dim=0)
    assert low.tolist() == pytest.approx([-12, -8], abs=1)
    assert high.tolist() == pytest.approx([12, 8], abs=1)


def test_no_objects_and_objects_that_leave():
    motion = HallucinatedMotion()
    later, moved = motion(picture(0), Detections.empty(), generator())
    assert (later.shape, len(moved)) == ((3, *SIZE), 0)
    corner = torch.zeros(1, *SIZE, dtype=torch.bool)
    corner[0, 0, 0] = True
    left = [motion(picture(0), objects(corner), generator(seed))[1] for seed in range(20)]
    assert any(len(moved) == 0 for moved in left)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"brightness": -1}, r"Expected brightness in \[0, 255\], got -1"),
        ({"hue_saturation": 128}, r"Expected hue_saturation in \[0, 127\], got 128"),
        ({"translation": 1.5}, r"Expected translation in \[0, 1\], got 1.5"),
        ({"rotation": 200}, r"Expected rotation in \[0, 180\], got 200"),
        ({"blur_probability": 2}, r"Expected blur_probability in \[0, 1\], got 2"),
        ({"scale": (1.2, 0.8)}, r"Expected scale as \(least, greatest\) above 0, got \(1.2, 0.8\)"),
        ({"blur_lengths": (8,)}, r"Expected odd lengths of blur of at least 3 pixels, got \(8,\)"),
        ({"blur_lengths": ()}, "Expected odd lengths of blur"),
    ],
)
def test_ranges(changes, message):
    with pytest.raises(ValueError, match=message):
        HallucinatedMotion(**changes)
