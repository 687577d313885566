"""Motion features of tracks, detections and the edges between them: the input of the learned affinity."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Batch, HeteroData

from tltm_graph.association.common_motion import common_motion
from tltm_graph.association.shapley_explainer import FeatureGroup
from tltm_graph.graph import TRANSITION
from tltm_graph.ops.boxes import box_intersections, to_centres, to_corners
from tltm_graph.structures.motion import Motion

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
            ``time_since_update (M,)`` in frames, ``motion (M, 31)``, the table of
            :class:`tltm_graph.structures.motion.Motion`, and ``places (M, 3, 4)``, the box that each motion filter
            predicts. ``graph.scene (1, 3)`` holds height and width of the frame in pixels and the seconds between
            frames. It may be a :class:`torch_geometric.data.Batch`, whose graphs are independent of each other.
        logits: Edge logits (E,) of an appearance model: log-odds that both ends are the same object. The features
            contain their excess over a uniform guess among the objects of the larger side.

    Raises:
        ValueError: If the graph lacks these fields.
    """
    previous, current, store = graph["previous"], graph["current"], graph[TRANSITION]
    if "motion" not in previous or "scene" not in graph:
        raise ValueError(
            "Expected a graph with the motion of its tracks, as Tracker builds it, got one without: "
            "use GeometricAffinity() for other graphs"
        )
    batch = _Batch.of(graph)
    motion, places = Motion(_array(previous.motion)), _bounded(_array(previous.places))  # (M, 3, 4)
    quick, middle, patient = places[:, 0], places[:, 1], places[:, 2]
    gap, detected = _array(previous.time_since_update), _bounded(to_centres(_array(current.boxes)))  # (M,), (N, 4)
    shifted = _shifted(batch, middle, motion, gap, detected)
    track_scores, scores = _array(previous.scores), _array(current.scores)

    # Lengths are relative to boxes and jitter, never absolute: the head must not learn the resolution or the layout of
    # the training videos, or simulated motion would not carry over to real motion.
    m, both = len(middle), np.concatenate([middle, detected])  # (M + N, 4)
    scene = _array(graph.scene)  # (B, 3)
    placement = _placement(both, scene[batch.graph_of_node][:, 1::-1])
    overlap, occluded = _overlaps(batch, both)  # (2 B, P, P), (M + N,)
    crowding = np.stack([occluded, overlap.max(axis=2, initial=0)[batch.where]], axis=1)  # (M + N, 2)
    counts = np.log(batch.sizes + 1) - 2  # (B, 2)

    of_previous = np.empty((m, NUM_PREVIOUS))
    velocity = motion.velocities / middle[:, None, 2:]  # (M, 3, 2)
    np.log(motion.observations[:, 1:], out=of_previous[:, 0:2])
    np.log(gap, out=of_previous[:, 2])
    of_previous[:, 3] = np.log(np.maximum(gap * scene[batch.graph_of_node[:m], 2], 1e-3)) + 2
    of_previous[:, 4], of_previous[:, 5] = motion.score, track_scores
    of_previous[:, 6:14] = placement[:m]
    of_previous[:, 14:16] = velocity[:, 1]
    of_previous[:, 16:20].reshape(m, 2, 2)[:] = velocity[:, 2::-2] - velocity[:, 1:2]  # patient and quick
    of_previous[:, 20:22] = motion.growths
    of_previous[:, 22:24] = (patient[:, :2] - middle[:, :2]) / middle[:, 2:]
    of_previous[:, 14:24] = np.arcsinh(of_previous[:, 14:24] / _TRACK_UNITS)
    np.log(patient[:, 2:] / middle[:, 2:], out=of_previous[:, 24:26])
    of_previous[:, 26:28] = np.log(motion.noise) + 3
    of_previous[:, 28:30] = crowding[:m]
    of_previous[:, 30:32] = counts[batch.graph_of_node[:m]]

    of_current = np.empty((len(detected), NUM_CURRENT))
    of_current[:, 0] = scores
    of_current[:, 1:9] = placement[m:]
    of_current[:, 9:11] = crowding[m:]
    of_current[:, 11] = _overlap_with_higher_score(batch, overlap, scores)
    of_current[:, 12:14] = counts[batch.graph_of_node[m:]]

    # Gate.
    uncertainty = 1 + 0.3 * np.sqrt(gap)  # (M,)
    distance = _distance(batch, middle, detected, uncertainty)  # (B, M, N)
    gate = distance
    if shifted is not middle:
        gate = np.minimum(distance, _distance(batch, shifted, detected, uncertainty))
    rival_tracks, rival_detections = _smallest(distance, 8, axis=1), _smallest(distance, 3, axis=2)
    limits = rival_tracks[2], rival_detections[2]
    if gate is not distance:
        limits = _smallest(gate, 8, axis=1)[2], _smallest(gate, 3, axis=2)[2]
    near = (gate < _GATE) & ((gate <= limits[0]) | (gate <= limits[1]))
    ends = store.edge_index.cpu().numpy()
    group, i, j = batch.edges(*ends)
    passed = near[group, i, j]
    evidence = None
    if logits is not None:  # minus the odds of a uniform guess
        evidence = _array(logits) + np.log(np.maximum(batch.sizes.max(axis=1), 1))[group]
        unlikelihood = np.full(gate.shape, np.inf)
        unlikelihood[group, i, j] = -evidence
        passed |= (evidence > 1) | (unlikelihood <= _smallest(unlikelihood, 3, axis=1)[2])[group, i, j]
    kept = np.flatnonzero(passed)  # (E,)
    index = torch.from_numpy(kept)
    row, column = ends = ends[:, kept]
    group, i, j = group[kept], i[kept], j[kept]

    now, waited = detected[column], gap[row]  # (E, 4), (E,)
    before = np.stack([middle, quick, motion.last, patient, shifted], axis=1)[row]  # (E, 5, 4)
    np.maximum(before[:, 2, 2:], 1, out=before[:, 2, 2:])
    extent = np.sqrt(before[:, 0, 2:] * now[:, 2:])  # (E, 2)
    displacement = (now[:, None, :2] - before[:, :, :2]) / extent[:, None]  # (E, 5, 2)
    growth = np.log(now[:, None, 2:] / before[:, (0, 2, 3), 2:])  # (E, 3, 2)
    jitter = motion.noise[row]  # (E, 2)
    edges = np.empty((len(kept), NUM_EDGE))
    edges[:, :10] = displacement.reshape(-1, 10)
    edges[:, 10:12] = displacement[:, 0] / (jitter[:, :1] * np.sqrt(1 + 0.3 * waited)[:, None])
    edges[:, 12:18] = growth.reshape(-1, 6)
    edges[:, 18:20] = growth[:, 0] / jitter[:, 1:]
    edges[:, 20] = (now[:, 1] + now[:, 3] / 2 - before[:, 0, 1] - before[:, 0, 3] / 2) / extent[:, 1]
    edges[:, :21] = np.arcsinh(edges[:, :21] / _EDGE_UNITS)
    edges[:, 21] = edges[:, 20]
    edges[:, 20] = np.log(np.sqrt(np.square(displacement[:, 0]).sum(axis=1)) + 0.02)
    margin = 1.3 + 0.1 * np.sqrt(np.maximum(waited - 1, 0))
    compared = before[:, (0, 4, 0)]
    compared[:, 2, 2:] *= margin[:, None]
    edges[:, 22:25] = _iou_by_row(compared, now[:, None])
    edges[:, 25] = previous.labels.cpu().numpy()[row] == current.labels.cpu().numpy()[column]
    edges[:, 26] = scores[column] - track_scores[row]
    own = distance[group, i, j]
    edges[:, 27] = _lead(own, rival_tracks, (group, 0, j))
    edges[:, 28] = _lead(own, rival_detections, (group, i, 0))
    # Without logits the feature is 0 and the last column says so: one head works with any appearance model, or none.
    edges[:, 29] = 0 if evidence is None else evidence[kept] / 3
    edges[:, 30] = evidence is not None
    return MotionFeatures(_single(of_previous), _single(of_current), torch.from_numpy(ends), _single(edges), index)


