"""Training steps of an association head: one frame of a simulated tracker with the right decisions, and the losses."""

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
from tltm_graph.synthetic.simulated_motion import DetectionSequence
from tltm_graph.tracking import Memory, TrackManager

_LOG_TIME_SINCE_UPDATE, _PREDICTED_IOU = 2, 22  # columns of the motion features of tracks and of edges


@dataclass(frozen=True, eq=False)
class AssociationStep:
    """Features and targets of one frame, or of several frames joined.

    Args:
        previous: Features of the tracks (M, F).
        current: Features of the detections (N, F).
        edge_index: Edges (2, E).
        edges: Features of the edges (E, D).
        edge_target: 1 if both ends are the same object, otherwise 0 (E,).
        birth_target: 1 if the detection shows a new object (N,).
        miss_target: 1 if the track has no detection (M,).
        object_target: 1 if the detection shows an object, 0 for a false positive (N,).
        edge_weight: Weights of ``edge_target`` in the loss (E,).
        birth_weight: Weights of ``birth_target`` (N,).
        miss_weight: Weights of ``miss_target`` (M,).
        object_weight: Weights of ``object_target`` (N,).
    """

    previous: Tensor
    current: Tensor
    edge_index: Tensor
    edges: Tensor
    edge_target: Tensor
    birth_target: Tensor
    miss_target: Tensor
    object_target: Tensor
    edge_weight: Tensor
    birth_weight: Tensor
    miss_weight: Tensor
    object_weight: Tensor

    @property
    def is_hard(self) -> bool:
        """True if tracks compete for a detection, a track returns after a gap, or an object appears near a track."""
        overlapping = self.edges[:, _PREDICTED_IOU] > 0.25
        rivals = torch.zeros_like(self.birth_target).index_add(0, self.edge_index[1], overlapping.float())
        after_gap = self.previous[self.edge_index[0], _LOG_TIME_SINCE_UPDATE] > 1.1
        return bool(
            (rivals > 1).any()
            or (after_gap & (self.edge_target > 0)).any()
            or ((self.birth_target > 0) & (rivals > 0)).any()
        )

    def weighted(self, weight: float) -> Self:
        """Multiply all weights of the step by ``weight``."""
        return type(self)(
            **{
                field.name: getattr(self, field.name) * (weight if field.name.endswith("_weight") else 1)
                for field in fields(self)
            }
        )

    @classmethod
    def join(cls, steps: Sequence[Self]) -> Self:
        """Join steps to one disconnected graph."""
        values = {field.name: [getattr(step, field.name) for step in steps] for field in fields(cls)}
        sizes = torch.tensor([[len(step.previous), len(step.current)] for step in steps]).reshape(-1, 2)
        offsets = sizes.cumsum(dim=0) - sizes  # (S, 2)
        index = [edges + offset[:, None] for edges, offset in zip(values["edge_index"], offsets, strict=True)]
        joined = {name: torch.cat(parts) for name, parts in values.items() if name != "edge_index"}
        return cls(edge_index=torch.cat(index, dim=1), **joined)


