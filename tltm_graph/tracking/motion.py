from dataclasses import dataclass, fields, replace
from typing import Self

import torch
from torch import Tensor
from torchvision.ops import box_convert, box_iou


@dataclass(frozen=True, eq=False, repr=False)
class Motion:
    """Motion state of M tracks in K filters of different window. Times count frames of the video's pace.

    Args:
        places: Filtered box at the last update: centre x, y, width, height in pixels (M, K, 4).
        velocities: Velocity of the centre in pixels a frame (M, K, 2).
        growths: Growth of log width and log height a frame, from the quick filter (M, 2).
        observations: Number of observations in each filter (M, K); one of belief 0.5 counts 0.5.
        noise: Root mean square residual of the middle filter for one frame: of the centre in units of the box, and of
            log width and log height (M, 2).
        last: Last observed box, unfiltered: centre x, y, width, height in pixels (M, 4).
        score: Mean detection score (M,).
        time: Time of the last observation (M,).
    """

    places: Tensor
    velocities: Tensor
    growths: Tensor
    observations: Tensor
    noise: Tensor
    last: Tensor
    score: Tensor
    time: Tensor

    def __len__(self) -> int:
        return self.places.shape[0]

    def __getitem__(self, rows: Tensor) -> Self:
        rows = rows.to(self.places.device)
        return type(self)(*(getattr(self, field.name)[rows] for field in fields(self)))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self)} tracks)"

    @classmethod
    def join(cls, parts: list[Self]) -> Self:
        """Concatenate the rows of several states."""
        return cls(*(torch.cat([getattr(part, field.name) for part in parts]) for field in fields(cls)))


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

    def start(self, boxes: Tensor, scores: Tensor, time: float, others: Motion | None = None) -> Motion:
        """Start the state of new tracks.

        Args:
            boxes: Observed boxes, xyxy in pixels (N, 4).
            scores: Detection scores (N,).
            time: Time of the frame.
            others: Existing tracks, from which the initial velocity is estimated.
        """
        n, k = len(boxes), len(self.windows)
        observation = box_convert(boxes, "xyxy", "cxcywh")
        velocity, growth = _initial_motion(observation, others, time)
        return Motion(
            places=observation[:, None].expand(n, k, 4).clone(),
            velocities=velocity[:, None].expand(n, k, 2).clone(),
            growths=growth,
            observations=boxes.new_ones((n, k)),
            noise=boxes.new_tensor([0.08, 0.06]).expand(n, 2).clone(),
            last=observation,
            score=scores.to(boxes.dtype),
            time=boxes.new_full((n,), time),
        )

    def predict(self, motion: Motion, time: float) -> Tensor:
        """Predict the box of each track at ``time`` with each filter: centre x, y, width, height (M, K, 4)."""
        damping = motion.places.new_tensor(self.dampings)
        gap = (time - motion.time)[:, None]  # (M, 1)
        steps = ((1 - damping**gap) / (1 - damping))[..., None]  # (M, K, 1)
        shift, acceleration = motion.velocities * steps, _acceleration(motion)  # (M, K, 2), (M, 1)
        growth = (motion.growths * steps[:, 0]).clamp(-_MAX_GROWTH, _MAX_GROWTH).exp()
        moved = motion.places + torch.nn.functional.pad(shift, (0, 2))
        centre, size = moved[:, 0].split(2, dim=1)
        quick = torch.cat([centre + (acceleration - 1) * shift[:, 0], size * growth], dim=1)
        return torch.cat([quick[:, None], moved[:, 1:]], dim=1)

    def update(self, motion: Motion, boxes: Tensor, scores: Tensor, time: float, clear: Tensor) -> Motion:
        """Update each track with an observation.

        Args:
            motion: State of the matched tracks (M rows).
            boxes: Observed boxes, xyxy in pixels (M, 4), row by row.
            scores: Detection scores (M,).
            time: Time of the frame.
            clear: Belief of the patient filter in each observation (M,), in [0, 1]: see :meth:`clearness`.
        """
        predicted = self.predict(motion, time)
        observation = box_convert(boxes, "xyxy", "cxcywh")
        residual = observation[:, None] - predicted  # (M, K, 4)
        gap = (time - motion.time)[:, None].clamp(min=1e-3)  # (M, 1)
        belief = torch.stack([torch.ones_like(clear), torch.ones_like(clear), clear], dim=1)  # (M, K)
        seen = motion.observations + belief
        window = predicted.new_tensor(self.windows)
        n = torch.minimum(seen, window).clamp(min=1)
        place_gain = (2 * (2 * n - 1) / (n * (n + 1))).clamp(max=1) * belief
        velocity_gain = torch.where(n > 1.01, (6 / (n * (n + 1))).clamp(max=1), 0.0) * belief
        places = predicted + place_gain[..., None] * residual
        size = predicted[..., 2:].clamp(min=1)
        log_growth = (observation[:, None, 2:].clamp(min=1) / size).log()  # (M, K, 2)
        error = torch.stack(
            [(residual[:, 1, :2] / size[:, 1]).square().mean(dim=1), log_growth[:, 1].square().mean(dim=1)], dim=1
        )
        slower = torch.where(n > 1.01, 6 / ((n + 1) * (n + 2)), 0.0)[:, :1] / gap  # (M, 1)
        velocities = torch.cat(
            [motion.velocities[:, :1] * _acceleration(motion)[:, None], motion.velocities[:, 1:]], dim=1
        )
        weight = 1 / (seen[:, 1:2] + 1).clamp(max=12)
        noise = (1 - weight) * motion.noise.square() + weight * (error / gap.clamp(min=1)).clamp(max=0.25)
        share = (1 / seen[:, 1]).clamp(min=0.1)
        return Motion(
            places=torch.cat([places[..., :2], places[..., 2:].clamp(min=0)], dim=-1),
            velocities=velocities + velocity_gain[..., None] * residual[..., :2] / gap[..., None],
            growths=(motion.growths + slower * log_growth[:, 0]).clamp(-_MAX_GROWTH, _MAX_GROWTH),
            observations=seen,
            noise=noise.clamp(min=1e-4).sqrt(),
            last=observation,
            score=motion.score + (scores.to(motion.score) - motion.score) * share,
            time=torch.full_like(motion.time, time),
        )

    def compensate_camera(self, motion: Motion, matched: Motion, boxes: Tensor, time: float) -> Motion:
        """Compensate camera motion: shift lost tracks by the common residual of the matched ones.

        The median residual is weighted by how clearly it exceeds the spread of the residuals.

        Args:
            motion: State of the tracks without an observation.
            matched: State of the matched tracks before their update (S rows).
            boxes: Observed boxes of the matched tracks, xyxy in pixels (S, 4).
            time: Time of the frame.
        """
        if len(motion) == 0 or len(matched) < 2:
            return motion
        fresh = (time - matched.time < 2.5) & (matched.observations[:, 1] >= 3)  # (S,)
        count = fresh.sum()
        observed = box_convert(boxes, "xyxy", "cxcywh")
        residual = (observed - self.predict(matched, time)[:, 1])[:, :2]
        residual = torch.where(fresh[:, None], residual, torch.nan)
        shared = residual.nanmedian(dim=0).values  # (2,)
        size = torch.where(fresh[:, None], observed[:, 2:], torch.nan).nanmedian(dim=0).values
        spread = 1.5 * (residual - shared).abs().nanmedian(dim=0).values + 0.02 * size
        trust = shared.square() / (shared.square() + 4 * spread.square() / count).clamp(min=1e-9) * (1 - 1 / count)
        shift = torch.where(count >= 2, trust * shared, 0.0).nan_to_num(0.0)  # (2,)
        moved = torch.nn.functional.pad(shift, (0, 2))
        return replace(motion, places=motion.places + moved, last=motion.last + moved)

    def clearness(self, boxes: Tensor, matched: Tensor, motion: Motion, rows: Tensor, time: float) -> Tensor:
        """Rate how clearly each observation is separated from other detections and tracks.

        Args:
            boxes: All boxes of the frame, xyxy in pixels (N, 4).
            matched: Rows of the matched boxes (S,).
            motion: State of all tracks before the update.
            rows: Row of the track of each matched box (S,).
            time: Time of the frame.

        Returns:
            1 without overlap, down to 0.1 for an IoU of 0.6 or more (S,).
        """
        observed = boxes[matched]
        predicted = box_convert(self.predict(motion, time)[:, 1], "cxcywh", "xyxy")
        detections, tracks = (box_iou(observed, others).nan_to_num(0.0) for others in (boxes, predicted))
        detections[torch.arange(len(observed)), matched] = 0
        tracks[torch.arange(len(observed)), rows] = 0
        most = torch.cat([detections, tracks], dim=1).amax(dim=1) if len(observed) else observed.new_zeros(0)
        return 1 - (2 * most - 0.3).clamp(0, 0.9)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(windows={self.windows}, dampings={self.dampings})"


