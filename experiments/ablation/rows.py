"""Rows of the ablation, which are those of the paper's Table 3."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from experiments.ablation.iou_tracker import iou_tracker, tune
from experiments.ablation.lab import MAX_SHOWN, Lab
from tltm_graph.association import AppearanceModel, GeometricAffinity, LearnedAffinity
from tltm_graph.detectors import Detector
from tltm_graph.structures import Tracks
from tltm_graph.tracking import Tracker

Outcome = tuple[list[Tracks], list[str]]
"""Tracks of every test scene, and notes for the report."""


@dataclass(frozen=True)
class Row:
    """Row of the table.

    Args:
        key: Name on the command line and of its folder.
        title: Name in the table.
        description: What is tracked, and how.
        references: Keys of the rows it is compared with.
        run: Computes its outcome for a seed.
    """

    key: str
    title: str
    description: str
    references: tuple[str, ...]
    run: Callable[[Lab, int], Outcome]


def gnn_tracker(detector: Detector, appearance: AppearanceModel | None) -> Tracker:
    """Build a tracker with the hand-made affinity."""
    return Tracker(detector, GeometricAffinity(appearance=appearance), max_shown=MAX_SHOWN)


def learned_tracker(head: LearnedAffinity, detector: Detector, appearance: AppearanceModel | None) -> Tracker:
    """Build a tracker with a learned affinity and this appearance model."""
    return Tracker(detector, LearnedAffinity(head.head, head.temperature, appearance), max_shown=MAX_SHOWN)


def _run_iou(arm: str, lab: Lab, seed: int) -> Outcome:
    setting = tune(lab, arm, seed)
    notes = [repr(setting)]
    if arm == "plain" and not lab.plan.detector_steps:
        notes.append("unfair: ResFuser was removed from a detector trained with it, without training afterwards.")
    return lab.tracks(arm, seed, partial(iou_tracker, setting)), notes


def _run_gnn(lab: Lab, seed: int) -> Outcome:
    model = lab.model("fused", seed)
    return lab.tracks("fused", seed, lambda detector: gnn_tracker(detector, model)), []


def _run_learned(lab: Lab, seed: int) -> Outcome:
    model, head = lab.model("fused", seed), lab.association_head(seed)
    return lab.tracks("fused", seed, lambda detector: learned_tracker(head, detector, model)), []


ROWS = {
    row.key: row
    for row in (
        Row(
            "plain-iou",
            "detector, IoU tracker with memory, tuned",
            "Detector without ResFuser; IoU tracker, tuned on validation scenes.",
            (),
            partial(_run_iou, "plain"),
        ),
        Row(
            "alone-iou",
            "+ ResFuser, every frame fused with itself",
            "Detector with ResFuser, each frame fused with itself; IoU tracker, tuned in the same way.",
            ("plain-iou",),
            partial(_run_iou, "alone"),
        ),
        Row(
            "fused-iou",
            "+ ResFuser",
            "Detector with ResFuser; IoU tracker, tuned in the same way.",
            ("alone-iou", "plain-iou"),
            partial(_run_iou, "fused"),
        ),
        Row(
            "gnn",
            "+ GNN",
            "Detections of fused-iou; the GNN's logits in GeometricAffinity, whose weights are set by hand.",
            ("fused-iou", "plain-iou"),
            _run_gnn,
        ),
        Row(
            "learned-gnn",
            "+ GNN, learned births",
            "Detections of fused-iou; the GNN's logits in LearnedAffinity, the library's default for this model.",
            ("gnn", "fused-iou"),
            _run_learned,
        ),
    )
}
"""Rows by key, in the order of the table."""
