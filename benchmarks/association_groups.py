"""Groups of sequences with detections and truth, on which trackers are compared, and the scores of a group.

MOT15     seven sequences of MOT15 with the detections of a Faster R-CNN
MOT17c    the pedestrians of four sequences of MOT17, corrupted: boxes, objects missing for stretches
BDD-seg   the masks that a model predicted in a video of BDD100K
CTCc      sequences of the Cell Tracking Challenge, corrupted: masks, objects missing now and then
MOTS20c   the pedestrians of a sequence of MOTS20, corrupted like the cells
scenes    rendered scenes with look-alikes that leave and come back, seen by a noisy oracle: masks
"""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import torch

from benchmarks.association_corruption import Missing, corrupted, missing_in_bursts, missing_singly
from benchmarks.association_sequences import Group, Sequence, score_group
from tltm_graph.detectors import OracleDetector, PrecomputedDetector
from tltm_graph.formats import Video
from tltm_graph.formats.bdd100k import read_bdd100k
from tltm_graph.formats.mot import read_mot
from tltm_graph.formats.mots import read_mots
from tltm_graph.formats.youtube_vis import read_youtube_vis
from tltm_graph.metrics.benchmark_rules import PEDESTRIAN
from tltm_graph.metrics.overlap import On
from tltm_graph.structures import Observation, Tracks, observations_of
from tltm_graph.synthetic import STANDARD, TEST, moving_shapes

__all__ = ["GROUPS", "UNSEEDED", "Group", "Sequence", "load_group", "score_group"]

FPS = 30.0
"""Frames a second of sequences whose files do not say."""

SCENES = 4
"""Rendered scenes for each seed."""
ORACLE_NOISE = {"miss_rate": 0.1, "jitter": 0.03, "false_positives": 0.2, "class_noise": 0.03}
"""How the oracle that sees them errs."""


def load_group(name: str, data: str | Path = "../shared/data", seed: int = 0) -> Group:
    """Reads a group.

    Args:
        name: One of :data:`GROUPS`.
        data: Folder with ``mot15``, ``mot17``, ``bdd100k_masks``, ``cells`` and ``mots20``.
        seed: Of the corruption; groups with the detections of a model do not depend on it.

    Raises:
        ValueError: If there is no such group, or a file is damaged.
        FileNotFoundError: If its files are not in the folder.
    """
    if name not in GROUPS:
        raise ValueError(f"Expected one of the groups {list(GROUPS)}, got '{name}'")
    return GROUPS[name](Path(data), seed)


def _mot15(data: Path, seed: int) -> Group:
    sequences = []
    for video in read_mot(data / "mot15"):
        detector = PrecomputedDetector.from_file(data / "mot15" / video.name / "det_sort_frcnn" / "det.txt")
        truth = _only(video.tracks(), lambda row: row.score != 0)
        found = (map(_detected, detector.rows.get(frame, ())) for frame in range(truth.num_frames))
        sequences.append(_sequence(video, found, truth, "boxes"))
    return Group("MOT15", tuple(sequences))


def _mot17c(data: Path, seed: int) -> Group:
    def load(video: Video) -> Tracks:
        return _only(video.tracks(), lambda row: row.label == PEDESTRIAN and row.score == 1)

    return _corrupted_group("MOT17c", read_mot(data / "mot17"), load, missing_in_bursts, seed, "boxes")


def _bdd_seg(data: Path, seed: int) -> Group:
    folder = data / "bdd100k_masks" / "seg_track"
    (true,) = read_bdd100k(folder / "seg_track_sample.json.gz")
    (predicted,) = read_bdd100k(folder / "seg_track_preds.json.gz")
    found = (rows for _, rows in predicted.tracks().observations())
    return Group("BDD-seg", (_sequence(true, found, true.tracks(), "masks", by_class=True),))


def _ctcc(data: Path, seed: int) -> Group:
    videos, files = [], sorted((data / "cells").glob("*.json.gz"))
    if not files:
        raise FileNotFoundError(f"Expected sequences of cells (.json.gz) in '{data / 'cells'}', found none")
    for file in files:
        (video,) = read_youtube_vis(file)
        videos.append(Video(file.name.removesuffix(".json.gz"), video.num_frames, video.size, load=video.load))
    return _corrupted_group("CTCc", videos, Video.tracks, missing_singly, seed, "masks")


def _mots20c(data: Path, seed: int) -> Group:
    def load(video: Video) -> Tracks:
        return _only(video.tracks(), lambda row: not row.crowd)

    return _corrupted_group("MOTS20c", read_mots(data / "mots20"), load, missing_singly, seed, "masks")


def _scenes(data: Path, seed: int) -> Group:
    scenes = moving_shapes(STANDARD, TEST, num_frames=300)
    sequences = []
    for number in range(SCENES * seed, SCENES * (seed + 1)):
        scene = scenes[number]
        detector = OracleDetector(scene.truth, scene.class_names, **ORACLE_NOISE, seed=number)
        stream = [(frame.index, scene.truth(frame.index), detector.detect(frame)[0]) for frame in scene]
        truth = Tracks.from_stream(((frame, true) for frame, true, _ in stream), scene.size, scene.num_frames)
        found = (observations_of(frame, seen.replace(ids=torch.arange(len(seen)))) for frame, _, seen in stream)
        video = Video(f"scene {number}", scene.num_frames, scene.size, fps=scene.fps)
        sequences.append(_sequence(video, found, truth, "masks"))
    return Group("scenes", tuple(sequences))


GROUPS: dict[str, Callable[[Path, int], Group]] = {
    "MOT15": _mot15,
    "MOT17c": _mot17c,
    "BDD-seg": _bdd_seg,
    "CTCc": _ctcc,
    "MOTS20c": _mots20c,
    "scenes": _scenes,
}
"""Reads each group from the folder of the data, with a seed."""

UNSEEDED = frozenset({"MOT15", "BDD-seg"})
"""The groups with the detections of a model, which no seed changes."""


def _corrupted_group(
    name: str, videos: Iterable[Video], load: Callable[[Video], Tracks], missing: Missing, seed: int, on: On
) -> Group:
    sequences = []
    for video in videos:
        truth = load(video)
        sequences.append(_sequence(video, corrupted(truth, missing, seed), truth, on))
    return Group(name, tuple(sequences))


def _sequence(
    video: Video, found: Iterable[Iterable[Observation]], truth: Tracks, on: On, by_class: bool = False
) -> Sequence:
    assert video.size is not None
    rows = tuple(tuple(row._replace(id=number) for number, row in enumerate(frame)) for frame in found)
    return Sequence(video.name, video.size, video.fps or FPS, rows, truth, on, by_class)


def _only(tracks: Tracks, keep: Callable[[Observation], bool]) -> Tracks:
    """The observations that ``keep`` says yes to."""
    rows = ((frame, row) for frame, seen in tracks.observations() for row in seen if keep(row))
    return Tracks.from_observations(rows, tracks.size, tracks.num_frames)


def _detected(row: Mapping) -> Observation:
    x, y, width, height = row["bbox"]
    return Observation(0, (x, y, x + width, y + height), row["score"], row["label"])
