"""What survives the way through two formats: every format that can be written, with every other.

Two made-up videos with all that tracks may have (masks that overlap in places, boxes that are not the tight ones,
scores, classes, gaps, late starts, frames without objects at the end) are written in the first format, read, written in
the second, read, and compared with what they were. Formats that do not say how long a video is, or what its classes are
called, are read with the data set at hand. Nothing in a cell means that everything came back, to the last bit.

Run: python benchmarks/round_trips.py
"""

import tempfile
from pathlib import Path

import numpy as np
import torch

from tltm_graph.formats import FORMATS, Video, VideoSet, map_classes, open_videos, open_writer
from tltm_graph.ops import decode_rle, encode_rle, rle_to_box
from tltm_graph.structures import Observation, Track, Tracks

CLASSES = ("car", "pedestrian")
SIZE = (48, 64)

SUFFIX = {"youtube_vis_results": ".json", "youtube_vis": ".json", "tltm": ".json", "bdd100k": ".json"} | {
    "coco_results": ".json",
    "csv": ".csv",
}
"""Formats that are one file; the others are folders."""

STILL = {"coco"}
"""Formats of still images, into which no video goes."""


def made_up_videos() -> VideoSet:
    """Two short videos of three objects each."""
    return VideoSet(
        [_video(name, number) for number, name in enumerate(("first", "second"), start=1)], CLASSES, name="made up"
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
    """The videos after they were written in a format and read again."""
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
    """What is not the same any more."""
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
            found = after[partner[track_id]]
            if found.masks is None:
                missing.add("masks")
            elif found.masks != track.masks:
                missing.add("overlap" if _only_shared_pixels_gone(before, track_id, found) else "masks")
            if found.boxes != track.boxes:
                missing.add("boxes")
            if found.scores != track.scores:
                missing.add("score of each frame" if abs(found.score - track.score) < 1e-12 else "scores")
            if _names(original, track.labels) != _names(back, found.labels):
                missing.add("classes")
    return missing


def _in_order(tracks: Tracks) -> list[int]:
    return sorted(tracks, key=lambda track_id: (tracks[track_id].frames, tracks[track_id].boxes))


def _only_shared_pixels_gone(before: Tracks, track_id: int, found: Track) -> bool:
    """Whether what a track has lost were pixels that it shared with another one."""
    assert found.masks is not None
    for frame, mask in zip(found.frames, found.masks, strict=True):
        seen = before.at(frame)
        assert seen.ids is not None
        assert seen.masks is not None
        mine = seen.ids == track_id
        gone = seen.masks[mine][0] & ~decode_rle([mask], SIZE)[0]
        if (gone & ~seen.masks[~mine].any(dim=0)).any():
            return False
    return True


def _names(videos: VideoSet, labels: tuple[int, ...]) -> list[str]:
    return [videos.class_names[label] if videos.class_names else "" for label in labels]


def measure() -> dict[tuple[str, str], set[str]]:
    """What is lost on the way through each pair of formats."""
    original = made_up_videos()
    names = [name for name, known in FORMATS.items() if known.write is not None and name not in STILL]
    cells = {}
    for first in names:
        with tempfile.TemporaryDirectory() as folder:
            halfway = through(original, first, Path(folder), original)
            for second in names:
                with tempfile.TemporaryDirectory() as other:
                    try:
                        cells[first, second] = lost(original, through(halfway, second, Path(other), original))
                    except ValueError as error:
                        needs = "masks" if "mask" in str(error) else "classes" if "class" in str(error) else str(error)
                        cells[first, second] = {f"refused: it needs {needs}"}
    return cells


def main() -> None:
    cells = measure()
    names = list(dict.fromkeys(first for first, _ in cells))
    everything = sorted({what for cell in cells.values() for what in cell})
    letter = {what: chr(ord("a") + number) for number, what in enumerate(everything)}
    print("; ".join(f"**{letter[what]}** {what}" for what in everything) + "\n")
    print("| first \\\\ second | " + " | ".join(names) + " |\n|---|" + "---|" * len(names))
    for first in names:
        row = ["".join(sorted(letter[what] for what in cells[first, second])) for second in names]
        print(f"| {first} | " + " | ".join(row) + " |")


if __name__ == "__main__":
    main()
