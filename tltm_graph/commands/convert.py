import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from tqdm import tqdm

from tltm_graph.formats import (
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
from tltm_graph.formats.class_maps import same_classes
from tltm_graph.formats.video import Part
from tltm_graph.io import output_folder


def convert(
    source: str | Path,
    target: str | Path,
    target_format: str,
    source_format: str | None = None,
    images: str | Path | None = None,
    class_names: Sequence[str] | None = None,
    image_set: str | None = None,
    every: int = 1,
    like: str | Path | None = None,
    class_map: str | None = None,
    target_classes: Sequence[str] | None = None,
    part: Part | None = None,
) -> dict[str, Any]:
    """Reads tracks in one format and writes them in another, one video at a time.

    Args:
        source: File or folder.
        target: File or folder to write. A file appears when it is complete; in a folder, each video does.
        target_format: One of :data:`tltm_graph.formats.FORMATS` that can be written.
        source_format: One of :data:`tltm_graph.formats.FORMATS`; by default the one it looks like.
        class_names: Names of the classes, for formats that only number them; "coco" and "youtube_vis_2019" stand for
            those of these data sets.
        image_set: Only the videos of this list of DAVIS.
        every: Label maps with pictures: only each n-th picture has a map.
        images: Folder of the pictures, if the format keeps them elsewhere.
        like: The data set that the tracks are for, if the source does not say all of its videos and classes; see
            :func:`tltm_graph.formats.open_videos`.
        class_map: Class map to apply, see :func:`tltm_graph.formats.read_class_map`, or "same" for classes of the same
            name, which is what happens if ``like`` has other classes. Objects of other classes are left out.
        target_classes: Classes to map to, in the order of their labels; by default those of ``like``, else those of
            YouTube-VIS 2019 for the maps to them, else those that the map names.
        part: Only this part of :func:`tltm_graph.formats.local_split`.

    Returns:
        How many videos, tracks and observations were written, and the names of the classes that were left out.

    Raises:
        ValueError: If an argument is not understood, the source is not valid, or the target cannot hold it.
        OSError: If a file cannot be read or written.
    """
    check_target(target, source, like, images)
    known = None if like is None else open_videos(like)
    videos = open_videos(source, source_format, images, known, named_classes(class_names), image_set, every)
    lacking = [] if known is None or len(videos) == len(known) == 1 else [v for v in videos if not known.named(v.name)]
    if lacking:
        raise ValueError(
            f"Expected tracks of the videos of '{like}', got some of '{lacking[0].name}': call it, or its folder, like "
            "the video that it is"
        )
    if part is not None:
        videos = local_split(videos, part)
    videos, dropped = _in_classes(videos, known, class_map, target_classes)
    counts: dict[str, Any] = {"videos": 0, "tracks": 0, "observations": 0, "classes_left_out": dropped}
    there = Path(target).absolute()
    with (
        output_folder(there.parent),
        _no_empty_folders(there),
        open_writer(target, target_format, videos) as writer,
        progress(videos, "converting") as bar,
    ):
        for video in bar:
            tracks = video.tracks()
            writer.begin(
                replace(video, num_frames=video.num_frames or tracks.num_frames, size=video.size or tracks.size)
            )
            for frame, observations in tracks.observations():
                writer.write(frame, observations)
            counts["videos"] += 1
            counts["tracks"] += len(tracks)
            counts["observations"] += sum(map(len, tracks.values()))
    return counts


def _in_classes(
    videos: VideoSet, like: VideoSet | None, class_map: str | None, target_classes: Sequence[str] | None
) -> tuple[VideoSet, list[str]]:
    """The videos in the classes wanted, with their numbers, and the classes that are left out."""
    names, wanted = videos.class_names, None if like is None else like.class_names
    if class_map is None and (names is None or wanted in (None, names)):
        return videos, []
    table = same_classes(names or ()) if class_map in (None, "same") else read_class_map(str(class_map))
    targets = tuple(target_classes or wanted or _targets(str(class_map), table))
    table = {name: to for name, to in table.items() if to in targets}
    if names and not set(table) & set(names):
        raise ValueError(
            f"Expected classes of '{videos.name}' ({_some(names)}) that lead to some of {_some(targets)}, got none: "
            "name a class map that fits"
        )
    category_ids = like.category_ids if like is not None and targets == wanted else None
    return map_classes(videos, table, targets, category_ids), [name for name in names or () if name not in table]


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:8]) + (", …" if len(names) > 8 else "")


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
        ValueError: If the target is one of the sources, a folder around it, or something that is there within it.
    """
    there = Path(target).resolve()
    for source in sources:
        here = None if source is None else Path(source).resolve()
        if here is not None and (here == there or there in here.parents or (here in there.parents and there.exists())):
            raise ValueError(f"Expected another place to write to than '{source}', which is read, got '{target}'")
