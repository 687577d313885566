"""Ablation on rendered scenes: the rows of the paper's Table 3, and whether the GNN matters.

    python experiments/ablate.py --weights 'out/train/tiny_{seed}/model_ema.safetensors' --output out/ablate
    python experiments/ablate.py --weights MODEL.safetensors --rows fused-iou gnn --seeds 0
    python experiments/ablate.py --weights MODEL.safetensors --alive --seeds 0
    python experiments/ablate.py --list

Every result is written as soon as it is computed. The same command resumes a stopped run and rewrites the report.
docs/ablation.md describes the rows and the measurements.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).parents[1]))

from experiments.ablation.alive import measure_alive
from experiments.ablation.lab import Lab, Plan
from experiments.ablation.report import write_report
from experiments.ablation.results import Result, check_settings, result_path, write_json, write_result
from experiments.ablation.rows import ROWS, Row
from experiments.ablation.scoring import score
from tltm_graph.io.output import output_folder, output_rules


def ablate(plan: Plan, rows: Sequence[Row], seeds: Sequence[int], with_alive: bool = False) -> None:
    """Compute the missing results of some rows, and report on all results in the folder.

    Writes to ``plan.output``: ``rows/ROW/seed_N.json``, ``alive/seed_N.json`` and ``tuning/``, each as soon as it is
    computed; ``models/`` and ``detections/``, which only serve to resume; and ``ablation.md``.

    Args:
        plan: Settings.
        rows: Rows to compute.
        seeds: Seeds of the models and their training.
        with_alive: Also measure whether the GNN matters.

    Raises:
        ValueError: If the seeds have the same detector, or the folder has results of other settings.
        FileNotFoundError: If a file of weights is missing.
    """
    if rows and len(set(seeds)) > 1 and plan.is_same_for_all_seeds:
        raise ValueError(
            f"Expected a different detector for each of the seeds {list(seeds)}, got '{plan.weights}' for all of them: "
            "put {seed} into --weights, train the detectors (--detector-steps), or take one seed (--seeds 0)"
        )
    settings = plan.settings(seeds)
    lab = Lab(plan)
    # The folder may have been copied, and its settings are read and written again.
    with output_rules(overwrite=True, protect_inputs=False), output_folder(plan.output):
        check_settings(plan.output, settings)
        try:
            _compute_rows(lab, rows, seeds)
            for seed in seeds if with_alive else ():
                path = plan.output / "alive" / f"seed_{seed}.json"
                if not path.is_file():
                    write_json(path, measure_alive(lab, seed))
        finally:  # also after an interrupt
            write_report(plan.output)


def _compute_rows(lab: Lab, rows: Sequence[Row], seeds: Sequence[int]) -> None:
    output = lab.plan.output
    missing = [(row, seed) for seed in seeds for row in rows if not result_path(output, row.key, seed).is_file()]
    for row, seed in (bar := tqdm(missing, unit=" results")):
        bar.set_description(f"{row.key}, seed {seed}")
        tracks, notes = row.run(lab, seed)
        scores = score(lab.test_truth, tracks, lab.class_names)
        write_result(output, Result(row.key, seed, scores, notes))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.list:
        for row in ROWS.values():
            print(f"{row.key:14}{row.title}: {row.description}")
        return 0
    for name, least in (("scenes", 1), ("val_scenes", 1), ("frames", 2)):
        if getattr(options, name) < least:
            parser.error(f"expected --{name.replace('_', '-')} of at least {least}, got {getattr(options, name)}")
    if options.threads:
        torch.set_num_threads(options.threads)
    if options.detector_steps is None:
        options.detector_steps = 7000 if options.weights is None else 1000
    names = ("output", "weights", "head", "scenes", "val_scenes", "frames", "detector_steps")
    plan = Plan(**{name: getattr(options, name) for name in names}, size=tuple(options.size))
    keys = options.rows or (() if options.alive else ROWS)
    try:
        ablate(plan, [row for key, row in ROWS.items() if key in keys], options.seeds, options.alive)
    except (ValueError, FileNotFoundError) as error:
        print(f"ablate.py: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"stopped; the same command resumes. Report so far: {plan.output / 'ablation.md'}", file=sys.stderr)
        return 130
    print((plan.output / "ablation.md").read_text(encoding="utf-8"))
    return 0


def _parser() -> argparse.ArgumentParser:
    default = Plan(Path("out/ablate"))
    parser = argparse.ArgumentParser(
        prog="ablate.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    weights = "model to start from, {seed} in its name stands for the seed; default: random weights"
    head = "weights of the association head; default: the model's own, else the shipped one"
    steps = "training steps of each detector, 0 for none; default: 1000, from random weights 7000"
    add("--weights", metavar="FILE", help=weights)
    add("--output", type=Path, default=default.output, help="default: %(default)s")
    add("--rows", nargs="+", choices=ROWS, metavar="ROW", help="rows (--list); default: all, with --alive none")
    add("--seeds", nargs="+", type=int, default=[0, 1, 2], help="default: 0 1 2")
    add("--scenes", type=int, default=default.scenes, help="test scenes; default: %(default)s")
    add("--val-scenes", type=int, default=default.val_scenes, help="scenes to tune on; default: %(default)s")
    add("--frames", type=int, default=default.frames, help="frames of a scene; default: %(default)s")
    add("--size", type=int, nargs=2, default=default.size, metavar=("H", "W"), help="frame size; default: 192 320")
    add("--head", type=Path, metavar="FILE", help=head)
    add("--detector-steps", type=int, help=steps)
    add("--alive", action="store_true", help="measure whether the GNN matters")
    add("--threads", type=int, help="threads of PyTorch; default: one for each core")
    add("--list", action="store_true", help="list the rows and exit")
    return parser


if __name__ == "__main__":
    sys.exit(main())
