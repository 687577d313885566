"""Every format by name, and which one a file or folder is in."""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

from PIL import Image

from tltm_graph.formats.bdd100k import Bdd100kWriter, read_bdd100k
from tltm_graph.formats.class_maps import YOUTUBE_VIS_2019
from tltm_graph.formats.coco import CocoWriter, read_coco
from tltm_graph.formats.coco_results import CocoImageResultsWriter, CocoResultsWriter, read_coco_results
from tltm_graph.formats.csv_tracks import CsvWriter, read_csv_tracks
from tltm_graph.formats.davis import DavisWriter, read_davis
from tltm_graph.formats.label_maps import frame_files, read_label_map_folders
from tltm_graph.formats.mot import MotTruthWriter, MotWriter, read_mot
from tltm_graph.formats.mots import MotsWriter, read_mots
from tltm_graph.formats.mots_png import MotsPngWriter, read_mots_png
from tltm_graph.formats.open_images import read_open_images_folder
from tltm_graph.formats.runs import read_runs
from tltm_graph.formats.tltm_json import TltmJsonWriter, read_tltm_json
from tltm_graph.formats.video import Video, VideoSet
from tltm_graph.formats.writer import TracksWriter
from tltm_graph.formats.yolo import read_yolo
from tltm_graph.formats.youtube_vis import YoutubeVisWriter, read_youtube_vis
from tltm_graph.formats.youtube_vis_results import YoutubeVisResultsWriter, read_youtube_vis_results
from tltm_graph.io import read_text
from tltm_graph.structures import Tracks


@dataclass(frozen=True)
class Hints:
    """What is known beside the path, for formats that do not say it.

    Args:
        images: Folder of the pictures.
        like: The data set that the tracks are for.
        class_names: Names of the classes.
        image_set: Which videos: a list of DAVIS.
        every: Which frames have label maps: each n-th.
    """

    images: Path | None = None
    like: VideoSet | None = None
    class_names: tuple[str, ...] | None = None
    image_set: str | None = None
    every: int = 1


Read = Callable[[Path, Hints], VideoSet]
"""Opens a path."""


@dataclass(frozen=True)
class Format:
    """How videos and their tracks lie on disk.

    Args:
        read: Opens it; None if it is only written.
        write: Makes its writer from a path, class names and category ids; None if it is only read.
    """

    read: Read | None = None
    write: Callable[..., TracksWriter] | None = None


FORMATS: dict[str, Format] = {
    "youtube_vis": Format(
        lambda path, hints: read_youtube_vis(path, hints.images),
        YoutubeVisWriter,
    ),
    "youtube_vis_results": Format(
        lambda path, hints: read_youtube_vis_results(path, hints.like),
        YoutubeVisResultsWriter,
    ),
    "runs": Format(lambda path, hints: read_runs(path)),
    "davis": Format(lambda path, hints: read_davis(path, hints.image_set), DavisWriter),
    "label_maps": Format(lambda path, hints: read_label_map_folders(path, hints.images, void=255, every=hints.every)),
    "mots": Format(lambda path, hints: read_mots(path), MotsWriter),
    "kitti_mots": Format(
        lambda path, hints: read_mots(path, first_frame=0),
        partial(MotsWriter, first_frame=0),
    ),
    "mots_png": Format(
        lambda path, hints: read_mots_png(path),
        MotsPngWriter,
    ),
    "mot": Format(lambda path, hints: read_mot(path), MotWriter),
    "mot_truth": Format(lambda path, hints: read_mot(path), MotTruthWriter),
    "bdd100k": Format(lambda path, hints: read_bdd100k(path), Bdd100kWriter),
    "coco": Format(lambda path, hints: read_coco(path, hints.images), CocoWriter),
    "coco_results": Format(
        lambda path, hints: read_coco_results(path, _needed(hints.like, path)),
        CocoResultsWriter,
    ),
    "yolo": Format(lambda path, hints: read_yolo(path, _class_names(hints))),
    "open_images": Format(lambda path, hints: read_open_images_folder(path, hints.images)),
    "tltm": Format(
        lambda path, hints: read_tltm_json(path, hints.images, _class_names(hints) or YOUTUBE_VIS_2019), TltmJsonWriter
    ),
    "csv": Format(lambda path, hints: read_csv_tracks(path), CsvWriter),
}


