"""Whether the GNN is alive: whether its evidence changes decisions, and brings back objects that come in elsewhere."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import torch
from tltm_graph.models.recorded import RecordedModel, record
from torch import Tensor
from torchvision.ops import box_iou
from tqdm import tqdm

from experiments.ablation.evidence import ShuffledRelation, ZeroedRelation, with_relation
from experiments.ablation.lab import MAX_SHOWN, Lab
from experiments.ablation.rows import gnn_tracker, published_tracker
from tltm_graph.metrics.matching import match_overlap
from tltm_graph.models import for_inference
from tltm_graph.structures import Detections, Frame
from tltm_graph.synthetic import STANDARD, MovingShapes, moving_shapes
from tltm_graph.synthetic.scenes import Scenes
from tltm_graph.tracking import Tracker, TrackerState

LOOK_ALIKES = replace(STANDARD, look_alikes=1.0, leaves=0.15)
"""Every object has a double, and they meet."""

FAR_APART = replace(STANDARD, look_alikes=0.0, leaves=0.15, drops=0.9, longest_drop=12)
"""Objects that all look different, in a video of which most frames were lost: in the next one they are elsewhere."""

COMING_BACK = replace(STANDARD, look_alikes=0.0, leaves=0.8, meetings=0.1)
"""Objects that all look different leave, and come in again elsewhere."""

SPLIT = range(4_000_000, 4_000_030)
"""Seeds of all their scenes, none of a split that models learn from or are scored on."""


@dataclass(frozen=True)
class Share:
    """``count`` of ``total``."""

    count: int = 0
    total: int = 0

    def __add__(self, other: "Share") -> "Share":
        return Share(self.count + other.count, self.total + other.total)

    @property
    def value(self) -> float:
        """The share, NaN of nothing."""
        return self.count / self.total if self.total else float("nan")


def changed_decisions(tracker: Tracker, frames: Iterable[Frame], seed: int = 0) -> dict[str, Share]:
    """How many detections go elsewhere when the relation's logits are taken away, from one frame to the next.

    In every frame three trackers decide from the same memory, that of the intact one: so a decision counts by itself,
    not by what came of it. A detection goes to a track, or to none.

    Args:
        tracker: A tracker with a relation.
        frames: Of one video.
        seed: Of the shuffling.

    Returns:
        Changed decisions of all, ``"zeroed"`` and ``"shuffled"``.
    """
    assert tracker.relation is not None
    robbed = {
        "zeroed": with_relation(tracker, ZeroedRelation(tracker.relation)),
        "shuffled": with_relation(tracker, ShuffledRelation(tracker.relation, seed)),
    }
    shares = dict.fromkeys(robbed, Share())
    state = tracker.start()
    for frame in frames:
        after, _ = tracker.step(state, frame)
        decided = _decisions(after)
        for name, other in robbed.items():
            differently = _decisions(other.step(state, frame)[0])
            shares[name] += Share(int((decided != differently).sum()), len(decided))
        state = after
    return shares


def _decisions(state: TrackerState) -> Tensor:
    """The row of the memory that each detection continues (N,), -1 for none."""
    assert state.transition is not None
    assignment = state.transition.assignment
    rows = torch.full((len(state.transition.current_tracks),), -1)
    rows[assignment.current] = assignment.previous
    return rows


def ids_regained(
    stream: Iterable[tuple[int, Detections]], truth: Callable[[int], Detections], least_absence: int = 3
) -> Share:
    """How many objects that come in again elsewhere get the id that they had.

    An object comes back if it is seen again after at least ``least_absence`` frames, with a box that does not touch the
    last one. It counts if some track was on it when last found before, and one is in the first frame after in which it
    is found, while it stays.

    Args:
        stream: Frame numbers and the objects that a tracker shows, with ids.
        truth: Gives the true objects of a frame.
        least_absence: Frames in a row without it, at least.
    """
    last_seen: dict[int, tuple[int, Tensor]] = {}  # object -> frame and box
    last_id: dict[int, int] = {}  # object -> the track that was last on it
    awaited: set[int] = set()  # came back, not found yet
    regained = Share()
    for frame, shown in stream:
        there = truth(frame)
        assert there.ids is not None
        found = _found(there, shown)
        for row, known in enumerate(there.ids.tolist()):
            box = there.boxes[row]
            before = last_seen.get(known)
            if before is not None and frame - before[0] > 1:
                awaited.discard(known)  # it left again before anybody found it
                elsewhere = float(box_iou(before[1][None], box[None])) == 0
                if frame - before[0] > least_absence and elsewhere and known in last_id:
                    awaited.add(known)
            last_seen[known] = frame, box
            if known in found:
                if known in awaited:
                    regained += Share(int(found[known] == last_id[known]), 1)
                    awaited.remove(known)
                last_id[known] = found[known]
    return regained


def _found(truth: Detections, shown: Detections) -> dict[int, int]:
    """The track on each object, by box."""
    assert truth.ids is not None
    assert shown.ids is not None
    shown = shown[shown.ids >= 0]
    assert shown.ids is not None
    rows, columns = match_overlap(box_iou(truth.boxes, shown.boxes).double().numpy())
    return dict(zip(truth.ids[rows].tolist(), shown.ids[columns].tolist(), strict=True))


def alive(lab: Lab, seed: int, with_head: bool) -> dict[str, Any]:
    """Both measures of every association that knows a relation, with and without it.

    Args:
        lab: Gives the model; its plan says how many scenes of how many frames.
        seed: Whose model.
        with_head: Whether the weights of the learned affinity are at hand.

    Returns:
        By association: shares and counts.
    """
    model = for_inference(lab.model("fused", seed))
    pixel = lab.pixel(seed)
    trackers: dict[str, Callable[[RecordedModel], Tracker]] = {
        "GNN": gnn_tracker,
        "published rule": lambda recorded: published_tracker(recorded, pixel),
    }
    if with_head:
        trackers["GNN, learned births"] = lambda recorded: Tracker(
            recorded, recorded, affinity=lab.affinity_of(recorded), max_shown=MAX_SHOWN
        )
    shares: dict[str, dict[str, Share]] = {association: {} for association in trackers}

    def scenes(difficulty: Any, what: str) -> Iterable[MovingShapes]:
        rendered: Scenes = moving_shapes(difficulty, SPLIT, lab.plan.frames, lab.plan.size)
        count = min(lab.plan.scenes, len(rendered))
        return (rendered[i] for i in tqdm(range(count), desc=f"{what}, seed {seed}", unit=" scenes", leave=False))

    def count(association: str, name: str, share: Share) -> None:
        shares[association][name] = shares[association].get(name, Share()) + share

    for difficulty, what in ((LOOK_ALIKES, "look-alikes"), (FAR_APART, "far apart")):
        for scene in scenes(difficulty, what):
            recorded = RecordedModel(record(model, scene), model.score, model.affinity)
            for association, make in trackers.items():
                changed = changed_decisions(make(recorded), recorded.recording.frames(), seed)
                for name, share in changed.items():
                    count(association, f"{what}, {name}", share)
    for scene in scenes(COMING_BACK, "coming back"):
        recorded = RecordedModel(record(model, scene), model.score, model.affinity)
        for association, make in trackers.items():
            tracker = make(recorded)
            for name, one in (("regained", tracker), ("regained without relation", with_relation(tracker, None))):
                stream = ((frame.index, seen) for frame, seen in one.track(recorded.recording.frames()))
                count(association, name, ids_regained(stream, scene.truth))
    return {
        association: {name: {"share": s.value, "count": s.count, "of": s.total} for name, s in of.items()}
        for association, of in shares.items()
    }
