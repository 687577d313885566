"""What to learn from and to be scored on, described as in a configuration: nothing is opened before it is asked for."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from tltm_graph.data import PairSource
from tltm_graph.structures import Frame, Tracks


@dataclass(frozen=True)
class Opened:
    """A source of pairs, and what was found on the way to it.

    Args:
        name: Where it comes from.
        source: Gives the pairs.
        found: How many of what: videos, images.
        skipped: How many videos or images were passed over, by reason.
    """

    name: str
    source: PairSource
    found: str
    skipped: dict[str, int] = field(default_factory=dict)

    def __str__(self) -> str:
        skipped = ", ".join(f"{count} {why}" for why, count in sorted(self.skipped.items()))
        return f"{self.name}: {self.found}, {len(self.source)} pairs" + (f"; skipped: {skipped}" if skipped else "")


@dataclass(frozen=True, eq=False)
class LabelledVideo:
    """A video to be scored on.

    Args:
        name: Of the video.
        frames: Gives its frames in order.
        truth: Gives its true tracks.
    """

    name: str
    frames: Callable[[], Iterable[Frame]]
    truth: Callable[[], Tracks]


class PairDescription(ABC):
    """Says where pairs of frames come from.

    Args:
        repeat: How often it is gone through in an epoch; may be a fraction.
    """

    def __init__(self, repeat: float = 1.0) -> None:
        self.repeat = repeat

    @abstractmethod
    def open(self, class_names: tuple[str, ...]) -> Opened:
        """Finds the pairs, with labels that count in ``class_names``.

        Raises:
            ValueError: If there are none, or they are of other classes.
            OSError: If a file is missing.
        """


class VideoDescription(PairDescription):
    """Says where videos are: a source of pairs, or videos to be scored on."""

    @abstractmethod
    def videos(self, class_names: tuple[str, ...]) -> Sequence[LabelledVideo]:
        """Finds the videos, with labels that count in ``class_names``.

        Raises:
            ValueError: If there are none, or they are of other classes.
            OSError: If a file is missing.
        """
