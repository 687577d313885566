"""Painting one object, or the whole background, smeared by its motion."""

import numpy as np
from PIL import Image, ImageDraw

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
