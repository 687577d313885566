"""Training data of the association head: steps of a tracker in many videos of detections, shuffled."""

import pickle
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from tltm_graph.association import LearnedAffinity
from tltm_graph.frame_pairs.sampling import Permutation
from tltm_graph.nn import TransitionHead
from tltm_graph.synthetic.simulated_motion import DetectionSequence
from tltm_graph.tracking import TrackManager
from tltm_graph.training.association_steps import AssociationStep, association_steps
from tltm_graph.training.detection_sources import DetectionSource
from tltm_graph.training.training_data import TrainingData, TrainingStream

_MEMORY_LENGTHS = (30, 60, 100, 150)  # frames


class AssociationData(TrainingData):
    """Steps of a tracker (:func:`tltm_graph.training.association_steps.association_steps`), shuffled.

    Every video is tracked once, with a random memory length. Some videos have simulated appearance logits, of a
    reliability from 0.5 to 4. With a ``head``, half of the videos are tracked with its decisions and half with the
    right ones. Hard and easy frames are sampled at different rates, and the weights of easy frames make up for it.

    Args:
        sources: Sources of the videos.
        batch_size: Frames of a step.
        hard_share: Share of hard frames to use (:attr:`AssociationStep.is_hard`), in [0, 1].
        easy_share: Share of the other frames to use, in [0, 1].
        appearance_share: Share of videos with simulated appearance logits, in [0, 1].
        num_workers: Processes that track videos before training starts.
        head: Weights of a trained head whose mistakes are learned from.
    """

    def __init__(
        self,
        sources: list[DetectionSource],
        batch_size: int = 48,
        hard_share: float = 0.6,
        easy_share: float = 0.2,
        appearance_share: float = 0.4,
        num_workers: int = 2,
        head: str | None = None,
    ) -> None:
        shares = {"hard_share": hard_share, "easy_share": easy_share, "appearance_share": appearance_share}
        for name, share in shares.items():
            if not 0 <= share <= 1:
                raise ValueError(f"Expected {name} in [0, 1], got {share}")
        super().__init__(batch_size, num_workers)
        self.sources = sources
        self.hard_share, self.easy_share, self.appearance_share = hard_share, easy_share, appearance_share
        self.head = head

    def open(self, class_names: Sequence[str], seed: int = 0) -> TrainingStream:
        """Track all videos, see :meth:`TrainingData.open`.

        Args:
            class_names: Not used: labels are only compared.
            seed: Seed of the order and of all random draws.

        Raises:
            FileNotFoundError: If there are no weights of the head.
            ValueError: If there is nothing to learn from, or the weights are not of a head.
        """
        head = None if self.head is None else LearnedAffinity.from_file(self.head).head
        steps: list[AssociationStep] = []
        report = []
        for number, source in enumerate(self.sources):
            before = len(steps)
            videos = DataLoader(
                _TrackedVideos(source, partial(self._steps, head), seed + 7919 * number),
                batch_size=None,
                num_workers=self.num_workers,
            )
            for part in tqdm(videos, desc=f"tracking {source!r}", unit=" videos"):
                steps += pickle.loads(part)
            hard = sum(step.is_hard for step in steps[before:])
            report.append(f"{source!r}: {len(steps) - before:,} frames kept, {hard:,} of them hard")
        if not steps:
            raise ValueError(f"Expected detections in more than one frame to learn from, got none in {self.sources}")
        return TrainingStream(_ShuffledSteps(steps, seed), self.batch_size, 0, tuple(report))

    def _steps(self, head: TransitionHead | None, video: DetectionSequence, seed: int) -> list[AssociationStep]:
        random, generator = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
        reliability = float(random.uniform(0.5, 4)) if random.random() < self.appearance_share else 0.0
        track_manager = TrackManager(max_time_since_update=int(random.choice(_MEMORY_LENGTHS)))
        decisions = head if random.random() < 0.5 else None
        sampled = []
        for step in association_steps(video, track_manager, reliability, generator, decisions):
            share = self.hard_share if step.is_hard else self.easy_share
            if random.random() < share:
                # Weights undo the sampling: the loss stays that of all frames, as calibrated log-odds need.
                sampled.append(step.weighted(self.hard_share / share))
        return sampled


class _TrackedVideos(Dataset[bytes]):
    """Steps of each video, pickled: between processes each tensor would take a file handle."""

    def __init__(
        self, source: DetectionSource, steps: Callable[[DetectionSequence, int], list[AssociationStep]], seed: int
    ) -> None:
        self.source, self.steps, self.seed = source, steps, seed

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: int) -> bytes:
        return pickle.dumps(self.steps(self.source[index], self.seed + index))


class _ShuffledSteps(Dataset[AssociationStep]):
    """Endless shuffled steps, in another order in each epoch."""

    def __init__(self, steps: Sequence[AssociationStep], seed: int) -> None:
        self.steps, self.seed = steps, seed

    def __len__(self) -> int:
        return len(self.steps)

    def __getitem__(self, index: int) -> AssociationStep:
        epoch, position = divmod(index, len(self.steps))
        return self.steps[Permutation(len(self.steps), self.seed, epoch)[position]]
