"""What geometry tells about tracks, detections, and transitions between them: the input of the learned affinity."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch_geometric.data import HeteroData
from torchvision.ops import box_iou

from tltm_graph.association.common_motion import common_motion
from tltm_graph.association.shapley_explainer import FeatureGroup
from tltm_graph.graph import TRANSITION

NUM_PREVIOUS, NUM_CURRENT, NUM_EDGE = 32, 14, 31
"""How many features a track, a detection and a transition have."""

FEATURE_GROUPS = {
    "appearance": FeatureGroup(edge=(29, 30)),
    "motion": FeatureGroup(previous=tuple(range(14, 28)), edge=(*range(25),)),
    "class": FeatureGroup(edge=(25,)),
    "age": FeatureGroup(previous=(0, 1, 2, 3)),
    "confidence": FeatureGroup(previous=(4, 5), current=(0,), edge=(26,)),
    "place": FeatureGroup(previous=tuple(range(6, 14)), current=tuple(range(1, 9))),
    "crowd": FeatureGroup(previous=(28, 29, 30, 31), current=tuple(range(9, 14)), edge=(27, 28)),
}
"""What the features tell of, for explanations: a relation model's logits; the way from where a track was expected to a
detection; labels; observations of the track and frames since; scores; size and place in the frame; what is near."""

_REACH = 4.0  # boxes


@dataclass(frozen=True, eq=False)
class MotionFeatures:
    """Features of a frame pair; lengths are in units of boxes, so they are the same at any resolution.

    Args:
        previous: Of the tracks (M, NUM_PREVIOUS).
        current: Of the detections (N, NUM_CURRENT).
        edge_index: Transitions worth a look (2, E).
        edges: Their features (E, NUM_EDGE).
        kept: Which of the graph's transitions they are (E,).
    """

    previous: Tensor
    current: Tensor
    edge_index: Tensor
    edges: Tensor
    kept: Tensor


def motion_features(graph: HeteroData, logits: Tensor | None = None) -> MotionFeatures:
    r"""The features of a frame pair.

    *Tracks and detections*: score, size, shape, place and distance to the borders of the frame, overlap with others of
    their side, those in front (lower in the frame) apart; tracks also: how often and how long ago they were seen,
    velocity, growth, how much they jitter, and how far quick and patient filter differ from the middle one.

    *Transitions*: the way from where the track is expected to the detection, for five expectations (the three
    filters, the last observation itself, and the middle filter with what all objects do at once, :func:`common_motion`),
    as it is and in units of the track's jitter; the change of size, overlaps, scores, class, how much nearer the
    nearest rival of either end is, and the logits of a relation model, if there is one.

    A transition is worth a look if the detection lies within four boxes (more, the longer the track was not seen), and
    it is among the 8 nearest tracks of the detection or the 3 nearest detections of the track; or if the relation model
    holds it for likely, or no more than two other tracks for likelier to be this detection: what comes back elsewhere
    is seldom likely by itself, but likelier than all else.

    Args:
        graph: The frame pair of a tracker: ``graph["previous"]`` has ``boxes``, ``scores``, ``labels`` and,
            from :class:`tltm_graph.tracking.Motion`, ``places (M, 3, 4)``, ``velocities (M, 3, 2)``,
            ``growths (M, 2)``, ``observations (M, 3)``, ``noise (M, 2)``, ``last (M, 4)``, ``mean_scores (M,)`` and
            ``gap (M,)``;
            ``graph.scene (1, 3)`` is height and width of the frame and the seconds between frames.
        logits: Edge logits (E,) of a relation model: log-odds that both ends are the same object. What they are more
            than those of a guess among the larger side's objects is evidence.

    Raises:
        ValueError: If the graph lacks these fields.
    """
    previous, current, store = graph["previous"], graph["current"], graph[TRANSITION]
    if "places" not in previous or "scene" not in graph:
        raise ValueError(
            "Expected a graph with the motion of its tracks, as Tracker makes it with a TrackManager, got one without: "
            "use Affinity() for other graphs"
        )
    m, n = len(previous.boxes), len(current.boxes)
    height, width, seconds = graph.scene[0].to(previous.boxes).unbind()
    frame = torch.stack([width, height])
    counts = previous.boxes.new_tensor([m + 1, n + 1]).log() - 2
    quick, middle, patient = _bounded(previous.places).unbind(dim=1)  # (M, 4) each
    last, gap = _bounded(previous.last), previous.gap
    seen = _bounded(_to_centre(current.boxes))  # (N, 4)
    shift = common_motion(middle, previous.velocities[:, 1], previous.observations[:, 1], gap, seen)
    shifted = torch.cat([middle[:, :2] + shift, middle[:, 2:]], dim=1)

    size = middle[:, 2:]
    velocity = previous.velocities / size[:, None]  # (M, 3, 2)
    middling = velocity[:, 1]
    of_previous = torch.cat(
        [
            previous.observations[:, 1:].log(),
            torch.stack([gap.log(), (gap * seconds).clamp(min=1e-3).log() + 2], dim=1),
            torch.stack([previous.mean_scores, previous.scores.to(gap)], dim=1),
            _whereabouts(middle, frame),
            _signed_log(torch.cat([middling, velocity[:, 2] - middling, velocity[:, 0] - middling], dim=1), 0.03),
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
            _whereabouts(seen, frame),
            _crowding(seen),
            _overlap_with_surer(seen, current.scores)[:, None],
            counts.expand(n, 2),
        ],
        dim=1,
    )  # (N, NUM_CURRENT)

    unseen = (1 + 0.3 * gap.sqrt())[:, None]  # (M, 1)
    rivalry = _distance(middle, seen) / unseen  # (M, N)
    nearness = torch.minimum(rivalry, _distance(shifted, seen) / unseen)
    near = (nearness < _REACH) & (_among_smallest(nearness, 8, dim=0) | _among_smallest(nearness, 3, dim=1))
    row, column = store.edge_index
    worth = near[row, column]
    evidence = None if logits is None else logits.to(gap) + math.log(max(m, n, 1))  # without the odds of a blind guess
    if evidence is not None:
        unlikelihood = torch.full_like(nearness, torch.inf).index_put((row, column), -evidence)
        worth |= (evidence > 1) | _among_smallest(unlikelihood, 3, dim=0)[row, column]
    kept = worth.nonzero().flatten()  # (E,)
    row, column = edge_index = store.edge_index[:, kept]

    before, now = middle[row], seen[column]  # (E, 4) each
    extent = (before[:, 2:] * now[:, 2:]).sqrt()  # (E, 2)
    ways = [(now[:, :2] - place[row, :2]) / extent for place in (middle, quick, last, patient, shifted)]
    growth = [(now[:, 2:] / place[row, 2:]).log() for place in (middle, last, patient)]
    jitter, waited = previous.noise[row], gap[row, None]
    feet = (now[:, 1] + now[:, 3] / 2 - before[:, 1] - before[:, 3] / 2) / extent[:, 1]
    margin = 1.3 + 0.1 * (waited - 1).clamp(min=0).sqrt()
    told = before.new_zeros(len(kept)) if evidence is None else evidence[kept]
    edges = torch.cat(
        [
            _signed_log(torch.cat(ways, dim=1), 0.1),  # 10
            _signed_log(ways[0] / (jitter[:, :1] * (1 + 0.3 * waited).sqrt()), 1),  # 2
            _signed_log(torch.cat(growth, dim=1), 0.1),  # 6
            _signed_log(growth[0] / jitter[:, 1:], 1),  # 2
            torch.stack(
                [
                    (ways[0].norm(dim=1) + 0.02).log(),
                    _signed_log(feet, 0.1),
                    _iou_by_row(before, now),
                    _iou_by_row(shifted[row], now),
                    _iou_by_row(torch.cat([before[:, :2], before[:, 2:] * margin], dim=1), now),
                    (previous.labels[row] == current.labels[column]).to(before),
                    (current.scores[column] - previous.scores[row]).to(before),
                    _lead(rivalry, dim=0)[row, column],
                    _lead(rivalry, dim=1)[row, column],
                    told / 3,
                    torch.full_like(told, float(evidence is not None)),
                ],
                dim=1,
            ),  # 11
        ],
        dim=1,
    )  # (E, NUM_EDGE)
    return MotionFeatures(of_previous, of_current, edge_index, edges, kept)


def _distance(places: Tensor, others: Tensor) -> Tensor:
    """How far centres are apart in units of the boxes (M, N)."""
    extent = (places[:, None, 2:] * others[None, :, 2:]).sqrt()
    return ((others[None, :, :2] - places[:, None, :2]) / extent).norm(dim=2)


def _iou_by_row(places: Tensor, others: Tensor) -> Tensor:
    """IoU of each box with the other one in its row (E,)."""
    first, second = _to_corners(places), _to_corners(others)
    low, high = torch.maximum(first[:, :2], second[:, :2]), torch.minimum(first[:, 2:], second[:, 2:])
    shared = (high - low).clamp(min=0).prod(dim=1)
    return shared / (places[:, 2:].prod(dim=1) + others[:, 2:].prod(dim=1) - shared)


def _bounded(places: Tensor) -> Tensor:
    return torch.cat([places[..., :2], places[..., 2:].clamp(min=1)], dim=-1)


def _to_centre(boxes: Tensor) -> Tensor:
    return torch.cat([(boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]], dim=1)


def _to_corners(places: Tensor) -> Tensor:
    return torch.cat([places[:, :2] - places[:, 2:] / 2, places[:, :2] + places[:, 2:] / 2], dim=1)


def _signed_log(values: Tensor, unit: float) -> Tensor:
    """Like values / unit near 0, like its logarithm far from it."""
    return (values / unit).asinh()


def _whereabouts(places: Tensor, frame: Tensor) -> Tensor:
    """Size, shape, place in the frame, and distance to its borders in boxes (N, 8)."""
    centre, size = places[:, :2], places[:, 2:]
    borders = torch.cat([centre - size / 2, frame - centre - size / 2], dim=1) / size.repeat(1, 2)
    shape = torch.stack([(size[:, 1] / frame[1]).log() + 2, (size[:, 0] / size[:, 1]).log() + 0.5], dim=1)
    return torch.cat([shape, centre / frame - 0.5, borders.clamp(-2, 3)], dim=1)


def _crowding(places: Tensor) -> Tensor:
    """The largest share of each box hidden by one in front of it (lower in the frame), and its largest IoU (N, 2)."""
    if len(places) == 0:
        return places.new_zeros((0, 2))
    corners, area = _to_corners(places), places[:, 2:].prod(dim=1)
    iou = box_iou(corners, corners).fill_diagonal_(0)
    shared = iou / (1 + iou) * (area[:, None] + area[None])
    front = corners[None, :, 3] > corners[:, None, 3]
    return torch.stack([(shared * front).amax(dim=1) / area, iou.amax(dim=1)], dim=1)


def _overlap_with_surer(places: Tensor, scores: Tensor) -> Tensor:
    """The largest IoU of each box with one of a higher score (N,)."""
    if len(places) == 0:
        return places.new_zeros(0)
    corners = _to_corners(places)
    return (box_iou(corners, corners) * (scores[None] > scores[:, None])).amax(dim=1)


def _lead(distance: Tensor, dim: int) -> Tensor:
    """How much nearer each is than the best of the others along ``dim``: log of the ratio, within ±4 (M, N)."""
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
