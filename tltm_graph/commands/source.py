import warnings
from pathlib import Path

from tltm_graph.formats.mot import read_mot
from tltm_graph.io import FrameReader, read_frames
from tltm_graph.synthetic import EASY, MovingShapes, moving_shapes

DEMO_SEED = 5_000_000
"""Of the first scene of the demo, apart from those that its model has learned from or is scored on."""


def open_source(source: str | None, seed: int = 0, demo: bool = True) -> FrameReader | MovingShapes:
    """The frames of a video.

    Args:
        source: What :func:`tltm_graph.io.read_frames` opens, or the folder of a sequence of MOTChallenge, whose frames
            are black where its pictures are not at hand; None renders a scene.
        seed: Of the scene.
        demo: Whether it is one of the world that the model of the package has learned, or a larger and plainer one.
    """
    if source is None:
        if demo:
            return moving_shapes(EASY, range(DEMO_SEED + seed, DEMO_SEED + seed + 1), num_frames=75)[0]
        return MovingShapes(seed=seed)
    if not (Path(source) / "seqinfo.ini").is_file():
        return read_frames(source)
    sequence = read_mot(source)[0]
    if sequence.images is not None:
        return sequence.frames()
    warnings.warn(f"'{source}' has no pictures: black ones stand for them", stacklevel=2)
    return sequence.blank_frames()