def association_steps(
    video: DetectionSequence,
    track_manager: TrackManager | None = None,
    reliability: float = 0.0,
    generator: torch.Generator | None = None,
    head: TransitionHead | None = None,
) -> Iterator[AssociationStep]:
    r"""Track a video and yield a training step for each frame that has detections.

    By default the tracker makes the right decisions. Then it never meets the results of mistakes, such as ID switches
    and duplicate tracks. With a ``head`` the tracker follows the head's decisions instead, and the targets say which
    decisions were right (data set aggregation, Ross et al. 2011, arXiv 1011.0686). A track then belongs to the identity
    of most of its observations. If several tracks have the same identity, the one with most observations of it should
    continue; edges of the others to this identity have weight 0.

    Args:
        video: Detections with ids. If it has a relation model, the model's logits are the appearance logits.
        track_manager: Motion, birth and removal of tracks.
        reliability: Reliability :math:`\rho \ge 0` of simulated appearance logits, which are drawn from
            :math:`\mathcal{N}(\pm \rho^2 / 2, \rho^2)` plus the log-odds of a guess, and are thus calibrated. At 0
            there are none. Not used if the video has a relation model.
        generator: Generator of the simulated logits.
        head: Head that makes the decisions; None for the right ones.
    """
    track_manager = track_manager or TrackManager()
    memory, observed = Memory.empty(), dict[int, Counter[int]]()  # by track: number of observations of each identity
    frame_time = min((later - earlier for earlier, later in pairwise(video.times)), default=1.0)
    for index, (detections, time) in enumerate(zip(video.frames, video.times, strict=True)):
        assert detections.ids is not None
        ids, now = detections.ids, (time - video.times[0]) / frame_time
        detections = detections.replace(ids=None, embeddings=None if video.relation is None else detections.embeddings)
        known = ids >= 0
        is_object = torch.full_like(ids, -1) if video.objects is None else video.objects[index]
        identities, leads = _identities(memory.ids.tolist(), observed)
        equal = (identities[:, None] == ids[None]) & known[None]  # (M, N)
        right = equal & leads[:, None]
        assignment = _right_assignment(right)
        if len(detections):
            current = detections.replace(masks=None)
            graph = frame_pair_graph(track_manager.predict(memory, now).replace(ids=None), current)
            graph["previous"].time_since_update = memory.time_since_update(now)
            graph.scene = current.boxes.new_tensor([[*video.size, frame_time]])
            track_manager.add_motion(graph, memory, now)
            logits = None if video.relation is None else video.relation(graph)
            if logits is None and reliability > 0:
                noise = torch.randn(equal.shape, generator=generator)
                simulated = reliability * noise + (equal.float() - 0.5) * reliability**2
                logits = (simulated - math.log(max(equal.shape))).flatten()
            features = motion_features(graph, logits)
            has_target = ((identities >= 0)[:, None] & known[None]) & (right | ~equal)
            yield AssociationStep(
                previous=features.previous,
                current=features.current,
                edge_index=features.edge_index,
                edges=features.edges,
                edge_target=right.flatten()[features.kept].float(),
                birth_target=(~equal.any(dim=0)).float(),
                miss_target=(~right.any(dim=1)).float(),
                # Duplicates count as false positives, so that tracks stay on the better of two boxes.
                object_target=(is_object > 0).float(),
                edge_weight=has_target.flatten()[features.kept].float(),
                birth_weight=known.float(),
                miss_weight=((identities >= 0) & leads).float(),
                object_weight=(is_object >= 0).float(),
            )
            if head is not None:
                assignment = _head_assignment(head, features, (len(memory), len(detections)))
        memory, tracks, _ = track_manager.update(memory, detections, assignment, now)
        for track, identity in zip(tracks.tolist(), ids.tolist(), strict=True):
            if track >= 0:
                observed.setdefault(track, Counter())[identity] += 1


def _identities(tracks: list[int], observed: dict[int, Counter[int]]) -> tuple[Tensor, Tensor]:
    """Find the most observed identity of each track (M,), and whether the track leads those of this identity (M,)."""
    most_common = [observed[track].most_common(1)[0] for track in tracks]  # the first of equals
    leader: dict[int, tuple[int, int]] = {}
    for row, (identity, count) in enumerate(most_common):
        if identity not in leader or count > leader[identity][1]:
            leader[identity] = row, count
    identities = torch.tensor([identity for identity, _ in most_common], dtype=torch.int64)
    leads = [leader[identity][0] == row or identity < 0 for row, (identity, _) in enumerate(most_common)]
    return identities, torch.tensor(leads, dtype=torch.bool)


def _right_assignment(right: Tensor) -> Assignment:
    previous, current = right.nonzero().unbind(dim=1)
    births, misses = (~right.any(dim=0)).nonzero().flatten(), (~right.any(dim=1)).nonzero().flatten()
    return Assignment(previous, current, births, misses)


@torch.no_grad()
def _head_assignment(head: TransitionHead, features: MotionFeatures, size: tuple[int, int]) -> Assignment:
    edges, births, misses, _ = head(features.previous, features.current, features.edge_index, features.edges)
    return HungarianSolver()(features.edge_index, edges, size, births, misses)


def association_losses(head: TransitionHead, steps: Sequence[AssociationStep]) -> dict[str, Tensor]:
    """Compute the binary cross-entropies of edges, births, misses and objects.

    Each is a sum divided by the number of right edges. Right edges are rare but have the same weight as others, so the
    head learns the log-odds of the data. Sum and denominator both grow with the number of objects.
    """
    step = AssociationStep.join(steps)
    edges, births, misses, objects = head(step.previous, step.current, step.edge_index, step.edges)
    count = (step.edge_target * step.edge_weight).sum().clamp(min=1)
    return {
        name: F.binary_cross_entropy_with_logits(logits, target, weight, reduction="sum") / count
        for name, logits, target, weight in (
            ("edge", edges, step.edge_target, step.edge_weight),
            ("birth", births, step.birth_target, step.birth_weight),
            ("miss", misses, step.miss_target, step.miss_weight),
            ("object", objects, step.object_target, step.object_weight),
        )
    }
