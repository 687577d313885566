"""Random tracks, for round trips through files."""

import numpy as np
import torch

from tltm_graph.formats import Video, VideoSet
from tltm_graph.ops import encode_rle, rle_to_box
from tltm_graph.structures import Observation, Tracks


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
