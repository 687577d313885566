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
)
from tltm_graph.metrics.clear import Clear, ClearScores
from tltm_graph.metrics.clear_bdd100k import ClearBdd100k, summarise_bdd100k
from tltm_graph.metrics.davis import DavisSemiSupervised, DavisUnsupervised
from tltm_graph.metrics.davis_scores import DavisScores
from tltm_graph.metrics.hota import Hota
from tltm_graph.metrics.identity_f1 import IdentityF1
from tltm_graph.metrics.metric import Metric
from tltm_graph.metrics.overlap import FrameOverlap, On
from tltm_graph.metrics.video_ap import VideoAP, class_agnostic
from tltm_graph.metrics.video_metric import VideoMetric, update_together
from tltm_graph.structures import Tracks

_NOTHING = FrameOverlap(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((0, 0)))

FrameRule = Callable[[Tracks, Tracks, int | None], Iterator[FrameOverlap]]
"""What of a true and a predicted video counts, for one class or for all (None)."""

RULES: dict[str, Callable[[On], FrameRule]] = {
    "plain": lambda on: lambda truth, predicted, label: bdd100k_frames(truth, predicted, on, label),
    "mot17": lambda on: lambda truth, predicted, label: mot_challenge_frames(truth, predicted, MOT17_DISTRACTORS),
    "mot20": lambda on: lambda truth, predicted, label: mot_challenge_frames(truth, predicted, MOT20_DISTRACTORS),
    "mots": lambda on: lambda truth, predicted, label: mots_frames(truth, predicted, label),
    "bdd100k": lambda on: lambda truth, predicted, label: bdd100k_frames(truth, predicted, on, label),
}
"""What benchmarks leave out before they count. ``plain`` is for truth without rules of its own: predictions that are
mostly on a crowd do not count, everything else does. ``mot17`` is also right for MOT15, which knows no distractors."""

RULES_ON: dict[str, On] = {"mot17": "boxes", "mot20": "boxes", "mots": "masks"}
"""What is compared by rules that leave no choice."""

ONE_CLASS = frozenset({"mot17", "mot20"})
"""The rules that score one class of the truth, and predictions of that one."""

FAMILIES = ("ap", "hota", "clear", "idf1", "edges", "jf", "jf-semi")
"""YouTube-VIS AP and AR; HOTA; CLEAR; IDF1; precision and recall of the association's edges; DAVIS J and F,
unsupervised and semi-supervised."""

LabelMaps = Iterator[tuple[np.ndarray | None, np.ndarray | None]]
"""The true and the predicted label map of each frame, None for one that is not there."""


