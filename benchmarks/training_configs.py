"""Every configuration of experiments/configs trains on a small data set of its format: time, and losses that fall.

The data are rendered and lie where the configurations look for theirs. A tiny model stands in for the large ones unless
``--full`` is given; pictures are small, and so is the learning rate, as ImageNet weights are not at hand.

Run: python benchmarks/training_configs.py [--steps 20] [--full]
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from timing import machine

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.training.datasets import write_datasets

ROOT = Path(__file__).parents[1]

SMALL = (
    "[{class_path: tltm_graph.frame_pairs.ResizePair, init_args: {min_sizes: [96, 128], max_size: 256}}, "
    "tltm_graph.frame_pairs.FlipPair]"
)
NAMES = ("ytvis19_pretrain_r50", "ytvis19_r50", "ytvis19_pretrain_r101", "ytvis19_r101", "finetune_own_data")


def command(name: str, steps: int, full: bool, start: str) -> list[str]:
    options = {
        "--config": ROOT / f"experiments/configs/{name}.yaml",
        "--start_from": start,
        "--steps": steps,
        "--log_every": 1,
        "--data.transforms": SMALL,
        "--data.batch_size": 2,
        "--data.num_workers": 0,
        "--validation.max_videos": 1,
        "--validation.max_frames": 2,
        "--module.optimizer.lr": 0.0005,
        "--module.schedule.warm_up": steps // 2,
        "--module.clip_norm": 10,
    }
    if not full:
        options["--module.model"] = "tltm_graph.models.tltm_tiny"
    given = [str(part) for option in options.items() for part in option]
    return [sys.executable, str(ROOT / "experiments/train_vis.py"), *given]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=20, help="(default: %(default)s)")
    parser.add_argument("--full", action="store_true", help="with the models of the configurations")
    arguments = parser.parse_args()
    print(f"\n{machine()}: {arguments.steps} steps of 2 pairs at 96 to 128 pixels\n")
    print("| configuration | seconds a step | loss of the first three steps | and of the last |")
    print("|---|--:|--:|--:|")
    with tempfile.TemporaryDirectory() as folder:
        write_datasets(Path(folder))
        start = "null"
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        for name in NAMES:
            if name.startswith("ytvis19_pretrain") or (name == "finetune_own_data" and arguments.full):
                start = "null"
            done = subprocess.run(
                command(name, arguments.steps, arguments.full, start),
                cwd=folder,
                env=environment,
                capture_output=True,
                text=True,
            )
            if done.returncode:
                raise SystemExit(f"{name}: {done.stderr[-2000:]}")
            output = Path(folder) / "out/train" / name.removeprefix("finetune_")
            seconds = json.loads((output / "results.json").read_text())["seconds"] / arguments.steps
            losses = [event.value for event in EventAccumulator(str(output / "logs")).Reload().Scalars("loss/total")]
            first, last = (sum(part) / 3 for part in (losses[:3], losses[-3:]))
            print(f"| {name} | {seconds:.1f} | {first:.2f} | {last:.2f} |", flush=True)
            start = str(output / "model.safetensors")


if __name__ == "__main__":
    main()
