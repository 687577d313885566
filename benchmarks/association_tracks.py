"""Real tracks with the detections of models, or with ground truth that has the slow errors of real detectors.

Each domain and detector is a group. Rows that are not considered are ignore regions.
"""

import configparser
import gzip
import io
from collections.abc import Iterator
from collections.abc import Sequence as Rows
from dataclasses import replace
from itertools import count
from pathlib import Path

import numpy as np

from benchmarks.association_groups import Group, Sequence
from tltm_graph.structures import Observation, Tracks

DETECTORS = {
    "kitti, RRC": ("kitti", "det"),
    "kitti, PointRCNN": ("kitti", "det_pointrcnn"),
    "mot15, FRCNN": ("mot15", "det"),
    "mot15, ACF": ("mot15", "det_acf"),
    "mot15, FairMOT": ("mot15", "det_fairmot"),
    "mot17, FRCNN": ("mot17", "det"),
    "mot17, DPM": ("mot17", "det_dpm"),
    "mot17, YOLOX": ("mot17", "det_yolox"),
    "mot17, FairMOT": ("mot17", "det_fairmot"),
    "bdd100k, QDTrack": ("bdd100k", "trk_qdtrack"),
}
"""Folder and file of the detections of each group."""
NOISY = {
    "dancetrack, noisy": ("dancetrack", 6),
    "cells, noisy": ("cells", 7),
}
"""Folder and number of sequences of the groups whose detections are made of the truth."""
TRACKS = (*DETECTORS, *NOISY)
"""All groups."""

_BY_CLASS = frozenset({"bdd100k", "kitti"})
_PEDESTRIAN = 1  # of MOT17, whose other classes are distractors


