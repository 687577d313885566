from abc import ABC, abstractmethod
from typing import Any, Self

import torch.distributed as dist


class Metric(ABC):
    """A figure over many videos that is fed one video at a time and merges over processes.

    The life of one, as in torchmetrics: ``update(...)`` for each video, ``compute()`` at the end, ``reset()`` to begin
    anew. A process with a part of the videos keeps its own; ``merge`` joins two, in any order, and ``sync`` joins those
    of all processes of a ``torch.distributed`` group. What is kept of a video is a few numbers, never its masks.
    """

    @abstractmethod
    def update(self, *args: Any, **kwargs: Any) -> None:
        """Takes in one video."""

    @abstractmethod
    def merge(self, other: Self) -> None:
        """Takes in all that ``other`` was fed."""

    @abstractmethod
    def compute(self) -> Any:
        """The scores of everything so far."""

    @abstractmethod
    def reset(self) -> None:
        """Forgets everything."""

    def sync(self) -> None:
        """Gives every process of the group what all of them were fed; without a group it does nothing.

        Raises:
            ValueError: If two processes were fed one video, as samplers do that pad their parts to one length. Nothing
                has changed then.
        """
        if not (dist.is_available() and dist.is_initialized()):
            return
        everyone: list[Any] = [None] * dist.get_world_size()
        dist.all_gather_object(everyone, self)
        first, *others = everyone
        for other in others:
            first.merge(other)
        self.reset()
        self.merge(first)
