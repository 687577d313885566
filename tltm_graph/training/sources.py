"""What to learn from and to be scored on, described as in a configuration: nothing is opened before it is asked for."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial

from tltm_graph.frame_pairs import VideoPairs
from tltm_graph.frame_pairs.datasets import PairDataset
from tltm_graph.structures import Detections, Frame, Tracks
from tltm_graph.synthetic import MovingShapes, moving_shapes
from tltm_graph.synthetic.difficulty import DIFFICULTIES
from tltm_graph.synthetic.scenes import SPLITS, Scenes


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
    source: PairDataset
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


class RenderedVideos(VideoDescription):
    """Scenes of :func:`tltm_graph.synthetic.moving_shapes`, rendered when they are asked for.

    Args:
        difficulty: A preset: ``"easy"``, ``"standard"`` or ``"hard"``.
        split: ``"train"``, ``"val"`` or ``"test"``.
        num_scenes: Only the first ones; None for all.
        num_frames: Length of each.
        size: Height and width in pixels.
        max_gap: See :class:`tltm_graph.frame_pairs.VideoPairs`.
        wide_gap: See there.
        wide_probability: See there.
        repeat: See :class:`PairDescription`.

    Raises:
        ValueError: If there is no such preset or split.
    """

    def __init__(
        self,
        difficulty: str = "standard",
        split: str = "train",
        num_scenes: int | None = None,
        num_frames: int = 60,
        size: tuple[int, int] = (192, 320),
        max_gap: int = 3,
        wide_gap: int = 20,
        wide_probability: float = 0.1,
        repeat: float = 1.0,
    ) -> None:
        super().__init__(repeat)
        if difficulty not in DIFFICULTIES or split not in SPLITS:
            raise ValueError(
                f"Expected a difficulty of {sorted(DIFFICULTIES)} and a split of {sorted(SPLITS)}, got '{difficulty}' "
                f"and '{split}'"
            )
        self.name = f"rendered scenes ({difficulty}, {split})"
        self.scenes = moving_shapes(DIFFICULTIES[difficulty], SPLITS[split], num_frames, size)
        self.num_scenes = len(self.scenes) if num_scenes is None else min(num_scenes, len(self.scenes))
        self._pairs = partial(VideoPairs, max_gap=max_gap, wide_gap=wide_gap, wide_probability=wide_probability)

    def open(self, class_names: tuple[str, ...]) -> Opened:
        """See :class:`PairDescription`."""
        self._check(class_names)
        scenes = [_Scene(self.scenes, index) for index in range(self.num_scenes)]
        return Opened(self.name, self._pairs(scenes), f"{self.num_scenes} videos")

    def videos(self, class_names: tuple[str, ...]) -> Sequence[LabelledVideo]:
        """See :class:`VideoDescription`."""
        self._check(class_names)
        return [
            LabelledVideo(
                f"scene {index}", partial(self.scenes.__getitem__, index), partial(_truth_of, self.scenes, index)
            )
            for index in range(self.num_scenes)
        ]

    def _check(self, class_names: tuple[str, ...]) -> None:
        if class_names != MovingShapes.class_names:
            raise ValueError(
                f"Expected a model of the classes of the rendered scenes, {list(MovingShapes.class_names)}, got one of "
                f"{list(class_names)}: give it these as class_names"
            )


class _Scene:
    """A scene as an annotated video. It is made anew for each pair: thousands would not fit into memory."""

    def __init__(self, scenes: Scenes, index: int) -> None:
        self._scenes, self._index = scenes, index

    def __len__(self) -> int:
        return self._scenes.num_frames

    def frame(self, index: int) -> Frame:
        return _scene(self._scenes, self._index).frame(index)

    def truth(self, index: int) -> Detections:
        return _scene(self._scenes, self._index).truth(index)


@lru_cache(maxsize=2)
def _scene(scenes: Scenes, index: int) -> MovingShapes:
    return scenes[index]


def _truth_of(scenes: Scenes, index: int) -> Tracks:
    scene = scenes[index]
    return Tracks.from_stream(((i, scene.truth(i)) for i in range(len(scene))), scene.size, len(scene))
