"""The classes: closed outlines of one area, told apart by their form alone."""

import colorsys
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw

from tltm_graph.synthetic.difficulty import Difficulty

NUM_POINTS = 96
"""Corners of an outline."""

_TURN = np.linspace(0, 2 * np.pi, NUM_POINTS, endpoint=False)


def _polar(radius: np.ndarray) -> np.ndarray:
    return np.stack([radius * np.cos(_TURN), radius * np.sin(_TURN)], axis=1)


def _polygon(*corners: tuple[float, float]) -> np.ndarray:
    """Points at equal distances along the edges."""
    ends = np.array([*corners, corners[0]])
    length = np.concatenate([[0.0], np.hypot(*np.diff(ends, axis=0).T).cumsum()])
    along = np.linspace(0, length[-1], NUM_POINTS, endpoint=False)
    return np.stack([np.interp(along, length, ends[:, axis]) for axis in (0, 1)], axis=1)


def _regular(corners: int, inner: float | None = None) -> np.ndarray:
    """A regular polygon; with ``inner``, a star whose dents are at that radius."""
    radii = np.array([1.0] * corners if inner is None else [1.0, inner] * corners)
    angle = np.arange(len(radii)) * 2 * np.pi / len(radii)
    return _polygon(*zip((radii * np.cos(angle)).tolist(), (radii * np.sin(angle)).tolist(), strict=True))


def _crescent() -> np.ndarray:
    """A disc that another one has bitten into."""
    half, bite = NUM_POINTS // 2, np.array([0.75, 0.0])
    tip = np.arccos(bite[0] / 2)  # where circles of radius 1 around 0 and around the bite meet
    outer = np.linspace(tip, 2 * np.pi - tip, half, endpoint=False)
    inner = np.linspace(np.pi + tip, np.pi - tip, NUM_POINTS - half, endpoint=False)
    points = [np.stack([np.cos(a), np.sin(a)], axis=1) for a in (outer, inner)]
    return np.concatenate([points[0], points[1] + bite])


_ARM = 0.36

_FORMS = {
    "disc": _polar(np.ones_like(_TURN)),
    "triangle": _regular(3),
    "square": _regular(4),
    "cross": _polygon(
        *[(1, -_ARM), (1, _ARM), (_ARM, _ARM), (_ARM, 1), (-_ARM, 1), (-_ARM, _ARM)],
        *[(-1, _ARM), (-1, -_ARM), (-_ARM, -_ARM), (-_ARM, -1), (_ARM, -1), (_ARM, -_ARM)],
    ),
    "star": _regular(5, inner=0.45),
    "clover": _polar(0.68 + 0.32 * np.cos(3 * _TURN)),
    "gear": _polar(0.87 + 0.13 * np.clip(4 * np.cos(8 * _TURN), -1, 1)),
    "crescent": _crescent(),
}


def _of_one_area(points: np.ndarray) -> np.ndarray:
    """Centred, with the area of a disc of radius 0.8."""
    x, y = points.T
    after = np.roll(points, -1, axis=0)
    cross = x * after[:, 1] - after[:, 0] * y
    area = cross.sum() / 2
    centre = ((points + after) * cross[:, None]).sum(axis=0) / (6 * area)
    return (points - centre) * np.sqrt(np.pi * 0.8**2 / abs(area))


CLASS_NAMES = tuple(_FORMS)
"""Names of the classes by label."""

OUTLINES = tuple(_of_one_area(points) for points in _FORMS.values())
"""Outline of each label, x and y around the centre of mass, float64 (96, 2); it fits into a circle of radius 1.5."""


Pattern = Callable[[np.ndarray, np.ndarray, np.random.Generator], np.ndarray]
"""Share of the second colour, in [0, 1], at coordinates u and v in units of the pattern's period."""


def _edge(value: np.ndarray) -> np.ndarray:
    """A soft step at 0."""
    return np.clip(2 * value + 0.5, 0, 1)


def _stripes(u: np.ndarray, v: np.ndarray, random: np.random.Generator) -> np.ndarray:
    return _edge(np.sin(2 * np.pi * u) + 0 * v + random.uniform(-0.4, 0.4))


def _checks(u: np.ndarray, v: np.ndarray, random: np.random.Generator) -> np.ndarray:
    return _edge(np.sin(np.pi * u) * np.sin(np.pi * v))


def _dots(u: np.ndarray, v: np.ndarray, random: np.random.Generator) -> np.ndarray:
    return _edge(np.sin(np.pi * u) ** 2 + np.sin(np.pi * v) ** 2 - random.uniform(1.1, 1.5))


def _rings(u: np.ndarray, v: np.ndarray, random: np.random.Generator) -> np.ndarray:
    return _edge(np.sin(2 * np.pi * np.hypot(u, v) + random.uniform(0, 2 * np.pi)))


