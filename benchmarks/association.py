"""Association compared with other trackers on the same detections: those of models, and ground truth with known errors.

No tracker sees pictures. All give ids online to the detections of each frame; no gaps are filled. The groups of
sequences are described in association_groups.py and association_tracks.py, the other trackers and their settings in
association_trackers.py. A second table measures re-identification after absences, see association_scores.py.

"tracks" are those shown, "false" of them show no true object, "one frame" were shown once; "ms" is the median time of a
frame on one thread, of the sequences' mean.

Run: python benchmarks/association.py --data ../shared/data
     python benchmarks/association.py --groups MOT15 scenes --seeds 0 --trackers ours IoU-Hungarian
     python benchmarks/association.py --groups tracks --shake 5 --mend
     python benchmarks/association.py --trackers ours --heads out/train/relation_only/model_ema.safetensors

The other trackers need packages without their dependencies, which would install an old version of one:
pip install --no-deps trackers==2.6.1 norfair==2.1.1 filterpy==1.4.5
"""

import argparse
import json
import math
import statistics
import sys
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Executor, Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from itertools import count
from multiprocessing import get_context
from pathlib import Path

import torch
from tqdm import tqdm

from benchmarks.association_groups import GROUPS, UNSEEDED, Group, Sequence, load_group
from benchmarks.association_mistakes import MENDED, TrackCounts, count_tracks, judged
from benchmarks.association_scores import (
    BINS,
    Ids,
    Metrics,
    Reentries,
    joint_scores,
    reentries,
    score_sequence,
    total,
    true_objects,
)
from benchmarks.association_trackers import PACKAGE, PEERS, Followed, associate, follow
from benchmarks.association_tracks import DETECTORS, TRACKS, load_tracks, shaken
from tltm_graph import Tracker
from tltm_graph.association import GeometricAffinity, LearnedAffinity
from tltm_graph.detectors import Detector

REENTRY = frozenset({"MOT15", "MOT17c", "scenes"})
"""Groups with enough absences for a second table."""

Row = tuple[str, str]
"""Tracker and setting."""

OURS, BOUND = "ours", "oracle"


def contenders(heads: Collection[str] = ()) -> dict[Row, Callable[[Sequence], Followed]]:
    """Every tracker that is compared; the oracles, which bound the scores, come last.

    Args:
        heads: Weight files of association heads to compare with the shipped head.
    """
    rows: dict[Row, Callable[[Sequence], Followed]] = {}
    for name, (make, settings) in PEERS.items():
        for setting, values in settings.items():
            rows[name, setting] = partial(associate, make=partial(make, **values))
    rows[OURS, "by hand"] = partial(follow, make=by_hand)
    rows[OURS, "default"] = partial(follow, make=Tracker)
    rows |= {(OURS, head): partial(follow, make=partial(with_head, head=head)) for head in heads}
    rows[BOUND, "false positives dropped"] = lambda sequence: Followed(true_objects(sequence), float("nan"))
    rows[BOUND, "false positives kept"] = true_objects_and_singles
    return rows


def by_hand(detector: Detector) -> Tracker:
    return Tracker(detector, affinity=GeometricAffinity())


def with_head(detector: Detector, head: str) -> Tracker:
    return Tracker(detector, affinity=LearnedAffinity.from_file(head))


def true_objects_and_singles(sequence: Sequence) -> Followed:
    """True objects, with a new id for each false detection."""
    new_ids = count(max(sequence.truth, default=0) + 1)
    ids = [[i if i >= 0 else next(new_ids) for i in ids] for ids in true_objects(sequence)]
    return Followed(ids, float("nan"))


@dataclass(frozen=True, eq=False)
class Outcome:
    """Scores of one tracker on one sequence.

    Args:
        metrics: Counts of the metrics.
        reentries: Counts of absences.
        tracks: Counts of tracks.
        milliseconds: Median time of a frame.
        ids: Track of each detection of each frame.
    """

    metrics: Metrics
    reentries: Reentries
    tracks: TrackCounts
    milliseconds: float
    ids: Ids


