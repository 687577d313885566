from dataclasses import replace

import torch
from torch import Tensor
from torchvision.ops import box_iou

from tltm_graph.association import Assignment
from tltm_graph.structures import Detections
from tltm_graph.tracking.memory import Memory


class LifeCycle:
    r"""How tracks move, are born, confirmed and forgotten.

    *Motion.* A track is a box and the velocity of its centre. Between sightings it moves on, less and less, to
    :math:`\hat x = x + v (1 - d^k) / (1 - d)` after k frames. A sighting z corrects both by what it adds,
    :math:`r = z - \hat x`:

    .. math::
        x \leftarrow \hat x + \tfrac{2 (2n - 1)}{n (n + 1)}\, r, \qquad v \leftarrow v + \tfrac{6}{n (n + 1)}\, r / k

    with n the number of sightings, at most ``window``. These gains draw the least-squares line through the sightings so
    far, which averages the detector's jitter away; once n stays at ``window``, older ones fade (the expanding- and
    fading-memory g-h filter, Brookner 1998, *Tracking and Kalman Filtering Made Easy*).

    *Life.* An object nobody claims starts a track if it scores at least ``birth_score`` and is not a second detection
    of something else, claimed or more confident: its mask does not lie, by more than a share of ``duplicate``, within
    that of an object of its class, nor is the IoU with any mask above that. (Boxes alone do not tell, people do stand
    in front of each other: without masks it is one thing under two names if classes differ and boxes have an IoU above
    0.9.) A track is confirmed, and shows its id, once it was seen ``min_hits`` times or with a score
    of at least ``sure_score``; missed before that, it is forgotten at once. A confirmed track is forgotten after more
    than ``max_misses`` misses in a row. Never more than ``max_tracks`` are kept: those longest unseen go first.

    Args:
        max_misses: Misses in a row that a confirmed track survives.
        min_hits: Sightings that confirm a track; 1 shows every id at once.
        sure_score: Detection score that confirms it whatever their number.
        birth_score: Least detection score of a new track. Weaker detections can continue a track, not start one.
        duplicate: Share of a mask within another that makes it a second detection, in [0, 1]; 1 lets all be born.
        max_tracks: Hard cap on the memory.
        window: How many sightings the motion is averaged over; 1 believes the last sighting alone and has no velocity.
        damping: d, in [0, 1).
    """

    def __init__(
        self,
        max_misses: int = 60,
        min_hits: int = 2,
        sure_score: float = 0.6,
        birth_score: float = 0.3,
        duplicate: float = 0.7,
        max_tracks: int = 256,
        window: int = 10,
        damping: float = 0.95,
    ) -> None:
        if min_hits < 1 or max_tracks < 1 or max_misses < 0 or window < 1:
            raise ValueError(
                f"Expected min_hits, max_tracks and window of at least 1 and max_misses of at least 0, "
                f"got {min_hits}, {max_tracks}, {window} and {max_misses}"
            )
        if not 0 <= damping < 1:
            raise ValueError(f"Expected damping in [0, 1), got {damping}")
        self.max_misses = max_misses
        self.min_hits = min_hits
        self.sure_score = sure_score
        self.birth_score = birth_score
        self.duplicate = duplicate
        self.max_tracks = max_tracks
        self.window = window
        self.damping = damping

    def predict(self, memory: Memory, frame: int) -> Detections:
        """Where each track of ``memory`` should be in ``frame``: its last state with the box moved."""
        gap = (frame - memory.last_seen).to(memory.velocity)  # (M,)
        steps = (1 - self.damping**gap) / (1 - self.damping)
        shift = memory.velocity * steps[:, None]  # (M, 2)
        return memory.detections.replace(boxes=memory.detections.boxes + shift.repeat(1, 2))

    def update(
        self, memory: Memory, detections: Detections, assignment: Assignment, frame: int
    ) -> tuple[Memory, Tensor, Tensor]:
        """Takes in what was seen in ``frame``.

        Args:
            memory: The tracks before the frame.
            detections: The objects of the frame (N rows), with node features, if any.
            assignment: Which of them continue which track.
            frame: Index of the frame.

        Returns:
            The tracks after the frame; the track of each object (N,), -1 for none; and the ids to show (N,), which are
            the same but -1 where a track is not confirmed yet.
        """
        births = self._births(detections, assignment)
        looks = detections.replace(masks=None)  # what is remembered; masks are large and nobody would read them
        matched = self._seen(memory[assignment.previous], looks[assignment.current], frame)
        born = _born(looks[births], memory.next_id, frame)
        missed = self._missed(memory[assignment.misses])

        joined = Memory.join([matched, born, missed], next_id=memory.next_id + len(born))
        sure = (joined.detections.scores >= self.sure_score).cpu()
        joined = replace(joined, confirmed=joined.confirmed | sure | (joined.hits >= self.min_hits))
        kept = self._strongest(joined)
        after = joined[kept]

        tracks = torch.full((len(detections),), -1)
        seen = torch.cat([assignment.current, births])  # their tracks are the first rows of `joined`
        remembered = torch.isin(torch.arange(len(seen)), kept)
        tracks[seen[remembered]] = joined.ids[: len(seen)][remembered]
        shown = torch.where(torch.isin(tracks, after.ids[after.confirmed]), tracks, -1)
        return after, tracks, shown

    def _births(self, detections: Detections, assignment: Assignment) -> Tensor:
        births = assignment.births.to(detections.scores.device)
        worthy = detections.scores[births] >= self.birth_score
        if self.duplicate < 1 and worthy.any():
            candidates = detections[births]
            claimed = detections[assignment.current]
            second = _sameness(candidates, claimed) > self.duplicate  # (births, claimed)
            earlier = (_sameness(candidates, candidates) > self.duplicate).tril(diagonal=-1)
            worthy &= ~second.any(dim=1)
            worthy &= ~(earlier & worthy).any(dim=1)
        return assignment.births[worthy.cpu()]

    def _seen(self, tracks: Memory, detections: Detections, frame: int) -> Memory:
        predicted = self.predict(tracks, frame).boxes
        residual = detections.boxes - predicted  # (K, 4)
        n = (tracks.hits + 1).clamp(max=self.window).to(residual)[:, None]
        position_gain, velocity_gain = 2 * (2 * n - 1) / (n * (n + 1)), 6 / (n * (n + 1))
        if self.window == 1:
            velocity_gain = torch.zeros_like(n)
        gap = (frame - tracks.last_seen).to(residual)[:, None]
        low, high = (predicted + position_gain * residual).split(2, dim=1)  # rounding may turn thin boxes inside out
        return replace(
            tracks,
            hits=tracks.hits + 1,
            misses=torch.zeros_like(tracks.misses),
            last_seen=torch.full_like(tracks.last_seen, frame),
            velocity=tracks.velocity + velocity_gain * _centre(residual) / gap,
            detections=detections.replace(boxes=torch.cat([low, torch.maximum(low, high)], dim=1)),
        )

    def _missed(self, memory: Memory) -> Memory:
        misses = memory.misses + 1
        alive = (misses <= self.max_misses) & memory.confirmed
        return replace(memory, misses=misses)[alive.nonzero().flatten()]

    def _strongest(self, memory: Memory) -> Tensor:
        if len(memory) <= self.max_tracks:
            return torch.arange(len(memory))
        # Seen last, then seen most, then most confident; sorted by the least important first.
        order = memory.detections.scores.cpu().argsort(descending=True, stable=True)
        order = order[memory.hits[order].argsort(descending=True, stable=True)]
        order = order[memory.misses[order].argsort(stable=True)]
        return order[: self.max_tracks].sort().values

    def __repr__(self) -> str:
        settings = ", ".join(f"{name}={value}" for name, value in vars(self).items())
        return f"{type(self).__name__}({settings})"


