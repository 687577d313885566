import colorsys

import pytest
import torch

from tests.frame_pairs.cases import picture
from tltm_graph.frame_pairs.hallucinated_motion import shift_brightness, shift_hue, shift_saturation


def test_brightness_is_cut_off_at_the_ends():
    image = torch.tensor([0, 100, 250], dtype=torch.uint8).reshape(3, 1, 1)
    assert shift_brightness(image, 20).flatten().tolist() == [20, 120, 255]
    assert shift_brightness(image, -20.4).flatten().tolist() == [0, 80, 230]


@pytest.mark.parametrize("levels", [-10.0, -3.3, 0.0, 7.0, 10.0, 200.0, -200.0])
def test_saturation_pixel_by_pixel(levels):
    image = picture(0, (6, 8))
    image[:, 0, 0], image[:, 0, 1], image[:, 0, 2] = 0, 255, 77  # gray stays gray
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


def test_two_frames_at_once():
    both = torch.stack([picture(0), picture(1)])
    for shift in (shift_brightness, shift_hue, shift_saturation):
        assert torch.equal(shift(both, 9.0), torch.stack([shift(image, 9.0) for image in both]))
