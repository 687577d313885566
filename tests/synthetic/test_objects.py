from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from tltm_graph.synthetic import STANDARD, MovingShapes
from tltm_graph.synthetic.objects import CLASS_NAMES, OUTLINES, PATTERNS


def test_outlines_have_equal_areas_and_are_centred():
    assert len(set(CLASS_NAMES)) == len(OUTLINES) >= 8
    for name, outline in zip(CLASS_NAMES, OUTLINES, strict=True):
        filled = Image.new("1", (600, 600))
        ImageDraw.Draw(filled).polygon(((outline + 1.5) * 200).ravel().tolist(), fill=1)
        y, x = np.nonzero(np.asarray(filled))
        assert len(x) / 200**2 == pytest.approx(np.pi * 0.64, rel=0.02), name
        assert np.abs([x.mean() / 200 - 1.5, y.mean() / 200 - 1.5]).max() < 0.02
        assert np.hypot(*outline.T).max() < 1.5


@pytest.mark.parametrize("pattern", PATTERNS.values(), ids=PATTERNS)
def test_patterns_mix_two_colours(pattern):
    v, u = np.mgrid[-3:3:64j, -3:3:64j]
    weight = pattern(u, v, np.random.default_rng(0))
    assert weight.shape == (64, 64)
    assert 0 <= weight.min() < 0.3
    assert 0.3 < weight.max() <= 1


def test_colour_does_not_identify_a_class():
    """Every class occurs, and mean colours vary much more within a class than between classes."""
    appearances = [
        shape.appearance
        for seed in range(60)
        for shape in MovingShapes(1, (32, 48), seed=seed, difficulty=replace(STANDARD, look_alikes=0.0))._objects
    ]
    means = torch.tensor([appearance.texture.resize((1, 1)).getpixel((0, 0)) for appearance in appearances]).float()
    labels = torch.tensor([appearance.label for appearance in appearances])
    of_class = torch.stack([means[labels == label].mean(dim=0) for label in range(len(MovingShapes.class_names))])
    assert set(labels.tolist()) == set(range(len(MovingShapes.class_names)))
    assert of_class.std(dim=0).max() < 0.5 * means.std(dim=0).min()
