"""Table of all formats: open videos in any of them, write them, and guess the format of a path."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from pathlib import Path

from tltm_graph.formats.annotations import inside
from tltm_graph.formats.bdd100k import Bdd100kWriter, read_bdd100k
from tltm_graph.formats.class_maps import YOUTUBE_VIS_2019
from tltm_graph.formats.coco import CocoWriter, read_coco
from tltm_graph.formats.coco_results import CocoImageResultsWriter, CocoResultsWriter, read_coco_results
from tltm_graph.formats.csv_tracks import CsvWriter, read_csv_tracks
from tltm_graph.formats.davis import DavisWriter, read_davis
from tltm_graph.formats.label_maps import IMAGE_SUFFIXES, frame_files, match_frames, read_label_map_folders
from tltm_graph.formats.mot import MotTruthWriter, MotWriter, read_mot
from tltm_graph.formats.mots import MotsWriter, read_mots
from tltm_graph.formats.mots_png import MotsPngWriter, read_mots_png
from tltm_graph.formats.open_images import read_open_images_folder
from tltm_graph.formats.recognise import recognise
from tltm_graph.formats.runs import read_runs
from tltm_graph.formats.tltm_json import TltmJsonWriter, read_tltm_json
from tltm_graph.formats.video import Video, VideoSet
from tltm_graph.formats.writer import TracksWriter
from tltm_graph.formats.yolo import read_yolo
from tltm_graph.formats.youtube_vis import YoutubeVisWriter, read_youtube_vis
from tltm_graph.formats.youtube_vis_results import YoutubeVisResultsWriter, read_youtube_vis_results
from tltm_graph.io.output import mark_input
from tltm_graph.io.text import one_line_errors
from tltm_graph.structures import Tracks


@dataclass(frozen=True)
class Hints:
    """Optional arguments of :func:`open_videos`, for readers of formats that do not store this information."""

    images: Path | None = None
    like: VideoSet | None = None
    class_names: tuple[str, ...] | None = None
    image_set: str | None = None
    every: int = 1

    @property
    def known_classes(self) -> tuple[str, ...] | None:
        """Class names that were given, or those of the data set; None without both."""
        return self.class_names or (None if self.like is None else self.like.class_names)


@dataclass(frozen=True)
class Format:
    """Reader and writer of a format.

    Args:
        read: Function that opens a path.
        write: Function that makes the writer from a path, class names and category ids; None if it is only read.
    """

    read: Callable[[Path, Hints], VideoSet]
    write: Callable[..., TracksWriter] | None = None


FORMATS: dict[str, Format] = {
    "youtube_vis": Format(lambda path, hints: read_youtube_vis(path, hints.images), YoutubeVisWriter),
    "youtube_vis_results": Format(
        lambda path, hints: read_youtube_vis_results(path, hints.like), YoutubeVisResultsWriter
    ),
    "runs": Format(lambda path, hints: read_runs(path)),
    "davis": Format(lambda path, hints: read_davis(path, hints.image_set), DavisWriter),
    "label_maps": Format(lambda path, hints: read_label_map_folders(path, hints.images, void=255, every=hints.every)),
    "mots": Format(lambda path, hints: read_mots(path), MotsWriter),
    "kitti_mots": Format(lambda path, hints: read_mots(path, first_frame=0), partial(MotsWriter, first_frame=0)),
    "mots_png": Format(lambda path, hints: read_mots_png(path), MotsPngWriter),
    "mot": Format(lambda path, hints: read_mot(path), MotWriter),
    "mot_truth": Format(lambda path, hints: read_mot(path), MotTruthWriter),
    "bdd100k": Format(lambda path, hints: read_bdd100k(path), Bdd100kWriter),
    "coco": Format(lambda path, hints: read_coco(path, hints.images), CocoWriter),
    "coco_results": Format(lambda path, hints: _read_coco_results(path, hints.like), CocoResultsWriter),
    "yolo": Format(lambda path, hints: read_yolo(path, hints.known_classes)),
    "open_images": Format(lambda path, hints: read_open_images_folder(path, hints.images)),
    "tltm": Format(
        lambda path, hints: read_tltm_json(path, hints.images, hints.known_classes or YOUTUBE_VIS_2019), TltmJsonWriter
    ),
    "csv": Format(lambda path, hints: read_csv_tracks(path), CsvWriter),
}
"""All formats by name. ``tltm_graph.cli.formats`` describes them for --help."""


def open_videos(
    path: str | Path,
    format: str | None = None,  # noqa: A002  the usual name
    images: str | Path | None = None,
    like: VideoSet | None = None,
    class_names: Sequence[str] | None = None,
    image_set: str | None = None,
    every: int = 1,
) -> VideoSet:
    """Open a data set or results in any format.

    Args:
        path: File or folder.
        format: One of :data:`FORMATS`; by default guessed from the content.
        images: Folder of the images, for formats that keep them elsewhere: the folder that file names start from or,
            if the format names no files, one with a folder of images for each video.
        like: Data set that the tracks belong to. It supplies names, lengths and sizes of videos, and the classes, to
            formats that do not store them.
        class_names: Names of the classes, for formats that only number them; by default those of ``like``. For formats
            without classes, the one class of all objects.
        image_set: Only the videos of this list of DAVIS, such as ``"val"`` or ``"2017/val"``.
        every: For label maps with images: only each n-th image has a map.

    Raises:
        FileNotFoundError: If there is nothing at ``path``.
        ValueError: If the format is unknown or cannot be guessed, or the content is not valid.
    """
    for data in (path, images):
        if data is not None:
            mark_input(data)
    name = guess_format(path) if format is None else format
    if name not in FORMATS:
        raise ValueError(f"Expected a format of {sorted(FORMATS)}, got '{name}'")
    if image_set is not None and name != "davis":
        raise ValueError(f"Expected a folder of DAVIS to take the list '{image_set}' of, got '{path}' ({name})")
    folder, names = None if images is None else Path(images), None if class_names is None else tuple(class_names)
    with one_line_errors(path):
        videos = FORMATS[name].read(Path(path), Hints(folder, like, names, image_set, every))
    if names is not None and videos.class_names is None:
        if len(names) > 1:
            raise ValueError(f"Expected one class name, as '{path}' has objects without classes, got {list(names)}")
        videos = VideoSet(videos.videos, names, name=videos.name)
    if names is not None and videos.class_names != names:
        raise ValueError(f"Expected no class names, as '{path}' has its own ({videos.class_names}), got {list(names)}")
    if folder is not None:
        videos = videos.select([_with_images(video, folder) for video in videos])
        if videos and all(video.images is None for video in videos):
            raise FileNotFoundError(f"Expected a folder of images for '{videos[0].name}' in '{images}', found none")
    return videos if like is None else _with_properties(videos, like)


def _read_coco_results(path: Path, like: VideoSet | None) -> VideoSet:
    if like is None:
        raise ValueError(f"Expected the data set that the COCO results in '{path}' are for, got none: name it")
    return read_coco_results(path, like)


def _with_images(video: Video, folder: Path) -> Video:
    """Add the images in the folder of the video's name, if its format names none."""
    if video.images is not None or not inside(folder, video.name, "the names of the videos").is_dir():
        return video
    images = frame_files(folder / video.name, IMAGE_SUFFIXES)
    if video.label_map is not None and video.frame_names is not None:
        match_frames(video.name, video.frame_names, images)  # both are in the order of their names
    if video.num_frames is not None and len(images) != video.num_frames:
        raise ValueError(
            f"Expected {video.num_frames} images of video '{video.name}' in '{folder / video.name}', got {len(images)}"
        )
    return replace(video, images=tuple(images), num_frames=len(images))


