"""HOTA and identity F1 on many tracks: the sparse counts of the library against the official algorithm.

The official side is the plain transcription that the tests compare with: dense tables of (true × predicted) ids, a loop
over 19 alphas in each frame, a square assignment of (true + predicted) ids. Both sides get the overlaps of each frame
ready made. The last table doubles the frames of the middle scene, once with longer tracks, once with more of them.

Run: python benchmarks/identity_metrics.py
"""

import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from timing import machine

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.metrics import official_tracking as official
from tltm_graph.metrics.hota import Hota, HotaScores
from tltm_graph.metrics.identity import IdentityF1, IdentityF1Scores
from tltm_graph.metrics.overlap import FrameOverlap

ROWS = ((100, 300), (400, 1200), (1200, 3100))
MIDDLE = (400, 1200)


def scene(num_true: int, num_predicted: int, num_frames: int, length: int = 30) -> list[FrameOverlap]:
    """Objects that stay ``length`` frames, cut into tracks; a tenth of the observations missed, some neighbours touch."""
    generator = np.random.default_rng(0)
    begin = generator.integers(0, num_frames - length + 1, num_true)
    cuts = num_predicted // num_true  # tracks of one object; the ids that are left over are false tracks of one frame
    false = np.sort(generator.integers(0, num_frames, num_predicted - cuts * num_true))
    frames = []
    for now in range(num_frames):
        there = np.flatnonzero((begin <= now) & (now < begin + length))
        found = generator.random(len(there)) < 0.9
        tracks = cuts * there[found] + (now - begin[there[found]]) * cuts // length
        iou = np.zeros((len(there), len(tracks)))
        column = np.arange(len(tracks))
        row = np.flatnonzero(found)
        iou[row, column] = generator.uniform(0.3, 1.0, len(tracks))
        near = generator.random(len(tracks)) < 0.2
        iou[(row[near] + 1) % max(1, len(there)), column[near]] = generator.uniform(0.05, 0.6, near.sum())
        wrong = cuts * num_true + np.flatnonzero(false == now)
        iou = np.concatenate([iou, np.zeros((len(there), len(wrong)))], axis=1)
        frames.append(FrameOverlap(there, np.concatenate([tracks, wrong]), iou))
    return frames


def hota(frames: list[FrameOverlap]) -> HotaScores:
    metric = Hota()
    metric.update("scene", frames)
    return metric.compute()


def identity(frames: list[FrameOverlap]) -> IdentityF1Scores:
    metric = IdentityF1()
    metric.update("scene", frames)
    return metric.compute()


def milliseconds(function: Callable[[], object], repeats: int) -> float:
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - start)
    return 1000 * statistics.median(seconds)


def side_by_side(num_true: int, num_predicted: int) -> None:
    frames = scene(num_true, num_predicted, 300)
    plain = [(frame.truth_ids, frame.predicted_ids, frame.iou) for frame in frames]
    sides: dict[str, tuple[Callable[[], object], Callable[[], object], float]] = {
        "HOTA": (lambda: official.hota(plain), lambda: hota(frames), difference_of_hota(plain, frames)),
        "identity": (lambda: official.identity(plain), lambda: identity(frames), difference_of_identity(plain, frames)),
    }
    total = [0.0, 0.0]
    for name, (slow, quick, difference) in sides.items():
        times = milliseconds(slow, 3), milliseconds(quick, 9)
        total = [sum(pair) for pair in zip(total, times, strict=True)]
        row(f"{num_true} × {num_predicted}", name, *times, f"{difference:.0e}" if difference else "0")
    row(f"{num_true} × {num_predicted}", "both", *total, "")


def row(ids: str, name: str, slow: float, quick: float, difference: str) -> None:
    print(f"| {ids} | {name} | {slow:.1f} | {quick:.1f} | {slow / quick:.0f}× | {difference} |")


def difference_of_hota(plain: list[official.Frame], frames: list[FrameOverlap]) -> float:
    theirs, ours = official.hota(plain), hota(frames)
    values = {**ours.curves(), "HOTA_TP": ours.tp, "HOTA_FN": ours.fn, "HOTA_FP": ours.fp}
    return max(float(np.abs(values[name] - theirs[name]).max()) for name in values)


def difference_of_identity(plain: list[official.Frame], frames: list[FrameOverlap]) -> float:
    theirs, ours = official.identity(plain), identity(frames).named()
    return max(abs(ours[name] - theirs[name]) for name in ours)


def growth() -> None:
    num_true, num_predicted = MIDDLE
    scenes = {
        "300 frames": scene(num_true, num_predicted, 300),
        "600 frames, tracks twice as long": scene(num_true, num_predicted, 600, length=60),
        "600 frames, twice as many tracks": scene(2 * num_true, 2 * num_predicted, 600),
    }
    print("\n| 400 × 1200 ids in | HOTA, ms | identity, ms |\n|---|--:|--:|")
    for name, frames in scenes.items():
        times = [milliseconds(partial(score, frames), 9) for score in (hota, identity)]
        print(f"| {name} | {' | '.join(f'{ms:.1f}' for ms in times)} |")


def main() -> None:
    print(f"{machine()}, 300 frames, medians\n")
    print("| true × predicted ids | metric | official, ms | here, ms | ratio | largest difference |")
    print("|--:|---|--:|--:|--:|--:|")
    for num_true, num_predicted in ROWS:
        side_by_side(num_true, num_predicted)
    growth()


if __name__ == "__main__":
    main()
