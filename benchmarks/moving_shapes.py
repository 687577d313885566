"""Rendering speed of the moving shapes, and their difficulty for single cues on ground-truth boxes.

The trackers get the true boxes, masks and classes of the test split and must find the identities. "IoU" and "motion"
use boxes only, "appearance" uses the colours under the true mask and the class. "Motion and appearance" adds the two
scores, which is not an upper bound. The default tracker uses overlap, motion and class.

Run: python benchmarks/moving_shapes.py
     python benchmarks/moving_shapes.py --scenes 30 --difficulty standard --ablate
"""

import argparse
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torchvision.ops import box_iou

from benchmarks.identities import plain_iou
from benchmarks.timing import machine
from tltm_graph import Detections, MovingShapes, Tracker, Tracks
from tltm_graph.detectors import OracleDetector
from tltm_graph.metrics import Hota, IdentityF1
from tltm_graph.metrics.overlap import frame_overlaps
from tltm_graph.synthetic import STANDARD, TEST, moving_shapes
from tltm_graph.synthetic.difficulty import DIFFICULTIES, Difficulty

MEMORY = 30  # frames that a track without detection is kept, for cues that use positions
SIZES = ((192, 320), (360, 640))


class Kalman:
    """Kalman filter of the centre and size of a box at constant velocity, with noise in proportion to the box's height
    (Wojke et al., "Simple online and realtime tracking with a deep association metric", 2017)."""

    def __init__(self, box: np.ndarray) -> None:
        self.mean = np.concatenate([_to_center(box), np.zeros(4)])
        height = box[3] - box[1]
        self.covariance = np.diag(np.r_[np.full(4, height / 10), np.full(4, height / 4)] ** 2)

    def predict(self, ticks: int) -> np.ndarray:
        """Predict the box after ``ticks`` frames, dropped frames included."""
        step = np.eye(8) + np.eye(8, k=4) * ticks
        height = max(self.mean[3], 1)
        noise = np.diag(np.r_[np.full(4, height / 20), np.full(4, height / 40)] ** 2) * ticks
        self.mean, self.covariance = step @ self.mean, step @ self.covariance @ step.T + noise
        center, size = self.mean[:2], np.maximum(self.mean[2:4], 1)
        return np.concatenate([center - size / 2, center + size / 2])

    def correct(self, box: np.ndarray) -> None:
        """Update with a detected box."""
        observe = np.eye(4, 8)
        height = max(self.mean[3], 1)
        gain = (
            self.covariance
            @ observe.T
            @ np.linalg.inv(observe @ self.covariance @ observe.T + np.eye(4) * (height / 20) ** 2)
        )
        self.mean = self.mean + gain @ (_to_center(box) - observe @ self.mean)
        self.covariance = self.covariance - gain @ observe @ self.covariance


def _to_center(box: np.ndarray) -> np.ndarray:
    return np.concatenate([(box[:2] + box[2:]) / 2, box[2:] - box[:2]])


@dataclass
class CueTrack:
    """Motion and appearance of a track."""

    motion: Kalman
    look: np.ndarray
    label: int
    last_seen: int


Score = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, float]]
"""Maps IoU with predicted boxes and colour similarity, both (M, N), to match scores and their threshold."""


def motion_alone(iou: np.ndarray, similarity: np.ndarray) -> tuple[np.ndarray, float]:
    return iou, 0.1


def appearance_alone(iou: np.ndarray, similarity: np.ndarray) -> tuple[np.ndarray, float]:
    return similarity, 0.4


def both(iou: np.ndarray, similarity: np.ndarray) -> tuple[np.ndarray, float]:
    return iou + similarity, 0.6


def follow(scene: MovingShapes, score: Score, memory: int) -> Iterator[tuple[int, Detections]]:
    """Match the objects of each frame to all tracks of the last ``memory`` frames, by Hungarian matching."""
    alive: dict[int, CueTrack] = {}
    before, born = 0.0, 0
    for frame in scene:
        truth = scene.truth(frame.index)
        assert truth.masks is not None
        boxes, labels = truth.boxes.double().numpy(), truth.labels.numpy()
        looks = histograms(frame.image, truth.masks)
        ticks = round((frame.time - before) * scene.fps)
        before = frame.time
        alive = {i: track for i, track in alive.items() if frame.index - track.last_seen <= memory}
        names, tracks = list(alive), list(alive.values())
        ids = np.full(len(boxes), -1)
        if tracks:
            predicted = np.stack([track.motion.predict(ticks) for track in tracks])
            iou = box_iou(torch.from_numpy(predicted), torch.from_numpy(boxes)).numpy()
            similarity = np.minimum(np.stack([track.look for track in tracks])[:, None], looks[None]).sum(axis=2)
            similarity *= np.array([track.label for track in tracks])[:, None] == labels
            scores, least = score(iou, similarity)
            for row, column in zip(*linear_sum_assignment(scores, maximize=True), strict=True):
                if scores[row, column] >= least:
                    ids[column] = names[row]
        for i, (box, look, label) in enumerate(zip(boxes, looks, labels.tolist(), strict=True)):
            if ids[i] < 0:
                ids[i], born = born, born + 1
                alive[int(ids[i])] = CueTrack(Kalman(box), look, label, frame.index)
            else:
                track = alive[int(ids[i])]
                track.motion.correct(box)
                track.look, track.last_seen = 0.8 * track.look + 0.2 * look, frame.index
        yield frame.index, truth.replace(ids=torch.from_numpy(ids))


