from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from torch import Tensor

from tltm_graph.ops.boxes import to_corners
from tltm_graph.structures import Detections
from tltm_graph.structures.motion import Motion
from tltm_graph.tracking.score_curve import ScoreCurve

_FLOATS = ("evidence", "certainty")
_ARRAYS = ("ids", "confirmed", "scores", "labels", *_FLOATS)
_EMBEDDINGS = ("embeddings", "mean_embeddings")


@dataclass(frozen=True, eq=False, repr=False)
class Memory:
    """Bounded memory of a video's tracks, one row each. Rows move when other tracks are removed; ids do not change.

    All fields are on the CPU, except for the embeddings, which stay on the device of the detections.

    Args:
        ids: Identity of each track, int64 (M,), unique, never reused.
        confirmed: Whether the id of each track is shown, bool (M,).
        motion: Motion state of each track (M rows). It also holds the one clock and the one count of observations.
        scores: Probability that the last observation of each track shows an object, by its detection score (M,).
        labels: Class of the last observation of each track, int64 (M,).
        next_id: Id of the next new track.
        evidence: Mean log-odds that the observations of each track show an object (M,).
        certainty: Probability that each track is an object, at its last observation (M,).
        curve: Calibration of the detection scores.
        embeddings: Embedding of the last observation of each track (M, F), None without embeddings.
        mean_embeddings: Mean embedding of each track over its observations (M, F), None without embeddings. The
            embedding of the last observation alone may show only a part of a leaving or occluded object.

    Raises:
        ValueError: If the lengths differ or an id occurs twice.
    """

    ids: np.ndarray
    confirmed: np.ndarray
    motion: Motion
    scores: np.ndarray
    labels: np.ndarray
    next_id: int
    evidence: np.ndarray
    certainty: np.ndarray
    curve: ScoreCurve
    embeddings: Tensor | None = None
    mean_embeddings: Tensor | None = None

    def __post_init__(self) -> None:
        m = len(self.motion)
        for name in (*_ARRAYS, *_EMBEDDINGS):
            value = getattr(self, name)
            if value is not None and len(value) != m:
                raise ValueError(f"Expected '{name}' of {m} tracks, got {len(value)}")
        if len(set(self.ids.tolist())) != m:
            raise ValueError(f"Expected unique ids, got {self.ids.tolist()}")

    @classmethod
    def empty(cls, next_id: int = 1) -> Self:
        """Memory without tracks."""
        none = np.zeros(0, dtype=np.int64)
        scores, floats, curve = np.zeros(0, dtype=np.float32), np.zeros(0), ScoreCurve.empty()
        return cls(none, none.astype(bool), Motion.empty(), scores, none, next_id, floats, floats, curve)

    @property
    def hits(self) -> np.ndarray:
        """Number of observations of each track, int64 (M,)."""
        return self.motion.observations[:, 1].astype(np.int64)

    def time_since_update(self, now: float) -> Tensor:
        """Frames of the video's pace since the last observation of each track (M,), at time ``now``."""
        return torch.from_numpy((now - self.motion.time).astype(np.float32))

    def detections(self, places: np.ndarray | None = None) -> Detections:
        """Tracks as detections on the CPU, with ids and embeddings.

        Args:
            places: Centre x, y, width and height of each box in pixels (M, 4); None for those at the last update.
        """
        boxes = to_corners(self.motion.places[:, 1] if places is None else places)
        return Detections(
            boxes=torch.from_numpy(boxes.astype(np.float32)),
            scores=torch.from_numpy(self.scores),
            labels=torch.from_numpy(self.labels),
            ids=torch.from_numpy(self.ids),
            embeddings=self.embeddings,
        )

    def __len__(self) -> int:
        return len(self.motion)

    def __getitem__(self, rows: np.ndarray) -> Self:
        embeddings = (
            None if values is None else values[torch.from_numpy(rows).to(values.device)]
            for values in (self.embeddings, self.mean_embeddings)
        )
        return type(self)(
            self.ids[rows],
            self.confirmed[rows],
            self.motion[rows],
            self.scores[rows],
            self.labels[rows],
            self.next_id,
            self.evidence[rows],
            self.certainty[rows],
            self.curve,
            *embeddings,
        )

    def tensors(self) -> dict[str, Tensor]:
        """Name all tensors, for a file; :meth:`from_tensors` is the inverse."""
        named = {name: torch.from_numpy(getattr(self, name)) for name in _ARRAYS}
        columns = {name: np.ascontiguousarray(values) for name, values in self.motion.columns().items()}
        named |= {f"motion.{name}": torch.from_numpy(values) for name, values in columns.items()}
        named |= {f"curve.{name}": values for name, values in self.curve.tensors().items()}
        embeddings = {name: getattr(self, name) for name in _EMBEDDINGS}
        return named | {name: values for name, values in embeddings.items() if values is not None}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor], next_id: int) -> Self:
        """Restore a memory from :meth:`tensors`."""
        motion, curve = (
            {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
            for prefix in ("motion.", "curve.")
        )
        # Older files have no evidence.
        evidence, certainty = (tensors.get(name, torch.zeros(len(tensors["ids"]))).double().numpy() for name in _FLOATS)
        return cls(
            tensors["ids"].numpy(),
            tensors["confirmed"].numpy(),
            Motion.of(**{name: value.double().numpy() for name, value in motion.items()}),
            tensors["scores"].numpy(),
            tensors["labels"].numpy(),
            next_id,
            evidence,
            certainty,
            ScoreCurve.from_tensors(curve),
            *(tensors.get(name) for name in _EMBEDDINGS),
        )

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}({len(self)} tracks, {int(self.confirmed.sum())} confirmed, next id {self.next_id})"
        )
