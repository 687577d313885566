from collections import Counter
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment
from torchvision.ops import box_iou

from tltm_graph.ops import mask_iou
from tltm_graph.structures import Detections


@dataclass(frozen=True)
class IdentityScores:
    """How well identities were kept.

    Args:
        objects: True objects in the video.
        observations: Their appearances, over all frames.
        found: Appearances that some track covered.
        switches: Times an object was covered by another track than the one before.
        fragments: Times an object was covered again after frames in which it was there and nobody covered it.
        whole: Objects covered at least once and always by one track that covered no other object.
        tracks: Tracks that were shown.
    """

    objects: int
    observations: int
    found: int
    switches: int
    fragments: int
    whole: int
    tracks: int

    @property
    def recall(self) -> float:
        """Share of the observations that were found, in [0, 1]; 1 if there was nothing to find."""
        return self.found / self.observations if self.observations else 1.0

    @property
    def whole_share(self) -> float:
        """Share of the objects followed by one id, in [0, 1]; 1 if there are none."""
        return self.whole / self.objects if self.objects else 1.0


class IdentityMeter:
    """Compares tracks with the truth, frame by frame.

    Objects and tracks are matched as in CLEAR MOT (Bernardin and Stiefelhagen 2008): a pair of the frame before stays
    together while it overlaps enough, the rest is assigned for the most pairs, then the most overlap. Classes do not
    count. Overlap is that of masks where both sides have them, else of boxes.

    Args:
        threshold: Least IoU of a match.
    """

    def __init__(self, threshold: float = 0.5) -> None:
        self.threshold = threshold
        self._before: dict[int, int] = {}  # object -> the track that covered it in the frame before
        self._last: dict[int, int] = {}  # object -> the track that covered it last
        self._covered: dict[int, bool] = {}  # object -> whether it was covered when last there
        self._tracks_of: dict[int, set[int]] = {}
        self._shown: set[int] = set()
        self._observations = self._found = self._switches = self._fragments = 0

    def update(self, truth: Detections, output: Detections) -> None:
        """Takes in the next frame.

        Args:
            truth: Its true objects, with ids.
            output: A tracker's objects, with ids, -1 for no track.
        """
        if truth.ids is None or output.ids is None:
            raise ValueError("Expected ids on both sides, got detections without: give truth and a tracker's output")
        output = output[output.ids >= 0]
        assert truth.ids is not None
        assert output.ids is not None
        objects, tracks = truth.ids.tolist(), output.ids.tolist()
        matches = _match(objects, tracks, _overlap(truth, output), self._before, self.threshold)
        self._before = matches
        self._shown.update(tracks)
        self._observations += len(objects)
        self._found += len(matches)
        for obj in objects:
            used = self._tracks_of.setdefault(obj, set())
            track = matches.get(obj)
            if track is not None:
                self._switches += obj in self._last and self._last[obj] != track
                self._fragments += obj in self._last and not self._covered[obj]
                self._last[obj] = track
                used.add(track)
            self._covered[obj] = track is not None

    def compute(self) -> IdentityScores:
        """The scores of the frames so far."""
        users = Counter(track for used in self._tracks_of.values() for track in used)
        whole = sum(len(used) == 1 and users[next(iter(used))] == 1 for used in self._tracks_of.values())
        return IdentityScores(
            objects=len(self._tracks_of),
            observations=self._observations,
            found=self._found,
            switches=self._switches,
            fragments=self._fragments,
            whole=whole,
            tracks=len(self._shown),
        )


def _overlap(truth: Detections, output: Detections) -> np.ndarray:
    if truth.masks is not None and output.masks is not None:
        return mask_iou(truth.masks, output.masks.to(truth.masks.device)).cpu().numpy()
    return box_iou(truth.boxes, output.boxes.to(truth.boxes)).cpu().numpy()


def _match(
    objects: list[int], tracks: list[int], overlap: np.ndarray, before: dict[int, int], threshold: float
) -> dict[int, int]:
    """The track of each covered object."""
    gain = np.where(overlap >= threshold, 1 + overlap / (1 + len(objects)), 0.0)  # most pairs first, then most overlap
    columns = {track: column for column, track in enumerate(tracks)}
    for row, obj in enumerate(objects):
        column = columns.get(before.get(obj, -1))
        if column is not None and gain[row, column] > 0:
            gain[row, column] += 1000
    rows, chosen = linear_sum_assignment(gain, maximize=True)
    return {objects[r]: tracks[c] for r, c in zip(rows, chosen, strict=True) if gain[r, c] > 0}