def _born(detections: Detections, next_id: int, frame: int) -> Memory:
    n = len(detections)
    return Memory(
        ids=torch.arange(next_id, next_id + n),
        hits=torch.ones(n, dtype=torch.int64),
        confirmed=torch.zeros(n, dtype=torch.bool),
        misses=torch.zeros(n, dtype=torch.int64),
        last_seen=torch.full((n,), frame),
        velocity=detections.boxes.new_zeros((n, 2)),
        detections=detections,
        next_id=next_id + n,
    )


def _sameness(objects: Detections, others: Detections) -> Tensor:
    """How much of each object's mask lies within another's of its class, or their IoU, if classes differ (N, M).

    Without masks 1 for boxes of different classes with an IoU above 0.9, 0 for others.
    """
    same_class = objects.labels[:, None] == others.labels[None, :]
    if objects.masks is None or others.masks is None:
        return ((box_iou(objects.boxes, others.boxes) > 0.9) & ~same_class).float()
    extent = objects.boxes[:, 2:] - objects.boxes[:, :2]
    # Of large masks every fourth pixel both ways is enough, at a sixteenth of the work.
    stride = 4 if float(extent.min()) >= 32 else 1
    masks, other_masks = (m[:, ::stride, ::stride].flatten(1).float() for m in (objects.masks, others.masks))
    shared = masks @ other_masks.T
    area, other_area = masks.sum(dim=1)[:, None], other_masks.sum(dim=1)[None, :]
    return shared / torch.where(same_class, area, area + other_area - shared).clamp(min=1)


def _centre(boxes: Tensor) -> Tensor:
    return (boxes[:, :2] + boxes[:, 2:]) / 2
