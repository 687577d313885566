"""Memory and time of opening a large annotation file, and memory of the writers while a video grows.

Opening: a generated file of the size of YouTube-VIS, 2,883 videos with 131,000 masks. Each reader runs in a process of
its own: ``read_youtube_vis``, and ``json.load``, the minimum of a reader that keeps everything. Memory is that of the
process above its start, on Linux.

Writers: 20 objects of 640×360 pixels in 500 and in 5,000 frames. Memory is the peak of Python and NumPy above that
before the first frame.

Run: python benchmarks/annotation_memory.py
"""

import json
import subprocess
import sys
import tempfile
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pycocotools import mask as coco_mask

from benchmarks.round_trips import SUFFIX, written_formats
from benchmarks.timing import machine
from tltm_graph.formats import Video, VideoSet, open_writer
from tltm_graph.ops import encode_rle
from tltm_graph.structures import Observation

VIDEOS, MASKS, SIZE = 2883, 131_000, (720, 1280)
OBJECTS, LIFETIME, WRITTEN_SIZE = 20, 250, (360, 640)

MEASURE = """
import json, re, sys, time
from pathlib import Path
import psutil
from tltm_graph.formats.youtube_vis import read_youtube_vis
Path("/proc/self/clear_refs").write_text("5")  # reset the peak after the imports
before = psutil.Process().memory_info().rss / 2**20
begin = time.perf_counter()
opened = json.load(open(sys.argv[2])) if sys.argv[1] == "json" else read_youtube_vis(sys.argv[2])
seconds = time.perf_counter() - begin
peak = int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024 - before
now = psutil.Process().memory_info().rss / 2**20 - before
begin = time.perf_counter()
masks = sum(len(track) for video in opened for track in video.tracks().values()) if sys.argv[1] == "ours" else 0
print(json.dumps([seconds, peak, now, time.perf_counter() - begin, masks]))
"""


def ellipses(count: int, random: np.random.Generator) -> list[dict[str, Any]]:
    """Encode wavy ellipses, about as long as encodings of real masks."""
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    rles = []
    for _ in range(count):
        angle = np.arctan2(y - random.uniform(200, 500), x - random.uniform(300, 900))
        radius = np.hypot(y - random.uniform(200, 500), x - random.uniform(300, 900))
        mask = radius < random.uniform(60, 200) * (1 + 0.1 * np.sin(9 * angle))
        rle = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
        rles.append({"size": list(SIZE), "counts": rle["counts"].decode()})
    return rles


def generate(path: Path, uncompressed: bool) -> None:
    """Write the file, with uncompressed masks as in the official one, or compressed."""
    random = np.random.default_rng(0)
    rles = ellipses(100, random)
    if uncompressed:
        rles = [{**rle, "counts": _runs(rle)} for rle in rles]
    videos = [
        {
            "id": v + 1,
            "height": SIZE[0],
            "width": SIZE[1],
            "length": 30,
            "file_names": [f"{v:010x}/{t:05d}.jpg" for t in range(30)],
        }
        for v in range(VIDEOS)
    ]
    annotations: list[dict[str, Any]] = []
    left = MASKS
    while left:
        number = len(annotations)
        length = min(left, int(random.integers(20, 31)))
        chosen = [rles[i] for i in random.integers(len(rles), size=length)] + [None] * (30 - length)
        annotations.append(
            {
                "id": number + 1, "video_id": number % VIDEOS + 1, "category_id": int(random.integers(1, 41)),
                "iscrowd": 0, "height": SIZE[0], "width": SIZE[1], "length": 30, "segmentations": chosen,
                "bboxes": [None if m is None else [400.0, 300.0, 200.0, 200.0] for m in chosen],
                "areas": [None if m is None else 30000 for m in chosen],
            }
        )  # fmt: skip
        left -= length
    categories = [{"id": c, "name": f"class{c}"} for c in range(1, 41)]
    path.write_text(json.dumps({"videos": videos, "categories": categories, "annotations": annotations}))


def _runs(rle: dict[str, Any]) -> list[int]:
    pixels = coco_mask.decode(rle).ravel(order="F")
    edges = np.flatnonzero(np.diff(pixels)) + 1
    return np.diff([0, *edges.tolist(), len(pixels)]).tolist() if pixels[0] == 0 else [0]


def observations(frame: int, rles: list) -> list[Observation]:
    """Objects side by side, replaced by new ones after :data:`LIFETIME` frames."""
    return [
        Observation(
            1 + slot + OBJECTS * (frame // LIFETIME), (30.0 * slot, 0.0, 30.0 * slot + 25, 300.0), 0.5, slot % 2, rle
        )
        for slot, rle in enumerate(rles)
    ]


def writer_peak(name: str, num_frames: int) -> float:
    """Peak memory of a writer in MB."""
    masks = torch.zeros(OBJECTS, *WRITTEN_SIZE, dtype=torch.bool)
    for slot in range(OBJECTS):
        masks[slot, 3 * slot : 300, 30 * slot : 30 * slot + 25] = True
    rles = encode_rle(masks)
    videos = VideoSet([Video("stream", num_frames, WRITTEN_SIZE)], ("car", "pedestrian"))
    with tempfile.TemporaryDirectory() as folder:
        writer = open_writer(Path(folder) / f"out{SUFFIX.get(name, '')}", name, videos)
        tracemalloc.start()
        with writer:
            writer.begin(videos[0])
            for frame in range(num_frames):
                writer.write(frame, observations(frame, rles))
        _, peak_bytes = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    return peak_bytes / 2**20


def print_opening() -> None:
    print("| masks | text, MB | reader | open, s | peak memory, MB | held afterwards, MB | all tracks then, s |")
    print("|---|--:|---|--:|--:|--:|--:|")
    with tempfile.TemporaryDirectory() as folder:
        for name, uncompressed in (("compressed", False), ("uncompressed, as official", True)):
            path = Path(folder) / "instances.json"
            generate(path, uncompressed)
            for reader, key in (("json.load", "json"), ("read_youtube_vis", "ours")):
                done = subprocess.run(
                    [sys.executable, "-c", MEASURE, key, str(path)], capture_output=True, text=True, check=True
                )
                seconds, peak, held, later, masks = json.loads(done.stdout)
                assert key == "json" or masks == MASKS
                after = f"{later:.1f}" if key == "ours" else ""
                size = path.stat().st_size / 2**20
                print(f"| {name} | {size:.0f} | {reader} | {seconds:.1f} | {peak:.0f} | {held:.0f} | {after} |")


def main() -> None:
    print(f"*{machine()}*\n")
    print_opening()
    print("\n| format | 500 frames, MB | 5,000 frames, MB |\n|---|--:|--:|")
    for name in written_formats():
        print(f"| {name} | {writer_peak(name, 500):.1f} | {writer_peak(name, 5000):.1f} |", flush=True)


if __name__ == "__main__":
    main()
