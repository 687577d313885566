"""Groups of video sequences with detections and ground truth, on which trackers are compared.

MOT15     seven sequences of MOT15 with the detections of a Faster R-CNN
MOT17c    pedestrians of four sequences of MOT17, corrupted: boxes, objects missing for several frames in a row
BDD-seg   masks that a model predicted in a video of BDD100K
CTCc      sequences of the Cell Tracking Challenge, corrupted: masks, objects missing in single frames
MOTS20c   pedestrians of a sequence of MOTS20, corrupted like the cells
scenes    rendered scenes with look-alikes that leave and return, detected by a noisy oracle: masks
"""

from collections.abc import Callable, Iterable, Mapping
from collections.abc import Sequence as Rows
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.association_corruption import Missing, corrupted, missing_in_bursts, missing_singly
from tltm_graph.detectors import OracleDetector, PrecomputedDetector
from tltm_graph.formats import Video
from tltm_graph.formats.bdd100k import read_bdd100k
from tltm_graph.formats.mot import read_mot
from tltm_graph.formats.mots import read_mots
from tltm_graph.formats.youtube_vis import read_youtube_vis
from tltm_graph.metrics.benchmark_rules import PEDESTRIAN
from tltm_graph.metrics.overlap import On
from tltm_graph.ops import decode_rle
from tltm_graph.structures import Detections, Frame, Observation, Tracks
from tltm_graph.structures.tracks import observations_of
from tltm_graph.synthetic import STANDARD, TEST, moving_shapes


@dataclass(frozen=True, eq=False)
class Sequence:
    """Video with the detections of each frame and its ground truth.

    Args:
        name: Name, unique within the group.
        size: Height and width in pixels.
        fps: Frames per second.
        detected: Detections of each frame; the id of a detection is its row in the frame.
        truth: True tracks. Unmatched detections on ``crowd`` regions are not false positives.
        on: What trackers and scores compare, masks or boxes.
        by_class: True if objects have classes. Each class is then scored separately, and trackers without classes
            track each class separately.
    """

    name: str
    size: tuple[int, int]
    fps: float
    detected: tuple[tuple[Observation, ...], ...]
    truth: Tracks
    on: On
    by_class: bool = False

    @property
    def num_frames(self) -> int:
        """Length in frames."""
        return len(self.detected)

    def detections(self, frame: int) -> Detections:
        """Detections of a frame without ids, with decoded masks."""
        rows = self.detected[frame]
        masks = [row.mask for row in rows if row.mask is not None]
        return Detections(
            boxes=torch.tensor([row.box for row in rows]).reshape(-1, 4),
            scores=torch.tensor([row.score for row in rows]),
            labels=torch.tensor([row.label for row in rows], dtype=torch.int64),
            masks=decode_rle(masks, self.size) if masks else None,
        )

    def frame(self, index: int) -> Frame:
        """Black frame of the video's size: trackers see the detections only."""
        return Frame(torch.zeros(1, dtype=torch.uint8).expand(3, *self.size), index, index / self.fps)

    def tracks(self, ids: Iterable[Rows[int]]) -> Tracks:
        """Join the detections to tracks.

        Args:
            ids: Track of each detection of each frame, -1 for none.
        """
        rows = (
            (frame, row._replace(id=track_id))
            for frame, (detected, of_frame) in enumerate(zip(self.detected, ids, strict=True))
            for row, track_id in zip(detected, of_frame, strict=True)
            if track_id >= 0
        )
        return Tracks.from_observations(rows, self.size, self.num_frames)


@dataclass(frozen=True, eq=False)
class Group:
    """Sequences that are scored together.

    Args:
        name: One of :data:`GROUPS`.
        sequences: Sequences in order.
    """

    name: str
    sequences: tuple[Sequence, ...]


FPS = 30.0
"""Frames per second of sequences whose files do not give them."""

SCENES = 4
"""Rendered scenes per seed."""
ORACLE_NOISE = {"miss_rate": 0.1, "jitter": 0.03, "false_positives": 0.2, "class_noise": 0.03}
"""Errors of the oracle that detects their objects."""


