from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from tltm_graph.association import Assignment
from tltm_graph.published.solver import ArgmaxAssignment
from tltm_graph.structures import Detections


@dataclass(frozen=True, eq=False, repr=False)
class PublishedMemory:
    """Memory of the released code. It grows with every track of the video unless tracks are removed.

    Args:
        hits: Observations minus misses of each track over its whole life (M,), int64.
        updated: Time of the last observation of each track (M,).
        detections: Each track at its last observation (M rows), without masks.
        next_id: Id of the next track.
    """

    hits: Tensor
    updated: Tensor
    detections: Detections
    next_id: int

    @property
    def ids(self) -> Tensor:
        """Ids of the tracks (M,): their rows, from 1, which change when a track is removed."""
        return torch.arange(1, 1 + len(self))

    def time_since_update(self, now: float) -> Tensor:
        """Frames of the video's pace since the last observation of each track (M,), at time ``now``."""
        return now - self.updated

    def __len__(self) -> int:
        return len(self.detections)

    def tensors(self) -> dict[str, Tensor]:
        """Name all tensors, for a file; :meth:`from_tensors` is the inverse."""
        detections = self.detections
        named = {name: getattr(detections, name) for name in ("boxes", "scores", "labels", "embeddings")}
        named |= {"hits": self.hits, "updated": self.updated}
        return {name: value for name, value in named.items() if value is not None}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor], next_id: int) -> Self:
        """Restore a memory from :meth:`tensors`."""
        hits, updated = tensors["hits"], tensors["updated"]
        boxes, scores, labels = tensors["boxes"], tensors["scores"], tensors["labels"]
        return cls(hits, updated, Detections(boxes, scores, labels, embeddings=tensors.get("embeddings")), next_id)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self)} tracks, {self.next_id - 1} started)"


class PublishedTrackManager:
    """Track rules of the released code; docs/fidelity.md compares them with the paper.

    A track does not move between frames. The id shown for a match is the *row* of the track in memory, from 1. Rows
    move up when other tracks are removed: ids then change and may occur twice. Misses accumulate over the whole life of
    a track; an observation does not reset them. A frame without objects changes nothing.

    Args:
        misses_to_forget: Total misses after which a track is removed; None to keep every track.
    """

    def __init__(self, misses_to_forget: int | None = None) -> None:
        self.misses_to_forget = misses_to_forget

    def start(self, next_id: int = 1) -> PublishedMemory:
        """Create a memory without tracks."""
        return PublishedMemory(torch.zeros(0, dtype=torch.int64), torch.zeros(0), Detections.empty(), next_id)

    def restore(self, tensors: Mapping[str, Tensor], next_id: int) -> PublishedMemory:
        """Restore a memory from :meth:`PublishedMemory.tensors`."""
        return PublishedMemory.from_tensors(tensors, next_id)

    def calibrate(self, memory: PublishedMemory, scores: Tensor) -> tuple[PublishedMemory, Tensor]:
        """Change nothing: the released code takes the scores of its own detector as they are."""
        return memory, scores

    def predict(self, memory: PublishedMemory, time: float) -> Detections:
        """Return the last detection of each track; tracks do not move."""
        return memory.detections.replace(ids=memory.ids)

    def add_motion(self, graph: HeteroData, memory: PublishedMemory, time: float) -> None:
        """Add nothing: the released code does not estimate motion."""

    def update(
        self,
        memory: PublishedMemory,
        detections: Detections,
        assignment: Assignment,
        time: float,
        objects: Tensor | None = None,
    ) -> tuple[PublishedMemory, Tensor, Tensor]:
        """Update the memory with a frame; see :meth:`tltm_graph.tracking.TrackManager.update`."""
        n, m = len(detections), len(memory)
        if n == 0:
            return memory, torch.zeros(0, dtype=torch.int64), torch.zeros(0, dtype=torch.int64)
        births = assignment.births
        tracks = torch.full((n,), -1)
        tracks[assignment.current] = 1 + assignment.previous
        tracks[births] = torch.arange(1 + m, 1 + m + len(births))
        shown = tracks.clone()
        shown[births] = torch.arange(memory.next_id, memory.next_id + len(births))

        claims = assignment.claims if isinstance(assignment, ArgmaxAssignment) else torch.ones_like(assignment.current)
        hits = torch.cat([memory.hits, torch.ones(len(births), dtype=torch.int64)]) - 1
        hits[assignment.previous] += claims
        source = torch.full((m,), -1)
        source[assignment.previous] = assignment.current
        updated = torch.where(source >= 0, torch.full_like(memory.updated, time), memory.updated)
        updated = torch.cat([updated, updated.new_full((len(births),), time)])
        kept = _overwrite(memory.detections, detections, source, births)
        if self.misses_to_forget is not None:
            rows = (hits > -self.misses_to_forget).nonzero().flatten()
            hits, updated, kept = hits[rows], updated[rows], kept[rows]
        return PublishedMemory(hits, updated, kept, memory.next_id + len(births)), tracks, shown

    def __repr__(self) -> str:
        return f"{type(self).__name__}(misses_to_forget={self.misses_to_forget})"


def _overwrite(memory: Detections, detections: Detections, source: Tensor, births: Tensor) -> Detections:
    """Replace the matched rows of ``memory``, except for their labels, and append the births."""
    both = Detections.cat([memory, detections.replace(masks=None, features=None)])
    matched = (source >= 0).nonzero().flatten()
    rows = torch.cat([torch.arange(len(memory)), len(memory) + births])
    rows[matched] = len(memory) + source[matched]
    after = both[rows]
    labels = torch.cat([memory.labels, detections.labels[births]])
    return after.replace(labels=labels)
