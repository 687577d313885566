"""Small annotated videos and pairs."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from tltm_graph.formats import Video
from tltm_graph.ops import encode_rle, masks_to_boxes
from tltm_graph.structures import Detections, Frame, FramePair, Observation, Tracks


def objects(masks: torch.Tensor, ids: list[int] | None = None) -> Detections:
    """Make the ground truth of masks (N, H, W); labels equal the ids."""
    numbers = torch.arange(len(masks)) if ids is None else torch.tensor(ids, dtype=torch.int64)
    return Detections(masks_to_boxes(masks), torch.ones(len(masks)), numbers.clone(), masks=masks, ids=numbers)


def blobs(seed: int, n: int = 3, size: tuple[int, int] = (40, 60)) -> Detections:
    """Draw rectangles at random places; they may overlap."""
    random = np.random.default_rng(seed)
    masks = torch.zeros(n, *size, dtype=torch.bool)
    for mask in masks:
        height, width = random.integers(1, 15, 2)
        y, x = random.integers(0, size[0] - height + 1), random.integers(0, size[1] - width + 1)
        mask[y : y + height, x : x + width] = True
    return objects(masks)


def picture(seed: int, size: tuple[int, int] = (40, 60)) -> torch.Tensor:
    """Draw coloured noise (3, H, W)."""
    return torch.randint(0, 256, (3, *size), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def pair(seed: int = 0, n: int = 3, size: tuple[int, int] = (40, 60)) -> FramePair:
    """Draw a pair of two different frames."""
    return FramePair(picture(seed, size), picture(seed + 1, size), blobs(seed, n, size), blobs(seed + 1, n, size))


class Clip:
    """Annotated video in which all pixels of frame t are t + ``first``."""

    def __init__(self, length: int, first: int = 0, size: tuple[int, int] = (4, 6)) -> None:
        self.length, self.first, self.size = length, first, size

    def __len__(self) -> int:
        return self.length

    def frame(self, index: int) -> Frame:
        return Frame(torch.full((3, *self.size), self.first + index, dtype=torch.uint8), index, index / 30)

    def truth(self, index: int) -> Detections:
        return objects(torch.ones(1, *self.size, dtype=torch.bool))

    def __repr__(self) -> str:
        return f"Clip({self.length})"


def gaps(pairs: list[FramePair]) -> list[int]:
    """Compute the distance in frames of each pair of a :class:`Clip`."""
    return [int(p.current_image[0, 0, 0]) - int(p.previous_image[0, 0, 0]) for p in pairs]


def video_of(
    tracks: Tracks, folder: Path, name: str = "video", size: tuple[int, int] | None = None, suffix: str = ".png"
) -> Video:
    """Make a video with pictures in ``folder``: all pixels of frame t are t."""
    folder.mkdir(parents=True, exist_ok=True)
    images = tuple(folder / f"{t:05d}{suffix}" for t in range(tracks.num_frames))
    for t, image in enumerate(images):
        Image.fromarray(np.full((*(size or tracks.size), 3), t, dtype=np.uint8)).save(image)
    return Video(name, tracks.num_frames, tracks.size, images=images, load=lambda: tracks)


def observation(track_id: int, size: tuple[int, int] = (20, 30), shown: bool = True, **changes) -> Observation:
    """Make an object of 6×4 pixels at (track_id, 2), with a box that is too large."""
    mask = torch.zeros(1, *size, dtype=torch.bool)
    if shown:
        mask[0, 2:6, track_id : track_id + 6] = True
    values = {"id": track_id, "box": (0.0, 0.0, 20.0, 20.0), "label": track_id, "mask": encode_rle(mask)[0], **changes}
    return Observation(**values)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def same(a: FramePair, b: FramePair) -> bool:
    """Compare two pairs bit by bit."""
    fields = ("boxes", "labels", "ids", "masks")
    return (
        torch.equal(a.previous_image, b.previous_image)
        and torch.equal(a.current_image, b.current_image)
        and all(torch.equal(getattr(a.previous, f), getattr(b.previous, f)) for f in fields)
        and all(torch.equal(getattr(a.current, f), getattr(b.current, f)) for f in fields)
    )
