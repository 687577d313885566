"""Motion features of tracks, detections and the edges between them: the input of the learned affinity."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch_geometric.data import HeteroData
from torchvision.ops import box_convert, box_iou

from tltm_graph.association.common_motion import common_motion
from tltm_graph.association.shapley_explainer import FeatureGroup
from tltm_graph.graph import TRANSITION

NUM_PREVIOUS, NUM_CURRENT, NUM_EDGE = 32, 14, 31
"""Number of features of a track, a detection and an edge."""

FEATURE_GROUPS = {
    "appearance": FeatureGroup(edge=(29, 30)),
    "motion": FeatureGroup(previous=tuple(range(14, 28)), edge=(*range(25),)),
    "class": FeatureGroup(edge=(25,)),
    "age": FeatureGroup(previous=(0, 1, 2, 3)),
    "confidence": FeatureGroup(previous=(4, 5), current=(0,), edge=(26,)),
    "place": FeatureGroup(previous=tuple(range(6, 14)), current=tuple(range(1, 9))),
    "crowd": FeatureGroup(previous=(28, 29, 30, 31), current=tuple(range(9, 14)), edge=(27, 28)),
}
"""Columns by topic, for explanations. Appearance: logits of the appearance model. Motion: displacement from the
predicted place to the detection. Class: equal labels. Age: observations and time since update. Confidence: detection
scores. Place: size and position in the frame. Crowd: neighbouring boxes."""

_GATE = 4.0  # in units of the box


@dataclass(frozen=True, eq=False)
class MotionFeatures:
    """Features of a frame pair. Lengths are in units of boxes, independent of the resolution.

    Args:
        previous: Track features (M, NUM_PREVIOUS).
        current: Detection features (N, NUM_CURRENT).
        edge_index: Edges that pass the gate (2, E).
        edges: Features of these edges (E, NUM_EDGE).
        kept: Index of each of these edges in the graph (E,).
    """

    previous: Tensor
    current: Tensor
    edge_index: Tensor
    edges: Tensor
    kept: Tensor


def motion_features(graph: HeteroData, logits: Tensor | None = None) -> MotionFeatures:
    r"""Compute the features of a frame pair and gate its edges.

    *Tracks and detections*: score, size, shape, position and distance to the borders of the frame, overlap with other
    boxes of the same side, occluding ones (lower in the frame) separately. Tracks also: number of observations, time
    since update, velocity, growth, jitter, and the differences of the quick and the patient motion filter from the
    middle one.

    *Edges*: displacement from the predicted place to the detection, for five predictions (the three filters, the last
    observation, and the middle filter plus :func:`common_motion`), absolute and in units of the track's jitter; change
    of size, overlaps, scores, equal class, distance relative to the nearest rival of either end, and the logits of the
    appearance model.

    *Gate*: an edge is kept if the detection lies within four boxes (more with growing time since update) and is among
    the 3 nearest of the track, or the track among the 8 nearest of the detection. An edge is also kept if the
    appearance model considers it likely, or ranks the track among the three likeliest of the detection: an object that
    re-enters elsewhere is rarely likely in absolute terms.

    Args:
        graph: Frame-pair graph of a tracker. ``graph["previous"]`` has ``boxes``, ``scores``, ``labels``,
            ``time_since_update (M,)`` in frames and the fields of :class:`tltm_graph.tracking.motion.Motion`:
            ``places (M, 3, 4)``, ``velocities (M, 3, 2)``, ``growths (M, 2)``, ``observations (M, 3)``,
            ``noise (M, 2)``, ``last (M, 4)`` and ``mean_scores (M,)``. ``graph.scene (1, 3)`` holds height and width of
            the frame in pixels and the seconds between frames.
        logits: Edge logits (E,) of an appearance model: log-odds that both ends are the same object. The features
            contain their excess over a uniform guess among the objects of the larger side.

    Raises:
        ValueError: If the graph lacks these fields.
    """
    previous, current, store = graph["previous"], graph["current"], graph[TRANSITION]
    if "places" not in previous or "scene" not in graph:
        raise ValueError(
            "Expected a graph with the motion of its tracks, as Tracker builds it, got one without: "
            "use GeometricAffinity() for other graphs"
        )
    m, n = len(previous.boxes), len(current.boxes)
    height, width, seconds = graph.scene[0].to(previous.boxes).unbind()
    frame = torch.stack([width, height])
    counts = previous.boxes.new_tensor([m + 1, n + 1]).log() - 2
    quick, middle, patient = _bounded(previous.places).unbind(dim=1)  # (M, 4) each
    last, gap = _bounded(previous.last), previous.time_since_update
    detected = _bounded(box_convert(current.boxes, "xyxy", "cxcywh"))  # (N, 4)
    shift = common_motion(middle, previous.velocities[:, 1], previous.observations[:, 1], gap, detected)
    shifted = torch.cat([middle[:, :2] + shift, middle[:, 2:]], dim=1)

    # Lengths are relative to boxes and jitter, never absolute: the head must not learn the resolution or the layout of
    # the training videos, or simulated motion would not carry over to real motion.
    size = middle[:, 2:]
    velocity = previous.velocities / size[:, None]  # (M, 3, 2)
    middle_velocity = velocity[:, 1]
    of_previous = torch.cat(
        [
            previous.observations[:, 1:].log(),
            torch.stack([gap.log(), (gap * seconds).clamp(min=1e-3).log() + 2], dim=1),
            torch.stack([previous.mean_scores, previous.scores.to(gap)], dim=1),
            _placement(middle, frame),
            _signed_log(
                torch.cat([middle_velocity, velocity[:, 2] - middle_velocity, velocity[:, 0] - middle_velocity], dim=1),
                0.03,
            ),
            _signed_log(previous.growths, 0.03),
            _signed_log((patient - middle)[:, :2] / size, 0.1),
            (patient[:, 2:] / size).log(),
            previous.noise.log() + 3,
            _crowding(middle),
            counts.expand(m, 2),
        ],
        dim=1,
    )  # (M, NUM_PREVIOUS)
    of_current = torch.cat(
        [
            current.scores.to(gap)[:, None],
            _placement(detected, frame),
            _crowding(detected),
            _overlap_with_higher_score(detected, current.scores)[:, None],
            counts.expand(n, 2),
        ],
        dim=1,
    )  # (N, NUM_CURRENT)

    uncertainty = (1 + 0.3 * gap.sqrt())[:, None]  # (M, 1)
    distance = _distance(middle, detected) / uncertainty  # (M, N)
    gate = torch.minimum(distance, _distance(shifted, detected) / uncertainty)
    near = (gate < _GATE) & (_among_smallest(gate, 8, dim=0) | _among_smallest(gate, 3, dim=1))
    row, column = store.edge_index
    passed = near[row, column]
    evidence = None if logits is None else logits.to(gap) + math.log(max(m, n, 1))  # minus the odds of a uniform guess
    if evidence is not None:
        unlikelihood = torch.full_like(gate, torch.inf).index_put((row, column), -evidence)
        passed |= (evidence > 1) | _among_smallest(unlikelihood, 3, dim=0)[row, column]
    kept = passed.nonzero().flatten()  # (E,)
    row, column = edge_index = store.edge_index[:, kept]

    before, now = middle[row], detected[column]  # (E, 4) each
    extent = (before[:, 2:] * now[:, 2:]).sqrt()  # (E, 2)
    displacements = [(now[:, :2] - place[row, :2]) / extent for place in (middle, quick, last, patient, shifted)]
    growth = [(now[:, 2:] / place[row, 2:]).log() for place in (middle, last, patient)]
    jitter, waited = previous.noise[row], gap[row, None]
    feet = (now[:, 1] + now[:, 3] / 2 - before[:, 1] - before[:, 3] / 2) / extent[:, 1]
    margin = 1.3 + 0.1 * (waited - 1).clamp(min=0).sqrt()
    # Without logits the feature is 0 and the last column says so: one head works with any appearance model, or none.
    appearance = before.new_zeros(len(kept)) if evidence is None else evidence[kept]
    edges = torch.cat(
        [
            _signed_log(torch.cat(displacements, dim=1), 0.1),  # 10
            _signed_log(displacements[0] / (jitter[:, :1] * (1 + 0.3 * waited).sqrt()), 1),  # 2
            _signed_log(torch.cat(growth, dim=1), 0.1),  # 6
            _signed_log(growth[0] / jitter[:, 1:], 1),  # 2
            torch.stack(
                [
                    (displacements[0].norm(dim=1) + 0.02).log(),
                    _signed_log(feet, 0.1),
                    _iou_by_row(before, now),
                    _iou_by_row(shifted[row], now),
                    _iou_by_row(torch.cat([before[:, :2], before[:, 2:] * margin], dim=1), now),
                    (previous.labels[row] == current.labels[column]).to(before),
                    (current.scores[column] - previous.scores[row]).to(before),
                    _lead(distance, dim=0)[row, column],
                    _lead(distance, dim=1)[row, column],
                    appearance / 3,
                    torch.full_like(appearance, float(evidence is not None)),
                ],
                dim=1,
            ),  # 11
        ],
        dim=1,
    )  # (E, NUM_EDGE)
    return MotionFeatures(of_previous, of_current, edge_index, edges, kept)


def _distance(places: Tensor, others: Tensor) -> Tensor:
    """Distance of the centres in units of the boxes (M, N)."""
    extent = (places[:, None, 2:] * others[None, :, 2:]).sqrt()
    return ((others[None, :, :2] - places[:, None, :2]) / extent).norm(dim=2)


def _iou_by_row(places: Tensor, others: Tensor) -> Tensor:
    """IoU of the boxes row by row (E,)."""
    first, second = (box_convert(x, "cxcywh", "xyxy") for x in (places, others))
    low, high = torch.maximum(first[:, :2], second[:, :2]), torch.minimum(first[:, 2:], second[:, 2:])
    shared = (high - low).clamp(min=0).prod(dim=1)
    return shared / (places[:, 2:].prod(dim=1) + others[:, 2:].prod(dim=1) - shared)


def _bounded(places: Tensor) -> Tensor:
    """Boxes of at least one pixel."""
    return torch.cat([places[..., :2], places[..., 2:].clamp(min=1)], dim=-1)


def _signed_log(values: Tensor, unit: float) -> Tensor:
    """Inverse hyperbolic sine of values / unit: linear near 0, logarithmic far from it."""
    return (values / unit).asinh()


def _placement(places: Tensor, frame: Tensor) -> Tensor:
    """Size, shape, position in the frame, and distance to its borders in units of the box (N, 8)."""
    centre, size = places[:, :2], places[:, 2:]
    borders = torch.cat([centre - size / 2, frame - centre - size / 2], dim=1) / size.repeat(1, 2)
    shape = torch.stack([(size[:, 1] / frame[1]).log() + 2, (size[:, 0] / size[:, 1]).log() + 0.5], dim=1)
    return torch.cat([shape, centre / frame - 0.5, borders.clamp(-2, 3)], dim=1)


def _crowding(places: Tensor) -> Tensor:
    """Largest share of each box occluded by a box lower in the frame, and its largest IoU with any box (N, 2)."""
    if len(places) == 0:
        return places.new_zeros((0, 2))
    corners, area = box_convert(places, "cxcywh", "xyxy"), places[:, 2:].prod(dim=1)
    iou = box_iou(corners, corners).fill_diagonal_(0)
    shared = iou / (1 + iou) * (area[:, None] + area[None])
    front = corners[None, :, 3] > corners[:, None, 3]
    return torch.stack([(shared * front).amax(dim=1) / area, iou.amax(dim=1)], dim=1)


def _overlap_with_higher_score(places: Tensor, scores: Tensor) -> Tensor:
    """Largest IoU of each box with a box of higher score (N,)."""
    if len(places) == 0:
        return places.new_zeros(0)
    corners = box_convert(places, "cxcywh", "xyxy")
    return (box_iou(corners, corners) * (scores[None] > scores[:, None])).amax(dim=1)


def _lead(distance: Tensor, dim: int) -> Tensor:
    """Log ratio of the best other distance along ``dim`` to each distance, clamped to ±4 (M, N)."""
    if distance.numel() == 0:
        return distance
    best = distance.topk(min(2, distance.shape[dim]), dim=dim, largest=False).values
    first = best.narrow(dim, 0, 1)
    second = best.narrow(dim, 1, 1) if best.shape[dim] > 1 else torch.full_like(first, 9.0)
    rival = torch.where(distance == first, second, first)
    return ((rival + 0.02) / (distance + 0.02)).log().clamp(-4, 4)


def _among_smallest(distance: Tensor, k: int, dim: int) -> Tensor:
    k = min(k, distance.shape[dim])
    nearest = distance.topk(k, dim=dim, largest=False).indices
    return torch.zeros_like(distance, dtype=torch.bool).scatter_(dim, nearest, True)
