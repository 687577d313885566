from dataclasses import dataclass, fields, replace
from typing import Self

import torch
from torch import Tensor
from torchvision.ops import box_iou


@dataclass(frozen=True, eq=False)
class Motion:
    """How each of M tracks moves, as K filters of different patience see it. Times count frames of the video's pace.

    Args:
        places: Box at the last observation, freed of jitter: centre x, y, width, height in pixels (M, K, 4).
        velocities: Of the centre, in pixels a frame (M, K, 2).
        growths: Of the logarithm of width and height, a frame, as the quick filter sees it (M, 2).
        observations: How many each filter has taken in (M, K); one that is half believed counts half.
        noise: How far observations are from the middle filter's prediction, root mean square for one frame: of the centre
            in units of the box, and of the logarithm of width and height (M, 2).
        last: The box last seen, as it was (M, 4): centre, width, height.
        score: Mean detection score (M,).
        time: When last seen (M,).
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

    @classmethod
    def join(cls, parts: list[Self]) -> Self:
        """The rows of several, in order."""
        return cls(*(torch.cat([getattr(part, field.name) for part in parts]) for field in fields(cls)))


_MOST = 0.7  # log of the size: no box grows or shrinks by more than a factor of two while nobody sees it


class MotionFilters:
    r"""Filters that follow a box through its noisy observations; one row of :class:`Motion` for each track.

    Between observations a box moves on, less and less, to :math:`\hat x = x + v (1 - d^k) / (1 - d)` after k frames. A
    observation z corrects place and velocity by what it adds, :math:`r = z - \hat x`:

    .. math::
        x \leftarrow \hat x + \tfrac{2 (2n - 1)}{n (n + 1)}\, r, \qquad v \leftarrow v + \tfrac{6}{n (n + 1)}\, r / k

    with n the number of observations, at most the filter's window. These gains draw the least-squares line through the
    observations so far, which averages the detector's jitter away; once n stays at the window, older ones fade (the
    expanding- and fading-memory g-h filter, Brookner 1998, *Tracking and Kalman Filtering Made Easy*).

    An object that is seen for the first time is expected to move as those around it that are of its size, as far as
    these agree: most of what a camera does to one it does to the other.

    The quick filter follows a turn at once, and growth: logarithmic size is to growth g as place is to velocity (with
    the gain of n + 1, as boxes change for other reasons too), and velocity changes by :math:`e^{2 g}` a frame, since of
    what comes nearer at a constant pace size goes with 1 / depth and velocity with its square. The patient one
    remembers how an object moved before others crossed it: it takes in a observation only as far as that does not overlap
    another object, seen or remembered.

    Args:
        windows: How many observations each filter averages over, from quick to patient; 1 believes the last observation alone
            and has no velocity.
        dampings: d of each, in [0, 1).
    """

    def __init__(
        self, windows: tuple[int, int, int] = (3, 10, 30), dampings: tuple[float, float, float] = (0.8, 0.95, 0.98)
    ) -> None:
        if len(windows) != 3 or len(dampings) != 3:
            raise ValueError(f"Expected three filters, got windows {windows} and dampings {dampings}")
        if min(windows) < 1:
            raise ValueError(f"Expected windows of at least 1, got {windows}")
        if not all(0 <= d < 1 for d in dampings):
            raise ValueError(f"Expected damping in [0, 1), got {dampings}")
        self.windows = windows
        self.dampings = dampings

    def start(self, boxes: Tensor, scores: Tensor, time: float, others: Motion | None = None) -> Motion:
        """Tracks that were seen for the first time.

        Args:
            boxes: What was seen, xyxy (N, 4).
            scores: Its detection scores (N,).
            time: When.
            others: The tracks known, which tell how things move around here.
        """
        n, k = len(boxes), len(self.windows)
        observation = to_centre(boxes)
        velocity, growth = _as_others(observation, others, time)
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
        """Where each filter expects each track at ``time``: centre, width, height (M, K, 4)."""
        damping = motion.places.new_tensor(self.dampings)
        gap = (time - motion.time)[:, None]  # (M, 1)
        steps = ((1 - damping**gap) / (1 - damping))[..., None]  # (M, K, 1)
        ways, nearer = motion.velocities * steps, _nearer(motion)  # (M, K, 2), (M, 1)
        grown = (motion.growths * steps[:, 0]).clamp(-_MOST, _MOST).exp()
        moved = motion.places + torch.nn.functional.pad(ways, (0, 2))
        centre, size = moved[:, 0].split(2, dim=1)
        quick = torch.cat([centre + (nearer - 1) * ways[:, 0], size * grown], dim=1)
        return torch.cat([quick[:, None], moved[:, 1:]], dim=1)

    def update(self, motion: Motion, boxes: Tensor, scores: Tensor, time: float, clear: Tensor) -> Motion:
        """Takes in a observation of each track.

        Args:
            motion: The tracks that were seen.
            boxes: What was seen, xyxy (M, 4), row by row.
            scores: Its detection scores (M,).
            time: When.
            clear: How far the patient filter is to believe each (M,), in [0, 1].
        """
        predicted = self.predict(motion, time)
        observation = to_centre(boxes)
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
        grown = (observation[:, None, 2:].clamp(min=1) / size).log()  # (M, K, 2)
        error = torch.stack(
            [(residual[:, 1, :2] / size[:, 1]).square().mean(dim=1), grown[:, 1].square().mean(dim=1)], dim=1
        )
        slower = torch.where(n > 1.01, 6 / ((n + 1) * (n + 2)), 0.0)[:, :1] / gap  # (M, 1)
        velocities = torch.cat([motion.velocities[:, :1] * _nearer(motion)[:, None], motion.velocities[:, 1:]], dim=1)
        weight = 1 / (seen[:, 1:2] + 1).clamp(max=12)
        noise = (1 - weight) * motion.noise.square() + weight * (error / gap.clamp(min=1)).clamp(max=0.25)
        share = (1 / seen[:, 1]).clamp(min=0.1)
        return Motion(
            places=torch.cat([places[..., :2], places[..., 2:].clamp(min=0)], dim=-1),
            velocities=velocities + velocity_gain[..., None] * residual[..., :2] / gap[..., None],
            growths=(motion.growths + slower * grown[:, 0]).clamp(-_MOST, _MOST),
            observations=seen,
            noise=noise.clamp(min=1e-4).sqrt(),
            last=observation,
            score=motion.score + (scores.to(motion.score) - motion.score) * share,
            time=torch.full_like(motion.time, time),
        )

    def follow_camera(self, motion: Motion, seen: Motion, boxes: Tensor, time: float) -> Motion:
        """Moves tracks that were not seen by what all those that were have in common: the camera's motion.

        The median of their surprises is believed as far as it stands out of their spread.

        Args:
            motion: The tracks that were not seen.
            seen: Those that were, before their update.
            boxes: Where they were seen, xyxy (S, 4).
            time: When.
        """
        if len(motion) == 0 or len(seen) < 2:
            return motion
        fresh = (time - seen.time < 2.5) & (seen.observations[:, 1] >= 3)  # (S,)
        count = fresh.sum()
        surprise = (to_centre(boxes) - self.predict(seen, time)[:, 1])[:, :2]
        surprise = torch.where(fresh[:, None], surprise, torch.nan)
        shared = surprise.nanmedian(dim=0).values  # (2,)
        size = torch.where(fresh[:, None], to_centre(boxes)[:, 2:], torch.nan).nanmedian(dim=0).values
        spread = 1.5 * (surprise - shared).abs().nanmedian(dim=0).values + 0.02 * size
        trust = shared.square() / (shared.square() + 4 * spread.square() / count).clamp(min=1e-9) * (1 - 1 / count)
        shift = torch.where(count >= 2, trust * shared, 0.0).nan_to_num(0.0)  # (2,)
        moved = torch.nn.functional.pad(shift, (0, 2))
        return replace(motion, places=motion.places + moved, last=motion.last + moved)

    def clearness(self, boxes: Tensor, matched: Tensor, motion: Motion, rows: Tensor, time: float) -> Tensor:
        """How little each observation overlaps anything else, seen or remembered: 1 for apart, 0.1 for lying upon it (S,).

        Args:
            boxes: All boxes of the frame, xyxy (N, 4).
            matched: Those of the observations (S,).
            motion: All tracks, before the update.
            rows: The tracks that were seen (S,), observation by observation.
            time: When.
        """
        seen = boxes[matched]
        others = box_iou(seen, boxes).nan_to_num(0.0)
        others[torch.arange(len(seen)), matched] = 0
        remembered = box_iou(seen, to_corners(self.predict(motion, time)[:, 1])).nan_to_num(0.0)
        remembered[torch.arange(len(seen)), rows] = 0
        most = torch.cat([others, remembered], dim=1).amax(dim=1) if len(seen) else seen.new_zeros(0)
        return 1 - (2 * most - 0.3).clamp(0, 0.9)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(windows={self.windows}, dampings={self.dampings})"


def _nearer(motion: Motion) -> Tensor:
    """By what the quick filter's velocity is multiplied from one frame to the next (M, 1)."""
    return (2 * motion.growths.mean(dim=1, keepdim=True)).clamp(-_MOST, _MOST).exp()


