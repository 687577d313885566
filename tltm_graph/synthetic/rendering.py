"""Painting of rendered scenes: background, objects with exact masks, motion blur, and degradation of whole frames."""

from functools import cache

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from tltm_graph.synthetic.camera import Burst, Defocus, Lighting, Noise
from tltm_graph.synthetic.difficulty import Difficulty
from tltm_graph.synthetic.objects import draw_colour, draw_colour_pair, draw_texture, smooth_noise

_CLUTTER_RADIUS = (0.04, 0.16)  # in shorter sides of the picture
_OVERSAMPLING = 4  # outlines are drawn larger by this factor, then reduced


def paint_world(
    size: tuple[int, int], unit: float, difficulty: Difficulty, seed: np.random.SeedSequence
) -> Image.Image:
    """Paint the whole background of a scene: soft clouds, and clutter that does not move.

    Args:
        size: Height and width in pixels.
        unit: Length of the shorter side of the picture, in pixels.
        difficulty: Amount of clutter, colourfulness.
        seed: Seed of all random draws.
    """
    rng = np.random.default_rng(seed)
    background = _paint_clouds(size, unit, difficulty.camouflage, rng)
    side = round(2 * _CLUTTER_RADIUS[1] * unit)
    textures = [
        draw_texture(side, _draw_muted_pair(difficulty.camouflage, rng), rng)
        for _ in range(-(-difficulty.clutter // 3))
    ]
    for _ in range(difficulty.clutter):
        _paint_clutter(background, textures[rng.integers(len(textures))], unit, rng)
    return background


def _paint_clouds(size: tuple[int, int], unit: float, camouflage: float, rng: np.random.Generator) -> Image.Image:
    saturation = (0.1 + 0.2 * camouflage, 0.3 + 0.5 * camouflage)
    palette = np.linspace(draw_colour(rng, saturation, (0.2, 0.45)), draw_colour(rng, saturation, (0.5, 0.8)), 256)
    half, cells = (size[0] // 2, size[1] // 2), min(size) / unit  # clouds have no detail as fine as a pixel
    weight = 0.5 + 0.7 * smooth_noise(half, round(3 * cells), rng)
    weight += 0.25 * smooth_noise(half, round(14 * cells), rng)
    weight += (0.1 + 0.4 * camouflage) * smooth_noise(half, round(50 * cells), rng)
    shade = Image.fromarray(np.clip(255 * weight, 0, 255).astype(np.uint8))
    shade = shade.resize((size[1], size[0]), Image.Resampling.BILINEAR)
    return Image.fromarray(palette.astype(np.uint8)[np.asarray(shade)])


def _draw_muted_pair(camouflage: float, rng: np.random.Generator) -> np.ndarray:
    """Draw two colours like those of objects, paler the lower ``camouflage`` is, (2, 3)."""
    colours = draw_colour_pair(rng)
    return colours.mean() + (0.35 + 0.65 * camouflage) * (colours - colours.mean())


def _paint_clutter(background: Image.Image, texture: Image.Image, unit: float, rng: np.random.Generator) -> None:
    """Paint an irregular elongated patch, whose outline is that of no class."""
    radius = rng.uniform(*_CLUTTER_RADIUS) * unit
    centre = rng.uniform(0, 1, 2) * background.size
    angles = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    frequencies = np.array([1, 2, 3, 4, 6])
    heights, phases = rng.uniform(0, 0.5 / frequencies), rng.uniform(0, 2 * np.pi, len(frequencies))
    radii = radius * (1 + heights @ np.cos(frequencies[:, None] * angles + phases[:, None]))  # (40,)
    x, y = radii * np.cos(angles), rng.uniform(0.15, 0.7) * radii * np.sin(angles)
    tilt = rng.uniform(0, 2 * np.pi)
    points = np.stack([np.cos(tilt) * x - np.sin(tilt) * y, np.sin(tilt) * x + np.cos(tilt) * y], axis=1)
    side = int(np.ceil(np.abs(points).max())) + 1
    mask = Image.new("L", (4 * side, 4 * side))
    ImageDraw.Draw(mask).polygon((2 * (points + side)).ravel().tolist(), fill=round(255 * rng.uniform(0.5, 1)))
    corner = (int(centre[0]) - side, int(centre[1]) - side)
    background.paste(texture.resize((2 * side, 2 * side), Image.Resampling.BILINEAR), corner, mask.reduce(2))


def smear_steps(motion: np.ndarray) -> list[tuple[int, int]]:
    """Compute the n shifts by which a picture is added to itself to make 2ⁿ copies along ``motion`` (2,), in pixels.

    The copies are at most about a pixel apart, and the shifts add up to about ``motion``. A motion of less than a pixel
    has none.
    """
    length = float(np.hypot(*motion))
    if length < 1:
        return []
    doublings = int(np.ceil(np.log2(length + 1)))
    apart = motion / 2**doublings
    return [(round(apart[0] * 2**n), round(apart[1] * 2**n)) for n in range(doublings)]


def smear_margin(steps: list[tuple[int, int]]) -> tuple[int, int]:
    """Compute by how many pixels :func:`smear` makes a picture narrower and lower."""
    return sum(abs(x) for x, _ in steps), sum(abs(y) for _, y in steps)


def smear(pixels: np.ndarray, steps: list[tuple[int, int]]) -> np.ndarray:
    """Sum 2ⁿ shifted copies of (H, W, …). The result is smaller by the margin and centred."""
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
    texture: Image.Image,
    centre: np.ndarray,
    axes: np.ndarray,
    motion: np.ndarray,
) -> tuple[slice, slice] | None:
    """Paint an object over a picture, and its mask.

    The mask is that of the sharp outline, without motion blur: all pixels that it covers by half or more.

    Args:
        picture: RGB, uint8 (H, W, 3), changed in place.
        owner: Number of the visible object at each pixel, int8 (H, W), changed in place.
        number: Number of this object.
        outline: Corners in pixels, (K, 2).
        texture: Texture, which spans four units along both axes.
        centre: Middle of the texture in the picture, in pixels (2,).
        axes: Unit vectors of the texture along u and v in pixels, as columns (2, 2).
        motion: Motion while the shutter is open, in pixels (2,).

    Returns:
        Rows and columns of the picture that may show the object, None if it is outside.
    """
    steps = smear_steps(motion)
    margin = np.array(smear_margin(steps))
    before = margin // 2
    size = np.array([picture.shape[1], picture.shape[0]])
    low = np.maximum(np.floor(outline.min(axis=0)).astype(int) - margin + before, 0)
    high = np.minimum(np.ceil(outline.max(axis=0)).astype(int) + margin - before, size)
    if (high <= low).any():
        return None
    origin = low - before  # of the sharp picture, which is larger by the margin
    width, height = (high - low + margin).tolist()
    coverage = _coverage(outline - origin, width, height)
    colours = _place_texture(texture, centre - origin, axes, width, height)

    sharp = np.asarray(coverage)
    inner = sharp[before[1] : before[1] + high[1] - low[1], before[0] : before[0] + high[0] - low[0]]
    window = np.s_[low[1] : high[1], low[0] : high[0]]
    owner[window][inner >= 128] = number

    colours.putalpha(coverage)
    layer = np.asarray(colours).astype(np.float32)
    layer[..., :3] *= layer[..., 3:] * np.float32(1 / 255)  # premultiplied by the coverage
    layer = smear(layer, steps)
    layer *= np.float32(1 / 2 ** len(steps))
    blended = picture[window] * (1 - layer[..., 3:] * np.float32(1 / 255))
    blended += layer[..., :3]
    picture[window] = blended
    return window


def _coverage(outline: np.ndarray, width: int, height: int) -> Image.Image:
    """Compute the share of each pixel that lies within the outline, 0 to 255."""
    fine = Image.new("L", (width * _OVERSAMPLING, height * _OVERSAMPLING))
    corners = np.floor(outline * _OVERSAMPLING).astype(int)  # PIL would round towards zero
    ImageDraw.Draw(fine).polygon(corners.ravel().tolist(), fill=255)
    return fine.reduce(_OVERSAMPLING)


def _place_texture(texture: Image.Image, centre: np.ndarray, axes: np.ndarray, width: int, height: int) -> Image.Image:
    """Warp a texture to where its object is."""
    back = np.linalg.inv(axes) * (texture.width / 4)  # pixels of the picture → pixels of the texture
    begin = texture.width / 2 - back @ centre
    matrix = (back[0, 0], back[0, 1], begin[0], back[1, 0], back[1, 1], begin[1])
    return texture.transform((width, height), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)


def paint_background(
    world: Image.Image, corner: np.ndarray, zoom: float, size: tuple[int, int], motion: np.ndarray
) -> np.ndarray:
    """Paint the visible part of the background.

    Args:
        world: The whole background, see :func:`paint_world`.
        corner: Upper left corner of the picture, in pixels of the background (2,).
        zoom: Pixels of the picture per pixel of the background.
        size: Height and width of the picture.
        motion: Motion while the shutter is open, in pixels of the picture (2,).

    Returns:
        RGB, uint8 (H, W, 3).
    """
    steps = smear_steps(motion)
    margin = np.array(smear_margin(steps))
    left, upper = corner - (margin // 2) / zoom
    width, height = size[1] + int(margin[0]), size[0] + int(margin[1])
    box = (left, upper, left + width / zoom, upper + height / zoom)
    sharp = np.asarray(world.resize((width, height), Image.Resampling.BILINEAR, box))
    if not steps:
        return sharp.copy()
    return (smear(sharp.astype(np.uint16), steps) >> len(steps)).astype(np.uint8)


def degrade(pixels: np.ndarray, burst: Burst | None, grain: float, rng: np.random.Generator) -> np.ndarray:
    """Apply the effects of lens and sensor to a picture.

    Args:
        pixels: RGB, uint8 (H, W, 3).
        burst: Degradation of the frame. A :class:`Shake` changes nothing here: it has moved the camera already.
        grain: Standard deviation of the noise in every frame, in grey levels.
        rng: Source of the noise.

    Returns:
        RGB, uint8 (H, W, 3).
    """
    if isinstance(burst, Defocus):
        blur = ImageFilter.GaussianBlur(burst.deviation * min(pixels.shape[:2]))
        pixels = np.asarray(Image.fromarray(pixels).filter(blur))
    if isinstance(burst, Lighting):
        pixels = _relight(pixels, burst)
    deviation = np.hypot(grain, burst.deviation) if isinstance(burst, Noise) else grain
    return _add_noise(pixels, float(deviation), rng)


def _relight(pixels: np.ndarray, light: Lighting) -> np.ndarray:
    height, width = pixels.shape[:2]
    x = np.exp(light.slope[0] * np.linspace(-1, 1, width, dtype=np.float32))
    y = np.exp(light.slope[1] * np.linspace(-1, 1, height, dtype=np.float32))
    gain = (x[:, None] * np.exp(np.array(light.gain, dtype=np.float32))).ravel()  # (W · 3,)
    lit = pixels.reshape(height, width * 3) * gain
    lit *= y[:, None]
    return np.minimum(lit, 255, out=lit).astype(np.uint8).reshape(pixels.shape)


def _add_noise(pixels: np.ndarray, deviation: float, rng: np.random.Generator) -> np.ndarray:
    values = _normal_numbers()
    begin = int(rng.integers(len(values)))
    noise = values[begin : begin + pixels.size]
    if len(noise) < pixels.size:
        noise = values.take(np.arange(begin, begin + pixels.size), mode="wrap")
    noisy = noise * np.int16(round(2 * deviation))  # int16 holds deviations of up to 128
    noisy >>= 6
    noisy += pixels.reshape(-1)
    return np.clip(noisy, 0, 255, out=noisy).astype(np.uint8).reshape(pixels.shape)


@cache
def _normal_numbers() -> np.ndarray:
    """Draw a million normal numbers once, times 32, int16: new ones for each frame would take longer than painting."""
    return np.clip(np.random.default_rng(0).normal(0, 32, 1 << 20), -127, 127).astype(np.int16)
