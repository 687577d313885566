from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Assignment:
    """Assignment of current objects to previous ones.

    Args:
        previous: Matched previous objects (K,), int64.
        current: Their current objects (K,), row by row.
        births: Current objects that may start a track.
        misses: Previous objects without a match.

    A current object that is neither matched nor born is rejected and gets no id.

    Raises:
        ValueError: If an index occurs twice, or the lengths of ``previous`` and ``current`` differ.
    """

    previous: Tensor
    current: Tensor
    births: Tensor
    misses: Tensor

    def __post_init__(self) -> None:
        if self.previous.shape != self.current.shape:
            raise ValueError(
                f"Expected equally many previous and current indices, got {len(self.previous)} and {len(self.current)}"
            )
        for name, parts in (
            ("previous objects", (self.previous, self.misses)),
            ("current objects", (self.current, self.births)),
        ):
            used = torch.cat(parts)
            if used.dtype != torch.int64:
                raise ValueError(f"Expected {name} as int64 indices, got {used.dtype}: convert them with .long()")
            if used.unique().numel() != used.numel():
                raise ValueError(f"Expected each index of the {name} at most once, got {used.tolist()}")

    def __len__(self) -> int:
        return len(self.previous)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self)} matches, {len(self.births)} births, {len(self.misses)} misses)"