def run(sequence: Sequence, row: Row, heads: Collection[str]) -> Outcome:
    """Run a tracker on a sequence and score it."""
    followed = contenders(heads)[row](sequence)
    return Outcome(
        score_sequence(sequence, sequence.tracks(followed.ids)),
        reentries(true_objects(sequence), followed.ids),
        count_tracks(judged(sequence), followed.ids),
        followed.milliseconds,
        followed.ids,
    )


def mended(sequence: Sequence, ids: Ids) -> dict[str, Metrics]:
    """Score a sequence without one kind of mistake each."""
    objects = judged(sequence)
    return {name: score_sequence(sequence, sequence.tracks(mend(objects, ids))) for name, mend in MENDED.items()}


Outcomes = Mapping[Row, list[list[Outcome]]]
"""Outcomes of each tracker by seed and sequence."""


def compare(pool: Executor, groups: list[Group], rows: list[Row], name: str, heads: Collection[str]) -> Outcomes:
    """Run every tracker on every sequence of the group, once per seed or draw."""
    runs: dict[Future[Outcome], tuple[Row, int, int]] = {}
    outcomes: dict[Row, list[dict[int, Outcome]]] = {row: [{} for _ in groups] for row in rows}
    for row in rows:
        for seed, group in enumerate(groups):
            for number, sequence in enumerate(group.sequences):
                runs[pool.submit(run, sequence, row, heads)] = row, seed, number
    for future in tqdm(as_completed(runs), total=len(runs), desc=name, unit=" runs", file=sys.stderr):
        row, seed, number = runs[future]
        outcomes[row][seed][number] = future.result()
    return {row: [[of[number] for number in sorted(of)] for of in seeds] for row, seeds in outcomes.items()}


SCORES = ("HOTA", "AssA", "DetA", "IDF1", "MOTA", "IDSW")
COLUMNS = (*SCORES, "tracks", "false", "one frame", "ms")
_COUNTS = frozenset({"IDSW", "tracks", "false", "one frame"})

Scores = Mapping[Row, list[dict[str, float]]]
"""Scores of each tracker by seed."""


def scores_of(outcomes: Collection[Outcome]) -> dict[str, float]:
    """All columns of the table, over the sequences of a group."""
    tracks = sum((outcome.tracks for outcome in outcomes), TrackCounts())
    return joint_scores(outcome.metrics for outcome in outcomes) | {
        "tracks": tracks.tracks,
        "false": tracks.false,
        "one frame": tracks.one_frame,
        "ms": statistics.mean(outcome.milliseconds for outcome in outcomes),
    }


def best_peer(scores: Scores) -> Row | None:
    """Row of the other tracker with the highest mean HOTA; None without other trackers."""
    peers = [row for row in scores if row[0] not in (OURS, BOUND)]
    return max(peers, key=lambda row: statistics.mean(of["HOTA"] for of in scores[row]), default=None)


def score_table(groups: list[Group], scores: Scores) -> str:
    """Table of scores, the best other tracker in bold."""
    best = best_peer(scores)
    lines = [
        _heading(groups),
        "",
        f"| tracker | setting | {' | '.join(COLUMNS)} |",
        "|---|---|" + "--:|" * len(COLUMNS),
    ]
    for row, of in scores.items():
        cells = [_mean([score[name] for score in of], _digits(name)) for name in COLUMNS]
        if row == best:
            cells = [f"**{cell}**" for cell in cells]
        lines.append(f"| {row[0]} | {row[1]} | {' | '.join(cells)} |")
    return "\n".join(lines)


def reentry_table(name: str, counts: Mapping[Row, Reentries]) -> str:
    """Table of re-identification recall and precision by length of the absence, over all seeds."""
    spans = [f"{least}–{most}" for least, most in BINS]
    returns = next(iter(counts.values())).returns.tolist()
    away = ", ".join(f"{number} of {span}" for number, span in zip(returns, spans, strict=True))
    heads = [f"{what} {span}" for what in ("recall", "precision") for span in [*spans, "all"]]
    title = f"*{name}, re-identification after absences: {away} frames; in brackets the number of links a tracker made*"
    lines = [title, ""]
    lines += [f"| tracker | setting | {' | '.join(heads)} |", "|---|---|" + "--:|" * len(heads)]
    for row, of in counts.items():
        kept, returns, right, links = ([*n.tolist(), int(n.sum())] for n in (of.kept, of.returns, of.right, of.links))
        cells = [_share(*pair) for pair in zip(kept, returns, strict=True)]
        cells += [f"{_share(*pair)} ({pair[1]})" for pair in zip(right, links, strict=True)]
        lines.append(f"| {row[0]} | {row[1]} | {' | '.join(cells)} |")
    return "\n".join(lines)


