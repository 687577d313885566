"""Association compared with other trackers on the same detections: those of models, and ground truth with known errors.

No tracker sees pictures. All give ids online to the detections of each frame; no gaps are filled. The groups of
sequences are described in association_groups.py, the other trackers and their settings in association_trackers.py. The
second table of a group measures re-identification after absences, see association_scores.py.

Run: python benchmarks/association.py --data ../shared/data
     python benchmarks/association.py --groups MOT15 scenes --seeds 0 --trackers ours IoU-Hungarian
     python benchmarks/association.py --trackers ours --heads out/train/relation_only/model_ema.safetensors

The other trackers need packages without their dependencies, which would install an old version of one:
pip install --no-deps trackers==2.6.1 norfair==2.1.1 filterpy==1.4.5
"""

import argparse
import statistics
import sys
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from itertools import count
from multiprocessing import get_context
from pathlib import Path

import torch
from tqdm import tqdm

from benchmarks.association_groups import GROUPS, UNSEEDED, Group, Sequence, load_group
from benchmarks.association_scores import (
    BINS,
    Metrics,
    Reentries,
    joint_scores,
    reentries,
    score_sequence,
    total,
    true_objects,
)
from benchmarks.association_trackers import PACKAGE, PEERS, associate, follow
from tltm_graph import Tracker
from tltm_graph.association import GeometricAffinity, LearnedAffinity
from tltm_graph.detectors import Detector

REENTRY = frozenset({"MOT15", "MOT17c", "scenes"})
"""Groups with enough absences for a second table."""

Row = tuple[str, str]
"""Tracker and setting."""

OURS, BOUND = "ours", "oracle"


def contenders(heads: Collection[str] = ()) -> dict[Row, Callable[[Sequence], list[list[int]]]]:
    """Every tracker that is compared; the oracles, which bound the scores, come last.

    Args:
        heads: Weight files of association heads to compare with the shipped head.
    """
    rows: dict[Row, Callable[[Sequence], list[list[int]]]] = {}
    for name, (make, settings) in PEERS.items():
        for setting, values in settings.items():
            rows[name, setting] = partial(associate, make=partial(make, **values))
    rows[OURS, "by hand"] = partial(follow, make=by_hand)
    rows[OURS, "default"] = partial(follow, make=Tracker)
    rows |= {(OURS, head): partial(follow, make=partial(with_head, head=head)) for head in heads}
    rows[BOUND, "false positives dropped"] = true_objects
    rows[BOUND, "false positives kept"] = true_objects_and_singles
    return rows


def by_hand(detector: Detector) -> Tracker:
    return Tracker(detector, affinity=GeometricAffinity())


def with_head(detector: Detector, head: str) -> Tracker:
    return Tracker(detector, affinity=LearnedAffinity.from_file(head))


def true_objects_and_singles(sequence: Sequence) -> list[list[int]]:
    """True objects, with a new id for each false detection."""
    new_ids = count(max(sequence.truth, default=0) + 1)
    return [[i if i >= 0 else next(new_ids) for i in ids] for ids in true_objects(sequence)]


@dataclass(frozen=True, eq=False)
class Outcome:
    """Scores of one tracker on one sequence."""

    metrics: Metrics
    reentries: Reentries


def run(sequence: Sequence, row: Row, heads: Collection[str]) -> Outcome:
    """Run a tracker on a sequence and score it."""
    ids = contenders(heads)[row](sequence)
    return Outcome(score_sequence(sequence, sequence.tracks(ids)), reentries(true_objects(sequence), ids))


Outcomes = Mapping[Row, list[list[Outcome]]]
"""Outcomes of each tracker by seed and sequence."""


def compare(
    pool: ProcessPoolExecutor, groups: list[Group], rows: list[Row], name: str, heads: Collection[str]
) -> Outcomes:
    """Run every tracker on every sequence of the group, once per seed."""
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

Scores = Mapping[Row, list[dict[str, float]]]
"""Scores of each tracker by seed."""


def best_peer(scores: Scores) -> Row | None:
    """Row of the other tracker with the highest mean HOTA; None without other trackers."""
    peers = [row for row in scores if row[0] not in (OURS, BOUND)]
    return max(peers, key=lambda row: statistics.mean(of["HOTA"] for of in scores[row]), default=None)


def score_table(groups: list[Group], scores: Scores) -> str:
    """Table of scores, the best other tracker in bold."""
    best = best_peer(scores)
    lines = [_heading(groups), "", f"| tracker | setting | {' | '.join(SCORES)} |", "|---|---|" + "--:|" * len(SCORES)]
    for row, of in scores.items():
        cells = [_mean([score[name] for score in of], _digits(name)) for name in SCORES]
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
    seeds = f", mean of {len(groups)} seeds ± standard error" if len(groups) > 1 else ""
    return f"*{groups[0].name}: sequences: {len(sequences)}, frames: {frames}, detections: {detections}{seeds}*"


def _digits(score: str) -> int:
    return 0 if score == "IDSW" else 1


def _mean(values: list[float], digits: int, sign: str = "") -> str:
    text = f"{statistics.mean(values):{sign}.{digits}f}"
    if len(values) > 1:
        text += f" ± {statistics.stdev(values) / len(values) ** 0.5:.{digits}f}"
    return text


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f}" if whole else "–"


def main() -> None:
    names = list(dict.fromkeys(name for name, _ in contenders()))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--groups", nargs="+", choices=GROUPS, default=list(GROUPS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--trackers", nargs="+", choices=names, default=names)
    parser.add_argument(
        "--heads", nargs="+", metavar="WEIGHTS", default=[], help="association heads to compare with the shipped one"
    )
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    options = parser.parse_args()
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
    with ProcessPoolExecutor(2, get_context("spawn"), torch.set_num_threads, (1,)) as pool:
        for name in options.groups:
            seeds = options.seeds[:1] if name in UNSEEDED else options.seeds
            groups = list(pool.map(partial(load_group, name, options.data), seeds))
            compared = [row for row in rows if row[1] != "tuned17" or name == "MOT17c"]
            outcomes = compare(pool, groups, compared, name, options.heads)
            scores[name] = {
                row: [joint_scores(outcome.metrics for outcome in seed) for seed in of] for row, of in outcomes.items()
            }
            print(score_table(groups, scores[name]), flush=True, end="\n\n")
            if name in REENTRY:
                counts = {row: total(o.reentries for seed in of for o in seed) for row, of in outcomes.items()}
                print(reentry_table(name, counts), flush=True, end="\n\n")
    print(f"*Ours minus the best other tracker*\n\n{summary(scores)}")


if __name__ == "__main__":
    main()
