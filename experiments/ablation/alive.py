"""Measurements of whether the GNN matters: changed decisions without its logits, and re-identification."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import HeteroData
from torchvision.ops import box_iou

from experiments.ablation.lab import Lab, with_progress
from experiments.ablation.rows import gnn_tracker, learned_tracker
from tltm_graph.association import AppearanceModel, GeometricAffinity
from tltm_graph.detectors import Detector, ReplayDetector, cache_detections
from tltm_graph.metrics.matching import match_overlap
from tltm_graph.published import published_tracker
from tltm_graph.structures import Detections, Frame
from tltm_graph.synthetic import STANDARD, MovingShapes, moving_shapes
from tltm_graph.synthetic.difficulty import Difficulty
from tltm_graph.tracking import Tracker

DECISION_SCENES = {
    "look-alikes": replace(STANDARD, look_alikes=1.0, leaves=0.15),
    "far apart": replace(STANDARD, look_alikes=0.0, leaves=0.15, drops=0.9, longest_drop=12),
}
"""Scenes in which changed decisions are counted. Look-alikes: every object has a double of the same appearance. Far
apart: all objects differ in appearance, and most frames were dropped, so that they move far from frame to frame."""

COMING_BACK = replace(STANDARD, look_alikes=0.0, leaves=0.8, meetings=0.1)
"""Scenes in which all objects differ in appearance, leave, and come back at another place."""

SEEDS = range(4_000_000, 4_000_030)
"""Seeds of all these scenes, outside of the splits for training and scoring."""


class ChangedLogits(AppearanceModel):
    """Appearance model whose logits are changed.

    Args:
        appearance: The original model.
        change: Computes new logits (E,) from the original ones of a graph.
    """

    def __init__(self, appearance: AppearanceModel, change: Callable[[Tensor], Tensor]) -> None:
        self.appearance = appearance
        self.change = change

    def encode(self, detections: Detections) -> Tensor:
        """Compute the embeddings (N, F) of the original model."""
        return self.appearance.encode(detections)

    def score(self, graph: HeteroData) -> Tensor:
        """Compute the changed logits (E,)."""
        return self.change(self.appearance.score(graph))


def zeroed(appearance: AppearanceModel) -> AppearanceModel:
    """Replace the logits by zeros: every edge is undecided."""
    return ChangedLogits(appearance, torch.zeros_like)


def shuffled(appearance: AppearanceModel, seed: int = 0) -> AppearanceModel:
    """Move the logits to other edges of the same graph, in an order that is drawn again for every graph."""
    generator = torch.Generator().manual_seed(seed)
    return ChangedLogits(appearance, lambda logits: logits[torch.randperm(len(logits), generator=generator)])


@dataclass(frozen=True)
class Share:
    """Share of ``count`` in ``total``."""

    count: int = 0
    total: int = 0

    def __add__(self, other: "Share") -> "Share":
        return Share(self.count + other.count, self.total + other.total)

    @property
    def value(self) -> float:
        """The share in [0, 1], NaN of nothing."""
        return self.count / self.total if self.total else float("nan")


def changed_decisions(tracker: Tracker, others: Mapping[str, Tracker], frames: Iterable[Frame]) -> dict[str, Share]:
    """Count the detections that other trackers assign to another track, or to one instead of none.

    All trackers decide from the memory of ``tracker`` in every frame. So a decision counts by itself, without its
    consequences in later frames.

    Args:
        tracker: Tracker that goes through the video.
        others: Trackers to compare, by name.
        frames: Frames of one video.

    Returns:
        Share of changed decisions for each of ``others``.
    """
    shares = dict.fromkeys(others, Share())
    state = tracker.start()
    for frame in frames:
        after, _ = tracker.step(state, frame)
        assert after.decision is not None
        for name, other in others.items():
            decision = other.step(state, frame)[0].decision
            assert decision is not None
            changed = after.decision.partners != decision.partners
            shares[name] += Share(int(changed.sum()), len(changed))
        state = after
    return shares


def regained_ids(
    stream: Iterable[tuple[int, Detections]], truth: Callable[[int], Detections], min_absence: int = 3
) -> Share:
    """Count the objects that come back at another place, and those of them that get their old id.

    An object comes back if it was invisible for at least ``min_absence`` frames and its new box does not touch its last
    one. It counts if a track was on it before, and again before it leaves the next time. The id of the first frame in
    which a track is on it again decides.

    Args:
        stream: Frame indices and the objects that a tracker shows, with ids.
        truth: Returns the true objects of a frame.
        min_absence: Minimum number of consecutive frames in which the object is invisible.
    """
    last_seen: dict[int, tuple[int, Tensor]] = {}  # object -> its last frame and box
    last_id: dict[int, int] = {}  # object -> the last track on it
    awaited: set[int] = set()  # objects that came back and have no track yet
    regained = Share()
    for frame, shown in stream:
        visible = truth(frame)
        assert visible.ids is not None
        track_of = _match_ids(visible, shown)
        for row, number in enumerate(visible.ids.tolist()):
            box = visible.boxes[row]
            before = last_seen.get(number)
            if before is not None and frame - before[0] > 1:
                awaited.discard(number)  # it left again without a track
                elsewhere = float(box_iou(before[1][None], box[None])) == 0
                if frame - before[0] > min_absence and elsewhere and number in last_id:
                    awaited.add(number)
            last_seen[number] = frame, box
            if number in track_of:
                if number in awaited:
                    regained += Share(int(track_of[number] == last_id[number]), 1)
                    awaited.remove(number)
                last_id[number] = track_of[number]
    return regained


def _match_ids(truth: Detections, shown: Detections) -> dict[int, int]:
    """Match true objects with shown ones by box: id of each matched object -> track id."""
    assert shown.ids is not None
    shown = shown[shown.ids >= 0]
    assert truth.ids is not None
    assert shown.ids is not None
    rows, columns = match_overlap(box_iou(truth.boxes, shown.boxes).double().numpy())
    return dict(zip(truth.ids[rows].tolist(), shown.ids[columns].tolist(), strict=True))


def measure_alive(lab: Lab, seed: int) -> dict[str, dict[str, dict[str, Any]]]:
    """Measure the effect of the GNN in every association that reads its logits.

    Args:
        lab: Lab with the model; its plan sets the number of scenes and their size.
        seed: Seed of the model.

    Returns:
        ``{association: {measure: {"share": …, "count": …, "of": …}}}``.
    """
    model = lab.model("fused", seed)
    associations: dict[str, Callable[[Detector, AppearanceModel | None], Tracker]] = {
        "GNN": gnn_tracker,
        "published rule": published_tracker,
        "GNN, learned births": partial(learned_tracker, lab.association_head(seed)),
    }
    encoder = GeometricAffinity(appearance=model)
    shares: dict[str, dict[str, Share]] = {name: {} for name in associations}

    def add(association: str, measure: str, share: Share) -> None:
        shares[association][measure] = shares[association].get(measure, Share()) + share

    def scenes(difficulty: Difficulty, name: str) -> Iterable[MovingShapes]:
        rendered = moving_shapes(difficulty, SEEDS, lab.plan.frames, lab.plan.size)[: lab.plan.scenes]
        return with_progress(rendered, f"{name}, seed {seed}")

    for name, difficulty in DECISION_SCENES.items():
        for scene in scenes(difficulty, name):
            cached = cache_detections(model, scene, encoder, masks=False)
            detector = ReplayDetector(cached)
            for association, make_tracker in associations.items():
                others = {
                    "zeroed": make_tracker(detector, zeroed(model)),
                    "shuffled": make_tracker(detector, shuffled(model, seed)),
                }
                changed = changed_decisions(make_tracker(detector, model), others, cached.blank_frames())
                for change, share in changed.items():
                    add(association, f"{name}, {change}", share)
    for scene in scenes(COMING_BACK, "coming back"):
        cached = cache_detections(model, scene, encoder)  # with masks, because drawing them clips the boxes
        detector = ReplayDetector(cached)
        for association, make_tracker in associations.items():
            for measure, appearance in (("regained", model), ("regained without relation", None)):
                tracker = make_tracker(detector, appearance)
                stream = ((frame.index, shown) for frame, shown in tracker.track(cached.blank_frames()))
                add(association, measure, regained_ids(stream, scene.truth))
    return {
        association: {
            measure: {"share": share.value, "count": share.count, "of": share.total}
            for measure, share in measures.items()
        }
        for association, measures in shares.items()
    }
