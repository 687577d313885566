"""Speed of video AP, HOTA and identity F1 relative to transcriptions of the official code, with equal numbers.

Video AP: both sides start from tracks with run-length encoded masks in memory, without parsing of JSON, and end with
precision and recall of every class. Generated videos have moving ellipses at 640×360 as true objects; predictions are
copies of them, moved and resized, with missing frames.

HOTA and identity F1: both sides get the overlaps of each frame. The transcription has dense tables of true × predicted
ids, a loop over 19 alphas in each frame, and a square assignment of true and predicted ids. The last table doubles the
frames of the middle scene, once with longer tracks, once with more of them.

Run: python benchmarks/metric_speed.py [--cells DIR] [--repeats 3] [--threads 1]
     DIR holds files of one video each in the format of YouTube-VIS (*.json.gz); each is used twice.
"""

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from pycocotools import mask as coco_mask

from benchmarks.timing import machine, side_by_side
from tests.metrics import official_tracking as official
from tests.metrics.official_video_ap import annotations, official_video_ap
from tests.metrics.video_ap_cases import Case, perturbed, read_cells
from tltm_graph import Tracks
from tltm_graph.metrics.hota import Hota, HotaScores
from tltm_graph.metrics.identity import IdentityF1, IdentityF1Scores
from tltm_graph.metrics.overlap import FrameOverlap
from tltm_graph.metrics.video_ap import VideoAP
from tltm_graph.ops.rle import Rle
from tltm_graph.structures import Track

SIZE = (360, 640)
IDS = ((100, 300), (400, 1200), (1200, 3100))
"""Numbers of true and of predicted ids."""


def ellipse(y: float, x: float, height: float, width: float) -> Rle:
    """Encode an ellipse with this centre and these half axes, from the ends of its columns."""
    columns = np.arange(max(int(np.ceil(x - width)), 0), min(int(np.floor(x + width)), SIZE[1] - 1) + 1)
    half = height * np.sqrt(np.maximum(1 - ((columns - x) / width) ** 2, 0))
    top, bottom = (np.clip(np.round(y + sign * half), 0, SIZE[0]).astype(int) for sign in (-1, 1))
    keep = bottom > top
    ends = np.stack([columns * SIZE[0] + top, columns * SIZE[0] + bottom], axis=1)[keep].ravel()
    runs = np.diff(ends, prepend=0, append=SIZE[0] * SIZE[1])
    rle = coco_mask.frPyObjects({"size": list(SIZE), "counts": runs.tolist()}, *SIZE)
    return {"size": list(SIZE), "counts": rle["counts"].decode("ascii")}


def ellipses(path: np.ndarray, frames: np.ndarray, score: float, label: int) -> Track:
    """Track along ``path`` (T, 4): centre and half axes in each frame."""
    boxes = [(x - w, y - h, x + w, y + h) for y, x, h, w in path[frames].tolist()]
    masks = tuple(ellipse(*place) for place in path[frames].tolist())
    return Track(tuple(frames.tolist()), tuple(boxes), (score,) * len(frames), (label,) * len(frames), masks)


