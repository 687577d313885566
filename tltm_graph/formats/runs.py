"""Output folders of ``tltm-graph track``."""

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Self

from tltm_graph.formats.class_maps import map_classes, same_classes
from tltm_graph.formats.video import Video, VideoSet
from tltm_graph.formats.youtube_vis_results import read_tracks
from tltm_graph.io.json_schema import class_names_field, field, integer
from tltm_graph.io.text import read_json
from tltm_graph.limits import check_length
from tltm_graph.structures import Tracks


def read_runs(path: str | Path) -> VideoSet:
    """Open the tracks that ``tltm-graph track`` wrote, of one video or of many.

    Runs may have different classes. The classes of the set are those of all runs together, by name.

    Args:
        path: Output folder with ``tracks.json`` and ``run.json`` (or this ``tracks.json``), or a folder of such
            folders, each named like its video.

    Raises:
        FileNotFoundError: If there is no such folder.
        ValueError: If it contains no run, a file is damaged, or only some runs have class names. If tracks and report
            are of different runs, the error is raised when the tracks of the video are read.
    """
    root = Path(path)
    if root.name == "tracks.json":
        root = root.parent
    if not root.is_dir():
        raise FileNotFoundError(f"Expected a folder that tltm-graph track wrote, found none at '{path}'")
    folders = [root] if (root / "tracks.json").is_file() else sorted(p.parent for p in root.glob("*/tracks.json"))
    if not folders:
        raise ValueError(f"Expected 'tracks.json' in '{path}' or in its folders, got none")
    reports = [_Report.read(folder / "run.json") for folder in folders]
    names_by_run = [report.class_names for report in reports]
    if len({bool(names) for names in names_by_run}) > 1:
        raise ValueError(f"Expected class names in all runs of '{path}' or in none, got them in some")
    class_names = tuple(dict.fromkeys(name for names in names_by_run for name in names))
    videos = []
    for number, (folder, report) in enumerate(zip(folders, reports, strict=True), start=1):
        load = partial(_read_tracks, folder / "tracks.json", report.frames)
        videos.append(Video(folder.resolve().name, report.frames, id=number, load=load))
    if not class_names:
        return VideoSet(videos, name=str(path))
    sets = [
        map_classes(VideoSet([video], names), same_classes(names), class_names)
        for video, names in zip(videos, names_by_run, strict=True)
    ]
    return VideoSet([video for (video,) in sets], class_names, name=str(path))


@dataclass(frozen=True)
class _Report:
    """Values of ``run.json`` that are read."""

    frames: int
    class_names: tuple[str, ...]

    @classmethod
    def read(cls, path: Path) -> Self:
        values, where = read_json(path, "a report of tltm-graph track"), f"the report '{path}'"
        frames = field(values, "frames", integer(), where)
        check_length(frames, where)
        names = class_names_field({"class_names": None} | values, where) or ()
        if len(set(names)) < len(names):
            raise ValueError(f"Expected different 'class_names' in {where}, got one twice: the file is of other code")
        return cls(frames, names)


def _read_tracks(path: Path, num_frames: int) -> Tracks:
    tracks = read_tracks(path)
    if tracks and tracks.num_frames != num_frames:
        raise ValueError(
            f"Expected tracks over the {num_frames} frames of 'run.json', got {tracks.num_frames} in '{path}': the two "
            "files are of different runs"
        )
    return replace(tracks, num_frames=num_frames)