def _with_properties(videos: VideoSet, like: VideoSet) -> VideoSet:
    """Complete each video from the one of the same name in ``like``; give other videos unused ids."""
    unused = count(1 + max((video.id for video in like), default=0))
    only = like[0] if len(like) == len(videos) == 1 else None
    pairs = [(video, like.named(video.name) or only) for video in videos]
    return videos.select(
        [_complete(v, other) if other is not None else replace(v, id=next(unused)) for v, other in pairs]
    )


def _complete(video: Video, like: Video) -> Video:
    """Add the properties that the format does not store."""
    num_frames, size = video.num_frames, video.size or like.size
    if video.label_map is None and like.num_frames is not None:
        if num_frames is not None and num_frames > like.num_frames:
            raise ValueError(
                f"Expected tracks of the {like.num_frames} frames of video '{like.name}', got {num_frames} frames: "
                "they are of another video, or of another cut of it"
            )
        num_frames = like.num_frames
    load = None if video.load is None else partial(_load_extended, video.load, num_frames, size)
    names = video.frame_names or like.frame_names
    return replace(
        video, id=like.id, num_frames=num_frames, size=size, frame_names=names, fps=video.fps or like.fps, load=load
    )


def _load_extended(load: Callable[[], Tracks], num_frames: int | None, size: tuple[int, int] | None) -> Tracks:
    tracks = load()
    return replace(tracks, num_frames=max(tracks.num_frames, num_frames or 0), size=tracks.size or size)


def open_writer(path: str | Path, format: str, videos: VideoSet) -> TracksWriter:  # noqa: A002
    """Make the writer of a format for the classes of a data set.

    Args:
        path: File or folder to write.
        format: One of :data:`FORMATS` that can be written.
        videos: Data set to write, for its classes and their numbers.

    Raises:
        ValueError: If the format is unknown or is only read.
    """
    write = FORMATS[format].write if format in FORMATS else None
    if write is None:
        writable = sorted(name for name, entry in FORMATS.items() if entry.write is not None)
        raise ValueError(f"Expected a format of {writable} to write, got '{format}'")
    if format == "coco_results" and videos and all(video.num_frames == 1 for video in videos):
        write = CocoImageResultsWriter
    return write(path, videos.class_names, videos.category_ids)


def guess_format(path: str | Path) -> str:
    """Guess the format of a file or folder from its content.

    Raises:
        FileNotFoundError: If there is nothing at ``path``.
        ValueError: If the content fits no format.
    """
    path = Path(path)
    if not path.is_dir() and not path.is_file():
        raise FileNotFoundError(f"Expected a file or folder with annotations or results, found nothing at '{path}'")
    name = recognise(path)
    if name is None:
        if path.is_dir():
            content = f"it holds {sorted(entry.name for entry in path.iterdir())[:6]}"
        else:
            content = "it fits none" if path.stat().st_size else "it is empty"
        raise ValueError(
            f"Expected a known format in '{path}', could not tell which: {content}. Name a file or folder of tracks in "
            f"it, or the format: {', '.join(sorted(FORMATS))}"
        )
    return name
