import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from tltm_graph.data import Video, VideoSet, local_split, map_classes, open_videos, open_writer, read_class_map
from tltm_graph.data.local_split import Part


def convert(
    source: str | Path,
    target: str | Path,
    target_format: str,
    source_format: str | None = None,
    images: str | Path | None = None,
    like: str | Path | None = None,
    class_map: str | None = None,
    target_classes: Sequence[str] | None = None,
    part: Part | None = None,
) -> dict[str, Any]:
    """Reads tracks in one format and writes them in another, one video at a time.

    Args:
        source: File or folder.
        target: File or folder to write. A file appears when it is complete; in a folder, each video does.
        target_format: One of :data:`tltm_graph.data.FORMATS` that can be written.
        source_format: One of :data:`tltm_graph.data.FORMATS`; by default the one it looks like.
        images: Folder of the pictures, if the format keeps them elsewhere.
        like: The data set that results are for, if the source is results.
        class_map: Class map to apply, see :func:`tltm_graph.data.read_class_map`; needs ``target_classes``, or leads to
            the classes that it names.
        target_classes: Classes to map to, in the order of their labels.
        part: Only this part of :func:`tltm_graph.data.local_split`.

    Returns:
        How many videos, tracks and sightings were written.

    Raises:
        ValueError: If an argument is not understood, the source is not valid, or the target cannot hold it.
        OSError: If a file cannot be read or written.
    """
    check_target(source, target)
    videos = open_videos(source, source_format, images, None if like is None else open_videos(like))
    if part is not None:
        videos = local_split(videos, part)
    if class_map is not None:
        table = read_class_map(class_map)
        videos = map_classes(videos, table, tuple(target_classes or dict.fromkeys(table.values())))
    counts = {"videos": 0, "tracks": 0, "sightings": 0}
    Path(target).absolute().parent.mkdir(parents=True, exist_ok=True)
    with open_writer(target, target_format, videos) as writer:
        for video in progress(videos, "converting"):
            tracks = video.tracks()
            if video.num_frames is None or video.size is None:
                video = Video(**{**vars(video), "num_frames": tracks.num_frames, "size": video.size or tracks.size})
            writer.begin(video)
            for frame, sightings in tracks.sightings():
                writer.write(frame, sightings)
            counts["videos"] += 1
            counts["tracks"] += len(tracks)
            counts["sightings"] += sum(map(len, tracks.values()))
    return counts


def progress(videos: VideoSet, what: str) -> "tqdm[Video]":
    """The videos, with a bar on the screen."""
    return tqdm(videos, desc=what, unit=" videos", file=sys.stderr)


def check_target(source: str | Path, target: str | Path) -> None:
    """Nothing that is read may be written over.

    Raises:
        ValueError: If the target is the source or a folder around it.
    """
    here, there = Path(source).absolute(), Path(target).absolute()
    if here == there or there in here.parents:
        raise ValueError(f"Expected another place to write to than the source '{source}', got '{target}'")