def open_videos(
    path: str | Path,
    format: str | None = None,  # noqa: A002  what everybody calls it
    images: str | Path | None = None,
    like: VideoSet | None = None,
    class_names: Sequence[str] | None = None,
    image_set: str | None = None,
    every: int = 1,
) -> VideoSet:
    """Opens a data set or results in any format.

    Args:
        path: File or folder.
        format: One of :data:`FORMATS`; by default the one it looks like.
        images: Folder of the pictures, for formats that keep them elsewhere: what their file names start from, or,
            where they name no files, with a folder of pictures for each video.
        like: The data set that the tracks are for. Formats that do not keep them take from it what its videos are
            called, how long and large they are, and the classes.
        class_names: Names of the classes, for formats that only number them; by default those of ``like``. For formats
            without classes, the one class of all objects.
        image_set: Only the videos of this list of DAVIS, such as ``"val"`` or ``"2017/val"``.
        every: Label maps with pictures: only each n-th picture has a map.

    Raises:
        FileNotFoundError: If there is nothing at ``path``.
        ValueError: If the format is unknown or cannot be told, or the content is not valid.
    """
    name = guess_format(path) if format is None else format
    if name not in FORMATS:
        raise ValueError(f"Expected a format of {sorted(FORMATS)}, got '{name}'")
    read = FORMATS[name].read
    if read is None:
        raise ValueError(f"Expected a format that can be read, got '{name}'")
    if image_set is not None and name != "davis":
        raise ValueError(f"Expected a folder of DAVIS to take the list '{image_set}' of, got '{path}' ({name})")
    folder, names = None if images is None else Path(images), None if class_names is None else tuple(class_names)
    videos = read(Path(path), Hints(folder, like, names, image_set, every))
    if names is not None and videos.class_names is None:
        if len(names) > 1:
            raise ValueError(f"Expected one class name for objects that '{path}' has no classes of, got {list(names)}")
        videos = VideoSet(videos.videos, names, name=videos.name)
    if names is not None and videos.class_names != names:
        raise ValueError(f"Expected no class names, as '{path}' has its own ({videos.class_names}), got {list(names)}")
    if folder is not None:
        videos = videos.select([_with_images(video, folder) for video in videos])
        if videos and all(video.images is None for video in videos):
            raise FileNotFoundError(f"Expected a folder of pictures for '{videos[0].name}' in '{images}', found none")
    return videos if like is None else _like(videos, like)


def _with_images(video: Video, folder: Path) -> Video:
    """The video with the pictures in the folder of its name, if it has none by its format."""
    if video.images is not None or not (folder / video.name).is_dir():
        return video
    images = frame_files(folder / video.name, (".jpg", ".jpeg", ".png"))
    if video.label_map is not None and video.frame_names is not None:  # these belong together by name
        by_name = {image.stem: image for image in images}
        lacking = [name for name in video.frame_names if name not in by_name]
        more = [name for name in by_name if name not in set(video.frame_names)]
        if lacking or more:
            raise ValueError(
                f"Expected a picture for each label map of video '{video.name}' and a map for each picture in "
                f"'{folder / video.name}', got no picture for {lacking[:5]} and no map for {more[:5]}"
            )
        images = [by_name[name] for name in video.frame_names]
    if video.num_frames is not None and len(images) != video.num_frames:
        raise ValueError(
            f"Expected {video.num_frames} pictures of video '{video.name}' in '{folder / video.name}', "
            f"got {len(images)}"
        )
    return replace(video, images=tuple(images), num_frames=len(images))


def _like(videos: VideoSet, like: VideoSet) -> VideoSet:
    """The videos with the numbers of those of the same name; others get numbers that none of them has."""
    free = count(1 + max((video.id for video in like), default=0))
    only = like[0] if len(like) == len(videos) == 1 else None
    pairs = [(video, like.named(video.name) or only) for video in videos]
    return videos.select([replace(v, id=next(free)) if known is None else _known(v, known) for v, known in pairs])


def _known(video: Video, like: Video) -> Video:
    """The video with what its format does not say, taken from the data set it belongs to."""
    num_frames, size = video.num_frames, video.size or like.size
    if video.label_map is None and like.num_frames is not None:
        if num_frames is not None and num_frames > like.num_frames:
            raise ValueError(
                f"Expected tracks of the {like.num_frames} frames of video '{like.name}', got {num_frames} frames: "
                "they are of another video, or of another cut of it"
            )
        num_frames = like.num_frames
    load = None if video.load is None else partial(_extended, video.load, num_frames, size)
    names = video.frame_names or like.frame_names
    return replace(
        video, id=like.id, num_frames=num_frames, size=size, frame_names=names, fps=video.fps or like.fps, load=load
    )


def _extended(load: Callable[[], Tracks], num_frames: int | None, size: tuple[int, int] | None) -> Tracks:
    tracks = load()
    return replace(tracks, num_frames=max(tracks.num_frames, num_frames or 0), size=tracks.size or size)


def open_writer(path: str | Path, format: str, videos: VideoSet) -> TracksWriter:  # noqa: A002
    """The writer of a format, for the classes of a data set.

    Raises:
        ValueError: If the format is unknown or is only read.
    """
    if format not in FORMATS or FORMATS[format].write is None:
        writable = sorted(name for name, known in FORMATS.items() if known.write is not None)
        raise ValueError(f"Expected a format of {writable} to write, got '{format}'")
    write = FORMATS[format].write
    assert write is not None
    if format == "coco_results" and videos and all(video.num_frames == 1 for video in videos):
        write = CocoImageResultsWriter
    return write(path, videos.class_names, videos.category_ids)


