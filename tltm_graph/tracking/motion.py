import numpy as np

from tltm_graph.ops.boxes import pairwise_box_iou, to_centres, to_corners
from tltm_graph.structures.motion import Motion

_MAX_GROWTH = 0.7  # log of the size: a predicted box changes its size by at most a factor of two


class MotionFilters:
    r"""Expanding- and fading-memory g-h filters over the observed boxes of a track; the state is :class:`Motion`.

    The velocity is damped: after k frames a box is predicted at :math:`\hat x = x + v (1 - d^k) / (1 - d)`. An
    observation z corrects place and velocity by its residual :math:`r = z - \hat x`:

    .. math::
        x \leftarrow \hat x + \tfrac{2 (2n - 1)}{n (n + 1)}\, r, \qquad v \leftarrow v + \tfrac{6}{n (n + 1)}\, r / k

    with n the number of observations, at most the filter's window. These gains fit a least-squares line to the
    observations, which averages out the detector's jitter; once n stays at the window, older observations fade
    (Brookner 1998, *Tracking and Kalman Filtering Made Easy*).

    A new track starts with the velocity of nearby tracks of similar size, as far as they agree, since camera motion
    affects them alike.

    The quick filter follows turns and growth. Log size and growth g are filtered like place and velocity (with the gain
    of n + 1, as boxes also change for other reasons). The velocity changes by :math:`e^{2 g}` a frame: for an object
    that approaches at constant speed, size is proportional to 1 / depth and image velocity to its square. The patient
    filter keeps the motion from before an occlusion: it believes an observation less the more it overlaps another
    detection or track.

    Args:
        windows: Window of each filter in observations, from quick to patient. With a window of 1, the last observation
            is the prediction and there is no velocity.
        dampings: Damping d of each filter, in [0, 1).
    """

    def __init__(
        self, windows: tuple[int, int, int] = (3, 10, 30), dampings: tuple[float, float, float] = (0.8, 0.95, 0.98)
    ) -> None:
        if len(windows) != 3 or len(dampings) != 3:
            raise ValueError(
                f"Expected three filters, got windows {windows} and dampings {dampings}: quick, middle and patient"
            )
        if min(windows) < 1:
            raise ValueError(f"Expected windows of at least 1, got {windows}")
        if not all(0 <= d < 1 for d in dampings):
            raise ValueError(f"Expected damping in [0, 1), got {dampings}")
        self.windows = windows
        self.dampings = dampings

    def start(self, boxes: np.ndarray, scores: np.ndarray, time: float, others: Motion | None = None) -> Motion:
        """Start the state of new tracks.

        Args:
            boxes: Observed boxes, xyxy in pixels (N, 4).
            scores: Detection scores (N,).
            time: Time of the frame.
            others: Existing tracks, from which the initial velocity is estimated.
        """
        n = len(boxes)
        if n == 0:
            return Motion.empty()
        observation = to_centres(boxes)
        velocity, growth = _initial_motion(observation, others, time)
        state = Motion(np.empty((n, Motion.WIDTH)))
        state.places[:] = observation[:, None]
        state.velocities[:] = velocity[:, None]
        state.growths[:] = growth
        state.observations[:] = 1
        state.noise[:] = 0.08, 0.06
        state.last[:] = observation
        state.score[:] = scores
        state.time[:] = time
        return state

    def predict(self, motion: Motion, time: float) -> np.ndarray:
        """Predict the box of each track at ``time`` with each filter: centre x, y, width, height (M, K, 4)."""
        damping = np.array(self.dampings)
        gap = (time - motion.time)[:, None]  # (M, 1)
        steps = (1 - damping**gap) / (1 - damping)  # (M, K)
        shift = motion.velocities * steps[:, :, None]  # (M, K, 2)
        shift[:, 0] *= _acceleration(motion)
        moved = motion.places.copy()
        moved[:, :, :2] += shift
        moved[:, 0, 2:] *= np.exp(_clamp_growth(motion.growths * steps[:, :1]))
        return moved

    def update(
        self,
        motion: Motion,
        predicted: np.ndarray,
        boxes: np.ndarray,
        scores: np.ndarray,
        time: float,
        clear: np.ndarray,
    ) -> Motion:
        """Update each track with an observation.

        Args:
            motion: State of the matched tracks (M rows).
            predicted: Their boxes at ``time``: :meth:`predict`.
            boxes: Observed boxes, xyxy in pixels (M, 4), row by row.
            scores: Detection scores (M,).
            time: Time of the frame.
            clear: Belief of the patient filter in each observation (M,), in [0, 1]: see :meth:`clearness`.
        """
        if len(motion) == 0:
            return motion
        observation = to_centres(boxes)
        residual = observation[:, None] - predicted  # (M, K, 4)
        gap = np.maximum(time - motion.time, 1e-3)[:, None]  # (M, 1)
        belief = np.ones((len(motion), Motion.NUM_FILTERS))
        belief[:, 2] = clear
        seen = motion.observations + belief
        n = np.maximum(np.minimum(seen, self.windows), 1)
        place_gain = np.minimum(2 * (2 * n - 1) / (n * (n + 1)), 1) * belief
        velocity_gain = np.where(n > 1.01, np.minimum(6 / (n * (n + 1)), 1), 0) * belief / gap
        size = np.maximum(predicted[:, :2, 2:], 1)  # of the quick and the middle filter
        log_growth = np.log(np.maximum(observation[:, None, 2:], 1) / size)  # (M, 2, 2)
        error = np.stack([residual[:, 1, :2] / size[:, 1], log_growth[:, 1]], axis=1)  # (M, 2, 2)
        error = np.square(error).sum(axis=2) / 2
        slower = np.where(n[:, :1] > 1.01, 6 / ((n[:, :1] + 1) * (n[:, :1] + 2)), 0) / gap  # (M, 1)
        weight = 1 / np.minimum(seen[:, 1:2] + 1, 12)
        noise = (1 - weight) * np.square(motion.noise) + weight * np.minimum(error / np.maximum(gap, 1), 0.25)
        share = np.maximum(1 / seen[:, 1], 0.1)

        state = Motion(motion.table.copy())
        places, velocities = state.places, state.velocities
        np.add(predicted, place_gain[:, :, None] * residual, out=places)
        np.maximum(places[:, :, 2:], 0, out=places[:, :, 2:])
        velocities[:, 0] *= _acceleration(motion)
        velocities += velocity_gain[:, :, None] * residual[:, :, :2]
        state.growths[:] = _clamp_growth(motion.growths + slower * log_growth[:, 0])
        state.observations[:] = seen
        state.noise[:] = np.sqrt(np.maximum(noise, 1e-4))
        state.last[:] = observation
        state.score[:] += (scores - motion.score) * share
        state.time[:] = time
        return state

    def compensate_camera(
        self, motion: Motion, matched: Motion, predicted: np.ndarray, boxes: np.ndarray, time: float
    ) -> Motion:
        """Compensate camera motion: shift lost tracks by the common residual of the matched ones.

        The median residual is weighted by how clearly it exceeds the spread of the residuals.

        Args:
            motion: State of the tracks without an observation.
            matched: State of the matched tracks before their update (S rows).
            predicted: Their boxes at ``time``: :meth:`predict`.
            boxes: Observed boxes of the matched tracks, xyxy in pixels (S, 4).
            time: Time of the frame.
        """
        if len(motion) == 0 or len(matched) < 2:
            return motion
        fresh = (time - matched.time < 2.5) & (matched.observations[:, 1] >= 3)  # (S,)
        count = int(fresh.sum())
        if count < 2:
            return motion
        observed = to_centres(boxes[fresh])
        residual = (observed - predicted[fresh, 1])[:, :2]
        shared, size = _lower_median(residual), _lower_median(observed[:, 2:])  # (2,)
        spread = 1.5 * _lower_median(np.abs(residual - shared)) + 0.02 * size
        square = np.square(shared)
        trust = square / np.maximum(square + 4 * np.square(spread) / count, 1e-9) * (1 - 1 / count)
        state = Motion(motion.table.copy())
        state.places[:, :, :2] += trust * shared
        state.last[:, :2] += trust * shared
        return state

    def clearness(self, boxes: np.ndarray, matched: np.ndarray, predicted: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Rate how clearly each observation is separated from other detections and tracks.

        Args:
            boxes: All boxes of the frame, xyxy in pixels (N, 4).
            matched: Rows of the matched boxes (S,).
            predicted: Boxes of all tracks at the time of the frame: :meth:`predict`.
            rows: Row of the track of each matched box (S,).

        Returns:
            1 without overlap, down to 0.1 for an IoU of 0.6 or more (S,).
        """
        if len(matched) == 0:
            return np.zeros(0)
        others = np.concatenate([boxes, to_corners(predicted[:, 1])])
        overlap = pairwise_box_iou(boxes[matched], others)  # (S, N + M)
        each = np.arange(len(matched))
        overlap[each, matched] = 0
        overlap[each, len(boxes) + rows] = 0
        return 1 - np.minimum(np.maximum(2 * overlap.max(axis=1) - 0.3, 0), 0.9)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(windows={self.windows}, dampings={self.dampings})"


def _clamp_growth(growth: np.ndarray) -> np.ndarray:
    return np.minimum(np.maximum(growth, -_MAX_GROWTH), _MAX_GROWTH)


def _acceleration(motion: Motion) -> np.ndarray:
    """Factor of the quick filter's velocity from one frame to the next (M, 1)."""
    return np.exp(_clamp_growth(motion.growths.sum(axis=1, keepdims=True)))  # twice the mean of both sides


def _lower_median(values: np.ndarray) -> np.ndarray:
    """Median of each column; the lower one of the two middle values for an even count."""
    return np.sort(values, axis=0)[(len(values) - 1) // 2]


def _initial_motion(places: np.ndarray, others: Motion | None, time: float) -> tuple[np.ndarray, np.ndarray]:
    """Velocity and growth (N, 2) at ``places``, estimated from nearby tracks of similar size as far as they agree."""
    others = others or Motion.empty()
    others = others[(others.observations[:, 1] >= 3) & (time - others.time < 2.5)]
    if len(others) == 0:
        return np.zeros((len(places), 2)), np.zeros((len(places), 2))
    place = others.places[:, 1]
    size, other_size = (np.sqrt(np.maximum(x[:, 2:], 1).prod(axis=1)) for x in (places, place))  # (N,), (M,)
    distance = np.square(places[:, None, :2] - place[None, :, :2]).sum(axis=2) / (size[:, None] * other_size * 9)
    difference = np.square(np.log(size[:, None] / other_size)) / 0.25
    weight = np.exp(-0.5 * (distance + difference))  # (N, M)
    flow = np.concatenate([others.velocities[:, 1] / other_size[:, None], others.growths], axis=1)  # (M, 4), in boxes
    total = weight.sum(axis=1, keepdims=True)
    mean = weight @ flow / (total + 0.3)
    spread = (weight[..., None] * np.square(flow[None] - mean[:, None])).sum(axis=1) / np.maximum(total, 1e-6)  # (N, 4)
    strength, variance = (x.reshape(-1, 2, 2).sum(axis=2) for x in (np.square(mean), spread))  # (N, 2): motion, growth
    trust = strength / (strength + variance + 0.02**2)
    return trust[:, :1] * mean[:, :2] * size[:, None], trust[:, 1:] * mean[:, 2:]
