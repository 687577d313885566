"""Our association beside known trackers on the same detections, of models and made of the truth with known faults.

Nobody sees pictures; all give ids online to the detections of each frame, and nothing is filled in. The groups are
told in association_groups.py, the other trackers and their settings in association_peers.py. The second table of a
group says how well objects are known again after an absence, see association_reentry.py.

Run: python benchmarks/association.py --data ../shared/data
     python benchmarks/association.py --groups MOT15 scenes --seeds 0 --trackers ours IoU-Hungarian
     python benchmarks/association.py --trackers ours --heads out/train/relation_only/model_ema.safetensors

The other trackers need two packages, each without what it asks for (together they would get an old version of one):
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

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.association_groups import GROUPS, UNSEEDED, load_group
from benchmarks.association_peers import PACKAGE, PEERS
from benchmarks.association_reentry import BINS, Reentries, reentries, total
from benchmarks.association_sequences import Group, Metrics, Sequence, joint_scores, score_sequence, true_objects
from benchmarks.association_trackers import associate, follow
from tltm_graph import Tracker
from tltm_graph.association import GeometricAffinity, LearnedAffinity
from tltm_graph.detectors import Detector

REENTRY = frozenset({"MOT15", "MOT17c", "scenes"})
"""The groups with absences enough for a second table."""

Row = tuple[str, str]
"""A tracker and its setting."""

OURS, BOUND = "ours", "oracle"


def contenders(heads: Collection[str] = ()) -> dict[Row, Callable[[Sequence], list[list[int]]]]:
    """Everything that gives ids to detections, ours last but for the bound of what can be had.

    Args:
        heads: Weights of association heads that are compared with the one that is shipped.
    """
    rows: dict[Row, Callable[[Sequence], list[list[int]]]] = {}
    for name, (make, settings) in PEERS.items():
        for setting, values in settings.items():
            rows[name, setting] = partial(associate, make=partial(make, **values))
    rows[OURS, "by hand"] = partial(follow, make=by_hand)
    rows[OURS, "default"] = partial(follow, make=Tracker)
    rows |= {(OURS, head): partial(follow, make=partial(with_head, head=head)) for head in heads}
    rows[BOUND, "false ones dropped"] = true_objects
    rows[BOUND, "false ones kept"] = true_objects_and_singles
    return rows


def by_hand(detector: Detector) -> Tracker:
    """Scores by overlap, class and age instead of the learned head."""
    return Tracker(detector, affinity=GeometricAffinity())


def with_head(detector: Detector, head: str) -> Tracker:
    """With another head than the one that is shipped."""
    return Tracker(detector, affinity=LearnedAffinity.from_file(head))


def true_objects_and_singles(sequence: Sequence) -> list[list[int]]:
    """As :func:`true_objects`, with an id of its own for each false detection."""
    new_ids = count(max(sequence.truth, default=0) + 1)
    return [[i if i >= 0 else next(new_ids) for i in ids] for ids in true_objects(sequence)]


@dataclass(frozen=True, eq=False)
class Outcome:
    """What one tracker made of one sequence."""

    metrics: Metrics
    reentries: Reentries


def judged(sequence: Sequence, row: Row, heads: Collection[str]) -> Outcome:
    """Lets a tracker follow a sequence, and counts what came of it."""
    ids = contenders(heads)[row](sequence)
    return Outcome(score_sequence(sequence, sequence.tracks(ids)), reentries(true_objects(sequence), ids))


Outcomes = Mapping[Row, list[list[Outcome]]]
"""Of each tracker, for each seed, for each sequence."""


def compare(
    pool: ProcessPoolExecutor, groups: list[Group], rows: list[Row], name: str, heads: Collection[str]
) -> Outcomes:
    """Every tracker on every sequence of the group, once for each seed."""
    where: dict[Future[Outcome], tuple[Row, int, int]] = {}
    outcomes: dict[Row, list[dict[int, Outcome]]] = {row: [{} for _ in groups] for row in rows}
    for row in rows:
        for seed, group in enumerate(groups):
            for number, sequence in enumerate(group.sequences):
                where[pool.submit(judged, sequence, row, heads)] = row, seed, number
    for future in tqdm(as_completed(where), total=len(where), desc=name, unit=" runs", file=sys.stderr):
        row, seed, number = where[future]
        outcomes[row][seed][number] = future.result()
    return {row: [[of[number] for number in sorted(of)] for of in seeds] for row, seeds in outcomes.items()}


SCORES = ("HOTA", "AssA", "DetA", "IDF1", "MOTA", "IDSW")

Scores = Mapping[Row, list[dict[str, float]]]
"""Of each tracker, for each seed."""


def best_peer(scores: Scores) -> Row | None:
    """The row of another tracker with the highest HOTA, over all seeds."""
    peers = [row for row in scores if row[0] not in (OURS, BOUND)]
    return max(peers, key=lambda row: statistics.mean(of["HOTA"] for of in scores[row]), default=None)


def score_table(groups: list[Group], scores: Scores) -> str:
    """HOTA and its like, with the best of the others in bold."""
    best = best_peer(scores)
    lines = [_heading(groups), "", f"| tracker | setting | {' | '.join(SCORES)} |", "|---|---|" + "--:|" * len(SCORES)]
    for row, of in scores.items():
        cells = [_mean([score[name] for score in of], _digits(name)) for name in SCORES]
        if row == best:
            cells = [f"**{cell}**" for cell in cells]
        lines.append(f"| {row[0]} | {row[1]} | {' | '.join(cells)} |")
    return "\n".join(lines)


def reentry_table(name: str, counts: Mapping[Row, Reentries]) -> str:
    """Recall and precision by the length of the absence, over all seeds together."""
    spans = [f"{least}–{most}" for least, most in BINS]
    returns = next(iter(counts.values())).returns.tolist()
    away = ", ".join(f"{number} of {span}" for number, span in zip(returns, spans, strict=True))
    heads = [f"{what} {span}" for what in ("recall", "precision") for span in [*spans, "all"]]
    lines = [f"*{name}, returns after {away} frames; in brackets how many links a tracker made*", ""]
    lines += [f"| tracker | setting | {' | '.join(heads)} |", "|---|---|" + "--:|" * len(heads)]
    for row, of in counts.items():
        kept, returns, right, links = ([*n.tolist(), int(n.sum())] for n in (of.kept, of.returns, of.right, of.links))
        cells = [_share(*pair) for pair in zip(kept, returns, strict=True)]
        cells += [f"{_share(*pair)} ({pair[1]})" for pair in zip(right, links, strict=True)]
        lines.append(f"| {row[0]} | {row[1]} | {' | '.join(cells)} |")
    return "\n".join(lines)


def summary(scores: Mapping[str, Scores]) -> str:
    """Each row of ours less the best other one of its group, seed by seed."""
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
    found = sum(len(rows) for sequence in sequences for rows in sequence.found)
    seeds = f", mean of {len(groups)} seeds ± standard error" if len(groups) > 1 else ""
    return f"*{groups[0].name}: sequences: {len(sequences)}, frames: {frames}, detections: {found}{seeds}*"


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
    parser.add_argument("--heads", nargs="+", metavar="WEIGHTS", default=[], help="other association heads of ours")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    options = parser.parse_args()
    if options.heads and OURS not in options.trackers:
        parser.error(f"expected '{OURS}' among the trackers: --heads are heads of it")
    for head in options.heads:
        LearnedAffinity.from_file(head)  # an error now, not after the other rows
    missing = {package for name, package in PACKAGE.items() if name in options.trackers and not find_spec(package)}
    if missing:
        print(f"Left out the trackers of {', '.join(sorted(missing))}, not installed: see --help", file=sys.stderr)
    everyone = contenders(options.heads)
    rows = [row for row in everyone if row[0] in options.trackers and PACKAGE.get(row[0]) not in missing]
    if not rows:
        parser.error("expected at least one tracker that is installed")
    scores: dict[str, Scores] = {}
    with ProcessPoolExecutor(2, get_context("spawn"), torch.set_num_threads, (1,)) as pool:
        for name in options.groups:
            seeds = options.seeds[:1] if name in UNSEEDED else options.seeds
            groups = list(pool.map(partial(load_group, name, options.data), seeds))
            mine = [row for row in rows if row[1] != "tuned17" or name == "MOT17c"]
            outcomes = compare(pool, groups, mine, name, options.heads)
            scores[name] = {
                row: [joint_scores(outcome.metrics for outcome in seed) for seed in of] for row, of in outcomes.items()
            }
            print(score_table(groups, scores[name]), flush=True, end="\n\n")
            if name in REENTRY:
                counts = {row: total(o.reentries for seed in of for o in seed) for row, of in outcomes.items()}
                print(reentry_table(name, counts), flush=True, end="\n\n")
    print(f"*Ours less the best other*\n\n{summary(scores)}")


if __name__ == "__main__":
    main()
