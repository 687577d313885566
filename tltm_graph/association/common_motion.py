import numpy as np

_HIT_DISTANCE = 0.15  # distance at which a prediction counts as a hit, in units of the box
_MIN_OBSERVATIONS = 3  # observations before a track counts as a witness


def common_motion(
    places: np.ndarray,
    velocities: np.ndarray,
    observations: np.ndarray,
    gap: np.ndarray,
    current: np.ndarray,
    max_witnesses: int = 30,
) -> np.ndarray | None:
    r"""Estimate a shift that all tracks share beyond their predicted motion: camera motion or missing frames.

    Hypotheses are scored by the witnesses, recently and often observed tracks. The null hypothesis is no common shift.
    Three hypotheses state that one, two or three frames are missing, so that every track moves on by that many of its
    steps. The others state one common translation, each of those that move a track onto a detection. The score is

    .. math:: \sum_i \max_j \exp(-\tfrac12 \lVert c_j - \hat c_i - h_i \rVert^2 / (0.15\, s_i)^2)

    with :math:`\hat c_i` and :math:`s_i` the predicted centre and the size of witness i, :math:`c_j` the detections of
    similar size, and :math:`h_i` the shift under the hypothesis. A hypothesis is accepted if its score exceeds that of
    the null hypothesis by 0.5 + 0.1 N for N witnesses. A translation is then averaged over the witnesses that agree.

    Args:
        places: Predicted centre, width and height of each track in pixels (M, 4).
        velocities: Velocity of each track in pixels a frame (M, 2).
        observations: Number of observations of each track (M,).
        gap: Frames since the last update of each track (M,).
        current: Centre, width and height of the detections in pixels (N, 4).
        max_witnesses: Maximum number of witnesses; those observed most often are used.

    Returns:
        Shift of each track in pixels (M, 2); None if the null hypothesis holds.
    """
    witnesses = np.flatnonzero((observations >= _MIN_OBSERVATIONS) & (gap < 3))
    if len(witnesses) < 2 or len(current) < 2:
        return None
    witnesses = witnesses[np.argsort(-observations[witnesses], kind="stable")[:max_witnesses]]
    place, velocity = places[witnesses], velocities[witnesses]
    extent = np.log(place[:, 2:])
    size = np.exp(extent.sum(axis=1) / 2)  # (W,)
    similar = (np.abs(np.log(current[:, 2:]) - extent[:, None]) < 0.5).all(axis=2)  # (W, N)
    track, detection = similar.nonzero()  # (S,)
    if len(track) == 0:
        return None
    residual = current[detection, :2] - place[track, :2]  # (S, 2)
    square = np.square(residual).sum(axis=1)
    unit = size[track]
    starts = np.flatnonzero(np.diff(track, prepend=-1))  # first pair of each witness with pairs
    nearest = np.minimum.reduceat(square, starts)
    null = np.exp(-0.5 * nearest / np.square(_HIT_DISTANCE * unit[starts])).sum()
    needed = null + 0.5 + 0.1 * len(witnesses)
    if needed >= len(starts):  # more than any hypothesis can score
        return None
    order = np.argsort(square / np.square(unit), kind="stable")[:120]
    shifts = residual[order]
    shifts = shifts[(np.abs(shifts) < 4 * np.median(size)).all(axis=1)]  # (P, 2)
    # |r - h|² = |r|² - 2 r·h + |h|² for a shift h of all witnesses.
    error = np.square(shifts).sum(axis=1)[:, None] - 2 * (shifts @ residual.T) + square  # (P, S)
    missing = np.arange(1, 4)[:, None, None] * velocity[track]  # (3, S, 2)
    error = np.concatenate([np.square(residual - missing).sum(axis=2), error])
    error = np.minimum.reduceat(error, starts, axis=1) / np.square(_HIT_DISTANCE * unit[starts])  # (3 + P, W')
    score = np.exp(-0.5 * np.maximum(error, 0)).sum(axis=1)
    best = int(score.argmax())
    if score[best] <= needed:
        return None
    if best < 3:
        return (best + 1) * velocities
    distance = np.square(residual - shifts[best - 3]).sum(axis=1)
    value = np.minimum.reduceat(distance, starts)
    agreed = residual[_first_of_each(distance, track, starts, value)]  # (W', 2)
    weight = np.exp(-0.5 * value / np.square(_HIT_DISTANCE * unit[starts]))
    return np.broadcast_to((agreed * weight[:, None]).sum(axis=0) / max(weight.sum(), 1e-6), velocities.shape)


def _first_of_each(values: np.ndarray, group: np.ndarray, starts: np.ndarray, minimum: np.ndarray) -> np.ndarray:
    """Index of the first value of each group that equals the group's minimum; groups are contiguous."""
    ranks = np.zeros(group.max() + 1, dtype=np.int64)
    ranks[group[starts]] = np.arange(len(starts))
    hits = np.flatnonzero(values == minimum[ranks[group]])
    return hits[np.flatnonzero(np.diff(group[hits], prepend=-1))]