def histograms(image: torch.Tensor, masks: torch.Tensor) -> np.ndarray:
    """Colour histograms (N, 216) of 6×6×6 bins under each mask."""
    red, green, blue = (image.numpy() * np.float32(6 / 256)).astype(np.int64)
    bins = (red * 6 + green) * 6 + blue
    counts = [np.bincount(bins[mask], minlength=216) / max(mask.sum(), 1) for mask in masks.numpy()]
    return np.stack(counts) if counts else np.zeros((0, 216))


def run_tracker(scene: MovingShapes, make: Callable[[OracleDetector], Tracker]) -> Iterator[tuple[int, Detections]]:
    for frame, seen in make(OracleDetector(scene.truth, scene.class_names)).track(scene):
        yield frame.index, seen


CUES: dict[str, Callable[[MovingShapes], Iterator[tuple[int, Detections]]]] = {
    "IoU, 30 frames of memory": partial(run_tracker, make=partial(plain_iou, max_time_since_update=MEMORY)),
    "motion (Kalman filter, IoU)": partial(follow, score=motion_alone, memory=MEMORY),
    "appearance (colours, class)": partial(follow, score=appearance_alone, memory=10**6),
    "motion and appearance": partial(follow, score=both, memory=10**6),
    "default tracker": partial(run_tracker, make=Tracker),
    "perfect": lambda scene: ((t, scene.truth(t)) for t in range(len(scene))),
}


ABLATED = tuple(CUES)[:4]
WITHOUT: dict[str, dict[str, float]] = {
    "all of it": {},
    "without dropped frames": {"drops": 0.0},
    "without leaving and coming back": {"leaves": 0.0},
    "without whips and shaking": {"whips": 0.0, "shake": 0.0},
    "without bursts": {"bursts": 0.0},
    "without look-alikes": {"look_alikes": 0.0},
}


def print_speed() -> None:
    print(f"{machine()}, picture and truth, 6 objects, process time\n")
    print("| | " + " | ".join(f"{h}×{w}, frames/s | first frame, ms" for h, w in SIZES) + " |")
    print("|---|" + "--:|--:|" * len(SIZES))
    for name, difficulty in DIFFICULTIES.items():
        cells = []
        for size in SIZES:
            first, rest = zip(
                *(seconds(MovingShapes(60, size, 6, seed, difficulty=difficulty)) for seed in range(6)), strict=True
            )
            cells += [f"**{59 * len(rest) / sum(rest):.0f}**", f"{1000 * sum(first) / len(first):.0f}"]
        print(f"| {name} | {' | '.join(cells)} |")


def seconds(scene: MovingShapes) -> tuple[float, float]:
    """Seconds of the first frame, which includes painting the textures, and of all others."""
    begin = time.process_time()
    scene.frame(0)
    first = time.process_time()
    for t in range(1, len(scene)):
        scene.frame(t), scene.truth(t)
    return first - begin, time.process_time() - first


@dataclass(frozen=True)
class Scores:
    """Scores of each cue, and statistics of the scenes."""

    cues: dict[str, tuple[float, float, float]]  # IDF1, HOTA, AssA
    objects: float  # per scene
    visible: float  # per frame
    degraded: float  # share of frames


def score_cues(difficulty: Difficulty, count: int, cues: Iterable[str]) -> Scores:
    metrics = {cue: (IdentityF1(), Hota()) for cue in cues}
    objects = observations = degraded = frames = 0
    for number, scene in enumerate(moving_shapes(difficulty, TEST)[:count]):
        truth = Tracks.from_stream(((t, scene.truth(t).replace(masks=None)) for t in range(len(scene))), scene.size)
        objects, observations = objects + len(truth), observations + sum(map(len, truth.values()))
        degraded, frames = degraded + sum(map(scene.degraded, range(len(scene)))), frames + len(scene)
        for cue, pair in metrics.items():
            rows = ((t, shown.replace(masks=None)) for t, shown in CUES[cue](scene))
            predicted = Tracks.from_stream(rows, scene.size, len(scene))
            overlaps = list(frame_overlaps(truth, predicted, on="boxes"))
            for metric in pair:
                metric.update(str(number), overlaps)
    values = {cue: (i.compute().idf1, h.compute().hota, h.compute().named()["AssA"]) for cue, (i, h) in metrics.items()}
    return Scores(values, objects / count, observations / frames, degraded / frames)


def print_cues(name: str, difficulty: Difficulty, count: int) -> None:
    scores = score_cues(difficulty, count, CUES)
    statistics = f"{scores.objects:.1f} objects per scene, {scores.visible:.1f} visible"
    print(f"\n**{name}**: {statistics}; {scores.degraded:.0%} of the frames degraded\n")
    print("| on ground-truth boxes | IDF1 | HOTA | AssA |\n|---|--:|--:|--:|")
    for cue, values in scores.cues.items():
        print(f"| {cue} | {' | '.join(f'{100 * value:.1f}' for value in values)} |")


def print_ablation(count: int) -> None:
    print(f"\n| standard, IDF1 | {' | '.join(ABLATED)} |\n|---|{'--:|' * len(ABLATED)}")
    for name, changes in WITHOUT.items():
        scores = score_cues(replace(STANDARD, **changes), count, ABLATED)
        print(f"| {name} | {' | '.join(f'{100 * idf1:.1f}' for idf1, _, _ in scores.cues.values())} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=10, help="of the test split; default: %(default)s")
    parser.add_argument("--difficulty", choices=DIFFICULTIES, nargs="+", default=list(DIFFICULTIES))
    parser.add_argument("--ablate", action="store_true", help="also print the effect of each difficulty on each cue")
    options = parser.parse_args()
    torch.set_num_threads(1)
    print_speed()
    for name in options.difficulty:
        print_cues(name, DIFFICULTIES[name], options.scenes)
    if options.ablate:
        print_ablation(options.scenes)


if __name__ == "__main__":
    main()
