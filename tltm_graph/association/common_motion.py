import torch
from torch import Tensor

_REACH = 0.15  # how near a prediction is a hit, in units of the box
_PATIENCE = 3  # observations that make a track a witness


def common_motion(
    places: Tensor, velocities: Tensor, observations: Tensor, gap: Tensor, current: Tensor, max_witnesses: int = 30
) -> Tensor:
    r"""What all objects do at once, beyond what was expected of each: the camera moved, or frames are missing.

    Explanations compete for witnesses. One is that nothing special happened; three are that one, two or three frames
    more have passed than were counted, so that every object went on by so many of its steps; and the others are that
    everything moved by one and the same shift, any of those that bring a track onto a detection. Each is worth

    .. math:: \sum_i \max_j \exp(-\tfrac12 \lVert c_j - \hat c_i - h_i \rVert^2 / (0.15\, s_i)^2)

    with :math:`\hat c_i` and :math:`s_i` the expected centre and the size of the witnesses, tracks seen lately and
    often, :math:`c_j` the detections of about their size, and :math:`h_i` what the explanation says of each. It must
    beat the first by half a witness and a tenth of their number. A shift is then averaged over those that agree.

    Args:
        places: Where each track is expected: centre, width, height (M, 4).
        velocities: Pixels a frame (M, 2).
        observations: How often each was seen (M,).
        gap: Frames since (M,).
        current: The detections, as ``places`` (N, 4).
        max_witnesses: The tracks seen most often, at most so many.

    Returns:
        By how much each track is farther than expected, in pixels (M, 2); 0 if nothing special happened.
    """
    nothing = torch.zeros_like(velocities)
    witnesses = ((observations >= _PATIENCE) & (gap < 3)).nonzero().flatten()
    if len(witnesses) < 2 or len(current) < 2:
        return nothing
    order = observations[witnesses].argsort(descending=True, stable=True)[:max_witnesses]
    witnesses = witnesses[order]
    place, velocity = places[witnesses], velocities[witnesses]
    size = place[:, 2:].prod(dim=1).sqrt()  # (W,)
    residual = current[None, :, :2] - place[:, None, :2]  # (W, N, 2)
    alike = (current[None, :, 2:] / place[:, None, 2:]).log().abs().amax(dim=2) < 0.5  # (W, N)
    if not alike.any():
        return nothing
    near = torch.where(alike, residual.square().sum(dim=2) / size[:, None] ** 2, torch.inf).flatten()
    nearest = near.argsort(stable=True)[: min(120, int(alike.sum()))]
    shifts = residual.flatten(0, 1)[nearest]  # (P, 2)
    shifts = shifts[(shifts.abs() < 4 * _median(size)).all(dim=1)]
    missing = torch.arange(1, 4, device=places.device)[:, None, None] * velocity[None]  # (3, W, 2)
    explanations = torch.cat([torch.zeros_like(velocity)[None], missing, shifts[:, None].expand(-1, len(place), 2)])
    error = (residual[None] - explanations[:, :, None]).square().sum(dim=3) / (_REACH * size[None, :, None]) ** 2
    error = torch.where(alike[None], error, torch.inf).amin(dim=2)  # (P, W)
    worth = (-0.5 * error).exp().sum(dim=1)  # (P,)
    best = int(worth.argmax())
    if worth[best] <= worth[0] + 0.5 + 0.1 * len(witnesses):
        return nothing
    if best <= 3:
        return best * velocities
    distance = torch.where(alike, (residual - explanations[best][:, None]).square().sum(dim=2), torch.inf)  # (W, N)
    value, nearest = distance.min(dim=1)
    weight = (-0.5 * value / (_REACH * size) ** 2).exp()
    agreed = residual[torch.arange(len(nearest)), nearest]  # (W, 2)
    return nothing + (agreed * weight[:, None]).sum(dim=0) / weight.sum().clamp(min=1e-6)


def _median(values: Tensor) -> Tensor:
    """The mean of the two middle values where their number is even."""
    return values.quantile(0.5)
