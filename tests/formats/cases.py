"""Random tracks, for round trips through files."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from tltm_graph.formats import Video, VideoSet, open_writer
from tltm_graph.ops import encode_rle
from tltm_graph.ops.rle import rle_to_box
from tltm_graph.structures import Observation, Tracks

CLASSES = ("car", "pedestrian", "rider")
SIZE = (30, 44)
_JSON = {"youtube_vis", "youtube_vis_results", "bdd100k", "coco_results", "tltm", "coco"}


def random_tracks(
    seed: int, num_frames: int = 8, size: tuple[int, int] = (30, 44), num_objects: int = 5, num_classes: int = 3
) -> Tracks:
    """Draw overlapping tracks with late starts and gaps; the video may have no objects."""
    random = np.random.default_rng(seed)
    rows = []
    for track_id in random.choice(50, num_objects, replace=False).tolist():
        label = int(random.integers(num_classes))
        for frame in range(num_frames):
            if random.random() < 0.6:
                y, x = (int(random.integers(side - 6)) for side in size)
                mask = torch.zeros(1, *size, dtype=torch.bool)
                mask[0, y : y + int(random.integers(1, 7)), x : x + int(random.integers(1, 7))] = True
                rle = encode_rle(mask)[0]
                x0, y0, width, height = rle_to_box(rle)
                score = float(random.random())
                rows.append((frame, Observation(track_id, (x0, y0, x0 + width, y0 + height), score, label, rle)))
    return Tracks.from_observations(rows, size, num_frames)


def as_videos(*tracks: Tracks, class_names: tuple[str, ...] | None = ("cat", "dog", "bird")) -> VideoSet:
    """Make a set of videos with these tracks."""
    videos = [
        Video(f"video{number}", t.num_frames, t.size, number + 1, load=lambda t=t: t) for number, t in enumerate(tracks)
    ]
    return VideoSet(videos, class_names)


def write_all(writer, videos: VideoSet) -> None:
    """Write all videos, as the converter does."""
    with writer:
        for video in videos:
            writer.begin(video)
            for frame, observations in video.tracks().observations():
                writer.write(frame, observations)


def small_set(classes: tuple[str, ...] | None = CLASSES) -> VideoSet:
    """Two videos of 8 frames, with names of the frames."""
    videos = as_videos(random_tracks(1, num_classes=2), random_tracks(2, num_classes=2), class_names=classes)
    return videos.select([replace(v, frame_names=tuple(f"{f:05d}" for f in range(v.num_frames))) for v in videos])


def write_as(folder: Path, form: str, videos: VideoSet | None = None) -> Path:
    """Write a small set in a format and return the path."""
    path = folder / (form + (".csv" if form == "csv" else ".json" if form in _JSON else ""))
    if videos is None:
        videos = small_set()
    if form == "coco":
        stills = [replace(v, num_frames=1, images=None) for v in videos]
        videos = videos.select([replace(v, frame_names=None, load=lambda v=v: first_frame(v.load())) for v in stills])
    write_all(open_writer(path, form, videos), videos)
    return path


def first_frame(tracks: Tracks) -> Tracks:
    return Tracks.from_observations(
        [(0, row) for frame, seen in tracks.observations() if frame == 0 for row in seen], SIZE, 1
    )


def write_image(path: Path, pixels: np.ndarray, mode: str | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(pixels)
    (image if mode is None else image.convert(mode)).save(path)
