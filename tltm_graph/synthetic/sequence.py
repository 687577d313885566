from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from tltm_graph.structures import Detections
from tltm_graph.synthetic.observations import Found
from tltm_graph.synthetic.processes import chance
from tltm_graph.synthetic.simulated_detector import SimulatedDetector
from tltm_graph.synthetic.worlds import World, draw_blobs, draw_people


@dataclass(frozen=True, eq=False)
class DetectionSequence:
    """The detections of a video of which it is known what each one shows.

    Args:
        size: Height and width of the frames.
        times: Of each frame, in seconds, increasing (T,).
        frames: The detections of each, with ``ids``: two detections show the same if they have the same id. False
            positives have ids of their own; -1 is for what nobody knows.
        objects: Whether each detection shows an object, int8: 1, 0 for a false positive, -1 if nobody knows; None if
            that is not known of any.
        relation: Judges transitions by the ``features`` of the detections, which are its nodes: edge logits (E,) of a
            graph (:class:`tltm_graph.tracking.Relation`). None if there is no such judge.

    Raises:
        ValueError: If there are not as many times as frames, times do not increase, or ids are missing.
    """

    size: tuple[int, int]
    times: tuple[float, ...]
    frames: tuple[Detections, ...]
    objects: tuple[Tensor, ...] | None = None
    relation: Callable[[HeteroData], Tensor] | None = None

    def __post_init__(self) -> None:
        if len(self.times) != len(self.frames):
            raise ValueError(f"Expected a time for each frame, got {len(self.times)} for {len(self.frames)} frames")
        for earlier, later in pairwise(self.times):
            if not later > earlier:
                raise ValueError(f"Expected increasing 'times', got {later} s after {earlier} s")
        for index, detections in enumerate(self.frames):
            if detections.ids is None:
                raise ValueError(f"Expected the 'ids' of all detections, got none in frame {index}")

    def __len__(self) -> int:
        return len(self.frames)

    def __repr__(self) -> str:
        count = sum(len(detections) for detections in self.frames)
        return f"{type(self).__name__}({len(self)} frames, {count} detections, size={self.size})"


def simulate_motion(seed: int, num_frames: int | None = None) -> DetectionSequence:
    """A world of moving objects, and what a detector makes of it; both drawn at random.

    Six of ten worlds are streets with people and cars, seen by a camera that stands, pans, shakes, is carried or drives
    (:func:`draw_people`); the others blobs in the plane of the picture (:func:`draw_blobs`). Each has a detector of its
    own (:class:`SimulatedDetector`), from one that errs rarely to one that misses many, invents some, confuses
    neighbours and reports no scores. In 12 of 100 videos frames are dropped, in half of those nobody tells: times are
    as if there were none. One in six streets says that it has 30 frames a second, whatever it has: many files do not
    tell, and that is what is then assumed. Nothing is taken from any data set.

    Args:
        seed: Of everything, at least 0. The same seed gives the same sequence.
        num_frames: Length; by default 60 to 199 frames, of which some may then be dropped.

    Returns:
        Boxes in pixels, float32, some of them beyond the picture; scores in [0, 1]; up to four classes; ids from 0,
        each once in a frame, those of false positives greater than all of objects. Frames may be empty.

    Raises:
        ValueError: If ``seed`` or ``num_frames`` is negative.
    """
    if seed < 0 or (num_frames is not None and num_frames < 0):
        raise ValueError(f"Expected a seed and a number of frames of at least 0, got {seed} and {num_frames}")
    timing, worlds, detectors = np.random.default_rng(seed).spawn(3)
    fps = float(timing.choice([5, 7, 10, 14, 15, 20, 25, 30]))
    share = timing.uniform(0.6, 0.95) if chance(timing, 0.12) else 1.0  # of the frames is kept
    if num_frames is None:
        num_frames = int(timing.integers(60, 200) * share)
    taken = np.sort(timing.permutation(round(num_frames / share))[:num_frames])
    noticed = chance(timing, 0.5)
    told = 30.0 if chance(timing, 1 / 6) else fps

    world = (draw_people if chance(worlds, 0.6) else draw_blobs)(worlds, round(num_frames / share), fps).take(taken)
    return look_at(detectors, world, (taken if noticed else np.arange(num_frames)) / told)


def look_at(rng: np.random.Generator, world: World, times: np.ndarray) -> DetectionSequence:
    """What a detector drawn at random makes of a world.

    Args:
        rng: Of the detector and its mistakes.
        world: What there is to be seen.
        times: Of its frames, in seconds (T,).
    """
    found = SimulatedDetector.draw(rng, world.size[0]).detect(rng, world)
    frames = _by_frame(found, world.num_frames)
    objects = tuple((seen.ids < world.num_objects).to(torch.int8) for seen in frames if seen.ids is not None)
    return DetectionSequence(world.size, tuple(times.tolist()), frames, objects)


def _by_frame(found: Found, num_frames: int) -> tuple[Detections, ...]:
    ends = np.searchsorted(found.frames, np.arange(num_frames), side="right").tolist()
    boxes, scores = found.boxes.astype(np.float32), found.scores.astype(np.float32)
    # each tensor is made from a part of an array, not split from a tensor, so that to pickle it is to pickle that part
    return tuple(
        Detections(
            boxes=torch.from_numpy(boxes[begin:end]),
            scores=torch.from_numpy(scores[begin:end]),
            labels=torch.from_numpy(found.labels[begin:end]),
            ids=torch.from_numpy(found.ids[begin:end]),
        )
        for begin, end in pairwise([0, *ends])
    )
