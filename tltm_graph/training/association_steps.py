import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor

from tltm_graph.association import Assignment, HungarianSolver
from tltm_graph.association.motion_features import MotionFeatures, motion_features
from tltm_graph.graph import frame_pair_graph
from tltm_graph.nn import TransitionHead
from tltm_graph.synthetic import DetectionSequence
from tltm_graph.tracking import Memory, TrackManager
from tltm_graph.training.calibration import Calibration, fit_temperature


@dataclass(frozen=True, eq=False)
class AssociationStep:
    """One frame of a tracker that makes no mistake, or several joined: features, and what is right.

    Args:
        previous: Features of the tracks (M, F).
        current: Features of the detections (N, F).
        edge_index: Transitions (2, E).
        edges: Their features (E, D).
        same: Whether both ends of each are one object (E,), 0 or 1.
        births: Whether each detection shows something new (N,).
        misses: Whether each track is not there (M,).
        objects: Whether each detection shows an object (N,).
        edge_weight: What each transition counts in training (E,).
        birth_weight: The same of each detection (N,).
        miss_weight: The same of each track (M,).
        object_weight: What ``objects`` counts (N,).
    """

    previous: Tensor
    current: Tensor
    edge_index: Tensor
    edges: Tensor
    same: Tensor
    births: Tensor
    misses: Tensor
    objects: Tensor
    edge_weight: Tensor
    birth_weight: Tensor
    miss_weight: Tensor
    object_weight: Tensor

    @property
    def is_hard(self) -> bool:
        """Whether it is more than going on with what cannot be mistaken: rivals, gaps, or births beside tracks."""
        overlapping = self.edges[:, OVERLAP] > 0.25
        rivals = torch.zeros_like(self.births).index_add(0, self.edge_index[1], overlapping.float())
        waited = self.previous[self.edge_index[0], AGE] > 1.1
        return bool((rivals > 1).any() or (waited & (self.same > 0)).any() or ((self.births > 0) & (rivals > 0)).any())

    def weighted(self, weight: float) -> Self:
        """The same, counting ``weight`` times."""
        return type(self)(
            **{
                field.name: getattr(self, field.name) * (weight if field.name.endswith("_weight") else 1)
                for field in fields(self)
            }
        )

    @classmethod
    def join(cls, steps: Sequence[Self]) -> Self:
        """Many steps as one graph that falls into parts."""
        values = {field.name: [getattr(step, field.name) for step in steps] for field in fields(cls)}
        sizes = torch.tensor([[len(step.previous), len(step.current)] for step in steps]).reshape(-1, 2)
        first = sizes.cumsum(dim=0) - sizes  # (S, 2)
        index = [edges + start[:, None] for edges, start in zip(values["edge_index"], first, strict=True)]
        joined = {name: torch.cat(parts) for name, parts in values.items() if name != "edge_index"}
        return cls(edge_index=torch.cat(index, dim=1), **joined)


AGE, OVERLAP = 2, 22
"""Where the features have the log of the frames since a track was seen, and the IoU with where it should be."""


