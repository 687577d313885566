"""A video with detections and truth, and the scores of those who gave ids to the detections."""

from collections.abc import Iterable, Mapping
from collections.abc import Sequence as Rows
from dataclasses import dataclass

import numpy as np
import torch

from tltm_graph.metrics import Clear, Hota, IdentityF1
from tltm_graph.metrics.benchmark_rules import bdd100k_frames
from tltm_graph.metrics.matching import match_overlap
from tltm_graph.metrics.metric import update_together
from tltm_graph.metrics.overlap import On, pairwise_iou
from tltm_graph.ops import decode_rle
from tltm_graph.structures import Detections, Frame, Observation, Tracks


@dataclass(frozen=True, eq=False)
class Sequence:
    """One video: what was detected in each frame, and what is there.

    Args:
        name: Unique within the group.
        size: Height and width in pixels.
        fps: Frames a second.
        found: The detections of each frame; the id of one is its row in the frame.
        truth: The objects that count, and as ``crowd`` regions on which unmatched detections do not.
        on: What trackers and scores compare, masks or boxes.
        by_class: Whether objects have classes: then each is scored on its own, and followed on its own by trackers
            that know none.
    """

    name: str
    size: tuple[int, int]
    fps: float
    found: tuple[tuple[Observation, ...], ...]
    truth: Tracks
    on: On
    by_class: bool = False

    @property
    def num_frames(self) -> int:
        """Length of the video."""
        return len(self.found)

    def detections(self, frame: int) -> Detections:
        """The detections of a frame, without ids, masks decoded."""
        rows = self.found[frame]
        masks = [row.mask for row in rows if row.mask is not None]
        return Detections(
            boxes=torch.tensor([row.box for row in rows]).reshape(-1, 4),
            scores=torch.tensor([row.score for row in rows]),
            labels=torch.tensor([row.label for row in rows], dtype=torch.int64),
            masks=decode_rle(masks, self.size) if masks else None,
        )

    def frame(self, index: int) -> Frame:
        """A black picture of the video's size: all that is known of it are the detections."""
        return Frame(torch.zeros(1, dtype=torch.uint8).expand(3, *self.size), index, index / self.fps)

    def tracks(self, ids: Iterable[Rows[int]]) -> Tracks:
        """The detections as tracks.

        Args:
            ids: For each frame the track of each detection, -1 for none.
        """
        rows = (
            (frame, row._replace(id=track_id))
            for frame, (found, numbers) in enumerate(zip(self.found, ids, strict=True))
            for row, track_id in zip(found, numbers, strict=True)
            if track_id >= 0
        )
        return Tracks.from_observations(rows, self.size, self.num_frames)


@dataclass(frozen=True, eq=False)
class Group:
    """Sequences that are scored together.

    Args:
        name: One of :data:`GROUPS`.
        sequences: In order.
    """

    name: str
    sequences: tuple[Sequence, ...]


def score_group(group: Group, predicted: Mapping[str, Tracks]) -> dict[str, float]:
    """The scores of a group, see :func:`joint_scores`.

    Args:
        group: With the truth.
        predicted: Tracks of each of its sequences, by name.

    Raises:
        ValueError: If the names are not those of the group, or tracks do not belong to their video.
    """
    names = {sequence.name for sequence in group.sequences}
    if set(predicted) != names:
        raise ValueError(f"Expected tracks of the sequences {sorted(names)}, got those of {sorted(predicted)}")
    return joint_scores(score_sequence(sequence, predicted[sequence.name]) for sequence in group.sequences)


Metrics = tuple[Hota, Clear, IdentityF1]


def score_sequence(sequence: Sequence, predicted: Tracks) -> Metrics:
    """What :func:`joint_scores` adds up.

    Raises:
        ValueError: If the tracks do not belong to the video.
    """
    metrics = Hota(), Clear(), IdentityF1()
    for label in sorted(_labels(sequence.truth) | _labels(predicted)) if sequence.by_class else [None]:
        frames = bdd100k_frames(sequence.truth, predicted, sequence.on, label)
        update_together(metrics, f"{sequence.name}, class {label}", frames)
    return metrics


def joint_scores(sequences: Iterable[Metrics]) -> dict[str, float]:
    """HOTA, AssA, DetA, IDF1 and MOTA in percent, and IDSW, of all sequences and classes together.

    Counts are added, then divided, as in TrackEval's combined sequence.
    """
    hota, clear, identity = Hota(), Clear(), IdentityF1()
    for part in sequences:
        hota.merge(part[0])
        clear.merge(part[1])
        identity.merge(part[2])
    named = hota.compute().named() | clear.compute().named() | identity.compute().named()
    return {name: 100 * named[name] for name in ("HOTA", "AssA", "DetA", "IDF1", "MOTA")} | {"IDSW": named["IDSW"]}


def true_objects(sequence: Sequence) -> list[list[int]]:
    """The id of the true object of each detection of each frame, -1 for false ones.

    Pairs have an IoU of at least 0.5, and the greatest sum of it in each frame; of the same class, where there are any.
    """
    objects = []
    for (_, seen), found in zip(sequence.truth.observations(), sequence.found, strict=True):
        true = [row for row in seen if not row.crowd]
        iou = pairwise_iou(true, list(found), sequence.on)
        if sequence.by_class:
            labels, others = (np.array([row.label for row in rows], dtype=np.int64) for rows in (true, found))
            iou = iou * (labels[:, None] == others)
        ids = np.full(len(found), -1)
        rows, columns = match_overlap(iou)
        ids[columns] = np.array([row.id for row in true], dtype=np.int64)[rows]
        objects.append(ids.tolist())
    return objects


def _labels(tracks: Tracks) -> set[int]:
    return {label for track in tracks.values() for label in track.labels}
