"""Training pairs a second from rendered scenes, JPEG videos and still images, and what bounds them.

Every pair is drawn, mirrored and resized as in the published training, by one process. Rendered scenes are drawn when
asked for; the JPEG videos are frames of the same scenes, written with YouTube-VIS annotations to a temporary folder;
still images are COCO's where they are at hand, else frames of those videos.

Run: python benchmarks/frame_pairs.py [--images ../shared/data/coco128-seg] [--pairs 30]
"""

import argparse
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from statistics import fmean

import torch
from PIL import Image
from timing import machine

from tltm_graph import MovingShapes, Tracks
from tltm_graph.formats import COCO, Video
from tltm_graph.formats.yolo import read_yolo
from tltm_graph.formats.youtube_vis import YoutubeVisWriter, read_youtube_vis
from tltm_graph.frame_pairs import (
    FlipPair,
    HallucinatedMotion,
    PairStream,
    ResizePair,
    StillPairs,
    VideoPairs,
    annotated_videos,
)
from tltm_graph.frame_pairs.datasets import PairDataset
from tltm_graph.frame_pairs.sampling import seeded_generator
from tltm_graph.structures import Detections, FramePair

SIZE, NUM_FRAMES = (720, 1280), 12
RESIZE = ResizePair()


def write_videos(scenes: list[MovingShapes], folder: Path) -> Path:
    """Frames as JPEG and one annotation file."""
    path = folder / "instances.json"
    with YoutubeVisWriter(path, scenes[0].class_names) as writer:
        for number, scene in enumerate(scenes):
            (folder / f"scene{number}").mkdir()
            images = tuple(folder / f"scene{number}" / f"{t:05d}.jpg" for t in range(len(scene)))
            for t, image in enumerate(images):
                Image.fromarray(scene.frame(t).image.permute(1, 2, 0).numpy()).save(image, quality=90)
            names = tuple(image.stem for image in images)
            writer.begin(Video(f"scene{number}", len(scene), SIZE, number + 1, images, names))
            tracks = Tracks.from_stream(((t, scene.truth(t)) for t in range(len(scene))), SIZE, len(scene))
            for frame, observations in tracks.observations():
                writer.write(frame, observations)
    return path


def unmoved(image: torch.Tensor, truth: Detections, generator: torch.Generator) -> tuple[torch.Tensor, Detections]:
    return image, truth


def milliseconds(function: Callable[[int], object], count: int) -> float:
    begin = time.perf_counter()
    for number in range(count):
        function(number)
    return 1000 * (time.perf_counter() - begin) / count


def row(name: str, source: PairDataset, count: int) -> None:
    """One line: pairs a second of the whole, and what each step takes."""
    read_only = StillPairs(source.videos, unmoved) if isinstance(source, StillPairs) else source
    starts = [number * len(source) // count for number in range(count)]
    pairs: list[FramePair] = [source.pair(start, seeded_generator(start)) for start in starts]
    read = milliseconds(lambda n: read_only.pair(starts[n], seeded_generator(n)), count)
    motion = HallucinatedMotion()
    moved = (
        milliseconds(lambda n: motion(pairs[n].previous_image, pairs[n].previous, seeded_generator(n)), count)
        if isinstance(source, StillPairs)
        else 0.0
    )
    flipped = milliseconds(lambda n: FlipPair()(pairs[n], seeded_generator(n)), count)
    resized = milliseconds(lambda n: RESIZE(pairs[n], seeded_generator(n)), count)
    stream = PairStream([source], transforms=[FlipPair(), RESIZE])
    whole = milliseconds(lambda n: stream[n], count)
    objects = fmean(len(truth) for pair in pairs for truth in (pair.previous, pair.current))
    height, width = pairs[0].current_image.shape[1:]
    print(
        f"| {name} | {height}×{width} | {objects:.1f} | {1000 / whole:.1f} | {read:.0f} | {moved:.0f} | {flipped:.0f} "
        f"| {resized:.0f} |",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--images", type=Path, default=Path("../shared/data/coco128-seg"), help="(default: %(default)s)"
    )
    parser.add_argument("--pairs", type=int, default=30, help="(default: %(default)s)")
    arguments = parser.parse_args()
    scenes = [MovingShapes(NUM_FRAMES, SIZE, seed=seed) for seed in range(2)]
    print(f"\n*{machine()}*\n")
    print("| pairs of | first one, H×W | objects a frame | pairs/s | read, ms | move, ms | flip, ms | resize, ms |")
    print("|---|--:|--:|--:|--:|--:|--:|--:|")
    row("rendered scenes", VideoPairs(scenes), arguments.pairs)
    with tempfile.TemporaryDirectory() as folder:
        videos = annotated_videos(read_youtube_vis(write_videos(scenes, Path(folder)), folder))
        row("JPEG videos", VideoPairs(videos), arguments.pairs)
        if arguments.images.is_dir():
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # two texts there have no image
                row(
                    "still images of COCO",
                    StillPairs(annotated_videos(read_yolo(arguments.images, COCO))),
                    arguments.pairs,
                )
        else:
            row("still images", StillPairs(videos), arguments.pairs)


if __name__ == "__main__":
    main()
