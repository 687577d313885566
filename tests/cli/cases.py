"""Files of small data sets and of predictions for them."""

from dataclasses import replace
from pathlib import Path

from tests.cases import names_in
from tests.metrics.evaluation_cases import SIZE, disturbed, true_scene
from tltm_graph.cli import main
from tltm_graph.formats import Video, VideoSet, open_writer
from tltm_graph.structures import Tracks

CLASSES = ("cat", "dog", "bird")


def video_set(tracks: dict[str, Tracks], class_names: tuple[str, ...] | None = CLASSES) -> VideoSet:
    """A set of videos of these tracks, with names of frames."""
    videos = [
        Video(
            name,
            t.num_frames,
            t.size,
            number,
            frame_names=tuple(f"{frame:05d}" for frame in range(t.num_frames)),
            load=lambda t=t: t,
        )
        for number, (name, t) in enumerate(tracks.items(), start=1)
    ]
    return VideoSet(videos, class_names)


def write_videos(path: Path, form: str, videos: VideoSet) -> Path:
    """Writes the videos in a format; returns the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open_writer(path, form, videos) as writer:
        for video in videos:
            writer.begin(video)
            for frame, observations in video.tracks().observations():
                writer.write(frame, observations)
    return path


def numbered(tracks: Tracks, first: int = 1) -> Tracks:
    """Ids counted from ``first``, in the order in which the objects appear."""
    by_time = sorted(tracks.values(), key=lambda track: track.frames[0])
    return replace(tracks, tracks=dict(enumerate(by_time, start=first)))


def of_one_class_each(tracks: Tracks) -> Tracks:
    """Every track with the class that it is most often of."""
    kept = {i: replace(track, labels=(track.label,) * len(track)) for i, track in tracks.items()}
    return replace(tracks, tracks=kept)


def scenes(count: int = 3) -> tuple[dict[str, Tracks], dict[str, Tracks]]:
    """True and predicted tracks of ``a``, ``b``, ``c``, …; ids as in label maps."""
    truth = {chr(ord("a") + seed): numbered(true_scene(seed, num_frames=4 + seed)) for seed in range(count)}
    found = {name: numbered(disturbed(tracks, seed + 50)) for seed, (name, tracks) in enumerate(truth.items())}
    return truth, found


def boxes_only(tracks: Tracks) -> Tracks:
    """The same without masks."""
    return replace(tracks, tracks={i: replace(track, masks=None) for i, track in tracks.items()})


NOTHING = Tracks({}, SIZE, 4)


def failed(capsys, *arguments: object) -> str:
    """Runs what must fail; returns its one line."""
    assert main([str(argument) for argument in arguments]) == 1
    captured = capsys.readouterr()
    lines = [line for line in captured.err.replace("\r", "\n").splitlines() if line.strip() and "videos/s" not in line]
    lines = [line for line in lines if not line.startswith(("scoring:", "converting:", "looking:"))]
    assert len(lines) == 1, captured.err
    assert lines[0].startswith("error: ")
    assert captured.out == ""
    return lines[0]


def files(folder: Path) -> set[str]:
    """Names of the files in a folder."""
    return set(names_in(folder)) if folder.exists() else set()