def load_tracks(name: str, data: str | Path, seed: int = 0, max_frames: int = 0) -> Group:
    """Read a group.

    Args:
        name: One of :data:`TRACKS`.
        data: Folder with ``tracks``.
        seed: Seed of the errors of a noisy group.
        max_frames: Number of frames to which sequences are cut, 0 for all.

    Raises:
        FileNotFoundError: If there are no sequences.
    """
    domain, detector = DETECTORS.get(name) or (NOISY[name][0], None)
    folder = Path(data) / "tracks" / domain
    paths = [path for path in sorted(folder.glob("*")) if detector is None or (path / f"{detector}.txt.gz").is_file()]
    if not paths:
        raise FileNotFoundError(f"Expected sequences in '{folder}', found none: name the data folder with --data")
    if name in NOISY:
        paths = paths[:: max(1, len(paths) // NOISY[name][1])][: NOISY[name][1]]
    return Group(name, tuple(_sequence(path, domain, detector, seed, max_frames) for path in paths))


def shaken(group: Group, seed: int, deviation: float = 0.01) -> Group:
    """Move the edges of all detections by Gaussian noise.

    Args:
        group: Group of sequences.
        seed: Seed of the noise.
        deviation: Standard deviation, in units of the width and height of the box.
    """
    random = np.random.default_rng(seed)

    def moved(row: Observation) -> Observation:
        x0, y0, x1, y1 = row.box
        d = random.normal(0, deviation, 4) * np.array([x1 - x0, y1 - y0] * 2)
        a, b, c, e = (np.array(row.box) + d).tolist()
        return row._replace(box=(min(a, c), min(b, e), max(a, c), max(b, e)))

    return replace(
        group,
        sequences=tuple(
            replace(sequence, detected=tuple(tuple(map(moved, rows)) for rows in sequence.detected))
            for sequence in group.sequences
        ),
    )


def _sequence(path: Path, domain: str, detector: str | None, seed: int, max_frames: int) -> Sequence:
    about = configparser.ConfigParser()
    about.read(path / "seqinfo.ini", encoding="utf-8")
    info = about["Sequence"]
    size, length = (int(info["imHeight"]), int(info["imWidth"])), int(info["seqLength"])
    first = int(info["halfValFrom"]) if detector == "det_yolox" else 1  # the detector learned from the frames before
    length = min(length - first + 1, max_frames or length)
    by_class = domain in _BY_CLASS
    truth = Tracks.from_observations(_true_rows(path, first, length, by_class), size, length)
    if detector is None:
        detected = list(with_slow_errors(truth, seed))
    else:
        detected = [[] for _ in range(length)]
        for row in _table(path / f"{detector}.txt.gz"):
            frame = int(row[0]) - first
            if 0 <= frame < length:
                label = int(row[7]) if by_class else 0
                detected[frame].append(Observation(len(detected[frame]), _box(row), float(row[6]), label))
    numbered = tuple(tuple(row._replace(id=i) for i, row in enumerate(rows)) for rows in detected)
    return Sequence(path.name, size, float(info["frameRate"]), numbered, truth, "boxes", by_class)


def _true_rows(path: Path, first: int, length: int, by_class: bool) -> Iterator[tuple[int, Observation]]:
    regions = count(10**6)  # an ignore region has no identity
    for row in _table(path / "gt.txt.gz"):
        frame, label = int(row[0]) - first, int(row[7])
        if 0 <= frame < length:
            ignored = row[6] == 0 or (path.name.startswith("MOT17") and label != _PEDESTRIAN)
            number = next(regions) if ignored else int(row[1])
            yield frame, Observation(number, _box(row), label=label if by_class and not ignored else 0, crowd=ignored)


def _table(path: Path) -> np.ndarray:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return np.loadtxt(io.StringIO(file.read()), delimiter=",", ndmin=2)


def _box(row: np.ndarray) -> tuple[float, float, float, float]:
    x, y, width, height = (float(value) for value in row[2:6])
    return x, y, x + width, y + height


def with_slow_errors(truth: Tracks, seed: int) -> Iterator[list[Observation]]:
    """Make detections of the truth with the errors of real detectors, in the shares that were measured on real ones.

    Box errors have a part that is constant for each track, one with a memory of six frames and a white one (30, 50 and
    20 % of the variance); the size errs more than the place. Misses come in runs, more often with a low score. False
    positives stay at their place for some frames; half of them overlap an object. Scores have a memory.

    Args:
        truth: True tracks.
        seed: Random seed.

    Yields:
        Detections of the next frame.
    """
    random = np.random.default_rng(seed)
    present: dict[int, dict[str, np.ndarray | bool]] = {}
    false: list[dict] = []
    assert truth.size is not None
    decay = np.exp(-1 / 6)
    for _, rows in truth.observations():
        found: list[Observation] = []
        real = [row for row in rows if not row.crowd]
        for row in real:
            box = np.array(row.box)
            size = np.tile(box[2:] - box[:2], 2)
            state = present.setdefault(
                row.id,
                {
                    "constant": random.normal(size=4),
                    "slow": random.normal(size=4),
                    "hit": True,
                    "score": random.normal(),
                },
            )
            state["slow"] = decay * state["slow"] + np.sqrt(1 - decay**2) * random.normal(size=4)
            state["score"] = 0.8 * state["score"] + 0.6 * random.normal()
            missed = 0.75 if not state["hit"] else 0.04 if state["score"] > -0.7 else 0.15
            state["hit"] = random.random() >= missed
            if state["hit"]:
                error = np.sqrt([0.3, 0.5, 0.2]) @ np.stack([state["constant"], state["slow"], random.normal(size=4)])
                score = 1 / (1 + np.exp(-(1.5 + 1.2 * state["score"])))
                found.append(Observation(0, _ordered(box + 0.05 * size * error), float(score)))
        false = [item for item in false if random.random() < 0.6]
        for _ in range(random.poisson(0.03 * len(real) + 0.02)):
            like = np.array(real[random.integers(len(real))].box) if real else np.array([0.0, 0, 40, 80])
            size = (like[2:] - like[:2]) * np.exp(0.3 * random.normal(size=2))
            centre = (like[:2] + like[2:]) / 2 + random.normal(0, 0.5, 2) * size
            if random.random() < 0.5:
                centre = random.random(2) * truth.size[::-1]
            false.append({"box": np.concatenate([centre - size / 2, centre + size / 2]), "score": random.normal(-1, 1)})
        for item in false:
            size = np.tile(item["box"][2:] - item["box"][:2], 2)
            score = 1 / (1 + np.exp(-(item["score"] + 0.3 * random.normal())))
            found.append(Observation(0, _ordered(item["box"] + 0.03 * size * random.normal(size=4)), float(score)))
        yield [found[k] for k in random.permutation(len(found))]


def _ordered(box: Rows[float]) -> tuple[float, float, float, float]:
    x0, y0, x1, y1 = (float(value) for value in box)
    return min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)
