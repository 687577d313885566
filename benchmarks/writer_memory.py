"""Memory of every writer while a video grows: 20 objects of 640×360 pixels in 500 and in 5,000 frames.

What is counted is what Python and NumPy hold at most, above what they held before the first frame.

Run: python benchmarks/writer_memory.py
"""

import tempfile
import tracemalloc
from pathlib import Path

import torch

from benchmarks.round_trips import STILL, SUFFIX
from benchmarks.timing import machine
from tltm_graph.formats import FORMATS, Video, VideoSet, open_writer
from tltm_graph.ops import encode_rle
from tltm_graph.structures import Observation

SIZE, OBJECTS, LIFE = (360, 640), 20, 250


def observations(frame: int, rles: list) -> list[Observation]:
    """Objects beside each other, replaced by new ones after ten seconds."""
    return [
        Observation(
            1 + slot + OBJECTS * (frame // LIFE), (30.0 * slot, 0.0, 30.0 * slot + 25, 300.0), 0.5, slot % 2, rle
        )
        for slot, rle in enumerate(rles)
    ]


def peak(name: str, num_frames: int) -> float:
    """Megabytes that writing takes at most."""
    masks = torch.zeros(OBJECTS, *SIZE, dtype=torch.bool)
    for slot in range(OBJECTS):
        masks[slot, 3 * slot : 300, 30 * slot : 30 * slot + 25] = True
    rles = encode_rle(masks)
    videos = VideoSet([Video("stream", num_frames, SIZE)], ("car", "pedestrian"))
    with tempfile.TemporaryDirectory() as folder:
        writer = open_writer(Path(folder) / f"out{SUFFIX.get(name, '')}", name, videos)
        tracemalloc.start()
        with writer:
            writer.begin(videos[0])
            for frame in range(num_frames):
                writer.write(frame, observations(frame, rles))
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    return most / 2**20


def main() -> None:
    print(f"*{machine()}*\n")
    print("| format | 500 frames, MB | 5,000 frames, MB |\n|---|--:|--:|")
    for name, known in FORMATS.items():
        if known.write is not None and name not in STILL:
            print(f"| {name} | {peak(name, 500):.1f} | {peak(name, 5000):.1f} |", flush=True)


if __name__ == "__main__":
    main()
