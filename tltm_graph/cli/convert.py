from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tltm_graph.cli.arguments import Data, Option
from tltm_graph.cli.formats import FORMAT_TABLE, Names, Part, ReadingOptions, progress_bar

if TYPE_CHECKING:
    from tltm_graph.formats import VideoSet

EPILOG = FORMAT_TABLE


def convert(
    source: Annotated[str | Path, Option(metavar="SOURCE")],
    target: Annotated[str | Path, Option(metavar="TARGET")],
    *,
    target_format: Annotated[str, Option("to", "FORMAT")],
    reading: ReadingOptions,
    part: Part | None = None,
    like: Data | None = None,
    class_map: Annotated[str | None, Option(metavar="NAME")] = None,
    target_classes: Names | None = None,
) -> dict[str, Any]:
    """Convert tracks to another format.

    Tracks may be ground truth or predictions. Information that the target format cannot hold is lost (see
    docs/formats.md); everything else is kept. A file appears when it is complete; in a folder, each video does.

    Args:
        source: File or folder to read.
        target: File or folder to write.
        target_format: Format to write.
        reading: Format of the source, and what it does not say itself.
        part: Convert only this part of the local split, by a hash of the video's name.
        like: Data set that the tracks belong to, with the lengths and sizes of its videos, and its classes.
        class_map: Class map: coco_to_youtube_vis_2019, coco_to_mot, coco_to_mots, coco_to_bdd100k,
            open_images_to_youtube_vis_2019, a JSON file {"classes": {"from": "to"}}, or "same" for classes of the same
            name (the default with --like). Objects of other classes are left out.
        target_classes: Classes to map to, in the order of their numbers. Default: those of --like, or of YouTube-VIS
            2019 for the maps to it, else those that the map names.

    Returns:
        Numbers of ``videos``, ``tracks`` and ``observations`` written, and ``classes_left_out``.

    Raises:
        ValueError: If an argument or the source is not valid, or the target format cannot hold the tracks.
        OSError: If a file cannot be read or written.
    """
    from tltm_graph.formats import local_split, open_videos, open_writer

    data_set = None if like is None else open_videos(like)
    videos = reading.open(source, data_set)
    if data_set is not None and not len(videos) == len(data_set) == 1:
        unknown = next((video.name for video in videos if not data_set.named(video.name)), None)
        if unknown is not None:
            raise ValueError(
                f"Expected tracks of the videos of '{like}', got some of '{unknown}': give the video, or its folder, "
                "the name that it has there"
            )
    if part is not None:
        videos = local_split(videos, part)
    videos, left_out = _with_classes(videos, data_set, class_map, target_classes)
    counts: dict[str, Any] = {"videos": 0, "tracks": 0, "observations": 0, "classes_left_out": left_out}
    path = Path(target).absolute()
    with (
        _no_empty_folders(path),
        open_writer(path, target_format, videos) as writer,
        progress_bar(videos, "converting") as bar,
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
    print(f"{counts['videos']} videos, {counts['tracks']} tracks, {counts['observations']} observations")
    if left_out:
        print(f"classes left out: {', '.join(left_out)}")
    print(f"written:\n  {target}")
    return counts


def _with_classes(
    videos: "VideoSet", like: "VideoSet | None", class_map: str | None, target_classes: Sequence[str] | None
) -> tuple["VideoSet", list[str]]:
    """Map the classes of the videos; return also the names of those that are left out."""
    from tltm_graph.formats import map_classes, read_class_map
    from tltm_graph.formats.class_maps import same_classes

    names, like_names = videos.class_names, None if like is None else like.class_names
    if class_map is None and (names is None or like_names in (None, names)):
        return videos, []
    table = same_classes(names or ()) if class_map in (None, "same") else read_class_map(str(class_map))
    targets = tuple(target_classes or like_names or _targets(str(class_map), table))
    table = {name: to for name, to in table.items() if to in targets}
    if names and not set(table) & set(names):
        raise ValueError(
            f"Expected classes of '{videos.name}' ({_first_names(names)}) that map to some of {_first_names(targets)}, "
            "got none: name a class map that fits"
        )
    category_ids = like.category_ids if like is not None and targets == like_names else None
    return map_classes(videos, table, targets, category_ids), [name for name in names or () if name not in table]


def _targets(class_map: str, table: Mapping[str, str]) -> tuple[str, ...]:
    from tltm_graph.formats import YOUTUBE_VIS_2019

    return YOUTUBE_VIS_2019 if class_map.endswith("_to_youtube_vis_2019") else tuple(dict.fromkeys(table.values()))


def _first_names(names: Sequence[str]) -> str:
    return ", ".join(names[:8]) + (", …" if len(names) > 8 else "")


@contextmanager
def _no_empty_folders(target: Path) -> Iterator[None]:
    """After an error, remove empty folders of a new target; complete videos stay."""
    existed = target.exists()
    try:
        yield
    except BaseException:
        if target.is_dir() and not existed:
            for folder in (*sorted(target.rglob("*"), reverse=True), target):
                if folder.is_dir() and not any(folder.iterdir()):
                    folder.rmdir()
        raise
