"""What looking back is worth to the detector alone: objects found in clean and in degraded frames, by the model that
comes with the package, each frame fused with the one before and with itself.

An object is found if a detection of its class has an IoU of at least a half with it, one with one. F1 is the harmonic
mean of the share of objects that are found and the share of detections that are objects. The difference is the mean of
those of the scenes, ± its standard error.

Run: python benchmarks/res_fuser.py [--scenes 20] [--weights FILE]
"""

import argparse
import statistics
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch
from torchvision.ops import box_iou
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).parents[1]))

from tltm_graph import Detections, MovingShapes
from tltm_graph.metrics.matching import match_overlap
from tltm_graph.models import TLTM, for_inference, load_model
from tltm_graph.synthetic import HARD, STANDARD, moving_shapes
from tltm_graph.synthetic.difficulty import Difficulty

WORLDS = {
    "standard": STANDARD,
    "hard": HARD,
    "standard, but nothing moves far": replace(
        STANDARD, stride=(60, 120), leaves=0.1, pan=0.0, zoom=0.0, whips=0.0, drops=0.0, shake=0.0, bursts=0.25
    ),
}
"""In the last one the frame before shows the same objects at nearly the same places."""
FIRST_SEED = 7_000_000
"""Seed of the first scene of each, none of a split that models learn from or are scored on."""

FUSED = ("itself", "the frame before")

Counts = tuple[int, int, int]
"""Objects found, objects, detections."""


def found(truth: Detections, seen: Detections) -> Counts:
    """How many objects of a frame were found."""
    same = truth.labels[:, None] == seen.labels[None]
    rows, _ = match_overlap((box_iou(truth.boxes, seen.boxes) * same).double().numpy(), 0.5)
    return len(rows), len(truth), len(seen)


@torch.no_grad()
def look(model: TLTM, scene: MovingShapes) -> dict[tuple[bool, str], Counts]:
    """The counts of a scene, by whether frames are degraded and what they are fused with."""
    total: dict[tuple[bool, str], Counts] = {}
    context = None
    for frame in scene:
        truth, degraded = scene.truth(frame.index), scene.degraded(frame.index)
        alone, _ = model.detect(frame, None)
        back, context = model.detect(frame, context)
        for fused, seen in zip(FUSED, (alone, back), strict=True):
            before = total.get((degraded, fused), (0, 0, 0))
            now = found(truth, seen)
            total[degraded, fused] = before[0] + now[0], before[1] + now[1], before[2] + now[2]
    return total


def f1(counts: Counts) -> float:
    """In percent."""
    return 200 * counts[0] / max(1, counts[1] + counts[2])


def row(world: str, degraded: bool, scenes: list[Mapping[tuple[bool, str], Counts]]) -> str:
    """A row of the table."""
    parts = [[scene[degraded, fused] for scene in scenes if (degraded, fused) in scene] for fused in FUSED]
    sums = [f1((sum(c[0] for c in of), sum(c[1] for c in of), sum(c[2] for c in of))) for of in parts]
    gains = [f1(back) - f1(alone) for alone, back in zip(*parts, strict=True)]
    error = statistics.stdev(gains) / len(gains) ** 0.5 if len(gains) > 1 else float("nan")
    frames = "degraded" if degraded else "clean"
    return f"| {world} | {frames} | {sums[0]:.1f} | {sums[1]:.1f} | {statistics.fmean(gains):+.1f} ± {error:.1f} |"


def table(model: TLTM, worlds: Mapping[str, Difficulty], num_scenes: int, num_frames: int) -> str:
    """F1 of every world."""
    lines = [
        "| scenes | frames | fused with themselves | with the frame before | difference |",
        "|---|---|--:|--:|--:|",
    ]
    for world, difficulty in worlds.items():
        rendered = moving_shapes(difficulty, range(FIRST_SEED, FIRST_SEED + num_scenes), num_frames, (192, 320))
        scenes = [
            look(model, rendered[i]) for i in tqdm(range(num_scenes), desc=world, unit=" scenes", file=sys.stderr)
        ]
        lines += [row(world, degraded, scenes) for degraded in (False, True)]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", default="tltm-tiny-moving-shapes", help="a file, or a name; default: %(default)s")
    parser.add_argument("--scenes", type=int, default=20, help="of each world; default: %(default)s")
    parser.add_argument("--frames", type=int, default=60, help="of each scene; default: %(default)s")
    options = parser.parse_args()
    model = load_model(options.weights)
    assert isinstance(model, TLTM), f"Expected a model that fuses frames, got {model}"
    print(f"*{options.scenes} scenes of {options.frames} frames each, F1 in percent*\n")
    print(table(for_inference(model), WORLDS, options.scenes, options.frames))


if __name__ == "__main__":
    main()
