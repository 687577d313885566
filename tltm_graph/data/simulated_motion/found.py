from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Self

import numpy as np

FALSE = -1
"""The id of a detection of nothing that is seen once, until it gets one of its own."""


@dataclass(frozen=True, eq=False)
class Found:
    """Detections of all frames, one row each.

    Args:
        frames: Int (R,).
        boxes: Corners in pixels (R, 4).
        scores: From 0 to 1 (R,).
        labels: Int (R,).
        ids: Which object each is of, int (R,): :data:`FALSE` for none.
    """

    frames: np.ndarray
    boxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray
    ids: np.ndarray

    def __len__(self) -> int:
        return len(self.frames)

    def take(self, rows: np.ndarray) -> Self:
        """Those at ``rows``, a bool mask or indices."""
        return type(self)(*(getattr(self, field.name)[rows] for field in fields(self)))

    @classmethod
    def cat(cls, parts: Sequence[Self]) -> Self:
        """The rows of several, in order."""
        return cls(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(cls)))
