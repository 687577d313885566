import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from tltm_graph.frame_pairs import PairStream
from tltm_graph.structures import FramePair
from tltm_graph.training.sources import Opened, PairDescription


@dataclass(frozen=True, eq=False)
class TrainingData:
    """What training reads.

    Args:
        stream: Sample number k ≥ 0, a function of k alone; without end.
        batch_size: Samples of a step, of all processes together.
        num_workers: Processes that read ahead, for each process that trains.
        report: What was found and what was passed over, a line for each source.
    """

    stream: Dataset[Any]
    batch_size: int
    num_workers: int = 0
    report: tuple[str, ...] = ()

    def loader(self, step: int, rank: int = 0, world_size: int = 1) -> DataLoader[Any]:
        """The batches from a step on, without end: lists of samples.

        Step t takes the samples from t · ``batch_size`` on, whatever came before and however many processes share them.

        Args:
            step: The first step, counted from 0.
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
            self.stream,
            batch_sampler=_Batches(step * self.batch_size, self.batch_size, rank, world_size),
            collate_fn=list,
            num_workers=self.num_workers,
            worker_init_fn=_ignore_signals,
        )


class PairData:
    """Frame pairs of several sources, mixed.

    Args:
        sources: Where pairs come from.
        transforms: Applied to every pair in this order, such as :class:`tltm_graph.frame_pairs.ResizePair`.
        batch_size: Pairs of a step, of all processes together.
        num_workers: Processes that read ahead, for each process that trains; 0 to read in between.
    """

    def __init__(
        self,
        sources: list[PairDescription],
        transforms: list[Callable[[FramePair, torch.Generator], FramePair]] | None = None,
        batch_size: int = 8,
        num_workers: int = 1,
    ) -> None:
        self.sources = sources
        self.transforms = transforms or []
        self.batch_size = batch_size
        self.num_workers = num_workers

    def open(self, class_names: Sequence[str], seed: int = 0) -> TrainingData:
        """Finds all sources.

        Args:
            class_names: What labels shall count in, the classes of the model.
            seed: Of the order and of all that is drawn at random.

        Raises:
            ValueError: If there is nothing to learn from, or a source is of other classes.
            OSError: If a file is missing.
        """
        if not self.sources:
            raise ValueError("Expected at least one source of pairs, got none")
        opened: list[Opened] = [source.open(tuple(class_names)) for source in self.sources]
        repeat = [source.repeat for source in self.sources]
        stream = PairStream([one.source for one in opened], repeat, self.transforms, seed)
        report = [
            f"{one}" + (f", × {times:g}" if times != 1 else "") for one, times in zip(opened, repeat, strict=True)
        ]
        return TrainingData(stream, self.batch_size, self.num_workers, tuple(report))


def _ignore_signals(worker: int) -> None:
    """Ctrl-C and the signals of job schedulers reach all processes: those that read must outlive the current step."""
    for name in ("SIGINT", "SIGTERM", "SIGUSR1"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)


class _Batches(Sampler[list[int]]):
    """Numbers of the samples of each batch, from ``first`` on, those of one of several processes."""

    def __init__(self, first: int, batch_size: int, rank: int, world_size: int) -> None:
        self.first, self.batch_size, self.rank, self.world_size = first, batch_size, rank, world_size

    def __iter__(self) -> Iterator[list[int]]:
        for begin in count(self.first, self.batch_size):
            yield list(range(begin + self.rank, begin + self.batch_size, self.world_size))
