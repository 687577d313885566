import torch
from torch import Tensor

_HIT_DISTANCE = 0.15  # distance at which a prediction counts as a hit, in units of the box
_MIN_OBSERVATIONS = 3  # observations before a track counts as a witness


def common_motion(
    places: Tensor, velocities: Tensor, observations: Tensor, gap: Tensor, current: Tensor, max_witnesses: int = 30
) -> Tensor:
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
        Shift of each track in pixels (M, 2); 0 if the null hypothesis holds.
    """
    no_shift = torch.zeros_like(velocities)
    witnesses = ((observations >= _MIN_OBSERVATIONS) & (gap < 3)).nonzero().flatten()
    if len(witnesses) < 2 or len(current) < 2:
        return no_shift
    order = observations[witnesses].argsort(descending=True, stable=True)[:max_witnesses]
    witnesses = witnesses[order]
    place, velocity = places[witnesses], velocities[witnesses]
    size = place[:, 2:].prod(dim=1).sqrt()  # (W,)
    residual = current[None, :, :2] - place[:, None, :2]  # (W, N, 2)
    similar = (current[None, :, 2:] / place[:, None, 2:]).log().abs().amax(dim=2) < 0.5  # (W, N)
    if not similar.any():
        return no_shift
    distance = torch.where(similar, residual.square().sum(dim=2) / size[:, None] ** 2, torch.inf).flatten()
    nearest = distance.argsort(stable=True)[: min(120, int(similar.sum()))]
    shifts = residual.flatten(0, 1)[nearest]  # (P, 2)
    shifts = shifts[(shifts.abs() < 4 * _median(size)).all(dim=1)]
    missing = torch.arange(1, 4, device=places.device)[:, None, None] * velocity[None]  # (3, W, 2)
    hypotheses = torch.cat([torch.zeros_like(velocity)[None], missing, shifts[:, None].expand(-1, len(place), 2)])
    error = (residual[None] - hypotheses[:, :, None]).square().sum(dim=3) / (_HIT_DISTANCE * size[None, :, None]) ** 2
    error = torch.where(similar[None], error, torch.inf).amin(dim=2)  # (P, W)
    score = (-0.5 * error).exp().sum(dim=1)  # (P,)
    best = int(score.argmax())
    if score[best] <= score[0] + 0.5 + 0.1 * len(witnesses):
        return no_shift
    if best <= 3:
        return best * velocities
    distance = torch.where(similar, (residual - hypotheses[best][:, None]).square().sum(dim=2), torch.inf)  # (W, N)
    value, nearest = distance.min(dim=1)
    weight = (-0.5 * value / (_HIT_DISTANCE * size) ** 2).exp()
    agreed = residual[torch.arange(len(nearest)), nearest]  # (W, 2)
    return no_shift + (agreed * weight[:, None]).sum(dim=0) / weight.sum().clamp(min=1e-6)


def _median(values: Tensor) -> Tensor:
    """Median, the mean of the two middle values for an even count."""
    return values.quantile(0.5)
