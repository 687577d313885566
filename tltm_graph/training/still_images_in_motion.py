from collections.abc import Sequence

import numpy as np

from tltm_graph.formats import Video, local_split, open_videos
from tltm_graph.formats.video import Part
from tltm_graph.frame_pairs import HallucinatedMotion
from tltm_graph.ops import decode_rle
from tltm_graph.structures import Observation
from tltm_graph.synthetic import DetectionSequence
from tltm_graph.synthetic.processes import mixture
from tltm_graph.synthetic.simulated_motion import simulate_detections
from tltm_graph.training.animation import DIRECTIONS, animate, outline_of_box, outline_of_mask

_FPS = (5, 7, 10, 14, 15, 20, 25, 30)


class StillImagesInMotion:
    """Short videos of the objects of still images, moved as no one has seen them move: what tracks of boxes look like,
    learned from annotations of images alone.

    The objects of an image are set in motion, and the camera before them, see :func:`animate`; those of up to four
    other images may be among them, for a crowd. A simulated detector, drawn anew for each video, looks at it. Only
    sizes and outlines are read, no pictures.

    Args:
        path: Still images in any format that :func:`tltm_graph.formats.open_videos` reads: COCO, a folder of YOLO, …; of
            videos the first frame.
        num_videos: How many are made. Images are taken in turn.
        first_seed: Of the first video; the others count on from it.
        format: See there.
        class_names: See there.
        like: For a file of results, objects that a model found: the data set that they are for.
        part: Only this part of :func:`tltm_graph.formats.local_split`.
        score_threshold: Weaker objects of a file of results are left out.
        num_frames: Least and greatest length.
        alone: Share of the videos that show the objects of one image.
        motion: How far the picture is moved: translation, rotation and scale; the ranges of the paper by default.

    Raises:
        ValueError: If there are no images, or a number makes no sense.
        OSError: If there is nothing at ``path``.
    """

    def __init__(
        self,
        path: str,
        num_videos: int = 300,
        first_seed: int = 1000,
        format: str | None = None,  # noqa: A002  as in open_videos
        class_names: Sequence[str] | None = None,
        like: str | None = None,
        part: Part | None = None,
        score_threshold: float = 0.0,
        num_frames: tuple[int, int] = (30, 60),
        alone: float = 0.4,
        motion: HallucinatedMotion | None = None,
    ) -> None:
        if not 0 < num_frames[0] <= num_frames[1]:
            raise ValueError(f"Expected num_frames as (least, greatest) above 0, got {num_frames}")
        if not 0 <= alone <= 1:
            raise ValueError(f"Expected alone in [0, 1], got {alone}")
        known = None if like is None else open_videos(like, class_names=class_names)
        images = open_videos(path, format, like=known, class_names=None if known else class_names)
        self.images = images if part is None else local_split(images, part)
        if not self.images:
            raise ValueError(f"Expected still images in '{path}'{f', part {part}' if part else ''}, got none")
        self.path, self.num_videos, self.first_seed = path, num_videos, first_seed
        self.score_threshold, self.num_frames, self.alone = score_threshold, tuple(num_frames), alone
        self.motion = HallucinatedMotion() if motion is None else motion

    def __len__(self) -> int:
        return self.num_videos

    def __getitem__(self, index: int) -> DetectionSequence:
        """The video of the seed ``first_seed + index``."""
        if not 0 <= index < len(self):
            raise IndexError(f"Expected a video from 0 to {len(self) - 1}, got {index}")
        choices, motions, detectors = np.random.default_rng(self.first_seed + index).spawn(3)
        num_others = int(mixture(choices, (self.alone, 0, 0), (1 - self.alone, 1, 5)))
        others = choices.integers(0, len(self.images), num_others).tolist()
        size, outlines, labels = self._objects(self.images[index % len(self.images)])
        for other in others:
            (height, width), more, classes = self._objects(self.images[other])
            outlines = np.concatenate([outlines, more * [size[1] / width, size[0] / height]])
            labels = np.concatenate([labels, classes])
        _, labels = np.unique(labels, return_inverse=True)  # a detector errs among the classes that it sees

        num_frames, fps = int(choices.integers(self.num_frames[0], self.num_frames[1] + 1)), choices.choice(_FPS)
        world = animate(motions, outlines, labels, size, num_frames, self.motion)
        return simulate_detections(detectors, world, np.arange(num_frames) / fps)

    def _objects(self, image: Video) -> tuple[tuple[int, int], np.ndarray, np.ndarray]:
        """Size of an image, outlines (N, K, 2) and classes (N,) of its objects."""
        tracks = image.tracks()
        size = image.size or tracks.size
        if size is None:
            raise ValueError(f"Expected the size of the image '{image.name}', got a format without: name another")
        _, rows = next(tracks.observations(), (0, []))
        rows = [row for row in rows if not row.crowd and not row.score < self.score_threshold]
        shapes = [(outline, row.label) for row in rows if (outline := _outline(row)) is not None]
        outlines = np.array([outline for outline, _ in shapes]).reshape(-1, DIRECTIONS.shape[1], 2)
        return size, outlines, np.array([label for _, label in shapes], dtype=np.int64)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.num_videos} videos of {len(self.images)} images in '{self.path}')"


def _outline(row: Observation) -> np.ndarray | None:
    """The outline (K, 2) of an object, None of one without area."""
    if row.mask is None:
        x0, y0, x1, y1 = row.box
        return outline_of_box(np.array(row.box)) if x1 > x0 and y1 > y0 else None
    height, width = row.mask["size"]
    mask = decode_rle([row.mask], (height, width))[0].numpy()
    return outline_of_mask(mask) if mask.any() else None
