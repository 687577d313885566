import numpy as np
from PIL import Image, ImageDraw

from tltm_graph.data.moving_shapes.difficulty import Difficulty
from tltm_graph.data.moving_shapes.textures import colour, colour_pair, smooth_noise, texture

_RADIUS = (0.04, 0.16)  # of clutter, in shorter sides of the picture


def paint_background(
    size: tuple[int, int], unit: float, difficulty: Difficulty, seed: np.random.SeedSequence
) -> Image.Image:
    """Soft clouds, and clutter that stays where it is.

    Args:
        size: Height and width in pixels.
        unit: Pixels of the shorter side of the picture.
        difficulty: How much clutter, how colourful.
        seed: Of everything.
    """
    random = np.random.default_rng(seed)
    picture = _clouds(size, unit, difficulty.camouflage, random)
    side = round(2 * _RADIUS[1] * unit)
    kinds = [
        texture(side, random, _pale_pair(difficulty.camouflage, random)) for _ in range(-(-difficulty.clutter // 3))
    ]
    for _ in range(difficulty.clutter):
        _paint_clutter(picture, kinds[random.integers(len(kinds))], unit, random)
    return picture


def _clouds(size: tuple[int, int], unit: float, camouflage: float, random: np.random.Generator) -> Image.Image:
    saturation = (0.1 + 0.2 * camouflage, 0.3 + 0.5 * camouflage)
    palette = np.linspace(colour(random, saturation, (0.2, 0.45)), colour(random, saturation, (0.5, 0.8)), 256)
    half, cells = (size[0] // 2, size[1] // 2), min(size) / unit  # nothing in it is as fine as a pixel
    weight = 0.5 + 0.7 * smooth_noise(half, round(3 * cells), random)
    weight += 0.25 * smooth_noise(half, round(14 * cells), random)
    weight += (0.1 + 0.4 * camouflage) * smooth_noise(half, round(50 * cells), random)
    shade = Image.fromarray(np.clip(255 * weight, 0, 255).astype(np.uint8))
    shade = shade.resize((size[1], size[0]), Image.Resampling.BILINEAR)
    return Image.fromarray(palette.astype(np.uint8)[np.asarray(shade)])


def _pale_pair(camouflage: float, random: np.random.Generator) -> np.ndarray:
    """Colours like those of objects, or paler ones, (2, 3)."""
    colours = colour_pair(random)
    return colours.mean() + (0.35 + 0.65 * camouflage) * (colours - colours.mean())


def _paint_clutter(picture: Image.Image, surface: Image.Image, unit: float, random: np.random.Generator) -> None:
    """A long blob or a bar, of no class."""
    radius = random.uniform(*_RADIUS) * unit
    centre = random.uniform(0, 1, 2) * picture.size
    turn = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    frequencies = np.array([1, 2, 3, 4, 6])
    heights, phases = random.uniform(0, 0.5 / frequencies), random.uniform(0, 2 * np.pi, len(frequencies))
    away = radius * (1 + heights @ np.cos(frequencies[:, None] * turn + phases[:, None]))  # (40,)
    x, y = away * np.cos(turn), random.uniform(0.15, 0.7) * away * np.sin(turn)
    angle = random.uniform(0, 2 * np.pi)
    points = np.stack([np.cos(angle) * x - np.sin(angle) * y, np.sin(angle) * x + np.cos(angle) * y], axis=1)
    side = int(np.ceil(np.abs(points).max())) + 1
    mask = Image.new("L", (4 * side, 4 * side))
    ImageDraw.Draw(mask).polygon((2 * (points + side)).ravel().tolist(), fill=round(255 * random.uniform(0.5, 1)))
    corner = (int(centre[0]) - side, int(centre[1]) - side)
    picture.paste(surface.resize((2 * side, 2 * side), Image.Resampling.BILINEAR), corner, mask.reduce(2))