_TRACK_UNITS = np.array([0.03] * 8 + [0.1] * 2)
_EDGE_UNITS = np.array([0.1] * 10 + [1] * 2 + [0.1] * 6 + [1] * 2 + [0.1])  # arcsinh: linear below, logarithmic above


class _Batch:
    """Place of the nodes of a graph, or of each graph of a batch, in arrays that are padded to equal sizes.

    Args:
        previous: Number of previous nodes of each graph (B,).
        current: Number of current nodes of each graph (B,).
    """

    def __init__(self, previous: np.ndarray, current: np.ndarray) -> None:
        self.sizes = np.stack([previous, current], axis=1)  # (B, 2)
        counts = np.concatenate([previous, current])  # (2 B,): the previous nodes of each graph, then the current ones
        self.num_graphs, self.size = len(previous), int(counts.max())
        self.where = (np.arange(self.size) < counts[:, None]).nonzero()  # row and place of each node, (M + N,) each
        self.graph_of_node = self.where[0] % self.num_graphs
        self.num_previous = int(previous.sum())

    @classmethod
    def of(cls, graph: HeteroData) -> "_Batch":
        nodes = graph["previous"], graph["current"]
        if isinstance(graph, Batch):
            return cls(*(np.diff(side.ptr.numpy()) for side in nodes))
        return cls(*(np.array([len(side.boxes)]) for side in nodes))

    def pad(self, values: np.ndarray, fill: float = 0.0) -> np.ndarray:
        """Arrange the values of all nodes, previous ones first, by graph, float32 (2 B, P, …)."""
        padded = np.full((2 * self.num_graphs, self.size, *values.shape[1:]), fill, dtype=np.float32)
        padded[self.where] = values
        return padded

    def edges(self, row: np.ndarray, column: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Graph of each edge, and the places of its ends in it, (E,) each."""
        graph, place = self.where
        return graph[row], place[row], place[self.num_previous + column]


def _array(values: Tensor) -> np.ndarray:
    return values.detach().cpu().numpy().astype(np.float64, copy=False)


def _single(values: np.ndarray) -> Tensor:
    return torch.from_numpy(values.astype(np.float32))


def _shifted(batch: _Batch, middle: np.ndarray, motion: Motion, gap: np.ndarray, detected: np.ndarray) -> np.ndarray:
    """Predicted places plus the common motion of each graph (M, 4); ``middle`` itself if there is none."""
    shifted, first, start = middle, 0, 0
    for m, n in batch.sizes.tolist():
        tracks, detections = slice(first, first + m), slice(start, start + n)
        first, start = first + m, start + n
        velocities, observations = motion.velocities[tracks, 1], motion.observations[tracks, 1]
        shift = common_motion(middle[tracks], velocities, observations, gap[tracks], detected[detections])
        if shift is not None:
            shifted = middle.copy() if shifted is middle else shifted
            shifted[tracks, :2] += shift
    return shifted


def _distance(batch: _Batch, places: np.ndarray, detected: np.ndarray, uncertainty: np.ndarray) -> np.ndarray:
    """Distance of the centres in units of the boxes and of the uncertainty of each track (B, M, N); inf if padded."""
    scale = np.concatenate([places[:, 2:] * np.square(uncertainty)[:, None], detected[:, 2:]]) ** -0.5
    padded = batch.pad(np.concatenate([np.concatenate([places[:, :2], detected[:, :2]]), scale], axis=1), np.nan)
    (m, n), b = batch.sizes.max(axis=0), batch.num_graphs
    before, now = padded[:b, :m, None], padded[b:, None, :n]
    x, y = ((now[..., k] - before[..., k]) * (now[..., 2 + k] * before[..., 2 + k]) for k in range(2))  # (B, M, N)
    distance = np.sqrt(x * x + y * y)
    return distance if b == 1 else np.where(np.isnan(distance), np.inf, distance)


def _overlaps(batch: _Batch, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """IoU of each box with the others of its side (2 B, P, P), and the occluded share of each node's box (M + N,).

    Boxes lower in the frame occlude; the share is that of the one that occludes most.
    """
    padded = batch.pad(places)
    corners, area = to_corners(padded), padded[:, :, 2] * padded[:, :, 3]
    shared = box_intersections(corners, corners)  # 0 for padded boxes, which have no area
    each = np.arange(batch.size)
    shared[:, each, each] = 0
    front = corners[:, None, :, 3] > corners[:, :, None, 3]
    occluded = (shared * front).max(axis=2, initial=0)[batch.where] / (places[:, 2] * places[:, 3])
    union = np.maximum(area[:, :, None] + area[:, None] - shared, 1)  # boxes have at least one pixel
    return shared / union, occluded


def _overlap_with_higher_score(batch: _Batch, overlap: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Largest IoU of each detection with one of higher score (N,)."""
    b, first = batch.num_graphs, batch.num_previous
    padded = np.zeros((b, batch.size), dtype=np.float32)
    row, place = (index[first:] for index in batch.where)
    padded[row - b, place] = scores
    stronger = padded[:, None] > padded[:, :, None]
    return (overlap[b:] * stronger).max(axis=2, initial=0)[row - b, place]


def _placement(places: np.ndarray, frame: np.ndarray) -> np.ndarray:
    """Size, shape, position in the frame, and distance to its borders in units of the box (R, 8)."""
    centre, size = places[:, :2], places[:, 2:]
    borders = np.concatenate([centre, frame - centre], axis=1) / np.concatenate([size, size], axis=1) - 0.5
    shape = np.log(np.stack([size[:, 1] / frame[:, 1], size[:, 0] / size[:, 1]], axis=1)) + np.array([2, 0.5])
    return np.concatenate([shape, centre / frame - 0.5, np.minimum(np.maximum(borders, -2), 3)], axis=1)


def _iou_by_row(places: np.ndarray, others: np.ndarray) -> np.ndarray:
    """IoU of boxes of equal index (…,)."""
    half, other_half = places[..., 2:] / 2, others[..., 2:] / 2
    apart = np.abs(places[..., :2] - others[..., :2])
    extent = np.minimum(half + other_half - apart, 2 * np.minimum(half, other_half))
    shared = np.maximum(extent, 0).prod(axis=-1)
    return shared / (places[..., 2:].prod(axis=-1) + others[..., 2:].prod(axis=-1) - shared)


def _bounded(places: np.ndarray) -> np.ndarray:
    """Boxes of at least one pixel."""
    bounded = places.copy()
    np.maximum(bounded[..., 2:], 1, out=bounded[..., 2:])
    return bounded


def _smallest(distance: np.ndarray, k: int, axis: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Smallest, second and k-th smallest distance along an axis, which stays with length 1; inf if there are fewer."""
    count = distance.shape[axis]
    if count == 0:
        shape = list(distance.shape)
        shape[axis] = 1
        return (np.full(shape, np.inf),) * 3
    last = min(k, count) - 1
    ordered = np.partition(distance, sorted({0, min(1, count - 1), last}), axis=axis)
    first, second, limit = (ordered.take([min(n, count - 1)], axis=axis) for n in (0, 1, last))
    if count == 1:
        second = np.full_like(first, np.inf)
    return first, second, limit if k <= count else np.full_like(first, np.inf)


def _lead(own: np.ndarray, rivals: tuple[np.ndarray, ...], index: tuple) -> np.ndarray:
    """Log ratio of the best other distance to the distance of each edge, clamped to ±4 (E,)."""
    first, second = rivals[0][index], rivals[1][index]
    rival = np.where(own == first, second, first)
    rival = np.where(np.isfinite(rival), rival, 9.0)
    return np.minimum(np.maximum(np.log((rival + 0.02) / (own + 0.02)), -4), 4)