def association_steps(
    video: DetectionSequence,
    track_manager: TrackManager | None = None,
    reliability: float = 0.0,
    generator: torch.Generator | None = None,
    head: TransitionHead | None = None,
) -> Iterator[AssociationStep]:
    r"""Follows a video, and yields what a tracker would have had to decide in each frame that has detections.

    A tracker that makes no mistake never meets what mistakes lead to: tracks that were with somebody else for a while,
    two tracks of one object. So half of the training follows the decisions of a ``head`` instead, and asks each time
    what would have been right (data set aggregation, Ross et al. 2011, arXiv 1011.0686). A track then is of the object
    that it was seen with most often. Where several are of one object, the one with most observations of it is to go on; of
    the others it does not matter what becomes of them.

    Args:
        video: The detections; if there is a relation that judges them, its logits are evidence.
        track_manager: How tracks move, are born and forgotten.
        reliability: Of an imagined relation model whose logits are given as evidence: :math:`\rho`, for logits drawn
            from :math:`\mathcal{N}(\pm \rho^2 / 2, \rho^2)` plus the log-odds of a guess, which is calibrated. At 0
            there is none. Not looked at if the video has a relation of its own.
        generator: Of these logits.
        head: Whose decisions are followed; None for the true ones.
    """
    track_manager = track_manager or TrackManager()
    memory, seen_with = Memory.empty(), dict[int, Counter[int]]()  # of each track: how often with which identity
    pace = _pace(video.times)
    for index, (found, time) in enumerate(zip(video.frames, video.times, strict=True)):
        assert found.ids is not None
        ids, now = found.ids, (time - video.times[0]) / pace
        found = found.replace(ids=None, embeddings=None if video.relation is None else found.embeddings)
        known = ids >= 0
        real = torch.full_like(ids, -1) if video.objects is None else video.objects[index]
        shown, leads = _owners(memory.ids.tolist(), seen_with)
        equal = (shown[:, None] == ids[None]) & known[None]  # (M, N)
        right = equal & leads[:, None]
        decided = None
        if len(found):
            current = found.replace(masks=None)
            graph = frame_pair_graph(track_manager.predict(memory, now).replace(ids=None), current)
            graph["previous"].time_since_update = memory.time_since_update(now)
            graph.scene = current.boxes.new_tensor([[*video.size, pace]])
            track_manager.add_motion(graph, memory, now)
            logits = None if video.relation is None else video.relation(graph)
            if logits is None and reliability > 0:
                noise = torch.randn(equal.shape, generator=generator)
                evidence = reliability * noise + (equal.float() - 0.5) * reliability**2
                logits = (evidence - math.log(max(equal.shape))).flatten()
            features = motion_features(graph, logits)
            told = ((shown >= 0)[:, None] & known[None]) & (right | ~equal)
            yield AssociationStep(
                previous=features.previous,
                current=features.current,
                edge_index=features.edge_index,
                edges=features.edges,
                same=right.flatten()[features.kept].float(),
                births=(~equal.any(dim=0)).float(),
                misses=(~right.any(dim=1)).float(),
                edge_weight=told.flatten()[features.kept].float(),
                birth_weight=known.float(),
                miss_weight=((shown >= 0) & leads).float(),
                # Duplicates count as false positives, so that tracks stay on the better of two boxes.
                objects=(real > 0).float(),
                object_weight=(real >= 0).float(),
            )
            if head is not None:
                decided = _decided(head, features, (len(memory), len(found)))
        assignment = _assignment(right) if decided is None else decided
        memory, tracks, _ = track_manager.update(memory, found, assignment, now)
        for track, ident in zip(tracks.tolist(), ids.tolist(), strict=True):
            if track >= 0:
                seen_with.setdefault(track, Counter())[ident] += 1


def _owners(tracks: list[int], seen_with: dict[int, Counter[int]]) -> tuple[Tensor, Tensor]:
    """Of each track the identity (M,) it was seen with most often, and whether it leads those of that identity (M,)."""
    most = [seen_with[track].most_common(1)[0] for track in tracks]  # of equals the first
    best: dict[int, tuple[int, int]] = {}
    for row, (ident, count) in enumerate(most):
        if ident not in best or count > best[ident][1]:
            best[ident] = row, count
    shown = torch.tensor([ident for ident, _ in most], dtype=torch.int64)
    leads = torch.tensor([best[ident][0] == row or ident < 0 for row, (ident, _) in enumerate(most)], dtype=torch.bool)
    return shown, leads


def _assignment(right: Tensor) -> Assignment:
    previous, current = right.nonzero().unbind(dim=1)
    births, misses = (~right.any(dim=0)).nonzero().flatten(), (~right.any(dim=1)).nonzero().flatten()
    return Assignment(previous, current, births, misses)


@torch.no_grad()
def _decided(head: TransitionHead, features: MotionFeatures, size: tuple[int, int]) -> Assignment:
    edges, births, misses, _ = head(features.previous, features.current, features.edge_index, features.edges)
    return HungarianSolver()(features.edge_index, edges, size, births, misses)


def association_losses(head: TransitionHead, steps: Sequence[AssociationStep]) -> dict[str, Tensor]:
    """Binary cross-entropies of transitions, births, misses and objects, sums over the number of true transitions.

    Few of the transitions are true; since every one counts alike, the log-odds learned are those of the data, and
    sum and denominator grow alike with the crowd.
    """
    step = AssociationStep.join(steps)
    edges, births, misses, objects = head(step.previous, step.current, step.edge_index, step.edges)
    count = (step.same * step.edge_weight).sum().clamp(min=1)
    return {
        name: F.binary_cross_entropy_with_logits(logits, truth, weight, reduction="sum") / count
        for name, logits, truth, weight in (
            ("edge", edges, step.same, step.edge_weight),
            ("birth", births, step.births, step.birth_weight),
            ("miss", misses, step.misses, step.miss_weight),
            ("object", objects, step.objects, step.object_weight),
        )
    }


@torch.no_grad()
def calibrate(head: TransitionHead, steps: Sequence[AssociationStep]) -> Calibration:
    """The temperature for the edges of ``steps``, which the head was not trained on; training mode does not matter."""
    was, logits = head.training, []
    head.eval()
    for start in range(0, len(steps), 64):
        part = AssociationStep.join(steps[start : start + 64])
        logits.append(head(part.previous, part.current, part.edge_index, part.edges)[0])
    head.train(was)
    joined = AssociationStep.join(steps)
    return fit_temperature(torch.cat(logits), joined.same, joined.edge_weight)


def _pace(times: Sequence[float]) -> float:
    return min((later - earlier for earlier, later in pairwise(times)), default=1.0)
