import math
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from itertools import repeat
from typing import Any, Self

import numpy as np

from tltm_graph.metrics.association_edges import AssociationEdges
from tltm_graph.metrics.benchmark_rules import (
    MOT17_DISTRACTORS,
    MOT20_DISTRACTORS,
    bdd100k_frames,
    mot_challenge_frames,
    mots_frames,
    summarise_bdd100k,
)
from tltm_graph.metrics.clear import Clear, ClearBdd100k, ClearCounts
from tltm_graph.metrics.davis import DavisScores, DavisSemiSupervised, DavisUnsupervised
from tltm_graph.metrics.hota import Hota
from tltm_graph.metrics.identity import IdentityF1
from tltm_graph.metrics.metric import Metric, TrackingMetric, update_together
from tltm_graph.metrics.overlap import FrameOverlap, On
from tltm_graph.metrics.video_ap import VideoAP, class_agnostic
from tltm_graph.structures import Tracks

FAMILIES = ("ap", "hota", "clear", "idf1", "edges", "jf", "jf-semi")
"""Names of the groups of metrics: YouTube-VIS AP and AR; HOTA; CLEAR; IDF1; precision and recall of the association's
edges; DAVIS J and F, unsupervised and semi-supervised."""

FrameRule = Callable[[Tracks, Tracks, On, int | None], Iterator[FrameOverlap]]
"""Function ``(truth, predicted, on, label)`` that yields the scored part of each frame, for one class or all (None)."""

RULES: dict[str, FrameRule] = {
    "plain": bdd100k_frames,
    "mot17": lambda truth, predicted, on, label: mot_challenge_frames(truth, predicted, MOT17_DISTRACTORS),
    "mot20": lambda truth, predicted, on, label: mot_challenge_frames(truth, predicted, MOT20_DISTRACTORS),
    "mots": lambda truth, predicted, on, label: mots_frames(truth, predicted, label),
    "bdd100k": bdd100k_frames,
}
"""Rules by which benchmarks leave objects out before they count. ``plain`` is for truth without rules of its own: only
unmatched predictions mostly on a crowd are left out. ``mot17`` is also right for MOT15, which has no distractors."""

RULES_ON: dict[str, On] = {"mot17": "boxes", "mot20": "boxes", "mots": "masks"}
"""The only shape that some rules compare."""

ONE_CLASS = frozenset({"mot17", "mot20"})
"""Rules that score one class of the truth, and predictions of that class."""

LabelMaps = Iterator[tuple[np.ndarray | None, np.ndarray | None]]
"""True and predicted label map of each frame, None for a missing one."""

_EMPTY_FRAME = FrameOverlap(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((0, 0)))


