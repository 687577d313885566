"""Simulated sequences a second, and what their steps take.

Run: python benchmarks/simulated_motion.py [--sequences 100]
"""

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from timing import machine

from tltm_graph.synthetic import DetectionSequence, simulate_motion
from tltm_graph.synthetic.simulated_motion import SimulatedDetector
from tltm_graph.synthetic.streets import draw_street
from tltm_graph.synthetic.worlds import World, draw_blobs

NUM_FRAMES, FPS = 130, 15.0


def timed(function: Callable[[int], Any], count: int) -> tuple[float, list[Any]]:
    """Milliseconds of one call, and what all of them gave."""
    begin = time.perf_counter()
    results = [function(seed) for seed in range(count)]
    return 1000 * (time.perf_counter() - begin) / count, results


def row(name: str, milliseconds: float, objects: float) -> None:
    print(f"| {name} | {objects:.1f} | {milliseconds:.1f} | {1000 / milliseconds:.0f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sequences", type=int, default=100, help="(default: %(default)s)")
    count = parser.parse_args().sequences
    torch.set_num_threads(1)
    simulate_motion(0)  # imports
    print(f"\n*{machine()}*\n")
    print(f"| {NUM_FRAMES} frames of | objects a frame | ms | a second |")
    print("|---|--:|--:|--:|")
    for name, draw in (("people and cars", draw_street), ("blobs", draw_blobs)):
        worlds: list[World]
        milliseconds, worlds = timed(lambda seed, draw=draw: draw(np.random.default_rng(seed), NUM_FRAMES, FPS), count)
        row(name, milliseconds, float(np.mean([world.present.sum(axis=1).mean() for world in worlds])))

        def detect(seed: int, worlds: list[World] = worlds) -> float:
            rng = np.random.default_rng(seed)
            found = SimulatedDetector.draw(rng, worlds[seed].size[0]).detect(rng, worlds[seed])
            return len(found) / NUM_FRAMES

        milliseconds, objects = timed(detect, count)
        row(f"detections of {name}", milliseconds, float(np.mean(objects)))
    sequences: list[DetectionSequence]
    milliseconds, sequences = timed(lambda seed: simulate_motion(seed, NUM_FRAMES), count)
    row("`simulate_motion`", milliseconds, float(np.mean([len(f) for sequence in sequences for f in sequence.frames])))


if __name__ == "__main__":
    main()
