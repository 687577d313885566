from collections.abc import Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np

from tltm_graph.synthetic.difficulty import Difficulty
from tltm_graph.synthetic.scene import MovingShapes


@dataclass(frozen=True)
class Split:
    """Scenes of the seeds ``first_seed``, ``first_seed + 1``, ….

    Args:
        first_seed: At least 0.
        num_scenes: How many.
    """

    first_seed: int
    num_scenes: int


TRAIN = Split(1_000_000, 2000)
VAL = Split(2_000_000, 20)
TEST = Split(3_000_000, 30)

SPLITS = {"train": TRAIN, "val": VAL, "test": TEST}
"""The frozen splits by name, for command lines. They never change: scores on them are compared."""


class Scenes(Sequence[MovingShapes]):
    """The scenes of a split, each made when it is asked for; none is kept.

    Args:
        difficulty: How hard they are; it also says how many objects they have.
        split: Which seeds.
        num_frames: Length of each.
        size: Height and width in pixels.
    """

    class_names = MovingShapes.class_names

    def __init__(self, difficulty: Difficulty, split: Split, num_frames: int, size: tuple[int, int]) -> None:
        self.difficulty, self.split, self.num_frames, self.size = difficulty, split, num_frames, size

    def __len__(self) -> int:
        return self.split.num_scenes

    @overload
    def __getitem__(self, index: int) -> MovingShapes: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[MovingShapes]: ...
    def __getitem__(self, index: int | slice) -> MovingShapes | Sequence[MovingShapes]:
        if isinstance(index, slice):
            begin, end, step = index.indices(len(self))
            if step != 1:
                return [self[i] for i in range(begin, end, step)]
            part = Split(self.split.first_seed + begin, max(end - begin, 0))
            return Scenes(self.difficulty, part, self.num_frames, self.size)
        seed = self.split.first_seed + range(len(self))[index]
        fewest, most = self.difficulty.objects
        random = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(6,)))  # beside those of a scene
        return MovingShapes(
            self.num_frames,
            self.size,
            num_objects=int(random.integers(fewest, most + 1)),
            seed=seed,
            difficulty=self.difficulty,
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self)} scenes of {self.num_frames} frames, {self.size[0]}×{self.size[1]})"


def moving_shapes(
    difficulty: Difficulty, split: Split, num_frames: int = 60, size: tuple[int, int] = (192, 320)
) -> Scenes:
    """The benchmark: frozen splits of rendered scenes.

    Train has 2000 scenes, val 20 and test 30, of 60 frames at 192×320 unless told otherwise; they share no seed. What a
    preset, a split and an index give never changes.

    >>> scenes = moving_shapes(STANDARD, TEST)
    >>> scenes[0].frame(5), scenes[0].truth(5)
    """
    return Scenes(difficulty, split, num_frames, size)