def _zigzag(u: np.ndarray, v: np.ndarray, random: np.random.Generator) -> np.ndarray:
    return _edge(np.sin(2 * np.pi * (u + np.abs(v % 1 - 0.5))))


def _clouds(u: np.ndarray, v: np.ndarray, random: np.random.Generator) -> np.ndarray:
    return np.clip(0.5 + 1.3 * smooth_noise(np.broadcast_shapes(u.shape, v.shape), 5, random), 0, 1)


def _spots(u: np.ndarray, v: np.ndarray, random: np.random.Generator) -> np.ndarray:
    return _edge(3 * smooth_noise(np.broadcast_shapes(u.shape, v.shape), 8, random))


def _plain(u: np.ndarray, v: np.ndarray, random: np.random.Generator) -> np.ndarray:
    return np.clip(0.25 + 0.1 * (u + v), 0, 1)


PATTERNS: tuple[Pattern, ...] = (_stripes, _checks, _dots, _rings, _zigzag, _clouds, _spots, _plain)


def smooth_noise(shape: tuple[int, ...], cells: int, random: np.random.Generator) -> np.ndarray:
    """Noise that changes over about a ``cells``-th of the shorter side, mean 0, most of it in [-0.5, 0.5], (H, W)."""
    height, width = shape
    across = cells / min(shape)
    grid = (max(2, round(height * across)), max(2, round(width * across)))
    coarse = Image.fromarray(random.uniform(-0.5, 0.5, grid).astype(np.float32))
    return np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC))


def colour(random: np.random.Generator, saturation: tuple[float, float], value: tuple[float, float]) -> np.ndarray:
    """A colour of any hue, (3,) in [0, 255]."""
    return 255 * np.array(colorsys.hsv_to_rgb(random.random(), random.uniform(*saturation), random.uniform(*value)))


def colour_pair(random: np.random.Generator) -> np.ndarray:
    """A bright and a dark colour in random order, (2, 3) in [0, 255]."""
    pair = np.stack([colour(random, (0.3, 1.0), (0.75, 1.0)), colour(random, (0.3, 1.0), (0.15, 0.5))])
    return pair[random.permutation(2)]


def texture(side: int, random: np.random.Generator, colours: np.ndarray) -> Image.Image:
    """A square of one pattern, a little darker towards its rim, which makes an object look round.

    Args:
        side: Its side in pixels; it spans four units of an outline.
        random: Of the pattern, its period and its direction.
        colours: (2, 3) in [0, 255].
    """
    v, u = np.mgrid[-2 : 2 : side * 1j, -2 : 2 : side * 1j].astype(np.float32)
    pattern = PATTERNS[random.integers(len(PATTERNS))]
    angle, period = random.uniform(0, 2 * np.pi), random.uniform(0.35, 0.7)
    cos, sin = np.cos(angle) / period, np.sin(angle) / period
    weight = pattern(cos * u + sin * v, cos * v - sin * u, random)[..., None]
    shade = np.clip(1.1 - 0.3 * (u * u + v * v), 0.6, 1)[..., None]
    return Image.fromarray(np.clip((colours[0] + weight * (colours[1] - colours[0])) * shade, 0, 255).astype(np.uint8))


_RADIUS = (0.04, 0.16)  # of clutter, in shorter sides of the picture


