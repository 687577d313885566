"""Training data: endless streams of samples that several processes share, and the stream of frame pairs."""

import signal
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from tltm_graph.frame_pairs import PairStream
from tltm_graph.structures import FramePair
from tltm_graph.training.sources import PairSource


@dataclass(frozen=True, eq=False)
class TrainingStream:
    """Endless stream of training samples.

    Args:
        samples: Dataset without end. Sample k ≥ 0 is a function of k alone.
        batch_size: Samples of a step, of all processes together.
        num_workers: Processes that read ahead, for each training process.
        report: Summary of what is used and what is skipped, one line for each source.
    """

    samples: Dataset[Any]
    batch_size: int
    num_workers: int = 0
    report: tuple[str, ...] = ()

    def loader(self, step: int, rank: int = 0, world_size: int = 1) -> DataLoader[Any]:
        """Make a loader of the batches from a step on, without end. A batch is a list of samples.

        Step t takes the samples from t · ``batch_size`` on, for any number of processes and also in a resumed run.

        Args:
            step: First step, counted from 0.
            rank: Number of this process.
            world_size: Number of processes.

        Raises:
            ValueError: If the processes cannot share a batch evenly.
        """
        if self.batch_size < 1 or self.batch_size % world_size:
            raise ValueError(
                f"Expected a batch_size that {world_size} processes can share, a multiple of it, got {self.batch_size}"
            )
        return DataLoader(
            self.samples,
            batch_sampler=_Batches(step * self.batch_size, self.batch_size, rank, world_size),
            collate_fn=list,
            num_workers=self.num_workers,
            worker_init_fn=_ignore_signals,
        )


class TrainingData(ABC):
    """Training data as described in a configuration.

    Args:
        batch_size: Samples of a step, of all processes together.
        num_workers: Processes that read samples; 0 reads them in the training process.
    """

    def __init__(self, batch_size: int, num_workers: int) -> None:
        self.batch_size = batch_size
        self.num_workers = num_workers

    @abstractmethod
    def open(self, class_names: Sequence[str], seed: int = 0) -> TrainingStream:
        """Open all sources.

        Args:
            class_names: Classes of the model; labels are indices into them.
            seed: Seed of the order and of all random draws.

        Raises:
            ValueError: If there are no samples, or classes do not fit.
            OSError: If a file is missing.
        """


class PairData(TrainingData):
    """Frame pairs of several sources, mixed.

    Args:
        sources: Sources of the pairs.
        transforms: Transforms of every pair, in this order, such as :class:`tltm_graph.frame_pairs.ResizePair`.
        batch_size: Pairs of a step, of all processes together.
        num_workers: Processes that read ahead, for each training process; 0 reads between the steps.
    """

    def __init__(
        self,
        sources: list[PairSource],
        transforms: list[Callable[[FramePair, torch.Generator], FramePair]] | None = None,
        batch_size: int = 8,
        num_workers: int = 1,
    ) -> None:
        super().__init__(batch_size, num_workers)
        self.sources = sources
        self.transforms = transforms or []

    def open(self, class_names: Sequence[str], seed: int = 0) -> TrainingStream:
        """Open all sources, see :meth:`TrainingData.open`."""
        if not self.sources:
            raise ValueError("Expected at least one source of pairs, got none")
        opened = [source.open(tuple(class_names)) for source in self.sources]
        repeat = [source.repeat for source in self.sources]
        report = [
            f"{pairs}" + (f", × {factor:g}" if factor != 1 else "")
            for pairs, factor in zip(opened, repeat, strict=True)
        ]
        stream = PairStream([source.pairs for source in opened], repeat, self.transforms, seed)
        return TrainingStream(stream, self.batch_size, self.num_workers, tuple(report))


def _ignore_signals(worker: int) -> None:
    """Ignore signals: Ctrl-C and job schedulers signal all processes, but workers must outlive the current step."""
    for name in ("SIGINT", "SIGTERM", "SIGUSR1"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)


class _Batches(Sampler[list[int]]):
    """Sample numbers of the batches of one of several processes, from sample ``first`` on."""

    def __init__(self, first: int, batch_size: int, rank: int, world_size: int) -> None:
        self.first, self.batch_size, self.rank, self.world_size = first, batch_size, rank, world_size

    def __iter__(self) -> Iterator[list[int]]:
        for begin in count(self.first, self.batch_size):
            yield list(range(begin + self.rank, begin + self.batch_size, self.world_size))
