from dataclasses import replace

import torch
from torch import Tensor

from tltm_graph.association import Assignment
from tltm_graph.structures import Detections
from tltm_graph.tracking.memory import Memory


class LifeCycle:
    r"""How tracks move, are born, confirmed and forgotten.

    *Motion.* Between sightings a track moves on with its velocity, less and less:
    :math:`x_{t+n} = x_t + v (1 - d^n) / (1 - d)`. At a sighting the velocity moves towards what was seen:
    :math:`v \leftarrow v + g (v_{seen} - v)`.

    *Life.* An object nobody claims starts a track if it scores at least ``birth_score``. A track shows its id from its
    ``min_hits``-th sighting on; missed before that, it is forgotten at once. A confirmed track is forgotten after more
    than ``max_misses`` misses in a row. Never more than ``max_tracks`` are kept: those longest unseen go first.

    Args:
        max_misses: Misses in a row that a confirmed track survives.
        min_hits: Sightings until a track shows its id; 1 shows it at once.
        birth_score: Least detection score of a new track. Weaker detections can continue a track, not start one.
        max_tracks: Hard cap on the memory.
        gain: g, in [0, 1].
        damping: d, in [0, 1).
    """

    def __init__(
        self,
        max_misses: int = 30,
        min_hits: int = 1,
        birth_score: float = 0.3,
        max_tracks: int = 256,
        gain: float = 0.4,
        damping: float = 0.9,
    ) -> None:
        if min_hits < 1 or max_tracks < 1 or max_misses < 0:
            raise ValueError(
                f"Expected min_hits and max_tracks of at least 1 and max_misses of at least 0, "
                f"got {min_hits}, {max_tracks}, {max_misses}"
            )
        if not 0 <= gain <= 1 or not 0 <= damping < 1:
            raise ValueError(f"Expected gain in [0, 1] and damping in [0, 1), got {gain} and {damping}")
        self.max_misses = max_misses
        self.min_hits = min_hits
        self.birth_score = birth_score
        self.max_tracks = max_tracks
        self.gain = gain
        self.damping = damping

    def predict(self, memory: Memory, frame: int) -> Detections:
        """Where each track of ``memory`` should be in ``frame``: its last detection with the box moved."""
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
            detections: The objects of the frame (N rows), as they shall be remembered: with node features, if any, and
                without masks.
            assignment: Which of them continue which track.
            frame: Index of the frame.

        Returns:
            The tracks after the frame; the track of each object (N,), -1 for none; and the ids to show (N,), which are
            the same but -1 where a track is not confirmed yet.
        """
        matched = _seen(memory[assignment.previous], detections[assignment.current], frame, self.gain)
        strong = detections.scores[assignment.births.to(detections.scores.device)] >= self.birth_score
        births = assignment.births[strong.cpu()]
        born = _born(detections[births], memory.next_id, frame)
        missed = self._missed(memory[assignment.misses])

        joined = Memory.join([matched, born, missed], next_id=memory.next_id + len(born))
        kept = self._strongest(joined)
        after = joined[kept]

        tracks = torch.full((len(detections),), -1)
        seen = torch.cat([assignment.current, births])  # their tracks are the first rows of `joined`
        remembered = torch.isin(torch.arange(len(seen)), kept)
        tracks[seen[remembered]] = joined.ids[: len(seen)][remembered]
        shown = torch.where(torch.isin(tracks, after.ids[after.hits >= self.min_hits]), tracks, -1)
        return after, tracks, shown

    def _missed(self, memory: Memory) -> Memory:
        misses = memory.misses + 1
        alive = (misses <= self.max_misses) & (memory.hits >= self.min_hits)
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


def _seen(tracks: Memory, detections: Detections, frame: int, gain: float) -> Memory:
    gap = (frame - tracks.last_seen).to(tracks.velocity)  # (K,)
    moved = _centre(detections.boxes) - _centre(tracks.detections.boxes)
    velocity = tracks.velocity + gain * (moved / gap[:, None] - tracks.velocity)  # (K, 2)
    return replace(
        tracks,
        hits=tracks.hits + 1,
        misses=torch.zeros_like(tracks.misses),
        last_seen=torch.full_like(tracks.last_seen, frame),
        velocity=velocity,
        detections=detections,
    )


def _born(detections: Detections, next_id: int, frame: int) -> Memory:
    n = len(detections)
    return Memory(
        ids=torch.arange(next_id, next_id + n),
        hits=torch.ones(n, dtype=torch.int64),
        misses=torch.zeros(n, dtype=torch.int64),
        last_seen=torch.full((n,), frame),
        velocity=detections.boxes.new_zeros((n, 2)),
        detections=detections,
        next_id=next_id + n,
    )


def _centre(boxes: Tensor) -> Tensor:
    return (boxes[:, :2] + boxes[:, 2:]) / 2
