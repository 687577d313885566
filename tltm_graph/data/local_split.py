import hashlib
from typing import Literal

from tltm_graph.data.video import VideoSet

Part = Literal["train", "val"]

HELD_OUT = 0.1
"""Share of the videos in the part "val"."""


def local_split(videos: VideoSet, part: Part) -> VideoSet:
    """A fixed part of a training set, to validate on where the truth of the official validation set is withheld.

    A video is in "val" if the SHA-256 of its name, read as a number in [0, 1), is below :data:`HELD_OUT`. So the split
    is the same everywhere and for ever, needs no list, and stays what it was when videos are added or left out.

    Args:
        videos: The set, whose names must be its own: YouTube-VIS and OVIS call videos by the hash of their folder.
        part: "train" or "val".
    """
    return videos.select([video for video in videos if is_held_out(video.name) == (part == "val")])


def is_held_out(name: str) -> bool:
    """Whether the video of that name belongs to "val"."""
    return int.from_bytes(hashlib.sha256(name.encode("utf-8")).digest()[:8]) / 2**64 < HELD_OUT
