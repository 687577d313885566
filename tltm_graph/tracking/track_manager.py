from dataclasses import replace

import torch
from torch import Tensor
from torch_geometric.data import HeteroData
from torchvision.ops import box_iou

from tltm_graph.association import Assignment
from tltm_graph.structures import Detections
from tltm_graph.tracking.memory import Memory
from tltm_graph.tracking.motion import MotionFilters, to_corners

_LOOKS = 30  # observations that looks are averaged over
_HALF = 0.5  # more than this share of a mask is covered by a duplicate that tracks may go on with


class TrackManager:
    r"""How tracks move, are born, confirmed and forgotten.

    *Motion.* :class:`tltm_graph.tracking.MotionFilters` carry each box on between observations; the middle filter is where
    a track is. Tracks that are not seen move with the camera, as far as those that are seen tell its motion.

    *Looks.* A track is remembered by the node features of its last observation and by their mean, over the last 30 or so:
    what leaves the picture or is hidden is last seen in part, and so is what comes in.

    *Life.* An object nobody claims starts a track if it scores at least ``new_track_threshold`` and is not a duplicate
    of something else, claimed or more confident: its mask does not lie, by more than a share of ``duplicate``, within
    that of an object of its class, nor is the IoU with any mask above that. Nor is it new if it is more confident than
    a duplicate of it, of more than half its mask, that a track goes on with. (Boxes alone do not tell, people do
    stand in front of each other: without masks it is one thing under two names if classes differ and boxes have an IoU
    above 0.9.) A track is confirmed, and shows its id, once the affinity holds it for an object rather than a false
    alarm; if the affinity does not judge that, once it was seen ``min_hits`` times or with a score of at least
    ``confirm_threshold``. It is forgotten after more than ``max_time_since_update`` misses in a row, and before it is confirmed after
    more than ``patience`` for each observation. Never more than ``max_tracks`` are kept: those longest unseen go first.

    Args:
        max_time_since_update: Misses in a row that a confirmed track survives.
        min_hits: Observations that confirm a track; 1 shows every id at once.
        confirm_threshold: Detection score that confirms it whatever their number.
        new_track_threshold: Least detection score of a new track. Weaker detections can continue a track, not start one.
        duplicate: Share of a mask within another that makes it a duplicate, in [0, 1]; 1 lets all be born.
        max_tracks: Hard cap on the memory.
        patience: Misses in a row that a track survives for each observation before it is confirmed.
        motion: How tracks move.
    """

    def __init__(
        self,
        max_time_since_update: int = 60,
        min_hits: int = 2,
        confirm_threshold: float = 0.6,
        new_track_threshold: float = 0.3,
        duplicate: float = 0.7,
        max_tracks: int = 256,
        patience: int = 8,
        motion: MotionFilters | None = None,
    ) -> None:
        if min_hits < 1 or max_tracks < 1 or max_time_since_update < 0 or patience < 0:
            raise ValueError(
                f"Expected min_hits and max_tracks of at least 1, max_time_since_update and patience of at least 0, "
                f"got {min_hits}, {max_tracks}, {max_time_since_update} and {patience}"
            )
        self.max_time_since_update = max_time_since_update
        self.min_hits = min_hits
        self.confirm_threshold = confirm_threshold
        self.new_track_threshold = new_track_threshold
        self.duplicate = duplicate
        self.max_tracks = max_tracks
        self.patience = patience
        self.motion = motion or MotionFilters()

    def predict(self, memory: Memory, time: float) -> Detections:
        """Where each track of ``memory`` should be at ``time``: its last state with the box moved."""
        return memory.detections.replace(boxes=_middle(self.motion.predict(memory.motion, time)))

    def describe(self, graph: HeteroData, memory: Memory, time: float) -> None:
        """Writes how the tracks move, how they look and how long ago they were seen into the previous nodes."""
        motion, nodes = memory.motion, graph["previous"]
        nodes.places, nodes.velocities = self.motion.predict(motion, time), motion.velocities
        nodes.growths = motion.growths
        nodes.observations, nodes.noise, nodes.last = motion.observations, motion.noise, motion.last
        nodes.mean_scores, nodes.gap = motion.score, time - motion.time
        if memory.looks is not None:
            nodes.looks = memory.looks

    def update(
        self,
        memory: Memory,
        detections: Detections,
        assignment: Assignment,
        frame: int,
        time: float | None = None,
        objects: Tensor | None = None,
    ) -> tuple[Memory, Tensor, Tensor]:
        """Takes in what was seen in ``frame``.

        Args:
            memory: The tracks before the frame.
            detections: The objects of the frame (N rows), with node features, if any.
            assignment: Which of them continue which track.
            frame: Index of the frame.
            time: Of the frame, counted in frames of the video's pace; None where each frame follows the one before.
            objects: Log-odds of each detection that it shows an object (N,), None if nobody judged.

        Returns:
            The tracks after the frame; the track of each object (N,), -1 for none; and the ids to show (N,), which are
            the same but -1 where a track is not confirmed yet.
        """
        now = float(frame) if time is None else time
        births = self._births(detections, assignment)
        plain = detections.replace(masks=None)  # what is remembered; masks are large and nobody would read them
        clear = self.motion.clearness(plain.boxes, assignment.current, memory.motion, assignment.previous, now)
        before, seen = memory[assignment.previous], plain[assignment.current]
        matched = self._seen(before, seen, frame, now, clear)
        born = self._born(plain[births], memory, frame, now)
        missed = self._missed(memory[assignment.misses], before, seen, now)

        joined = Memory.join([matched, born, missed], next_id=memory.next_id + len(born))
        joined = replace(
            joined, confirmed=joined.confirmed | self._confirmed(joined, assignment.current, births, objects)
        )
        kept = self._strongest(joined)
        after = joined[kept]

        tracks = torch.full((len(detections),), -1)
        rows = torch.cat([assignment.current, births])  # their tracks are the first rows of `joined`
        remembered = torch.isin(torch.arange(len(rows)), kept)
        tracks[rows[remembered]] = joined.ids[: len(rows)][remembered]
        shown = torch.where(torch.isin(tracks, after.ids[after.confirmed]), tracks, -1)
        return after, tracks, shown

    def _confirmed(self, memory: Memory, current: Tensor, births: Tensor, objects: Tensor | None) -> Tensor:
        """Which tracks this frame tells are objects (M,); the first ones are the detections ``current``, ``births``."""
        if objects is None:
            return (memory.detections.scores >= self.confirm_threshold).cpu() | (memory.hits >= self.min_hits)
        seen = torch.cat([objects.cpu()[current], objects.cpu()[births]]) > 0
        return torch.cat([seen, torch.zeros(len(memory) - len(seen), dtype=torch.bool)])

    def _births(self, detections: Detections, assignment: Assignment) -> Tensor:
        births = assignment.births.to(detections.scores.device)
        worthy = detections.scores[births] >= self.new_track_threshold
        if self.duplicate < 1 and worthy.any():
            candidates = detections[births]
            claimed = detections[assignment.current]
            within, around = _sameness(candidates, claimed)  # (births, claimed) each
            stronger = candidates.scores[:, None] > claimed.scores[None]
            followed = (around > self.duplicate) & (within > _HALF) & stronger
            earlier = (_sameness(candidates, candidates)[0] > self.duplicate).tril(diagonal=-1)
            worthy &= ~(within > self.duplicate).any(dim=1)
            worthy &= ~followed.any(dim=1) & ~(earlier & worthy).any(dim=1)
        return assignment.births[worthy.cpu()]

    def _seen(self, tracks: Memory, seen: Detections, frame: int, now: float, clear: Tensor) -> Memory:
        motion = self.motion.update(tracks.motion, seen.boxes, seen.scores, now, clear)
        return replace(
            tracks,
            hits=tracks.hits + 1,
            misses=torch.zeros_like(tracks.misses),
            last_seen=torch.full_like(tracks.last_seen, frame),
            motion=motion,
            detections=seen.replace(boxes=_middle(motion.places)),
            looks=_blended(seen.features, tracks),
        )

    def _born(self, detections: Detections, memory: Memory, frame: int, now: float) -> Memory:
        n, next_id = len(detections), memory.next_id
        return Memory(
            ids=torch.arange(next_id, next_id + n),
            hits=torch.ones(n, dtype=torch.int64),
            confirmed=torch.zeros(n, dtype=torch.bool),
            misses=torch.zeros(n, dtype=torch.int64),
            last_seen=torch.full((n,), frame),
            motion=self.motion.start(detections.boxes, detections.scores, now, memory.motion),
            detections=detections,
            next_id=next_id + n,
            looks=_blended(detections.features),
        )

    def _missed(self, memory: Memory, before: Memory, seen: Detections, now: float) -> Memory:
        misses = memory.misses + 1
        alive = (misses <= self.max_time_since_update) & (memory.confirmed | (misses <= self.patience * memory.hits))
        rows = alive.nonzero().flatten()
        motion = self.motion.follow_camera(memory.motion[rows], before.motion, seen.boxes, now)
        kept = replace(memory, misses=misses)[rows]
        return replace(kept, motion=motion, detections=kept.detections.replace(boxes=_middle(motion.places)))

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