@dataclass(frozen=True)
class Scores:
    """Scores of an evaluation by official name, shares in [0, 1], nan where the denominator is 0.

    Args:
        overall: Scores over all videos and classes.
        per_video: Scores of each video, by its name.
        per_class: Scores of each class that occurs, by its name; empty if classes are not compared.
        notes: Sentences about what the scores leave out.
    """

    overall: dict[str, float]
    per_video: dict[str, dict[str, float]] = field(default_factory=dict)
    per_class: dict[str, dict[str, float]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


class Evaluation(Metric):
    """Several families of metrics, updated together one video at a time.

    Args:
        families: Names from :data:`FAMILIES`.
        class_names: Class names, the same for truth and predictions; None to compare without classes.
        on: Compare masks or boxes.
        rules: Name from :data:`RULES`.

    Raises:
        ValueError: If a family or the rules are unknown, or the rules do not allow ``on`` or classes.
    """

    def __init__(
        self, families: Collection[str], class_names: Sequence[str] | None, on: On = "masks", rules: str = "plain"
    ) -> None:
        unknown = sorted(set(families) - set(FAMILIES))
        if unknown or rules not in RULES:
            raise ValueError(
                f"Expected metrics of {list(FAMILIES)} and rules of {list(RULES)}, got {unknown} and '{rules}'"
            )
        if RULES_ON.get(rules, on) != on:
            raise ValueError(
                f"Expected the rules '{rules}' on {RULES_ON[rules]}, the only shape they compare, got {on}"
            )
        if rules in ONE_CLASS and class_names is not None:
            raise ValueError(
                f"Expected no classes with the rules '{rules}', which score pedestrians, got {class_names}"
            )
        self.families = tuple(family for family in FAMILIES if family in families)
        self.class_names = None if class_names is None else tuple(class_names)
        self.on = on
        self.rules = rules
        self.reset()

    @property
    def needs_tracks(self) -> bool:
        """True if any family needs tracks."""
        return any(not family.startswith("jf") for family in self.families)

    @property
    def needs_label_maps(self) -> bool:
        """True if any family needs label maps."""
        return any(family.startswith("jf") for family in self.families)

    def reset(self) -> None:
        """Remove all videos."""
        self._names: dict[int, str] = {}  # by id of the video
        self._labels: set[int] = set()  # labels that occur on either side
        self._ap = VideoAP(len(self.class_names or ("object",)), self.on) if "ap" in self.families else None
        labels = [None] if self.class_names is None else range(len(self.class_names))
        self._tracking = {label: {name: kind() for name, kind in self._kinds().items()} for label in labels}
        self._davis: dict[str, DavisUnsupervised | DavisSemiSupervised] = {}
        if "jf" in self.families:
            self._davis["jf"] = DavisUnsupervised()
        if "jf-semi" in self.families:
            self._davis["jf-semi"] = DavisSemiSupervised()

    def _kinds(self) -> dict[str, Callable[[], TrackingMetric[Any]]]:
        kinds: dict[str, Callable[[], TrackingMetric[Any]]] = {
            "hota": Hota,
            "clear": ClearBdd100k if self.rules == "bdd100k" else Clear,
            "idf1": IdentityF1,
            "edges": AssociationEdges,
        }
        return {family: kinds[family] for family in self.families if family in kinds}

    def update(
        self,
        name: str,
        video_id: int,
        truth: Tracks | None,
        predicted: Tracks | None,
        label_maps: Callable[[], LabelMaps] | None = None,
    ) -> None:
        """Add one video.

        Args:
            name: Name of the video.
            video_id: Number of the video, which orders predictions with equal scores in AP.
            truth: True tracks; None if no family needs tracks.
            predicted: Predicted tracks of the same classes; None if ``truth`` is None.
            label_maps: Returns the label maps of both sides; None if no family needs label maps.

        Raises:
            ValueError: If the metric has the video already, the predictions do not belong to it, a label is outside the
                classes, or an input that a family needs is missing. Nothing of the video is kept then.
        """
        if (self.needs_tracks and None in (truth, predicted)) or (self.needs_label_maps and label_maps is None):
            raise ValueError(
                f"Expected the inputs of the metrics {list(self.families)}, got for video '{name}' "
                f"{'no' if None in (truth, predicted) else 'both'} tracks and {'no' if label_maps is None else 'both'} "
                "label maps"
            )
        video = type(self)(self.families, self.class_names, self.on, self.rules)
        if truth is not None and predicted is not None:
            video._add_tracks(name, video_id, truth, predicted)
        if label_maps is not None:
            for metric in video._davis.values():
                metric.update(name, label_maps())
        video._names[video_id] = name
        self.merge(video)

    def _add_tracks(self, name: str, video_id: int, truth: Tracks, predicted: Tracks) -> None:
        self._add_labels(name, truth, "true")
        self._add_labels(name, predicted, "predicted")
        if self._ap is not None:
            sides = (truth, predicted) if self.class_names is not None else map(class_agnostic, (truth, predicted))
            self._ap.update(video_id, *sides)
        rule = RULES[self.rules]
        for label, metrics in self._tracking.items():
            if metrics and (label is None or label in self._labels):
                update_together(list(metrics.values()), name, rule(truth, predicted, self.on, label))
            elif "clear" in metrics:  # a class that does not occur: CLEAR counts the frames all the same
                metrics["clear"].update(name, repeat(_EMPTY_FRAME, truth.num_frames))

    def _add_labels(self, name: str, tracks: Tracks, side: str) -> None:
        """Add the labels of tracks to those that occur, and check that each is a class."""
        labels = {label for track in tracks.values() for label in track.labels}
        unknown = sorted(label for label in labels if not 0 <= label < len(self.class_names or ()))
        if self.class_names is not None and unknown:
            raise ValueError(
                f"Expected labels of the {len(self.class_names)} classes, got {unknown[0]} in a {side} track of video "
                f"'{name}': map the classes first"
            )
        self._labels |= labels

    def merge(self, other: Self) -> None:
        """Add all videos of ``other``.

        Raises:
            ValueError: If both have the same video (by name or number), or their settings differ. The metric is
                unchanged then.
        """
        if repr(other) != repr(self):
            raise ValueError(f"Expected to merge with another {self!r}, got {other!r}")
        names = set(self._names.values())
        for video_id, name in other._names.items():
            if video_id in self._names or name in names:
                raise ValueError(
                    f"Expected each video once, got video {video_id} '{name}' twice: name videos differently"
                )
        if self._ap is not None and other._ap is not None:
            self._ap.merge(other._ap)
        for label, metrics in self._tracking.items():
            for family, metric in metrics.items():
                metric.merge(other._tracking[label][family])
        for family, davis in self._davis.items():
            davis.merge(other._davis[family])  # type: ignore[arg-type]
        self._names.update(other._names)
        self._labels |= other._labels

    def __repr__(self) -> str:
        classes = None if self.class_names is None else list(self.class_names)
        return f"{type(self).__name__}({list(self.families)}, {classes}, '{self.on}', '{self.rules}')"

    def compute(self) -> Scores:
        """Compute the scores of all videos so far."""
        overall: dict[str, float] = {}
        per_video: dict[str, dict[str, float]] = {name: {} for _, name in sorted(self._names.items())}
        per_class: dict[str, dict[str, float]] = {name: {} for name in self.class_names or ()}
        if self._ap is not None:
            scores = self._ap.compute()
            overall |= _numbers(scores)
            for label, class_scores in scores.per_class.items():
                if self.class_names:
                    per_class[self.class_names[label]] |= asdict(class_scores)
            for video_id, video_scores in self._ap.per_video().items():
                per_video[self._names[video_id]] |= _numbers(video_scores)
        overall |= self._add_tracking_scores(per_video, per_class)
        notes: list[str] = []
        if self._ap is not None and self._ap.num_cut_off:
            notes.append(
                f"ap: {self._ap.num_cut_off} predictions beyond the best 100 of their video and class do not count, as "
                "in the official code."
            )
        for family, davis in self._davis.items():
            suffix = "_semi" if family == "jf-semi" and "jf" in self._davis else ""
            all_scores = davis.compute()
            overall |= {name + suffix: value for name, value in _numbers(all_scores).items()}
            for video, davis_scores in all_scores.per_video().items():
                per_video[video] |= {name + suffix: value for name, value in _numbers(davis_scores).items()}
            for video in all_scores.not_scored:
                per_video[video] |= {name + suffix: math.nan for name in _numbers(all_scores)}
            notes += _davis_notes(family, all_scores)
        present = [name for label, name in enumerate(self.class_names or ()) if label in self._labels]
        return Scores(overall, per_video, {name: per_class[name] for name in present}, tuple(notes))

    def _add_tracking_scores(
        self, per_video: dict[str, dict[str, float]], per_class: dict[str, dict[str, float]]
    ) -> dict[str, float]:
        """Add the scores of each video and class to the tables and return the overall ones.

        The counts of classes are added, as in TrackEval's average over detections.
        """
        overall: dict[str, float] = {}
        for family, kind in self._kinds().items():
            zero = kind().compute()
            by_label = {label: metrics[family] for label, metrics in self._tracking.items()}
            totals = {label: metric.compute() for label, metric in by_label.items()}
            overall |= _sum_over_classes(totals.values(), zero).named()
            for label, total in totals.items():
                if label is not None and self.class_names is not None:
                    per_class[self.class_names[label]] |= total.named()
            videos = [metric.per_video() for metric in by_label.values()]
            for name, row in per_video.items():
                row |= _sum_over_classes((video[name] for video in videos if name in video), zero).named()
        if self.rules == "bdd100k" and self.class_names and {"clear", "idf1"} <= set(self.families):
            clear = {str(label): metrics["clear"].compute() for label, metrics in self._tracking.items()}
            identity = {str(label): metrics["idf1"].compute() for label, metrics in self._tracking.items()}
            overall |= summarise_bdd100k(clear, identity)
        return overall


def _sum_over_classes(classes: Iterable[Any], zero: Any) -> Any:
    """Add the counts of all classes. They have the same frames, which are therefore not added."""
    rows = list(classes)
    total = sum(rows, zero)
    return replace(total, frames=max(row.frames for row in rows)) if rows and isinstance(total, ClearCounts) else total


def _davis_notes(family: str, scores: DavisScores) -> list[str]:
    counts = {
        "objects that come after the first frame are not scored": sum(map(len, scores.left_out.values())),
        "videos without an object in the first frame are not scored": len(scores.not_scored),
        "objects that no frame shows count, as in the official code": len(scores.never_shown),
    }
    return [f"{family}: {count} {sentence}." for sentence, count in counts.items() if count]


def _numbers(scores: Any) -> dict[str, float]:
    return {f.name: getattr(scores, f.name) for f in fields(scores) if isinstance(getattr(scores, f.name), float)}