def guess_format(path: str | Path) -> str:
    """The format of a file or folder, by what is in it.

    Raises:
        FileNotFoundError: If there is nothing at ``path``.
        ValueError: If it is like none that is known.
    """
    path = Path(path)
    if path.is_dir():
        name = _folder_format(path)
    elif path.is_file():
        name = _file_format(path)
    else:
        raise FileNotFoundError(f"Expected a file or folder with annotations or results, found nothing at '{path}'")
    if name is None:
        content = sorted(entry.name for entry in path.iterdir())[:6] if path.is_dir() else "it"
        inside = f"it holds {content}" if path.is_dir() else "it looks like none"
        if path.is_file() and path.stat().st_size == 0:
            inside = "it is empty"
        raise ValueError(
            f"Expected a known format in '{path}', could not tell which: {inside}. Name a file or folder of tracks in "
            f"it, or the format: {', '.join(sorted(FORMATS))}"
        )
    return name


_ABOUT = ("classes.txt", "LICENSE.txt", "README.txt")
"""Texts beside those with tracks."""

_PNG_MODES = {"P": "davis", "1": "davis", "L": "label_maps"} | dict.fromkeys(("I", "I;16", "I;16B"), "mots_png")
"""What pictures are of ids by the way they are stored; those of colours are none."""


def _folder_format(folder: Path) -> str | None:
    if (folder / "tracks.json").is_file() or any(folder.glob("*/tracks.json")):
        return "runs"
    if any((folder / name).is_dir() for name in ("Annotations", "Annotations_unsupervised")):
        return "davis"
    for pattern in ("gt/gt.txt*", "*/gt/gt.txt*", "*.txt", "*.txt.gz"):
        files = [file for file in sorted(folder.glob(pattern)) if file.name not in _ABOUT]
        if files:
            kinds = {_text_format(file) for file in files if read_text(file, "tracks").strip()}
            return (
                "kitti_mots"
                if kinds == {"mots", "kitti_mots"}
                else next(iter(kinds), "mot")
                if len(kinds) < 2
                else None
            )
    if (folder / "labels").is_dir():
        return "yolo"
    if any(folder.glob("*segmentation*.csv")):
        return "open_images"
    for pattern in ("*.png", "*/*.png"):
        file = next(iter(sorted(folder.glob(pattern))), None)
        if file is not None:
            with Image.open(file) as picture:
                return _PNG_MODES.get(picture.mode)
    file = next(iter(sorted([*folder.glob("*.json"), *folder.glob("*.json.gz")])), None)
    return "bdd100k" if file is not None and _file_format(file) == "bdd100k" else None  # the others are one file


def _file_format(file: Path) -> str | None:
    name = file.name.lower().removesuffix(".gz")
    if name.endswith(".zip"):
        return "youtube_vis_results"
    if name.endswith(".csv"):
        return "csv"
    if name.endswith(".txt"):
        return _text_format(file)
    if name.endswith(".json"):
        return "runs" if name == "tracks.json" and (file.parent / "run.json").is_file() else _json_format(file)
    return None


def _text_format(file: Path) -> str | None:
    text = read_text(file, "tracks")
    line = text.lstrip().partition("\n")[0]
    if len(line.split()) == 6 and "," not in line:
        return "kitti_mots" if re.search(r"^0 ", text, flags=re.MULTILINE) else "mots"  # it counts frames from 0
    return "mot" if "," in line or not line else None


def _json_format(file: Path) -> str | None:
    text = read_text(file, "annotations or results")
    head = text.lstrip()[:1]
    if head == "[":
        return _list_format(text)
    if head == "{":
        keys = set(re.findall(r'"(videos|images|frames|frame_name|annotations|file_names)"\s*:', text[: 1 << 22]))
        keys |= set(re.findall(r'"(videos|images|frames)"\s*:', text[-(1 << 22) :]))
        if "videos" in keys:
            return "tltm" if "frame_name" in keys else "youtube_vis"
        return "coco" if "images" in keys else "bdd100k" if "frames" in keys else None
    return None


def _list_format(text: str) -> str | None:
    begin = text.index("[") + 1
    rest = text[begin : begin + 64].lstrip()
    if rest.startswith("]"):
        return "youtube_vis_results"  # no results at all look the same in every format
    try:
        first: Any = json.JSONDecoder().raw_decode(text, begin + len(text[begin:]) - len(text[begin:].lstrip()))[0]
    except json.JSONDecodeError:
        return None
    if not isinstance(first, dict):
        return None
    if "image_id" in first:
        return "coco_results"
    if "video_id" in first:
        return "youtube_vis_results"
    return "bdd100k" if "labels" in first or "videoName" in first else None


def _class_names(hints: Hints) -> tuple[str, ...] | None:
    return hints.class_names or (None if hints.like is None else hints.like.class_names)


def _needed(like: VideoSet | None, path: Path) -> VideoSet:
    if like is None:
        raise ValueError(f"Expected the data set that the COCO results in '{path}' are for, got none: name it")
    return like