def generated(videos: int, frames: int, truths: int, predictions: int, classes: int) -> list[Case]:
    random = np.random.default_rng(0)
    cases = []
    for video_id in range(videos):
        truth: dict[int, Track] = {}
        predicted: dict[int, Track] = {}
        for i in range(truths):
            start = random.uniform([80, 120, 40, 40], [280, 520, 100, 110])
            speed = random.uniform(-1, 1, 4) * [60, 120, 15, 15] / frames
            path = start + speed * np.arange(frames)[:, None]
            label = int(random.integers(classes))
            truth[i] = ellipses(path, np.arange(frames), 1.0, label)
            for _ in range(predictions // truths):
                moved = path * (1 + random.normal(0, 0.07, 4) + random.normal(0, 0.01, (frames, 4)))
                frames_detected = np.flatnonzero(random.random(frames) < random.uniform(0.7, 1))
                other = int(random.integers(classes)) if random.random() < 0.1 else label
                predicted[len(predicted)] = ellipses(moved, frames_detected, float(random.random()), other)
        cases.append((video_id, Tracks(truth, SIZE, frames), Tracks(predicted, SIZE, frames)))
    return cases


def cells(folder: str) -> list[Case]:
    sequences = [read_cells(path) for path in sorted(Path(folder).glob("*.json.gz"))] * 2
    return [(i, truth, perturbed(truth, i)) for i, truth in enumerate(sequences)]


def video_ap_row(name: str, cases: list[Case], classes: int, repeats: int) -> None:
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


def scene(num_true: int, num_predicted: int, num_frames: int, length: int = 30) -> list[FrameOverlap]:
    """Objects of ``length`` frames each, divided into tracks, with a tenth missed and some neighbours that touch."""
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


def identity_rows(num_true: int, num_predicted: int, repeats: int) -> None:
    """Print the rows of HOTA and identity F1 for one scene."""
    frames = scene(num_true, num_predicted, 300)
    plain = [(frame.truth_ids, frame.predicted_ids, frame.iou) for frame in frames]
    sides: dict[str, tuple[Callable[[], object], Callable[[], object], float]] = {
        "HOTA": (lambda: official.hota(plain), lambda: hota(frames), difference_of_hota(plain, frames)),
        "identity": (lambda: official.identity(plain), lambda: identity(frames), difference_of_identity(plain, frames)),
    }
    total = dict.fromkeys(("official", "ours"), 0.0)
    for name, (slow, fast, difference) in sides.items():
        ms = side_by_side({"official": slow, "ours": fast}, repeats, warm_up=1)
        total = {side: total[side] + ms[side] for side in total}
        print_identity_row(num_true, num_predicted, name, ms, f"{difference:.0e}" if difference else "0")
    print_identity_row(num_true, num_predicted, "both", total, "")


def print_identity_row(num_true: int, num_predicted: int, name: str, ms: dict[str, float], difference: str) -> None:
    ratio = ms["official"] / ms["ours"]
    print(
        f"| {num_true} × {num_predicted} | {name} | {ms['official']:.1f} | {ms['ours']:.1f} | {ratio:.0f}× "
        f"| {difference} |",
        flush=True,
    )


def difference_of_hota(plain: list[official.Frame], frames: list[FrameOverlap]) -> float:
    expected, ours = official.hota(plain), hota(frames)
    values = {**ours.curves(), "HOTA_TP": ours.tp, "HOTA_FN": ours.fn, "HOTA_FP": ours.fp}
    return max(float(np.abs(values[name] - expected[name]).max()) for name in values)


def difference_of_identity(plain: list[official.Frame], frames: list[FrameOverlap]) -> float:
    expected, ours = official.identity(plain), identity(frames).named()
    return max(abs(ours[name] - expected[name]) for name in ours)


def identity_growth(num_true: int, num_predicted: int, repeats: int) -> None:
    """Print the time of HOTA and identity F1 for twice the frames."""
    scenes = {
        "300 frames": scene(num_true, num_predicted, 300),
        "600 frames, tracks twice as long": scene(num_true, num_predicted, 600, length=60),
        "600 frames, twice as many tracks": scene(2 * num_true, 2 * num_predicted, 600),
    }
    print(f"\n| {num_true} × {num_predicted} ids in | HOTA, ms | identity, ms |\n|---|--:|--:|")
    for name, frames in scenes.items():
        ms = side_by_side({"HOTA": partial(hota, frames), "identity": partial(identity, frames)}, repeats)
        print(f"| {name} | {ms['HOTA']:.1f} | {ms['identity']:.1f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(f"*{machine()}, median of {options.repeats}*\n")
    print("| tracks | videos × frames | true | predicted | AP | official steps, s | VideoAP, s | ratio | difference |")
    print("|---|--:|--:|--:|--:|--:|--:|--:|--:|")
    if options.cells:
        video_ap_row("cells", cells(options.cells), 1, options.repeats)
    for name, frames, predictions, classes in (
        ("generated, 1 class", 30, 20, 1),
        ("generated, 40 classes", 30, 20, 40),
        ("twice the frames", 60, 20, 1),
        ("twice the predictions", 30, 40, 1),
        ("twice both", 60, 40, 1),
    ):
        video_ap_row(name, generated(60, frames, 4, predictions, classes), classes, options.repeats)
    print("\n| true × predicted ids | metric | official, ms | here, ms | ratio | largest difference |")
    print("|--:|---|--:|--:|--:|--:|")
    for num_true, num_predicted in IDS:
        identity_rows(num_true, num_predicted, options.repeats)
    identity_growth(*IDS[1], repeats=3 * options.repeats)


if __name__ == "__main__":
    main()
