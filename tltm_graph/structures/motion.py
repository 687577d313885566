from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

_WIDTHS = {"places": 12, "velocities": 6, "growths": 2, "observations": 3, "noise": 2, "last": 4, "score": 1, "time": 1}
_ENDS = np.cumsum(list(_WIDTHS.values())).tolist()
_PLACES, _VELOCITIES, _GROWTHS, _OBSERVATIONS, _NOISE, _LAST, _SCORE, _TIME = (
    slice(end - width, end) for end, width in zip(_ENDS, _WIDTHS.values(), strict=True)
)


@dataclass(frozen=True, eq=False, repr=False)
class Motion:
    """Motion state of M tracks in K = 3 filters of different window. Times count frames of the video's pace.

    All values of a track are one row of a table, so that rows are selected and joined in one operation. The properties
    are views of its columns.

    Args:
        table: State of each track, float64 (M, 31).

    Raises:
        ValueError: If the table has another shape or type.
    """

    table: np.ndarray

    NUM_FILTERS: ClassVar[int] = 3
    WIDTH: ClassVar[int] = _ENDS[-1]

    def __post_init__(self) -> None:
        if self.table.ndim != 2 or self.table.shape[1] != self.WIDTH or self.table.dtype != np.float64:
            raise ValueError(
                f"Expected a table of shape (M, {self.WIDTH}) and type float64, got {self.table.shape} and "
                f"{self.table.dtype}"
            )

    @property
    def places(self) -> np.ndarray:
        """Filtered box at the last update: centre x, y, width, height in pixels (M, K, 4)."""
        return self.table[:, _PLACES].reshape(len(self), self.NUM_FILTERS, 4)

    @property
    def velocities(self) -> np.ndarray:
        """Velocity of the centre in pixels a frame (M, K, 2)."""
        return self.table[:, _VELOCITIES].reshape(len(self), self.NUM_FILTERS, 2)

    @property
    def growths(self) -> np.ndarray:
        """Growth of log width and log height a frame, from the quick filter (M, 2)."""
        return self.table[:, _GROWTHS]

    @property
    def observations(self) -> np.ndarray:
        """Number of observations in each filter (M, K); one of belief 0.5 counts 0.5."""
        return self.table[:, _OBSERVATIONS]

    @property
    def noise(self) -> np.ndarray:
        """Root mean square residual of the middle filter for one frame (M, 2).

        That of the centre is in units of the box; the other is that of log width and log height.
        """
        return self.table[:, _NOISE]

    @property
    def last(self) -> np.ndarray:
        """Last observed box, unfiltered: centre x, y, width, height in pixels (M, 4)."""
        return self.table[:, _LAST]

    @property
    def score(self) -> np.ndarray:
        """Mean detection score (M,)."""
        return self.table[:, _SCORE.start]

    @property
    def time(self) -> np.ndarray:
        """Time of the last observation (M,)."""
        return self.table[:, _TIME.start]

    @classmethod
    def of(cls, **columns: np.ndarray) -> Self:
        """Build the state from all its properties by name."""
        m = len(columns["time"])
        return cls(np.concatenate([columns[name].reshape(m, width) for name, width in _WIDTHS.items()], axis=1))

    @classmethod
    def empty(cls) -> Self:
        """State without tracks."""
        return cls(np.zeros((0, cls.WIDTH)))

    def columns(self) -> dict[str, np.ndarray]:
        """Name all properties; :meth:`of` is the inverse."""
        return {name: getattr(self, name) for name in _WIDTHS}

    def __len__(self) -> int:
        return self.table.shape[0]

    def __getitem__(self, rows: np.ndarray) -> Self:
        return type(self)(self.table[rows])

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self)} tracks)"

    @classmethod
    def join(cls, parts: list[Self]) -> Self:
        """Concatenate the rows of several states."""
        return cls(np.concatenate([part.table for part in parts]))
