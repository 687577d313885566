import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from tqdm import tqdm

from tltm_graph.data import (
    COCO,
    YOUTUBE_VIS_2019,
    Video,
    VideoSet,
    local_split,
    map_classes,
    open_videos,
    open_writer,
    read_class_map,
)
from tltm_graph.data.class_maps import same_classes
from tltm_graph.data.local_split import Part
from tltm_graph.io import output_folder


def convert(
    source: str | Path,
    target: str | Path,
    target_format: str,
    source_format: str | None = None,
    images: str | Path | None = None,
    class_names: Sequence[str] | None = None,
    image_set: str | None = None,
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
        class_names: Names of the classes, for formats that only number them; "coco" and "youtube_vis_2019" stand for
            those of these data sets.
        image_set: Only the videos of this list of DAVIS.
        images: Folder of the pictures, if the format keeps them elsewhere.
        like: The data set that the tracks are for, if the source does not say all of its videos and classes; see
            :func:`tltm_graph.data.open_videos`.
        class_map: Class map to apply, see :func:`tltm_graph.data.read_class_map`, or "same" for classes of the same
            name. Objects of other classes are left out.
        target_classes: Classes to map to, in the order of their labels; by default those of ``like``, else those of
            YouTube-VIS 2019 for the maps to them, else those that the map names.
        part: Only this part of :func:`tltm_graph.data.local_split`.

    Returns:
        How many videos, tracks and sightings were written.

    Raises:
        ValueError: If an argument is not understood, the source is not valid, or the target cannot hold it.
        OSError: If a file cannot be read or written.
    """
    check_target(target, source, like, images)
    known = None if like is None else open_videos(like)
    videos = open_videos(source, source_format, images, known, named_classes(class_names), image_set)
    if part is not None:
        videos = local_split(videos, part)
    if class_map is not None:
        table = same_classes(videos.class_names or ()) if class_map == "same" else read_class_map(class_map)
        targets = tuple(target_classes or (known and known.class_names) or _targets(class_map, table))
        table = {name: to for name, to in table.items() if to in targets}
        if videos.class_names and not set(table) & set(videos.class_names):
            raise ValueError(
                f"Expected a class map from classes of '{source}' ({', '.join(videos.class_names[:8])}, …) to some of "
                f"{', '.join(targets[:8])}, …, got one that leaves nothing: '{class_map}'"
            )
        videos = map_classes(videos, table, targets)
    counts = {"videos": 0, "tracks": 0, "sightings": 0}
    there = Path(target).absolute()
    with output_folder(there.parent), _no_empty_folders(there), open_writer(target, target_format, videos) as writer:
        for video in progress(videos, "converting"):
            tracks = video.tracks()
            writer.begin(
                replace(video, num_frames=video.num_frames or tracks.num_frames, size=video.size or tracks.size)
            )
            for frame, sightings in tracks.sightings():
                writer.write(frame, sightings)
            counts["videos"] += 1
            counts["tracks"] += len(tracks)
            counts["sightings"] += sum(map(len, tracks.values()))
    return counts


@contextmanager
def _no_empty_folders(target: Path) -> Iterator[None]:
    """If the block fails, takes a new folder away again where nothing is in it; complete videos stay."""
    known = target.exists()
    try:
        yield
    except BaseException:
        if target.is_dir() and not known:
            for folder in (*sorted(target.rglob("*"), reverse=True), target):
                if folder.is_dir() and not any(folder.iterdir()):
                    folder.rmdir()
        raise


def _targets(class_map: str, table: Mapping[str, str]) -> tuple[str, ...]:
    return YOUTUBE_VIS_2019 if class_map.endswith("_to_youtube_vis_2019") else tuple(dict.fromkeys(table.values()))


def named_classes(class_names: Sequence[str] | None) -> Sequence[str] | None:
    """The names, where one word stands for the classes of a data set."""
    known: dict[tuple[str, ...], tuple[str, ...]] = {("coco",): COCO, ("youtube_vis_2019",): YOUTUBE_VIS_2019}
    return None if class_names is None else known.get(tuple(class_names), class_names)


def progress(videos: VideoSet, what: str) -> "tqdm[Video]":
    """The videos, with a bar on the screen."""
    return tqdm(videos, desc=what, unit=" videos", file=sys.stderr)


def check_target(target: str | Path, *sources: str | Path | None) -> None:
    """Nothing that is read may be written over.

    Raises:
        ValueError: If the target is one of the sources or a folder around it.
    """
    there = Path(target).resolve()
    for source in sources:
        here = None if source is None else Path(source).resolve()
        if here is not None and (here == there or there in here.parents):
            raise ValueError(f"Expected another place to write to than '{source}', which is read, got '{target}'")