@dataclass(frozen=True)
class Scores:
    """All scores of an evaluation by name, shares in [0, 1], NaN where there is nothing to score.

    Args:
        overall: Over all videos and classes.
        per_video: By the name of the video.
        per_class: By the name of each class that occurs; empty where classes were not looked at.
        notes: What is true of the scores that their names do not say.
    """

    overall: dict[str, float]
    per_video: dict[str, dict[str, float]] = field(default_factory=dict)
    per_class: dict[str, dict[str, float]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


class Evaluation(Metric):
    """Feeds one video after the other to all metrics asked for.

    Args:
        families: Of :data:`FAMILIES`.
        class_names: Classes of truth and predictions, the same on both sides; None to look at no classes.
        on: Compare masks or boxes.
        rules: One of :data:`RULES`.

    Raises:
        ValueError: If a family or a rule is not known, or the rule cannot be had on ``on`` or by class.
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
            raise ValueError(f"Expected the rules '{rules}' on {RULES_ON[rules]}, all that they compare, got {on}")
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
        """Whether any metric looks at tracks."""
        return any(not family.startswith("jf") for family in self.families)

    @property
    def needs_label_maps(self) -> bool:
        """Whether any metric looks at label maps."""
        return any(family.startswith("jf") for family in self.families)

    def reset(self) -> None:
        """Forgets everything."""
        self._names: dict[int, str] = {}
        self._seen: set[int] = set()  # labels that occur on either side
        self._ap = VideoAP(len(self.class_names or ("object",)), self.on) if "ap" in self.families else None
        kinds = self._kinds()
        self._identities = {label: {name: kind() for name, kind in kinds.items()} for label in self._labels}
        self._davis: dict[str, DavisUnsupervised | DavisSemiSupervised] = {}
        if "jf" in self.families:
            self._davis["jf"] = DavisUnsupervised()
        if "jf-semi" in self.families:
            self._davis["jf-semi"] = DavisSemiSupervised()

    def _kinds(self) -> dict[str, Callable[[], VideoMetric[Any]]]:
        kinds: dict[str, Callable[[], VideoMetric[Any]]] = {
            "hota": Hota,
            "clear": ClearBdd100k if self.rules == "bdd100k" else Clear,
            "idf1": IdentityF1,
            "edges": AssociationEdges,
        }
        return {family: kinds[family] for family in self.families if family in kinds}

    @property
    def _labels(self) -> list[int | None]:
        return [None] if self.class_names is None else list(range(len(self.class_names)))

    def update(
        self,
        name: str,
        video_id: int,
        truth: Tracks | None,
        predicted: Tracks | None,
        label_maps: Callable[[], LabelMaps] | None = None,
    ) -> None:
        """Takes in one video.

        Args:
            name: Of the video.
            video_id: Its number, by which ties of AP are ordered.
            truth: True tracks; None if no metric looks at tracks.
            predicted: Predicted tracks, of the same classes; None with ``truth``.
            label_maps: Gives both sides as label maps; None if no metric looks at label maps.

        Raises:
            ValueError: If the video was taken in before, the predictions do not belong to it, a label is none of the
                classes, or what a metric looks at is missing. Nothing of the video is kept then.
        """
        if (self.needs_tracks and None in (truth, predicted)) or (self.needs_label_maps and label_maps is None):
            raise ValueError(
                f"Expected for the metrics {list(self.families)} what they look at, got of video '{name}' "
                f"{'no' if None in (truth, predicted) else 'both'} tracks and {'no' if label_maps is None else 'both'} "
                "label maps"
            )
        part = type(self)(self.families, self.class_names, self.on, self.rules)
        part._take_in(name, video_id, truth, predicted, label_maps)
        self.merge(part)

    def _take_in(
        self,
        name: str,
        video_id: int,
        truth: Tracks | None,
        predicted: Tracks | None,
        label_maps: Callable[[], LabelMaps] | None,
    ) -> None:
        if truth is not None and predicted is not None:
            self._see(name, truth, "true")
            self._see(name, predicted, "predicted")
            if self._ap is not None:
                if self.class_names is None:
                    self._ap.update(video_id, class_agnostic(truth), class_agnostic(predicted))
                else:
                    self._ap.update(video_id, truth, predicted)
            rule = RULES[self.rules](self.on)
            for label, metrics in self._identities.items():
                if metrics and (label is None or label in self._seen):
                    update_together(list(metrics.values()), name, rule(truth, predicted, label))
                elif "clear" in metrics:  # of a class that does not occur, all that counts are the frames
                    metrics["clear"].update(name, repeat(_NOTHING, truth.num_frames))
        if label_maps is not None:
            for metric in self._davis.values():
                metric.update(name, label_maps())
        self._names[video_id] = name

    def _see(self, name: str, tracks: Tracks, side: str) -> None:
        """Notes which labels occur, and makes sure that each is a class."""
        labels = {label for track in tracks.values() for label in track.labels}
        unknown = sorted(label for label in labels if not 0 <= label < len(self.class_names or ()))
        if self.class_names is not None and unknown:
            raise ValueError(
                f"Expected labels of the {len(self.class_names)} classes, got {unknown[0]} in a {side} track of video "
                f"'{name}': map the classes first"
            )
        self._seen |= labels

    def merge(self, other: Self) -> None:
        """Takes in all that ``other`` was fed.

        Raises:
            ValueError: If both saw one video (a name, or a number), or they are set up differently. Nothing has changed
                then.
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
        for label, metrics in self._identities.items():
            for family, metric in metrics.items():
                metric.merge(other._identities[label][family])
        for family, davis in self._davis.items():
            davis.merge(other._davis[family])  # type: ignore[arg-type]
        self._names.update(other._names)
        self._seen |= other._seen

    def __repr__(self) -> str:
        classes = None if self.class_names is None else list(self.class_names)
        return f"{type(self).__name__}({list(self.families)}, {classes}, '{self.on}', '{self.rules}')"

    def compute(self) -> Scores:
        """The scores of everything so far."""
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
        overall |= self._add_identities(per_video, per_class)
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
        present = [name for label, name in enumerate(self.class_names or ()) if label in self._seen]
        return Scores(overall, per_video, {name: per_class[name] for name in present}, tuple(notes))

    def _add_identities(
        self, per_video: dict[str, dict[str, float]], per_class: dict[str, dict[str, float]]
    ) -> dict[str, float]:
        """Scores of identities: classes are joined by adding their counts, as TrackEval's average over detections."""
        overall: dict[str, float] = {}
        for family, kind in self._kinds().items():
            nothing = kind().compute()
            of_label = {label: metrics[family] for label, metrics in self._identities.items()}
            totals = {label: metric.compute() for label, metric in of_label.items()}
            overall |= _all_classes(totals.values(), nothing).named()
            for label, total in totals.items():
                if label is not None and self.class_names is not None:
                    per_class[self.class_names[label]] |= total.named()
            videos = [metric.per_video() for metric in of_label.values()]
            for name, row in per_video.items():
                row |= _all_classes((video[name] for video in videos if name in video), nothing).named()
        if self.rules == "bdd100k" and self.class_names and {"clear", "idf1"} <= set(self.families):
            clear = {str(label): metrics["clear"].compute() for label, metrics in self._identities.items()}
            identity = {str(label): metrics["idf1"].compute() for label, metrics in self._identities.items()}
            overall |= summarise_bdd100k(clear, identity).named()
        return overall


def _all_classes(parts: Iterable[Any], nothing: Any) -> Any:
    """The counts of all classes together; frames are the same ones for all of them, and are not added."""
    rows = list(parts)
    total = sum(rows, nothing)
    return replace(total, frames=max(row.frames for row in rows)) if rows and isinstance(total, ClearScores) else total


def _davis_notes(family: str, scores: DavisScores) -> list[str]:
    """What J and F do not count, and what they count for nothing."""
    late = sum(map(len, scores.left_out.values()))
    counts = {
        f"{late} objects that come after the first frame are not scored": late,
        f"{len(scores.not_scored)} videos without an object in the first frame are not scored": len(scores.not_scored),
        f"{len(scores.never_shown)} objects that no frame shows count, as in the official code": len(
            scores.never_shown
        ),
    }
    return [f"{family}: {what}." for what, count in counts.items() if count]


def _numbers(scores: Any) -> dict[str, float]:
    return {f.name: getattr(scores, f.name) for f in fields(scores) if isinstance(getattr(scores, f.name), float)}
