"""A training run that is killed again and again ends with the weights, bit for bit, of one that was left alone.

Kills (SIGKILL, which nothing can catch) come at random moments: while the program starts, in a step, while a checkpoint
is written. Each time the run goes on with ``--resume``.

Run: python benchmarks/resume.py [--kills 5] [--steps 60]
"""

import argparse
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from safetensors.torch import load_file
from timing import machine

ROOT = Path(__file__).parents[1]
SCENES = "[{class_path: tltm_graph.training.RenderedVideos, init_args: {size: [96, 160], num_frames: 20}}]"


def command(output: Path, steps: int, resume: bool) -> list[str]:
    options = {
        "--config": ROOT / "experiments/configs/tiny_moving_shapes.yaml",
        "--output": output,
        "--steps": steps,
        "--data.sources": SCENES,
        "--data.batch_size": 2,
        "--validation": "null",
        "--checkpoint_every": 3,
    }
    given = [str(part) for option in options.items() for part in option]
    return [sys.executable, str(ROOT / "experiments/train_vis.py"), *given, *(["--resume"] if resume else [])]


def weights(output: Path) -> dict[str, object]:
    return {
        f"{name}: {key}": value
        for name in ("model.safetensors", "model_ema.safetensors")
        for key, value in load_file(output / name).items()
    }


def steps_done(output: Path) -> int:
    return max((int(p.stem.removeprefix("step_")) for p in (output / "checkpoints").glob("step_*.ckpt")), default=0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=5, help="(default: %(default)s)")
    parser.add_argument("--steps", type=int, default=60, help="(default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments (default: %(default)s)")
    arguments = parser.parse_args()
    moments = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory() as folder:
        undisturbed, killed = Path(folder) / "undisturbed", Path(folder) / "killed"
        began = time.perf_counter()
        subprocess.run(command(undisturbed, arguments.steps, False), check=True, capture_output=True)
        whole = time.perf_counter() - began
        print(f"\n{machine()}: {arguments.steps} steps undisturbed in {whole:.0f} s\n")
        print("| kill | seconds after the start | steps saved before | and after | left behind |")
        print("|--:|--:|--:|--:|---|")
        for number in range(1, arguments.kills + 1):
            before = steps_done(killed)
            process = subprocess.Popen(
                command(killed, arguments.steps, True), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            moment = moments.uniform(0.2, 0.75) * whole
            try:
                if process.wait(moment):
                    raise SystemExit(f"The run failed by itself: {' '.join(command(killed, arguments.steps, True))}")
                print(f"| {number} | it was done before {moment:.1f} | {before} | {steps_done(killed)} | |", flush=True)
                continue
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            torn = sorted(p.name for p in killed.rglob("*.partial*"))
            print(f"| {number} | {moment:.1f} | {before} | {steps_done(killed)} | {', '.join(torn)} |", flush=True)
        subprocess.run(command(killed, arguments.steps, True), check=True, capture_output=True)
        first, second = weights(undisturbed), weights(killed)
        assert first.keys() == second.keys()
        differing = [name for name in first if not first[name].equal(second[name])]
        print(f"\n{len(first) - len(differing)} of {len(first)} tensors are the same, bit for bit")
        if differing:
            raise SystemExit(f"These differ: {', '.join(differing[:5])}")


if __name__ == "__main__":
    main()
