import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from tqdm import tqdm

from tltm_graph.commands.interrupt import Interrupt
from tltm_graph.io import output_folder
from tltm_graph.synthetic import DIFFICULTIES, SPLITS, MovingShapes, moving_shapes, write_scenes


def render(
    difficulty: str,
    split: str,
    output: str | Path,
    videos: int | None = None,
    frames: int = 60,
    size: tuple[int, int] = (192, 320),
) -> dict[str, int]:
    """Renders a split of the benchmark world to a data set in the format of YouTube-VIS.

    An interrupt (Ctrl-C) ends it after the current video; the videos before are a whole data set.

    Args:
        difficulty: One of :data:`tltm_graph.synthetic.DIFFICULTIES`.
        split: One of :data:`tltm_graph.synthetic.SPLITS`.
        output: Folder to write, new or empty.
        videos: Only so many, the first ones.
        frames: Of each video.
        size: Height and width in pixels.

    Returns:
        How many videos, frames and tracks were written, and as ``interrupted`` whether it was ended before the end.

    Raises:
        ValueError: If an argument is not understood, or the folder holds something.
        OSError: If a file cannot be written.
    """
    for what, name, known in (("difficulty", difficulty, DIFFICULTIES), ("split", split, SPLITS)):
        if name not in known:
            raise ValueError(f"Expected a {what} of {', '.join(known)}, got '{name}'")
    if frames < 1 or (videos is not None and videos < 1):
        raise ValueError(f"Expected at least one video of at least one frame, got {videos} of {frames}")
    scenes = moving_shapes(DIFFICULTIES[difficulty], SPLITS[split], frames, size)
    if videos is not None and videos > len(scenes):
        raise ValueError(f"Expected at most the {len(scenes)} videos of '{split}', got {videos}")
    there = Path(output).absolute()
    with output_folder(there.parent), Interrupt() as interrupt:
        counts = write_scenes(_until(interrupt, scenes[:videos]), there)
    return {**counts, "interrupted": int(interrupt.requested)}


def _until(interrupt: Interrupt, scenes: Sequence[MovingShapes]) -> Iterator[MovingShapes]:
    """The scenes, with a bar on the screen."""
    for scene in tqdm(scenes, desc="rendering", unit=" videos", file=sys.stderr):
        if interrupt.requested:
            return
        yield scene
