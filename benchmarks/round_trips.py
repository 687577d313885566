"""Properties of tracks that are lost in a conversion between any two formats that can be written.

Two generated videos are written in the first format, read, written in the second, read, and compared with the original.
Their tracks have overlapping masks, boxes that are not tight, scores, classes, gaps, late starts and empty last frames.
Formats without the length of a video or the names of classes are read with the original data set (``--like``). An empty
cell means that everything came back, bit for bit.

Run: python benchmarks/round_trips.py
"""

import tempfile
from pathlib import Path

import numpy as np
import torch

from tltm_graph.formats import FORMATS, Video, VideoSet, map_classes, open_videos, open_writer
from tltm_graph.ops import decode_rle, encode_rle
from tltm_graph.ops.rle import rle_to_box
from tltm_graph.structures import Observation, Track, Tracks

CLASSES = ("car", "pedestrian")
SIZE = (48, 64)

_JSON = ("youtube_vis", "youtube_vis_results", "tltm", "bdd100k", "coco_results")
SUFFIX = dict.fromkeys(_JSON, ".json") | {"csv": ".csv"}
"""Suffix of formats that are one file; the others are folders."""

STILL = {"coco"}
"""Formats of still images."""


def written_formats() -> list[str]:
    """Names of the formats that videos can be written in."""
    return [name for name, entry in FORMATS.items() if entry.write is not None and name not in STILL]


def generated_videos() -> VideoSet:
    """Generate two short videos of three objects each."""
    return VideoSet(
        [_video(name, number) for number, name in enumerate(("first", "second"), start=1)], CLASSES, name="generated"
    )


def _video(name: str, number: int) -> Video:
    random = np.random.default_rng(number)
    rows = []
    for track_id in (3 * number - 2, 3 * number - 1, 3 * number):
        y, x = (int(random.integers(side - 20)) for side in SIZE)
        for frame in range(int(random.integers(2)), 7):
            if random.random() < 0.8:
                mask = torch.zeros(1, *SIZE, dtype=torch.bool)
                top, left = y + int(random.integers(4)), x + frame
                mask[0, top : top + 14, left : left + 12] = True
                rle = encode_rle(mask)[0]
                x0, y0, width, height = rle_to_box(rle)
                box = (x0 + 0.25, y0 - 0.1, x0 + width + 0.3, y0 + height + 0.7)
                rows.append((frame, Observation(track_id, box, float(random.random()), track_id % 2, rle)))
    tracks = Tracks.from_observations(rows, SIZE, 8)
    stems = tuple(f"{frame:05d}" for frame in range(8))
    return Video(name, 8, SIZE, number, frame_names=stems, load=lambda: tracks)


def through(videos: VideoSet, name: str, folder: Path, like: VideoSet) -> VideoSet:
    """Write videos in a format and read them again."""
    path = folder / f"{name}{SUFFIX.get(name, '')}"
    with open_writer(path, name, videos) as writer:
        for video in videos:
            writer.begin(video)
            for frame, observations in video.tracks().observations():
                writer.write(frame, observations)
    back = open_videos(path, name, like=like)
    assert like.class_names is not None
    if back.class_names == like.class_names or not set(back.class_names or ()) & set(like.class_names):
        return back
    return map_classes(back, {name: name for name in like.class_names}, like.class_names)


def lost(original: VideoSet, back: VideoSet) -> set[str]:
    """Properties that differ."""
    missing: set[str] = set()
    if [video.name for video in original] != [video.name for video in back]:
        return {"names"}
    for video, other in zip(original, back, strict=True):
        before, after = video.tracks(), other.tracks()
        if before.num_frames != after.num_frames:
            missing.add("length")
        if list(before) != list(after):
            missing.add("ids")
        partner = dict(zip(_in_order(before), _in_order(after), strict=True))
        for track_id, track in before.items():
            track_back = after[partner[track_id]]
            if track_back.masks is None:
                missing.add("masks")
            elif track_back.masks != track.masks:
                missing.add("overlap" if _only_shared_pixels_gone(before, track_id, track_back) else "masks")
            if track_back.boxes != track.boxes:
                missing.add("boxes")
            if track_back.scores != track.scores:
                missing.add("score of each frame" if abs(track_back.score - track.score) < 1e-12 else "scores")
            if _names(original, track.labels) != _names(back, track_back.labels):
                missing.add("classes")
    return missing


def _in_order(tracks: Tracks) -> list[int]:
    return sorted(tracks, key=lambda track_id: (tracks[track_id].frames, tracks[track_id].boxes))


def _only_shared_pixels_gone(before: Tracks, track_id: int, track_back: Track) -> bool:
    """True if all missing pixels of a track are shared with another track."""
    assert track_back.masks is not None
    for frame, mask in zip(track_back.frames, track_back.masks, strict=True):
        objects = before.at(frame)
        assert objects.ids is not None
        assert objects.masks is not None
        own = objects.ids == track_id
        gone = objects.masks[own][0] & ~decode_rle([mask], SIZE)[0]
        if (gone & ~objects.masks[~own].any(dim=0)).any():
            return False
    return True


def _names(videos: VideoSet, labels: tuple[int, ...]) -> list[str]:
    return [videos.class_names[label] if videos.class_names else "" for label in labels]


def measure() -> dict[tuple[str, str], set[str]]:
    """Lost properties for each pair of formats."""
    original = generated_videos()
    names = written_formats()
    cells = {}
    for first in names:
        with tempfile.TemporaryDirectory() as folder:
            converted = through(original, first, Path(folder), original)
            for second in names:
                with tempfile.TemporaryDirectory() as other:
                    try:
                        cells[first, second] = lost(original, through(converted, second, Path(other), original))
                    except ValueError as error:
                        needs = "masks" if "mask" in str(error) else "classes" if "class" in str(error) else str(error)
                        cells[first, second] = {f"refused: it needs {needs}"}
    return cells


def main() -> None:
    cells = measure()
    names = list(dict.fromkeys(first for first, _ in cells))
    properties = sorted(set().union(*cells.values()))
    letter = {name: chr(ord("a") + number) for number, name in enumerate(properties)}
    print("; ".join(f"**{letter[name]}** {name}" for name in properties) + "\n")
    print("| first \\\\ second | " + " | ".join(names) + " |\n|---|" + "---|" * len(names))
    for first in names:
        row = ["".join(sorted(letter[name] for name in cells[first, second])) for second in names]
        print(f"| {first} | " + " | ".join(row) + " |")


if __name__ == "__main__":
    main()
