"""Output folders of ``tltm-graph track``."""

from dataclasses import replace
from functools import partial
from pathlib import Path

from tltm_graph.data.video import Video, VideoSet
from tltm_graph.data.youtube_vis import read_tracks
from tltm_graph.io import read_json
from tltm_graph.structures import Tracks


def read_runs(path: str | Path) -> VideoSet:
    """The tracks that ``tltm-graph track`` wrote, of one video or of many.

    Args:
        path: An output folder with ``tracks.json`` and ``run.json``, or a folder of such folders, each called like its
            video.

    Raises:
        FileNotFoundError: If there is no such folder.
        ValueError: If no run is in it, or the runs have different classes.
    """
    root = Path(path)
    if not root.is_dir():
        raise FileNotFoundError(f"Expected a folder that tltm-graph track wrote, found none at '{path}'")
    folders = [root] if (root / "tracks.json").is_file() else sorted(p.parent for p in root.glob("*/tracks.json"))
    if not folders:
        raise ValueError(f"Expected 'tracks.json' in '{path}' or in its folders, got none")
    videos, class_names = [], None
    for number, folder in enumerate(folders, start=1):
        run = read_json(folder / "run.json", "a report of tltm-graph track")
        names = run.get("class_names") if isinstance(run, dict) else None
        if class_names is not None and names != class_names:
            raise ValueError(
                f"Expected runs of the same classes in '{path}', got other ones in '{folder.name}' than before: "
                "convert or score them one by one"
            )
        class_names = names
        load = partial(_tracks, folder / "tracks.json", run.get("frames"))
        videos.append(Video(folder.name, run.get("frames"), id=number, load=load))
    return VideoSet(videos, None if class_names is None else tuple(class_names), name=str(path))


def _tracks(path: Path, num_frames: int | None) -> Tracks:
    tracks = read_tracks(path)
    return tracks if num_frames is None else replace(tracks, num_frames=num_frames)
