from dataclasses import replace

import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from tltm_graph.association import Assignment
from tltm_graph.published.affinity import ArgmaxAssignment
from tltm_graph.structures import Detections
from tltm_graph.tracking.memory import Memory
from tltm_graph.tracking.motion import MotionFilters


class PublishedTrackManager:
    """The memory of the released code, kept apart from ours: see docs/fidelity.md.

    A track does not move between frames. What is shown for a match is the *row* of the memory it sits in, and rows move
    up when others are forgotten: after that, ids change hands and may occur twice. Misses add up over the whole life of
    a track, they are not counted anew after a observation. A frame without objects changes nothing.

    Args:
        misses_to_forget: Misses, in all, after which a track is forgotten; None to remember all for ever.
    """

    def __init__(self, misses_to_forget: int | None = None) -> None:
        self.misses_to_forget = misses_to_forget

    def predict(self, memory: Memory, time: float) -> Detections:
        """The last detection of each track, where it was."""
        return memory.detections

    def describe(self, graph: HeteroData, memory: Memory, time: float) -> None:
        """Nothing is known of motion."""

    def update(
        self,
        memory: Memory,
        detections: Detections,
        assignment: Assignment,
        frame: int,
        time: float | None = None,
        objects: Tensor | None = None,
    ) -> tuple[Memory, Tensor, Tensor]:
        """Takes in what was seen in ``frame``; see :meth:`tltm_graph.tracking.TrackManager.update`."""
        n, m = len(detections), len(memory)
        if n == 0:
            return memory, torch.zeros(0, dtype=torch.int64), torch.zeros(0, dtype=torch.int64)
        births = assignment.births
        rows = torch.full((n,), -1)
        rows[assignment.current] = assignment.previous
        rows[births] = torch.arange(m, m + len(births))
        shown = rows.clone()
        shown[births] = torch.arange(memory.next_id, memory.next_id + len(births))

        claims = assignment.claims if isinstance(assignment, ArgmaxAssignment) else torch.ones_like(assignment.current)
        hits = torch.cat([memory.hits, torch.ones(len(births), dtype=torch.int64)]) - 1
        hits[assignment.previous] += claims
        source = torch.full((m,), -1)
        source[assignment.previous] = assignment.current
        remembered = _overwrite(memory.detections, detections, source, births)
        after = Memory(
            ids=torch.arange(m + len(births)),
            hits=hits,
            confirmed=torch.ones(m + len(births), dtype=torch.bool),
            misses=-hits,
            last_seen=torch.cat([torch.where(source >= 0, frame, memory.last_seen), torch.full((len(births),), frame)]),
            motion=MotionFilters().start(remembered.boxes, remembered.scores, frame),
            detections=remembered,
            next_id=memory.next_id + len(births),
        )
        if self.misses_to_forget is not None:
            kept = after[(hits > -self.misses_to_forget).nonzero().flatten()]
            after = replace(kept, ids=torch.arange(len(kept)))
        return after, rows, shown

    def __repr__(self) -> str:
        return f"{type(self).__name__}(misses_to_forget={self.misses_to_forget})"


def _overwrite(memory: Detections, detections: Detections, source: Tensor, births: Tensor) -> Detections:
    """``memory`` with the rows that were seen replaced (all but their label) and the born ones appended."""
    both = Detections.cat([memory, detections.replace(masks=None)])
    matched = (source >= 0).nonzero().flatten()
    rows = torch.cat([torch.arange(len(memory)), len(memory) + births])
    rows[matched] = len(memory) + source[matched]
    after = both[rows]
    labels = torch.cat([memory.labels, detections.labels[births.to(detections.labels.device)]])
    return after.replace(labels=labels)
