"""Association head trained on still images only, in minutes on a CPU, and scored on real detections.

Objects of annotated images are moved (tltm_graph.training.StillImagesInMotion) and detected by a simulated detector.
The head is trained on these detections, without any video. It is scored on the detections of other models:

instances  two sequences of DAVIS 2016 with masks of a YOLOv8n-seg; ground truth of single objects is derived
DAVIS      all sequences with their single true object, classes ignored: the share of its frames that the best track
           covers (mask IoU of at least 0.5), and the IDF1 of that track
MOT15, …   the groups of association_groups.py, MOT17c with its first seed

Run: python benchmarks/still_image_training.py [--steps 2000] [--videos 300] [--data ../shared/data] [--head FILE …]
"""

import argparse
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import torch

from benchmarks.association_groups import Group, Sequence, load_group
from benchmarks.association_scores import score_group, true_objects
from benchmarks.association_trackers import follow
from benchmarks.identities import plain_iou
from benchmarks.timing import machine
from experiments.train_vis import train
from tltm_graph import Tracker, Tracks
from tltm_graph.association import GeometricAffinity, LearnedAffinity
from tltm_graph.association.motion_features import NUM_CURRENT, NUM_EDGE, NUM_PREVIOUS
from tltm_graph.detectors import Detector, PrecomputedDetector
from tltm_graph.formats import COCO, Video, open_videos
from tltm_graph.metrics.overlap import frame_overlaps
from tltm_graph.nn import TransitionHead
from tltm_graph.structures import Observation
from tltm_graph.training import AssociationData, CosineSchedule, StillImagesInMotion
from tltm_graph.training.module import AssociationTraining

Ids = Callable[[Sequence], list[list[int]]]
"""Assigns a track to each detection of each frame of a sequence."""

GROUPS = ("MOT15", "MOT17c", "BDD-seg")
DAVIS_FPS = 24.0
SCORES = ("IDF1", "HOTA", "AssA", "IDSW")


def learn(data: Path, output: Path, steps: int, num_videos: int) -> LearnedAffinity:
    """Train a head on the images of ``coco128-seg``; a tenth of them is held out to calibrate the logits."""
    images = partial(StillImagesInMotion, str(data / "coco128-seg"), class_names=COCO)
    module = AssociationTraining(
        TransitionHead(NUM_PREVIOUS, NUM_CURRENT, NUM_EDGE),
        optimizer=partial(torch.optim.AdamW, lr=0.002, weight_decay=1e-4),
        schedule=CosineSchedule(warm_up=min(200, steps // 10), end=0.01),
        held_out=images(num_videos=max(1, num_videos // 10), first_seed=0, part="val"),
    )
    began = time.perf_counter()
    train(module, AssociationData([images(num_videos=num_videos, part="train")]), output, steps)
    print(f"\n{machine()}: {num_videos} generated videos, {steps} steps: {time.perf_counter() - began:.0f} s\n")
    return LearnedAffinity.from_file(output / "model_ema.safetensors")


def contenders(heads: Mapping[str, LearnedAffinity]) -> dict[str, Ids]:
    """Trackers that are compared, and the oracle that bounds the scores."""
    rows: dict[str, Callable[[Detector], Tracker]] = {
        "IoU, 30 frames of memory": partial(plain_iou, max_time_since_update=30),
        "by hand": partial(Tracker, affinity=GeometricAffinity()),
    }
    rows |= {name: partial(Tracker, affinity=head) for name, head in heads.items()}
    return {name: partial(_ids, make=make) for name, make in rows.items()} | {"oracle": true_objects}


def _ids(sequence: Sequence, make: Callable[[Detector], Tracker]) -> list[list[int]]:
    return follow(sequence, make).ids


def davis(folder: Path, detections: Path, name: str) -> Group:
    """Read sequences of DAVIS with the detections of a model."""
    return Group(name, tuple(_with_detections(video, detections) for video in open_videos(folder, "davis")))


def _with_detections(video: Video, folder: Path) -> Sequence:
    detector = PrecomputedDetector.from_file(folder / f"{video.name}.json.gz")
    truth = video.tracks()
    assert video.size is not None
    detected = tuple(
        tuple(_observation(number, row) for number, row in enumerate(detector.rows.get(frame, ())))
        for frame in range(truth.num_frames)
    )
    return Sequence(video.name, video.size, video.fps or DAVIS_FPS, detected, truth, "masks")


def _observation(number: int, row: Mapping) -> Observation:
    x, y, width, height = row["bbox"]
    return Observation(number, (x, y, x + width, y + height), row["score"], row["label"], row["rle"])


def best_track(sequence: Sequence, predicted: Tracks) -> tuple[float, float]:
    """Share of the true object that the best track covers, and the IDF1 of that track, in percent."""
    covered: Counter[int] = Counter()
    present = 0
    for frame in frame_overlaps(sequence.truth, predicted, "masks"):
        present += len(frame.truth_ids)
        covered.update(frame.predicted_ids[(frame.iou >= 0.5).any(axis=0)].tolist())
    if not covered:
        return 0.0, 0.0
    track, count = covered.most_common(1)[0]
    return 100 * count / present, 200 * count / (present + len(predicted[track]))


def print_scores(group: Group, rows: Mapping[str, Ids]) -> None:
    """Print the rows of a group."""
    for name, track_ids in rows.items():
        of = score_group(group, {s.name: s.tracks(track_ids(s)) for s in group.sequences})
        cells = [f"{of[score]:.0f}" if score == "IDSW" else f"{of[score]:.1f}" for score in SCORES]
        print(f"| {group.name} | {name} | {' | '.join(cells)} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=2000, help="(default: %(default)s)")
    parser.add_argument("--videos", type=int, default=300, help="generated from the images (default: %(default)s)")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="(default: %(default)s)")
    parser.add_argument("--head", type=Path, nargs="*", default=[], help="other heads to compare (.safetensors)")
    options = parser.parse_args()
    warnings.filterwarnings("ignore", message="left out of", category=UserWarning)  # two label files without an image

    with tempfile.TemporaryDirectory() as output:
        heads = {"from still images": learn(options.data, Path(output), options.steps, options.videos)}
    heads |= {str(path): LearnedAffinity.from_file(path) for path in options.head}
    rows = contenders(heads)

    detections = options.data / "davis2016" / "detections"
    print(f"| detections | association | {' | '.join(SCORES)} |\n|---|---|" + "--:|" * len(SCORES))
    print_scores(davis(options.data / "davis2016_instances", detections, "instances"), rows)
    for name in GROUPS:
        print_scores(load_group(name, options.data), rows)

    group = davis(options.data / "davis2016", detections, "DAVIS")
    print(f"\n| {len(group.sequences)} sequences, one object | covered by the best track | its IDF1 |\n|---|--:|--:|")
    for name, track_ids in rows.items():
        results = [best_track(s, s.tracks(track_ids(s))) for s in group.sequences]
        covered, f1 = (sum(column) / len(results) for column in zip(*results, strict=True))
        print(f"| {name} | {covered:.1f} | {f1:.1f} |", flush=True)


if __name__ == "__main__":
    main()