def _as_others(places: Tensor, others: Motion | None, time: float) -> tuple[Tensor, Tensor]:
    """Velocities and growths (N, 2) of things at ``places``, as far as tracks near them and of their size agree."""
    velocity, growth = torch.zeros_like(places[:, :2]), torch.zeros_like(places[:, :2])
    if others is None or len(others) == 0:
        return velocity, growth
    place, told = others.places[:, 1], ((others.observations[:, 1] >= 3) & (time - others.time < 2.5)).to(places)
    size, their = (x[:, 2:].clamp(min=1).prod(dim=1).sqrt() for x in (places, place))  # (N,), (M,)
    apart = (places[:, None, :2] - place[None, :, :2]).square().sum(dim=2) / (size[:, None] * their[None] * 9)
    unlike = (size[:, None] / their[None]).log().square() / 0.25
    weight = (-0.5 * (apart + unlike)).exp() * told  # (N, M)
    flow = torch.cat([others.velocities[:, 1] / their[:, None], others.growths], dim=1)  # (M, 4), in boxes
    total = weight.sum(dim=1, keepdim=True)
    mean = weight @ flow / (total + 0.3)
    spread = (weight[..., None] * (flow[None] - mean[:, None]).square()).sum(dim=1) / total.clamp(min=1e-6)  # (N, 4)
    strength, doubt = (x.unflatten(1, (2, 2)).sum(dim=2) for x in (mean.square(), spread))  # (N, 2): motion, growth
    trust = strength / (strength + doubt + 0.02**2)
    return trust[:, :1] * mean[:, :2] * size[:, None], trust[:, 1:] * mean[:, 2:]


def to_centre(boxes: Tensor) -> Tensor:
    """Centre x, y, width, height of corners (…, 4)."""
    low, high = boxes.split(2, dim=-1)
    return torch.cat([(low + high) / 2, high - low], dim=-1)


def to_corners(places: Tensor) -> Tensor:
    """Corners of centre x, y, width, height (…, 4)."""
    centre, size = places.split(2, dim=-1)
    return torch.cat([centre - size / 2, centre + size / 2], dim=-1)
