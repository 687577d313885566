from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from tltm_graph.structures import Detections
from tltm_graph.tracking.motion import Motion, MotionFilters


@dataclass(frozen=True, eq=False)
class Memory:
    """The tracks a tracker knows, one row each. Rows move when others leave; their ids do not change.

    Args:
        ids: Identity of each track (M,), unique, never used again after the track is forgotten.
        hits: Frames each track was seen in (M,).
        confirmed: Whether its id is shown (M,), bool.
        misses: Frames since, in a row, that it was not (M,).
        last_seen: Index of the frame it was last seen in (M,).
        motion: How each moves (M rows).
        detections: How each was then, M rows, boxes freed of jitter, without masks: only what association reads is
            kept.
        next_id: The id of the next new track.
        looks: How each looked on the whole, the mean of its node features (M, F), None if there are none: those of
            ``detections`` are of the last observation, which may have shown only a part of it.

    Raises:
        ValueError: If the lengths differ or an id occurs twice.
    """

    ids: Tensor
    hits: Tensor
    confirmed: Tensor
    misses: Tensor
    last_seen: Tensor
    motion: Motion
    detections: Detections
    next_id: int
    looks: Tensor | None = None

    def __post_init__(self) -> None:
        m = len(self.detections)
        for name in ("ids", "hits", "confirmed", "misses", "last_seen", "motion"):
            value = getattr(self, name)
            if len(value) != m:
                raise ValueError(f"Expected '{name}' of {m} tracks, got {len(value)}")
        if self.looks is not None and len(self.looks) != m:
            raise ValueError(f"Expected 'looks' of {m} tracks, got {len(self.looks)}")
        if self.ids.unique().numel() != m:
            raise ValueError(f"Expected unique ids, got {self.ids.tolist()}")

    @classmethod
    def empty(cls, device: torch.device | str = "cpu") -> Self:
        """A memory of nothing. The bookkeeping lives on the CPU, what the graph reads on ``device``."""
        none = torch.zeros(0, dtype=torch.int64)
        nothing = Detections.empty(device)
        motion = MotionFilters().start(nothing.boxes, nothing.scores, 0.0)
        return cls(none, none, none.bool(), none, none, motion, nothing, next_id=0)

    def __len__(self) -> int:
        return len(self.detections)

    def __getitem__(self, rows: Tensor) -> Self:
        return type(self)(
            self.ids[rows],
            self.hits[rows],
            self.confirmed[rows],
            self.misses[rows],
            self.last_seen[rows],
            self.motion[rows],
            self.detections[rows],
            self.next_id,
            None if self.looks is None else self.looks[rows.to(self.looks.device)],
        )

    @classmethod
    def join(cls, parts: Sequence[Self], next_id: int) -> Self:
        """One memory with the rows of several."""
        looks = [part.looks for part in parts if part.looks is not None]  # of parts without rows it may not be known
        return cls(
            ids=torch.cat([part.ids for part in parts]),
            hits=torch.cat([part.hits for part in parts]),
            confirmed=torch.cat([part.confirmed for part in parts]),
            misses=torch.cat([part.misses for part in parts]),
            last_seen=torch.cat([part.last_seen for part in parts]),
            motion=Motion.join([part.motion for part in parts]),
            detections=Detections.cat([part.detections for part in parts]),
            next_id=next_id,
            looks=torch.cat(looks) if looks else None,
        )