def paint_world(
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
    picture = _background_clouds(size, unit, difficulty.camouflage, random)
    side = round(2 * _RADIUS[1] * unit)
    kinds = [
        texture(side, random, _pale_pair(difficulty.camouflage, random)) for _ in range(-(-difficulty.clutter // 3))
    ]
    for _ in range(difficulty.clutter):
        _paint_clutter(picture, kinds[random.integers(len(kinds))], unit, random)
    return picture


def _background_clouds(
    size: tuple[int, int], unit: float, camouflage: float, random: np.random.Generator
) -> Image.Image:
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


_FINE = 4  # an outline is drawn so many times larger, and then made smaller


def smear_steps(motion: np.ndarray) -> list[tuple[int, int]]:
    """How a picture is added to itself to be smeared along ``motion`` (2,), in pixels: 2ⁿ copies in n steps.

    The copies are at most about a pixel apart. Their distances add up to ``motion``; less than a pixel is no smear.
    """
    length = float(np.hypot(*motion))
    if length < 1:
        return []
    doublings = int(np.ceil(np.log2(length + 1)))
    apart = motion / 2**doublings
    return [(round(apart[0] * 2**n), round(apart[1] * 2**n)) for n in range(doublings)]


def smear_margin(steps: list[tuple[int, int]]) -> tuple[int, int]:
    """How much wider and higher the picture has to be before than after."""
    return sum(abs(x) for x, _ in steps), sum(abs(y) for _, y in steps)


def smear(pixels: np.ndarray, steps: list[tuple[int, int]]) -> np.ndarray:
    """The sum of 2ⁿ shifted copies of (H, W, …), smaller by the margin, and as a whole in the middle."""
    for x, y in steps:
        height, width = pixels.shape[:2]
        begin = pixels[max(-y, 0) : height - max(y, 0), max(-x, 0) : width - max(x, 0)]
        end = pixels[max(y, 0) : height - max(-y, 0), max(x, 0) : width - max(-x, 0)]
        pixels = begin + end
    return pixels


def paint_object(
    picture: np.ndarray,
    owner: np.ndarray,
    number: int,
    outline: np.ndarray,
    surface: Image.Image,
    centre: np.ndarray,
    axes: np.ndarray,
    motion: np.ndarray,
) -> tuple[slice, slice] | None:
    """Paints an object over what is there.

    Args:
        picture: RGB, uint8 (H, W, 3), changed in place.
        owner: Number of the object that is seen at each pixel, int8 (H, W), changed in place: where the sharp outline
            covers half a pixel or more, whatever motion does to the picture.
        number: Of this object.
        outline: Its corners in pixels, (K, 2).
        surface: Its texture, which spans four units along both axes.
        centre: Middle of the texture in the picture, in pixels (2,).
        axes: Units of the texture along u and v in pixels, as columns (2, 2).
        motion: While the shutter is open, in pixels (2,).

    Returns:
        Rows and columns of the picture in which it may be seen, None if it is outside.
    """
    steps = smear_steps(motion)
    margin = np.array(smear_margin(steps))
    before = margin // 2
    size = np.array([picture.shape[1], picture.shape[0]])
    low = np.maximum(np.floor(outline.min(axis=0)).astype(int) - margin + before, 0)
    high = np.minimum(np.ceil(outline.max(axis=0)).astype(int) + margin - before, size)
    if (high <= low).any():
        return None
    origin = low - before  # of the sharp picture
    width, height = (high - low + margin).tolist()
    alpha = _coverage(outline - origin, width, height)
    colours = _surface(surface, centre - origin, axes, width, height)

    sharp = np.asarray(alpha)
    inner = sharp[before[1] : before[1] + high[1] - low[1], before[0] : before[0] + high[0] - low[0]]
    window = np.s_[low[1] : high[1], low[0] : high[0]]
    owner[window][inner >= 128] = number

    colours.putalpha(alpha)
    layer = np.asarray(colours).astype(np.float32)
    layer[..., :3] *= layer[..., 3:] * np.float32(1 / 255)  # light of the object alone
    layer = smear(layer, steps)
    layer *= np.float32(1 / 2 ** len(steps))
    covered = picture[window] * (1 - layer[..., 3:] * np.float32(1 / 255))
    covered += layer[..., :3]
    picture[window] = covered
    return window


def _coverage(outline: np.ndarray, width: int, height: int) -> Image.Image:
    """How much of each pixel lies within the outline, 0 to 255."""
    fine = Image.new("L", (width * _FINE, height * _FINE))
    corners = np.floor(outline * _FINE).astype(int)  # PIL would round towards zero
    ImageDraw.Draw(fine).polygon(corners.ravel().tolist(), fill=255)
    return fine.reduce(_FINE)


def _surface(surface: Image.Image, centre: np.ndarray, axes: np.ndarray, width: int, height: int) -> Image.Image:
    """The texture as the object carries it."""
    back = np.linalg.inv(axes) * (surface.width / 4)  # pixels of the picture → pixels of the texture
    begin = surface.width / 2 - back @ centre
    matrix = (back[0, 0], back[0, 1], begin[0], back[1, 0], back[1, 1], begin[1])
    return surface.transform((width, height), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)


def paint_background(
    world: Image.Image, corner: np.ndarray, zoom: float, size: tuple[int, int], motion: np.ndarray
) -> np.ndarray:
    """The part of the world that is seen.

    Args:
        world: The whole background.
        corner: Where the picture's upper left corner is in it, in its pixels (2,).
        zoom: Pixels of the picture for each of its pixels.
        size: Height and width of the picture.
        motion: While the shutter is open, in pixels of the picture (2,).

    Returns:
        RGB, uint8 (H, W, 3).
    """
    steps = smear_steps(motion)
    margin = np.array(smear_margin(steps))
    left, upper = corner - (margin // 2) / zoom
    width, height = size[1] + int(margin[0]), size[0] + int(margin[1])
    box = (left, upper, left + width / zoom, upper + height / zoom)
    seen = np.asarray(world.resize((width, height), Image.Resampling.BILINEAR, box))
    if not steps:
        return seen.copy()
    return (smear(seen.astype(np.uint16), steps) >> len(steps)).astype(np.uint8)