def _acceleration(motion: Motion) -> Tensor:
    """Factor of the quick filter's velocity from one frame to the next (M, 1)."""
    return (2 * motion.growths.mean(dim=1, keepdim=True)).clamp(-_MAX_GROWTH, _MAX_GROWTH).exp()


def _initial_motion(places: Tensor, others: Motion | None, time: float) -> tuple[Tensor, Tensor]:
    """Velocity and growth (N, 2) at ``places``, estimated from nearby tracks of similar size as far as they agree."""
    velocity, growth = torch.zeros_like(places[:, :2]), torch.zeros_like(places[:, :2])
    if others is None or len(others) == 0:
        return velocity, growth
    place, usable = others.places[:, 1], ((others.observations[:, 1] >= 3) & (time - others.time < 2.5)).to(places)
    size, other_size = (x[:, 2:].clamp(min=1).prod(dim=1).sqrt() for x in (places, place))  # (N,), (M,)
    distance = (places[:, None, :2] - place[None, :, :2]).square().sum(dim=2) / (size[:, None] * other_size[None] * 9)
    difference = (size[:, None] / other_size[None]).log().square() / 0.25
    weight = (-0.5 * (distance + difference)).exp() * usable  # (N, M)
    flow = torch.cat([others.velocities[:, 1] / other_size[:, None], others.growths], dim=1)  # (M, 4), in boxes
    total = weight.sum(dim=1, keepdim=True)
    mean = weight @ flow / (total + 0.3)
    spread = (weight[..., None] * (flow[None] - mean[:, None]).square()).sum(dim=1) / total.clamp(min=1e-6)  # (N, 4)
    strength, variance = (x.unflatten(1, (2, 2)).sum(dim=2) for x in (mean.square(), spread))  # (N, 2): motion, growth
    trust = strength / (strength + variance + 0.02**2)
    return trust[:, :1] * mean[:, :2] * size[:, None], trust[:, 1:] * mean[:, 2:]