def mend_table(pool: Executor, groups: list[Group], outcomes: Outcomes, rows: Collection[Row]) -> str:
    """Table of the scores of some trackers without one kind of mistake each, mean over seeds or draws."""
    names = ("HOTA", "AssA", "DetA", "IDF1", "IDSW")
    lines = [f"| tracker | without | {' | '.join(names)} |", "|---|---|" + "--:|" * len(names)]
    for row in rows:
        parts = {"(as it is)": [[one.metrics for one in draw] for draw in outcomes[row]]}
        runs = [
            [pool.submit(mended, *pair) for pair in zip(group.sequences, (one.ids for one in draw), strict=True)]
            for group, draw in zip(groups, outcomes[row], strict=True)
        ]
        parts |= {name: [[one.result()[name] for one in draw] for draw in runs] for name in MENDED}
        for name, draws in parts.items():
            of = [joint_scores(draw) for draw in draws]
            cells = [_mean([score[column] for score in of], _digits(column)) for column in names]
            lines.append(f"| {', '.join(row)} | {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def overview(scores: Mapping[str, Scores]) -> str:
    """Table of means over all groups, for the settings that all groups share; counts are added."""
    shared = set.intersection(*(set(of) for of in scores.values()))
    lines = [f"| tracker | setting | {' | '.join(COLUMNS)} |", "|---|---|" + "--:|" * len(COLUMNS)]
    for row in next(iter(scores.values())):
        if row in shared:
            means = {
                name: [statistics.mean(score[name] for score in of[row]) for of in scores.values()] for name in COLUMNS
            }
            cells = [
                _mean([sum(values) if name in _COUNTS else statistics.mean(values)], _digits(name))
                for name, values in means.items()
            ]
            lines.append(f"| {row[0]} | {row[1]} | {' | '.join(cells)} |")
    return "\n".join(lines)


def comparison(scores: Mapping[str, Scores], before: Mapping[str, Mapping[str, list[dict[str, float]]]]) -> str:
    """Table of the scores minus those of an earlier run, as it was written with ``--json``."""
    lines = [f"| group | tracker | {' | '.join(COLUMNS)} |", "|---|---|" + "--:|" * len(COLUMNS)]
    for name, of in scores.items():
        for row, now in of.items():
            then = before.get(name, {}).get(", ".join(row))
            if then is not None and row[0] == OURS:
                pairs = list(zip(now, then, strict=False))
                cells = [_mean([a[c] - b[c] for a, b in pairs], _digits(c), "+") for c in COLUMNS]
                lines.append(f"| {name} | {', '.join(row)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def summary(scores: Mapping[str, Scores]) -> str:
    """Table of our scores minus those of the best other tracker of each group, seed by seed."""
    lines = [f"| group | ours | best other | {' | '.join(SCORES)} |", "|---|---|---|" + "--:|" * len(SCORES)]
    for name, of in scores.items():
        best = best_peer(of)
        for row in of:
            if best is not None and row[0] == OURS:
                pairs = list(zip(of[row], of[best], strict=True))
                cells = [_mean([own[s] - other[s] for own, other in pairs], _digits(s), "+") for s in SCORES]
                lines.append(f"| {name} | {row[1]} | {', '.join(best)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _heading(groups: list[Group]) -> str:
    sequences = groups[0].sequences
    frames = sum(sequence.num_frames for sequence in sequences)
    detections = sum(len(rows) for sequence in sequences for rows in sequence.detected)
    seeds = f", mean of {len(groups)} draws ± standard deviation" if len(groups) > 1 else ""
    return f"*{groups[0].name}: sequences: {len(sequences)}, frames: {frames}, detections: {detections}{seeds}*"


def _digits(score: str) -> int:
    return 0 if score in _COUNTS else 2 if score == "ms" else 1


def _mean(values: list[float], digits: int, sign: str = "") -> str:
    if any(map(math.isnan, values)):
        return "–"
    text = f"{statistics.mean(values):{sign}.{digits}f}"
    if len(values) > 1:
        text += f" ± {statistics.stdev(values):.{digits}f}"
    return text


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f}" if whole else "–"


def main() -> None:
    names = list(dict.fromkeys(name for name, _ in contenders()))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--groups", nargs="+", choices=[*GROUPS, "tracks", *TRACKS], default=[*GROUPS, *TRACKS])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--trackers", nargs="+", choices=names, default=names)
    parser.add_argument(
        "--heads", nargs="+", metavar="WEIGHTS", default=[], help="association heads to compare with the shipped one"
    )
    parser.add_argument(
        "--shake",
        type=int,
        default=0,
        metavar="N",
        help="instead of --seeds: N draws in which boxes are moved by 1 %% of their size; a difference below two "
        "standard deviations is none",
    )
    parser.add_argument("--frames", type=int, default=400, help="length of the sequences of tracks, 0 for all of it")
    parser.add_argument("--mend", action="store_true", help="score again without one kind of mistake each")
    parser.add_argument("--json", type=Path, help="write all scores to this file")
    parser.add_argument("--compare", type=Path, metavar="JSON", help="print our scores minus those of an earlier run")
    parser.add_argument("--workers", type=int, default=2, help="processes (default: %(default)s)")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    options = parser.parse_args()
    options.groups = [name for group in options.groups for name in (TRACKS if group == "tracks" else (group,))]
    before = json.loads(options.compare.read_text(encoding="utf-8")) if options.compare else {}
    if options.heads and OURS not in options.trackers:
        parser.error(f"expected '{OURS}' among --trackers, as --heads belong to it")
    for head in options.heads:
        LearnedAffinity.from_file(head)  # fail before the other rows run
    missing = {package for name, package in PACKAGE.items() if name in options.trackers and not find_spec(package)}
    if missing:
        print(f"Skipped the trackers of {', '.join(sorted(missing))}: not installed, see --help", file=sys.stderr)
    rows = [
        row for row in contenders(options.heads) if row[0] in options.trackers and PACKAGE.get(row[0]) not in missing
    ]
    if not rows:
        parser.error("expected at least one installed tracker")
    scores: dict[str, Scores] = {}
    with ProcessPoolExecutor(options.workers, get_context("spawn"), torch.set_num_threads, (1,)) as pool:
        for name in options.groups:
            groups = _draws(name, options)
            compared = [row for row in rows if row[1] != "tuned17" or name == "MOT17c"]
            outcomes = compare(pool, groups, compared, name, options.heads)
            scores[name] = {row: [scores_of(draw) for draw in of] for row, of in outcomes.items()}
            print(score_table(groups, scores[name]), flush=True, end="\n\n")
            if name in REENTRY:
                counts = {row: total(o.reentries for seed in of for o in seed) for row, of in outcomes.items()}
                print(reentry_table(name, counts), flush=True, end="\n\n")
            if options.mend:
                best = best_peer(scores[name])
                chosen = [row for row in outcomes if row[0] == OURS] + ([best] if best else [])
                print(mend_table(pool, groups, outcomes, chosen), flush=True, end="\n\n")
            if options.json:
                named = {group: {", ".join(row): of for row, of in rows.items()} for group, rows in scores.items()}
                options.json.write_text(json.dumps(named), encoding="utf-8")
    print(f"*Ours minus the best other tracker*\n\n{summary(scores)}\n")
    print(f"*Mean over the groups; counts are added*\n\n{overview(scores)}")
    if before:
        print(f"\n*Minus {options.compare}*\n\n{comparison(scores, before)}")


def _draws(name: str, options: argparse.Namespace) -> list[Group]:
    seeds = range(options.shake) if options.shake else options.seeds
    if name in UNSEEDED | set(DETECTORS) and not options.shake:
        seeds = seeds[:1]
    load = partial(load_tracks, max_frames=options.frames) if name in TRACKS else load_group
    groups = [load(name, options.data, seed) for seed in seeds]
    return [shaken(group, seed) for group, seed in zip(groups, seeds, strict=True)] if options.shake else groups


if __name__ == "__main__":
    main()
