"""What the association head learns from."""

import pickle
from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from tltm_graph.association import LearnedAffinity
from tltm_graph.frame_pairs.sampling import Permutation
from tltm_graph.nn import TransitionHead
from tltm_graph.synthetic import DetectionSequence, simulate_motion
from tltm_graph.tracking import TrackManager
from tltm_graph.training.association_steps import AssociationStep, association_steps
from tltm_graph.training.pair_data import PairData, TrainingData


class DetectionSource(Protocol):
    """Videos of detections with known identities."""

    def __len__(self) -> int:
        """Number of videos."""
        ...

    def __getitem__(self, index: int) -> DetectionSequence:
        """One of them."""
        ...


class SimulatedDetections:
    """Videos of :func:`tltm_graph.synthetic.simulate_motion`.

    Args:
        num_videos: How many.
        first_seed: Seed of the first; the others count on from it.
    """

    def __init__(self, num_videos: int = 1000, first_seed: int = 1000) -> None:
        self.num_videos = num_videos
        self.first_seed = first_seed

    def __len__(self) -> int:
        return self.num_videos

    def __getitem__(self, index: int) -> DetectionSequence:
        """The video of the seed ``first_seed + index``."""
        return simulate_motion(self.first_seed + index)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.num_videos} videos, seeds from {self.first_seed})"


class AssociationData(PairData):
    """Single decisions of a tracker, shuffled.

    Every video is followed once, with a memory whose length is drawn at random, and in ``evidence`` of the videos with
    the logits of an imagined relation model, of a reliability drawn from 0.5 to 4. If there is a head, its decisions
    are followed in half of the videos, in the others true ones. Of hard frames ``hard_share`` are kept, of easy ones
    ``easy_share``, which count so much more.

    Args:
        sources: Videos of detections.
        batch_size: Frames of a step.
        hard_share: Share of the hard frames (:attr:`AssociationStep.is_hard`) that is kept.
        easy_share: Share of the others.
        evidence: Share of videos with logits of a relation model.
        num_workers: Processes that follow videos before training starts.
        head: Weights of a head that was trained before, to learn from its mistakes (:func:`association_steps`).
    """

    memory_lengths = (30, 60, 100, 150)

    def __init__(
        self,
        sources: list[DetectionSource],
        batch_size: int = 48,
        hard_share: float = 0.6,
        easy_share: float = 0.2,
        evidence: float = 0.4,
        num_workers: int = 2,
        head: str | None = None,
    ) -> None:
        for name, share in (("hard_share", hard_share), ("easy_share", easy_share), ("evidence", evidence)):
            if not 0 <= share <= 1:
                raise ValueError(f"Expected {name} in [0, 1], got {share}")
        super().__init__([], None, batch_size, num_workers)
        self.detections = sources
        self.hard_share, self.easy_share, self.evidence = hard_share, easy_share, evidence
        self.head = head

    def open(self, class_names: Sequence[str], seed: int = 0) -> TrainingData:
        """Follows all videos.

        Args:
            class_names: Not looked at: labels are only compared.
            seed: Of the order and of all that is drawn at random.

        Raises:
            FileNotFoundError: If there are no weights of the head.
            ValueError: If there is nothing to learn from, or the weights are not of a head.
        """
        head = None if self.head is None else LearnedAffinity.from_file(self.head).head
        steps: list[AssociationStep] = []
        report = []
        for number, source in enumerate(self.detections):
            before = len(steps)
            videos = DataLoader(
                _Followed(source, partial(self._steps, head), seed + 7919 * number),
                batch_size=None,
                num_workers=self.num_workers,
            )
            for part in tqdm(videos, desc=f"following {source!r}", unit=" videos"):
                steps += pickle.loads(part)
            hard = sum(step.is_hard for step in steps[before:])
            report.append(f"{source!r}: {len(steps) - before:,} frames kept, {hard:,} of them hard")
        if not steps:
            raise ValueError(f"Expected detections in more than one frame to learn from, got none in {self.detections}")
        return TrainingData(_Shuffled(steps, seed), self.batch_size, 0, tuple(report))

    def _steps(self, head: TransitionHead | None, video: DetectionSequence, seed: int) -> list[AssociationStep]:
        random, generator = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
        reliability = float(random.uniform(0.5, 4)) if random.random() < self.evidence else 0.0
        track_manager = TrackManager(max_time_since_update=int(random.choice(self.memory_lengths)))
        decides = head if random.random() < 0.5 else None
        kept = []
        for step in association_steps(video, track_manager, reliability, generator, decides):
            share = self.hard_share if step.is_hard else self.easy_share
            if random.random() < share:
                # Weights undo the sampling: the loss stays that of all frames, as calibrated log-odds need.
                kept.append(step.weighted(self.hard_share / share))
        return kept


class _Followed(Dataset[bytes]):
    """Steps of a video, pickled: as they are, each tensor would take a file handle on its way between processes."""

    def __init__(
        self, source: DetectionSource, steps: Callable[[DetectionSequence, int], list[AssociationStep]], seed: int
    ) -> None:
        self.source, self.steps, self.seed = source, steps, seed

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: int) -> bytes:
        return pickle.dumps(self.steps(self.source[index], self.seed + index))


class _Shuffled(Dataset[AssociationStep]):
    """Sample k of an endless run through all steps, in a new order each time."""

    def __init__(self, steps: Sequence[AssociationStep], seed: int) -> None:
        self.steps, self.seed = steps, seed

    def __len__(self) -> int:
        return len(self.steps)

    def __getitem__(self, index: int) -> AssociationStep:
        epoch, place = divmod(index, len(self.steps))
        return self.steps[Permutation(len(self.steps), self.seed, epoch)[place]]
