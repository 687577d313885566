"""What each part of the method is worth: the paper's Table 3 and more, on rendered scenes.

    python experiments/ablate.py --weights 'out/train/tiny_{seed}/model_ema.safetensors' --output out/ablate
    python experiments/ablate.py --weights MODEL.safetensors --output out/ablate --rows B D --seeds 0
    python experiments/ablate.py --weights MODEL.safetensors --output out/ablate --alive
    python experiments/ablate.py --list

Every result is on the disk as soon as it is known. The same command goes on where it was stopped, and writes the tables
anew. docs/ablation.md says what the rows are and how long they take.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).parents[1]))

from experiments.ablation.alive import alive
from experiments.ablation.lab import Lab, Plan, head_fingerprint
from experiments.ablation.report import analysis, markdown, plot
from experiments.ablation.results import Result, Results, write_json
from experiments.ablation.rows import PARTS, Row, chosen_rows, rows_of
from experiments.ablation.scoring import score
from tltm_graph.association.learned_affinity import SHIPPED
from tltm_graph.io import output_folder, read_json, write_atomically


def ablate(plan: Plan, asked: Sequence[str], seeds: Sequence[int], with_alive: bool = False) -> dict[str, Any]:
    """Runs what is missing of some rows, and reports on all that is known.

    Written to ``plan.output``: ``rows/ROW/seed_N.json``, ``alive/seed_N.json`` and ``tuning/``, each as soon as it is
    known; ``models/`` and ``recordings/``, which can be removed afterwards; and from all of it ``ablation.md``,
    ``ablation.json`` and ``ablation.png``.

    Args:
        plan: How.
        asked: Keys of rows, or parts.
        seeds: With which seeds.
        with_alive: Also find out whether the GNN is alive.

    Returns:
        What is in ``ablation.json``.

    Raises:
        ValueError: If there is no such row, or the folder holds results of another plan.
        FileNotFoundError: If a file of weights is missing.
    """
    lab, results = Lab(plan), Results(plan.output)
    rows = rows_of(lab)
    chosen = chosen_rows(rows, asked)
    head_there = (plan.head or SHIPPED).is_file()
    needs_head = any(row.needs_head for row in chosen) or (with_alive and head_there)
    if len(set(seeds)) > 1 and plan.seeds_are_alike and any(row.parts != "C" for row in chosen):
        raise ValueError(
            "Expected {seed} in the name of the weights, or training of the detectors, for seeds to differ, got one "
            "model for all: its differences would seem to have no error. --seeds 0 takes one"
        )
    settings = plan.settings(tuple(seeds)) | {"head": head_fingerprint(plan.head) if needs_head else None}
    with output_folder(plan.output):
        results.check_settings(settings)
        try:
            _run_missing(lab, results, chosen, seeds)
            for seed in seeds if with_alive else ():
                path = plan.output / "alive" / f"seed_{seed}.json"
                if not path.is_file():
                    write_json(path, alive(lab, seed, head_there))
        finally:  # of what is known, also after an interrupt
            report = _report(plan.output, list(rows.values()), results)
    return report


def _run_missing(lab: Lab, results: Results, rows: Sequence[Row], seeds: Sequence[int]) -> None:
    missing = [(row, seed) for seed in seeds for row in rows if results.read(row.key, seed) is None]
    for row, seed in (bar := tqdm(missing, unit=" results")):
        bar.set_description(f"{row.key}, seed {seed}")
        outcome = row.run(seed)
        scores = score(lab.test_truth, outcome.tracks, lab.class_names)
        results.write(Result(row.key, seed, scores, outcome.notes))


def _report(output: Path, rows: Sequence[Row], results: Results) -> dict[str, Any]:
    found = {row.key: _seeds(output / "rows" / row.key) for row in rows}
    known = {key: results.of_row(key, seeds) for key, seeds in found.items()}
    tuning = {path.stem: read_json(path, "a tuned setting") for path in sorted((output / "tuning").glob("*.json"))}
    lives = {seed: read_json(output / "alive" / f"seed_{seed}.json", "shares") for seed in _seeds(output / "alive")}
    report = {"rows": analysis(rows, known), "tuning": tuning, "alive": lives}
    write_json(output / "ablation.json", report)
    with write_atomically(output / "ablation.md") as temporary:
        temporary.write_text(markdown(rows, known, tuning, lives), encoding="utf-8")
    if any(known.values()):
        plot(rows, known, output / "ablation.png")
    return report


def _seeds(folder: Path) -> list[int]:
    return sorted(int(path.stem.removeprefix("seed_")) for path in folder.glob("seed_*.json"))


def main(arguments: Sequence[str] | None = None) -> int:
    """Reads the command line and runs."""
    parser = argparse.ArgumentParser(
        prog="ablate.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    default = Plan(Path())
    parser.add_argument(
        "--weights",
        metavar="FILE",
        help="model to start from, as tltm_graph.models.save_model writes it; {seed} in it stands for the seed; "
        "default: random weights, from which both detectors are trained",
    )
    parser.add_argument("--output", type=Path, default=Path("out/ablate"), help="default: %(default)s")
    parser.add_argument(
        "--rows", nargs="+", metavar="ROW", help="rows, or parts A to D (--list); default: all, with --alive none"
    )
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2], metavar="N", help="default: 0 1 2")
    parser.add_argument("--scenes", type=int, default=default.scenes, help="test scenes; default: %(default)s")
    parser.add_argument(
        "--val-scenes", type=int, default=default.val_scenes, help="scenes to tune on; default: %(default)s"
    )
    parser.add_argument("--frames", type=int, default=default.frames, help="of each scene; default: %(default)s")
    parser.add_argument(
        "--size", type=int, nargs=2, default=default.size, metavar=("H", "W"), help="of frames; default: 192 320"
    )
    parser.add_argument(
        "--head",
        type=Path,
        metavar="FILE",
        help="weights of the learned affinity; default: the model's own, or those that are shipped",
    )
    parser.add_argument(
        "--detector-steps",
        type=int,
        help="training of the detectors with and without ResFuser, equally long, from the weights on; 0: take the "
        "weights as they are; default: 1000, from random weights 7000",
    )
    parser.add_argument(
        "--relation-steps",
        type=int,
        default=default.relation_steps,
        help="training of each GNN of part C; default: %(default)s",
    )
    parser.add_argument(
        "--relation-scenes",
        type=int,
        default=default.relation_scenes,
        help="scenes that these learn from; default: %(default)s",
    )
    parser.add_argument("--alive", action="store_true", help="find out whether the GNN is alive")
    parser.add_argument("--threads", type=int, help="of PyTorch; default: as many as there are cores")
    parser.add_argument("--list", action="store_true", help="list the rows and end")
    options = parser.parse_args(arguments)
    if options.list:
        for row in rows_of(Lab(default)).values():
            print(f"{row.key:26}{row.parts:5}{row.name}")
        return 0
    for name, least in (("scenes", 1), ("val_scenes", 1), ("frames", 2), ("relation_steps", 1), ("relation_scenes", 1)):
        if getattr(options, name) < least:
            parser.error(f"expected --{name.replace('_', '-')} of at least {least}, got {getattr(options, name)}")
    if options.threads:
        torch.set_num_threads(options.threads)
    steps = options.detector_steps
    plan = Plan(
        output=options.output,
        weights=options.weights,
        head=options.head,
        scenes=options.scenes,
        val_scenes=options.val_scenes,
        frames=options.frames,
        size=tuple(options.size),
        detector_steps=steps if steps is not None else 7000 if options.weights is None else 1000,
        relation_steps=options.relation_steps,
        relation_scenes=options.relation_scenes,
    )
    asked = options.rows or ([] if options.alive else list(PARTS))
    try:
        ablate(plan, asked, options.seeds, options.alive)
    except (ValueError, FileNotFoundError) as error:
        print(f"ablate.py: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"stopped; the same command goes on. So far: {plan.output / 'ablation.md'}", file=sys.stderr)
        return 130
    print((plan.output / "ablation.md").read_text(encoding="utf-8"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