def load_group(name: str, data: str | Path = "../shared/data", seed: int = 0) -> Group:
    """Read a group.

    Args:
        name: One of :data:`GROUPS`.
        data: Folder with ``mot15``, ``mot17``, ``bdd100k_masks``, ``cells`` and ``mots20``.
        seed: Seed of the corruption. Groups with the detections of a model do not depend on it.

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
        truth = _select(video.tracks(), lambda row: row.score != 0)
        detected = (map(_observation, detector.rows.get(frame, ())) for frame in range(truth.num_frames))
        sequences.append(_sequence(video, detected, truth, "boxes"))
    return Group("MOT15", tuple(sequences))


def _mot17c(data: Path, seed: int) -> Group:
    def load(video: Video) -> Tracks:
        return _select(video.tracks(), lambda row: row.label == PEDESTRIAN and row.score == 1)

    return _corrupted_group("MOT17c", read_mot(data / "mot17"), load, missing_in_bursts, seed, "boxes")


def _bdd_seg(data: Path, seed: int) -> Group:
    folder = data / "bdd100k_masks" / "seg_track"
    (true,) = read_bdd100k(folder / "seg_track_sample.json.gz")
    (predicted,) = read_bdd100k(folder / "seg_track_preds.json.gz")
    detected = (rows for _, rows in predicted.tracks().observations())
    return Group("BDD-seg", (_sequence(true, detected, true.tracks(), "masks", by_class=True),))


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
        return _select(video.tracks(), lambda row: not row.crowd)

    return _corrupted_group("MOTS20c", read_mots(data / "mots20"), load, missing_singly, seed, "masks")


def _scenes(data: Path, seed: int) -> Group:
    scenes = moving_shapes(STANDARD, TEST, num_frames=300)
    sequences = []
    for number in range(SCENES * seed, SCENES * (seed + 1)):
        scene = scenes[number]
        detector = OracleDetector(scene.truth, scene.class_names, **ORACLE_NOISE, seed=number)
        stream = [(frame.index, scene.truth(frame.index), detector.detect(frame)[0]) for frame in scene]
        truth = Tracks.from_stream(((frame, true) for frame, true, _ in stream), scene.size, scene.num_frames)
        detected = (observations_of(frame, rows.replace(ids=torch.arange(len(rows)))) for frame, _, rows in stream)
        video = Video(f"scene {number}", scene.num_frames, scene.size, fps=scene.fps)
        sequences.append(_sequence(video, detected, truth, "masks"))
    return Group("scenes", tuple(sequences))


GROUPS: dict[str, Callable[[Path, int], Group]] = {
    "MOT15": _mot15,
    "MOT17c": _mot17c,
    "BDD-seg": _bdd_seg,
    "CTCc": _ctcc,
    "MOTS20c": _mots20c,
    "scenes": _scenes,
}
"""Reader of each group: takes the data folder and a seed."""

UNSEEDED = frozenset({"MOT15", "BDD-seg"})
"""Groups with the detections of a model, which do not depend on the seed."""


def _corrupted_group(
    name: str, videos: Iterable[Video], load: Callable[[Video], Tracks], missing: Missing, seed: int, on: On
) -> Group:
    pairs = ((video, load(video)) for video in videos)
    sequences = (_sequence(video, corrupted(truth, missing, seed), truth, on) for video, truth in pairs)
    return Group(name, tuple(sequences))


def _sequence(
    video: Video, detected: Iterable[Iterable[Observation]], truth: Tracks, on: On, by_class: bool = False
) -> Sequence:
    assert video.size is not None
    rows = tuple(tuple(row._replace(id=number) for number, row in enumerate(frame)) for frame in detected)
    return Sequence(video.name, video.size, video.fps or FPS, rows, truth, on, by_class)


def _select(tracks: Tracks, keep: Callable[[Observation], bool]) -> Tracks:
    rows = ((frame, row) for frame, present in tracks.observations() for row in present if keep(row))
    return Tracks.from_observations(rows, tracks.size, tracks.num_frames)


def _observation(row: Mapping) -> Observation:
    x, y, width, height = row["bbox"]
    return Observation(0, (x, y, x + width, y + height), row["score"], row["label"])
