"""The rows of the ablation: what each is, what it is compared with, and how its tracks come about."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

from tltm_graph.models.recorded import RecordedModel

from experiments.ablation.evidence import ShuffledRelation, ZeroedRelation
from experiments.ablation.iou_tracker import IouSetting, iou_tracker, tuned
from experiments.ablation.lab import MAX_SHOWN, Lab
from experiments.ablation.relation_variants import RelationLab, Variant
from tltm_graph.association import Affinity
from tltm_graph.cli.saved_run import SOLVERS
from tltm_graph.metrics import ORACLES
from tltm_graph.structures import Tracks
from tltm_graph.tracking import Relation, Tracker, TrackManager


@dataclass(frozen=True)
class Outcome:
    """Tracks of every test scene, and what was chosen or left out on the way to them."""

    tracks: list[Tracks]
    notes: dict[str, Any]


@dataclass(frozen=True)
class Row:
    """A row.

    Args:
        key: By which it is asked for and kept.
        name: For people.
        parts: The tables it is in.
        against: Keys of the rows it is compared with.
        run: Gives its outcome with a seed.
        needs_head: Whether it needs the weights of the learned affinity.
    """

    key: str
    name: str
    parts: str
    against: tuple[str, ...]
    run: Callable[[int], Outcome]
    needs_head: bool = False


PARTS = {
    "A": "The paper's Table 3",
    "B": "Association on the same detections",
    "C": "How the GNN learns",
    "D": "How long the memory is",
}
"""The tables."""


def rows_of(lab: Lab) -> dict[str, Row]:
    """All rows by key, in the order in which they are best run and read."""
    relations = RelationLab(lab)

    def iou(arm: str, seed: int) -> Outcome:
        setting, notes = tuned(lab, arm, seed)
        tracks = lab.tracks(arm, seed, lambda model: iou_tracker(model, setting))
        notes = {"IoU tracker": notes["chosen"]}
        if arm == "plain" and not lab.plan.detector_steps:
            notes["unfair"] = "ResFuser was taken out of a detector that had learned with it, nothing was trained after"
        return Outcome(tracks, notes)

    def associated(make: Callable[[RecordedModel, int], Tracker], seed: int) -> Outcome:
        return Outcome(lab.tracks("fused", seed, lambda model: make(model, seed)), {})

    def made_true(parts: tuple[str, ...], seed: int) -> Outcome:
        tracks = lab.tracks("fused", seed, gnn_tracker)
        for part in parts:
            tracks = [ORACLES[part](s.truth, t, "masks") for s, t in zip(lab.test_truth, tracks, strict=True)]
        return Outcome(tracks, {})

    def variant(which: Variant, seed: int) -> Outcome:
        return Outcome(relations.tracks(seed, which), {})

    def learned(model: RecordedModel, relation: Relation | None, max_time_since_update: int = 60) -> Tracker:
        affinity = lab.learned_affinity if relation is None else lab.affinity_of(model)
        track_manager = TrackManager(max_time_since_update=max_time_since_update)
        return Tracker(model, relation, affinity=affinity, track_manager=track_manager, max_shown=MAX_SHOWN)

    def with_learned(change: Callable[[RecordedModel, int], Relation | None]) -> Callable[[int], Outcome]:
        return partial(associated, lambda model, seed: learned(model, change(model, seed)))

    def with_gnn(change: Callable[[RecordedModel, int], Relation]) -> Callable[[int], Outcome]:
        return partial(associated, lambda model, seed: gnn_tracker(model, change(model, seed)))

    def remembering(misses: int, model: RecordedModel, seed: int) -> Tracker:
        return learned(model, model, max_time_since_update=misses)

    def itself(model: RecordedModel, seed: int) -> Relation:
        return model

    def zeroed(model: RecordedModel, seed: int) -> Relation:
        return ZeroedRelation(model)

    rows = [
        Row("plain-iou", "detector, IoU tracker with memory, tuned", "A", (), partial(iou, "plain")),
        Row("alone-iou", "+ ResFuser, every frame fused with itself", "A", ("plain-iou",), partial(iou, "alone")),
        Row("fused-iou", "+ ResFuser", "AB", ("alone-iou", "plain-iou"), partial(iou, "fused")),
        Row("gnn", "+ GNN", "AB", ("fused-iou", "plain-iou"), with_gnn(itself)),
        Row(
            "iou-no-memory",
            "IoU tracker without memory",
            "B",
            ("fused-iou",),
            partial(associated, lambda model, seed: iou_tracker(model, IouSetting())),
        ),
        Row(
            "published",
            "published rule",
            "B",
            ("gnn",),
            partial(associated, lambda model, seed: published_tracker(model, lab.pixel(seed))),
        ),
        Row("gnn-zeroed", "+ GNN, logits zeroed", "B", ("gnn",), with_gnn(zeroed)),
        Row("gnn-shuffled", "+ GNN, logits shuffled within the frame", "B", ("gnn",), with_gnn(ShuffledRelation)),
        Row("learned", "learned births, no GNN", "B", ("gnn",), with_learned(lambda model, seed: None), True),
        Row(
            "learned-gnn",
            "+ GNN, learned births",
            "ABD",
            ("gnn", "learned", "fused-iou", "published"),
            with_learned(itself),
            True,
        ),
        Row(
            "learned-zeroed", "+ GNN, learned births, logits zeroed", "B", ("learned-gnn",), with_learned(zeroed), True
        ),
        Row(
            "learned-shuffled",
            "+ GNN, learned births, logits shuffled",
            "B",
            ("learned-gnn",),
            with_learned(ShuffledRelation),
            True,
        ),
        Row("oracle", "+ GNN, true association", "B", ("gnn",), partial(made_true, ("association",))),
        Row("classes", "+ GNN, true classes", "B", ("gnn",), partial(made_true, ("class",))),
        Row(
            "oracle-classes",
            "+ GNN, true association and classes",
            "B",
            ("classes",),
            partial(made_true, ("association", "class")),
        ),
    ]
    baseline = "relation-sum"
    variants = {
        baseline: ("sum, 1 step, no transition loss", Variant()),
        "relation-mean": ("mean", Variant(aggr="mean")),
        "relation-2-steps": ("2 steps", Variant(num_steps=2)),
        "relation-3-steps": ("3 steps", Variant(num_steps=3)),
        "relation-transition-0.1": ("transition loss × 0.1", Variant(transition_weight=0.1)),
        "relation-transition-1": ("transition loss × 1", Variant(transition_weight=1.0)),
    }
    for key, (name, which) in variants.items():
        rows.append(Row(key, name, "C", () if key == baseline else (baseline,), partial(variant, which), True))
    for misses in (0, 5, 15):
        name = f"memory of {misses} frames ('+ GNN, learned births' has 60)"
        run = partial(associated, partial(remembering, misses))
        rows.append(Row(f"memory-{misses}", name, "D", ("learned-gnn",), run, True))
    return {row.key: row for row in rows}


def chosen_rows(rows: dict[str, Row], asked: Iterable[str]) -> list[Row]:
    """The rows with these keys or of these parts.

    Raises:
        ValueError: If there is no such row or part.
    """
    asked = list(asked)
    unknown = [name for name in asked if name not in rows and name not in PARTS]
    if unknown:
        raise ValueError(f"Expected rows of {list(rows)} or parts of {list(PARTS)}, got {unknown}")
    return [row for key, row in rows.items() if key in asked or set(row.parts) & set(asked)]


def gnn_tracker(model: RecordedModel, relation: Relation | None = None) -> Tracker:
    """The hand-set affinity with the GNN's evidence, or that of another relation."""
    return Tracker(model, relation or model, affinity=Affinity(), max_shown=MAX_SHOWN)


def published_tracker(model: RecordedModel, pixel: float, relation: Relation | None = None) -> Tracker:
    """The rule of the released code; ``pixel`` is one of the network in pixels of the frame."""
    return SOLVERS["argmax"](model, relation or model, pixel)
