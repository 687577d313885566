"""Output folders of ``tltm-graph track``."""

from dataclasses import replace
from functools import partial
from pathlib import Path

from tltm_graph.formats.annotations import is_integer
from tltm_graph.formats.class_maps import map_classes, same_classes
from tltm_graph.formats.video import Video, VideoSet
from tltm_graph.formats.youtube_vis_results import read_tracks
from tltm_graph.io.text import read_json, shown
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
    reports = [read_json(folder / "run.json", "a report of tltm-graph track") for folder in folders]
    for folder, report in zip(folders, reports, strict=True):
        if not isinstance(report, dict) or not is_integer(report.get("frames")) or report["frames"] < 0:
            raise ValueError(
                f"Expected a report of tltm-graph track with the number of 'frames' in '{folder / 'run.json'}', got "
                f"{shown(report)}"
            )
        check_length(report["frames"], f"'{folder / 'run.json'}'")
        names = report.get("class_names") or []
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise ValueError(f"Expected 'class_names' as texts in '{folder / 'run.json'}', got {shown(names)}")
    names_by_run = [tuple(report.get("class_names") or ()) for report in reports]
    if len({bool(names) for names in names_by_run}) > 1:
        raise ValueError(f"Expected class names in all runs of '{path}' or in none, got them in some")
    class_names = tuple(dict.fromkeys(name for names in names_by_run for name in names))
    videos = []
    for number, (folder, report) in enumerate(zip(folders, reports, strict=True), start=1):
        load = partial(_read_tracks, folder / "tracks.json", report["frames"])
        videos.append(Video(folder.resolve().name, report["frames"], id=number, load=load))
    if not class_names:
        return VideoSet(videos, name=str(path))
    sets = [
        map_classes(VideoSet([video], names), same_classes(names), class_names)
        for video, names in zip(videos, names_by_run, strict=True)
    ]
    return VideoSet([video for (video,) in sets], class_names, name=str(path))


def _read_tracks(path: Path, num_frames: int) -> Tracks:
    tracks = read_tracks(path)
    if tracks and tracks.num_frames != num_frames:
        raise ValueError(
            f"Expected tracks over the {num_frames} frames of 'run.json', got {tracks.num_frames} in '{path}': the two "
            "files are of different runs"
        )
    return replace(tracks, num_frames=num_frames)