def _sameness(objects: Detections, others: Detections) -> tuple[Tensor, Tensor]:
    """How much of each object's mask lies within another's of its class, and how much of the other's within it (N, M).

    If classes differ both are the IoU of the masks; without masks 1 for boxes of different classes with an IoU above
    0.9, 0 for others. There must be objects.
    """
    same_class = objects.labels[:, None] == others.labels[None, :]
    if objects.masks is None or others.masks is None:
        one_box = ((box_iou(objects.boxes, others.boxes) > 0.9) & ~same_class).float()
        return one_box, one_box
    extent = objects.boxes[:, 2:] - objects.boxes[:, :2]
    # Of large masks every fourth pixel both ways is enough, at a sixteenth of the work.
    stride = 4 if float(extent.min()) >= 32 else 1
    masks, other_masks = (m[:, ::stride, ::stride].flatten(1).float() for m in (objects.masks, others.masks))
    shared = masks @ other_masks.T
    area, other_area = masks.sum(dim=1)[:, None], other_masks.sum(dim=1)[None, :]
    union = area + other_area - shared
    within, around = (shared / torch.where(same_class, of, union).clamp(min=1) for of in (area, other_area))
    return within, around


def _blended(features: Tensor | None, tracks: Memory | None = None) -> Tensor | None:
    """The mean of the node features of each track with those of one observation more, older ones fade (M, F)."""
    if features is None:
        return None
    nodes = features.flatten(1)  # as the graph has them
    if tracks is None or tracks.looks is None:
        return nodes
    share = 1 / (tracks.hits + 1).clamp(max=_LOOKS).to(nodes)
    return tracks.looks + share[:, None] * (nodes - tracks.looks)


def _middle(places: Tensor) -> Tensor:
    """Corners of what the middle filter says (M, 4)."""
    return to_corners(places[:, 1])
