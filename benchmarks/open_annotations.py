"""Opening an annotation file as large as all of YouTube-VIS: 2,883 videos, 131,000 masks.

The file is generated. Each way runs in a process of its own: ``read_youtube_vis``, and ``json.load`` as the least that
a reader could do which keeps everything.

Memory is what a process takes above its start, on Linux.

Run: python benchmarks/open_annotations.py
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from pycocotools import mask as coco_mask
from timing import machine

VIDEOS, MASKS, SIZE = 2883, 131_000, (720, 1280)

MEASURE = """
import json, re, sys, time
from pathlib import Path
import psutil
from tltm_graph.formats.youtube_vis import read_youtube_vis
Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew, without that of the imports
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


def ellipses(count: int, random: np.random.Generator) -> list[dict[str, object]]:
    """Wavy ellipses, whose encodings are about as long as those of real masks."""
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
    """Writes the file; as the official one has it, or with compressed masks."""
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
    annotations, left = [], MASKS
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


def _runs(rle: dict[str, object]) -> list[int]:
    pixels = coco_mask.decode(rle).ravel(order="F")
    edges = np.flatnonzero(np.diff(pixels)) + 1
    return np.diff([0, *edges.tolist(), len(pixels)]).tolist() if pixels[0] == 0 else [0]


def main() -> None:
    print(f"*{machine()}*\n")
    print("| masks | text, MB | way | open, s | peak memory, MB | held afterwards, MB | all tracks then, s |")
    print("|---|--:|---|--:|--:|--:|--:|")
    with tempfile.TemporaryDirectory() as folder:
        for name, uncompressed in (("compressed", False), ("uncompressed, as official", True)):
            path = Path(folder) / "instances.json"
            generate(path, uncompressed)
            for way, key in (("json.load", "json"), ("read_youtube_vis", "ours")):
                done = subprocess.run(
                    [sys.executable, "-c", MEASURE, key, str(path)], capture_output=True, text=True, check=True
                )
                seconds, peak, held, later, masks = json.loads(done.stdout)
                assert key == "json" or masks == MASKS
                after = f"{later:.1f}" if key == "ours" else ""
                size = path.stat().st_size / 2**20
                print(f"| {name} | {size:.0f} | {way} | {seconds:.1f} | {peak:.0f} | {held:.0f} | {after} |")


if __name__ == "__main__":
    main()
