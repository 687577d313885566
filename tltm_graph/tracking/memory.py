from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Self

import torch
from torch import Tensor

from tltm_graph.structures import Detections
from tltm_graph.tracking.motion import Motion, MotionFilters


@dataclass(frozen=True, eq=False, repr=False)
class Memory:
    """Bounded memory of a video's tracks, one row each. Rows move when other tracks are removed; ids do not change.

    Args:
        ids: Identity of each track (M,), unique, never reused.
        confirmed: Whether the id of each track is shown (M,), bool.
        motion: Motion state of each track (M rows). It also holds the one clock and the one count of observations.
        detections: Each track at its last update (M rows): filtered boxes, scores, labels and embeddings, no masks.
        next_id: Id of the next new track.
        mean_embeddings: Mean embedding of each track over its observations (M, F), None without embeddings. The
            embedding of the last observation alone may show only a part of a leaving or occluded object.

    Raises:
        ValueError: If the lengths differ or an id occurs twice.
    """

    ids: Tensor
    confirmed: Tensor
    motion: Motion
    detections: Detections
    next_id: int
    mean_embeddings: Tensor | None = None

    def __post_init__(self) -> None:
        m = len(self.detections)
        for name in ("ids", "confirmed", "motion", "mean_embeddings"):
            value = getattr(self, name)
            if value is not None and len(value) != m:
                raise ValueError(f"Expected '{name}' of {m} tracks, got {len(value)}")
        if self.ids.unique().numel() != m:
            raise ValueError(f"Expected unique ids, got {self.ids.tolist()}")

    @classmethod
    def empty(cls, device: torch.device | str = "cpu", next_id: int = 1) -> Self:
        """Memory without tracks. Bookkeeping is on the CPU, everything the graph reads on ``device``."""
        none, detections = torch.zeros(0, dtype=torch.int64), Detections.empty(device)
        motion = MotionFilters().start(detections.boxes, detections.scores, 0.0)
        return cls(none, none.bool(), motion, detections, next_id)

    @property
    def hits(self) -> Tensor:
        """Number of observations of each track (M,), int64, on the CPU."""
        return self.motion.observations[:, 1].long().cpu()

    def time_since_update(self, now: float) -> Tensor:
        """Frames of the video's pace since the last observation of each track (M,), at time ``now``."""
        return now - self.motion.time

    def __len__(self) -> int:
        return len(self.detections)

    def __getitem__(self, rows: Tensor) -> Self:
        mean = self.mean_embeddings
        return type(self)(
            self.ids[rows],
            self.confirmed[rows],
            self.motion[rows],
            self.detections[rows],
            self.next_id,
            None if mean is None else mean[rows.to(mean.device)],
        )

    @classmethod
    def join(cls, parts: Sequence[Self], next_id: int) -> Self:
        """Concatenate the rows of several memories."""
        # A part without tracks may not know whether there are embeddings.
        means = [part.mean_embeddings for part in parts if part.mean_embeddings is not None]
        return cls(
            ids=torch.cat([part.ids for part in parts]),
            confirmed=torch.cat([part.confirmed for part in parts]),
            motion=Motion.join([part.motion for part in parts]),
            detections=Detections.cat([part.detections for part in parts]),
            next_id=next_id,
            mean_embeddings=torch.cat(means) if means else None,
        )

    def tensors(self) -> dict[str, Tensor]:
        """Name all tensors, for a file; :meth:`from_tensors` is the inverse."""
        detections = self.detections
        named = {"ids": self.ids, "confirmed": self.confirmed, "mean_embeddings": self.mean_embeddings}
        named |= {f"motion.{field.name}": getattr(self.motion, field.name) for field in fields(Motion)}
        named |= {name: getattr(detections, name) for name in ("boxes", "scores", "labels", "embeddings")}
        return {name: value for name, value in named.items() if value is not None}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor], next_id: int) -> Self:
        """Restore a memory from :meth:`tensors`."""
        return cls(
            tensors["ids"],
            tensors["confirmed"],
            Motion(*(tensors[f"motion.{field.name}"] for field in fields(Motion))),
            Detections(tensors["boxes"], tensors["scores"], tensors["labels"], embeddings=tensors.get("embeddings")),
            next_id,
            tensors.get("mean_embeddings"),
        )

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}({len(self)} tracks, {int(self.confirmed.sum())} confirmed, next id {self.next_id})"
        )
