"""YouTube-VIS average precision: VideoAP beside the steps of the official code, on the same tracks in the same run.

Both start from tracks with run-length encoded masks in memory (reading JSON is left out) and end with precision and
recall of every class, which are compared. The made up videos have moving ellipses at 640×360 as true objects, and as
predictions copies of them that are displaced, resized and lack frames.

Run: python benchmarks/video_ap.py [--cells DIR] [--repeats 3] [--threads 1]
     DIR holds files of one video each in the format of YouTube-VIS (*.json.gz); each is taken twice.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from pycocotools import mask as coco_mask

from benchmarks.timing import machine, side_by_side
from tests.metrics.official_video_ap import annotations, official_video_ap
from tests.metrics.video_ap_cases import Case, perturbed, read_cells
from tltm_graph import Tracks
from tltm_graph.metrics.video_ap import VideoAP
from tltm_graph.ops import Rle
from tltm_graph.structures import Track

SIZE = (360, 640)


def ellipse(y: float, x: float, height: float, width: float) -> Rle:
    """Mask of an ellipse with its center and half axes, straight from the ends of its columns."""
    columns = np.arange(max(int(np.ceil(x - width)), 0), min(int(np.floor(x + width)), SIZE[1] - 1) + 1)
    half = height * np.sqrt(np.maximum(1 - ((columns - x) / width) ** 2, 0))
    top, bottom = (np.clip(np.round(y + sign * half), 0, SIZE[0]).astype(int) for sign in (-1, 1))
    keep = bottom > top
    ends = np.stack([columns * SIZE[0] + top, columns * SIZE[0] + bottom], axis=1)[keep].ravel()
    runs = np.diff(ends, prepend=0, append=SIZE[0] * SIZE[1])
    rle = coco_mask.frPyObjects({"size": list(SIZE), "counts": runs.tolist()}, *SIZE)
    return {"size": list(SIZE), "counts": rle["counts"].decode("ascii")}


def ellipses(path: np.ndarray, frames: np.ndarray, score: float, label: int) -> Track:
    """A track along ``path`` (T, 4): center and half axes in each frame."""
    boxes = [(x - w, y - h, x + w, y + h) for y, x, h, w in path[frames].tolist()]
    masks = tuple(ellipse(*place) for place in path[frames].tolist())
    return Track(tuple(frames.tolist()), tuple(boxes), (score,) * len(frames), (label,) * len(frames), masks)


def made_up(videos: int, frames: int, truths: int, predictions: int, classes: int) -> list[Case]:
    random = np.random.default_rng(0)
    cases = []
    for video_id in range(videos):
        truth, predicted = {}, {}
        for i in range(truths):
            start = random.uniform([80, 120, 40, 40], [280, 520, 100, 110])
            speed = random.uniform(-1, 1, 4) * [60, 120, 15, 15] / frames
            path = start + speed * np.arange(frames)[:, None]
            label = int(random.integers(classes))
            truth[i] = ellipses(path, np.arange(frames), 1.0, label)
            for _ in range(predictions // truths):
                moved = path * (1 + random.normal(0, 0.07, 4) + random.normal(0, 0.01, (frames, 4)))
                seen = np.flatnonzero(random.random(frames) < random.uniform(0.7, 1))
                other = int(random.integers(classes)) if random.random() < 0.1 else label
                predicted[len(predicted)] = ellipses(moved, seen, float(random.random()), other)
        cases.append((video_id, Tracks(truth, SIZE, frames), Tracks(predicted, SIZE, frames)))
    return cases


def cells(folder: str) -> list[Case]:
    sequences = [read_cells(path) for path in sorted(Path(folder).glob("*.json.gz"))] * 2
    return [(i, truth, perturbed(truth, i)) for i, truth in enumerate(sequences)]


def compare(name: str, cases: list[Case], classes: int, repeats: int) -> None:
    truth = [row for i, tracks, _ in cases for row in annotations(tracks, i)]
    predicted = [row for i, _, tracks in cases for row in annotations(tracks, i)]
    for number, row in enumerate(truth):
        row["id"] = number + 1
    video_ids, category_ids = [case[0] for case in cases], list(range(1, classes + 1))

    def ours() -> VideoAP:
        metric = VideoAP(classes)
        for case in cases:
            metric.update(*case)
        metric.compute()
        return metric

    expected, metric = official_video_ap(video_ids, category_ids, truth, predicted), ours()
    curves = metric.curves()
    difference = max(
        np.abs(curves.precision - expected.precision[..., 2]).max(),
        np.abs(curves.recall - expected.recall).max(),
        np.abs(metric.compute().stats() - expected.stats()).max(),
    )
    ms = side_by_side(
        {"official": lambda: official_video_ap(video_ids, category_ids, truth, predicted), "ours": ours}, repeats, 0
    )
    print(
        f"| {name} | {len(cases)} × {min(c[1].num_frames for c in cases)} | {len(truth)} | {len(predicted)} "
        f"| {metric.compute().AP:.4f} | {ms['official'] / 1000:.2f} | {ms['ours'] / 1000:.3f} "
        f"| {ms['official'] / ms['ours']:.1f} | {difference:.1g} |",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(f"{machine()}, median of {options.repeats}\n")
    print("| tracks | videos × frames | true | predicted | AP | official steps, s | VideoAP, s | ratio | difference |")
    print("|---|--:|--:|--:|--:|--:|--:|--:|--:|")
    if options.cells:
        compare("cells", cells(options.cells), 1, options.repeats)
    for name, frames, predictions, classes in (
        ("made up, 1 class", 30, 20, 1),
        ("made up, 40 classes", 30, 20, 40),
        ("twice the frames", 60, 20, 1),
        ("twice the predictions", 30, 40, 1),
        ("twice both", 60, 40, 1),
    ):
        compare(name, made_up(60, frames, 4, predictions, classes), classes, options.repeats)


if __name__ == "__main__":
    main()
