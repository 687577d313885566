"""The classes: closed outlines of one area, told apart by their form alone."""

import numpy as np

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
