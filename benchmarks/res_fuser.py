"""Effect of the ResFuser on detection: F1 of tltm_tiny with each frame fused with the previous one, and with
itself, in clean and in degraded frames.

Detections and objects of one class are matched one to one at an IoU of at least 0.5. F1 is the harmonic mean of recall
and precision. The difference is the mean over the scenes, ± its standard error.

Run: python benchmarks/res_fuser.py [--scenes 20] [--weights FILE]
"""

import argparse
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torchvision.ops import box_iou
from tqdm import tqdm

from benchmarks.shapes_model import TINY
from tltm_graph import Detections, MovingShapes
from tltm_graph.metrics.matching import match_overlap
from tltm_graph.models import TLTM, for_inference, load_model
from tltm_graph.models.tltm import expect_tltm
from tltm_graph.synthetic import HARD, STANDARD, moving_shapes
from tltm_graph.synthetic.difficulty import Difficulty

WORLDS = {
    "standard": STANDARD,
    "hard": HARD,
    "standard, but nothing moves far": replace(
        STANDARD, stride=(60, 120), leaves=0.1, pan=0.0, zoom=0.0, whips=0.0, drops=0.0, shake=0.0, bursts=0.25
    ),
}
"""In the last one the previous frame shows the same objects at nearly the same positions."""
FIRST_SEED = 7_000_000
"""Seed of the first scene; no split for training or scoring contains these seeds."""

FUSED = ("itself", "the previous frame")

Counts = tuple[int, int, int]
"""Matched objects, objects, detections."""


def count_matches(truth: Detections, detected: Detections) -> Counts:
    """Match the detections of a frame with its objects."""
    same = truth.labels[:, None] == detected.labels[None]
    rows, _ = match_overlap((box_iou(truth.boxes, detected.boxes) * same).double().numpy(), 0.5)
    return len(rows), len(truth), len(detected)


@torch.no_grad()
def count_scene(model: TLTM, scene: MovingShapes) -> dict[tuple[bool, str], Counts]:
    """Counts of a scene, by frames (degraded or not) and by what they are fused with."""
    total: dict[tuple[bool, str], Counts] = {}
    context = None
    for frame in scene:
        truth, degraded = scene.truth(frame.index), scene.degraded(frame.index)
        with_itself, _ = model.detect(frame, None)
        with_previous, context = model.detect(frame, context)
        for fused, detected in zip(FUSED, (with_itself, with_previous), strict=True):
            before = total.get((degraded, fused), (0, 0, 0))
            now = count_matches(truth, detected)
            total[degraded, fused] = before[0] + now[0], before[1] + now[1], before[2] + now[2]
    return total


def f1(counts: Counts) -> float:
    """F1 in percent."""
    return 200 * counts[0] / max(1, counts[1] + counts[2])


def row(world: str, degraded: bool, scenes: Sequence[Mapping[tuple[bool, str], Counts]]) -> str:
    """Row of the table."""
    parts = [[scene[degraded, fused] for scene in scenes if (degraded, fused) in scene] for fused in FUSED]
    sums = [f1((sum(c[0] for c in of), sum(c[1] for c in of), sum(c[2] for c in of))) for of in parts]
    gains = [f1(previous) - f1(itself) for itself, previous in zip(*parts, strict=True)]
    error = statistics.stdev(gains) / len(gains) ** 0.5 if len(gains) > 1 else float("nan")
    frames = "degraded" if degraded else "clean"
    return f"| {world} | {frames} | {sums[0]:.1f} | {sums[1]:.1f} | {statistics.fmean(gains):+.1f} ± {error:.1f} |"


def table(model: TLTM, worlds: Mapping[str, Difficulty], num_scenes: int, num_frames: int) -> str:
    """Table of F1 of every world."""
    lines = [
        "| scenes | frames | fused with themselves | with the previous frame | difference |",
        "|---|---|--:|--:|--:|",
    ]
    for world, difficulty in worlds.items():
        rendered = moving_shapes(difficulty, range(FIRST_SEED, FIRST_SEED + num_scenes), num_frames, (192, 320))
        scenes = [
            count_scene(model, rendered[i])
            for i in tqdm(range(num_scenes), desc=world, unit=" scenes", file=sys.stderr)
        ]
        lines += [row(world, degraded, scenes) for degraded in (False, True)]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", default=TINY, help="file of weights; default: %(default)s")
    parser.add_argument("--scenes", type=int, default=20, help="per world; default: %(default)s")
    parser.add_argument("--frames", type=int, default=60, help="per scene; default: %(default)s")
    options = parser.parse_args()
    model = expect_tltm(load_model(options.weights))
    print(f"*{options.scenes} scenes of {options.frames} frames each, F1 in percent*\n")
    print(table(for_inference(model), WORLDS, options.scenes, options.frames))


if __name__ == "__main__":
    main()
