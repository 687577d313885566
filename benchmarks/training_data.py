"""Speed of making training data: frame pairs, and simulated sequences for the association head.

Frame pairs of rendered scenes, JPEG videos and still images are sampled, flipped and resized as in the published
training, in one process. The JPEG videos are frames of the same scenes with YouTube-VIS annotations; still
images are those of ``--images``, else frames of those videos. Simulated sequences take one thread.

Run: python benchmarks/training_data.py [--images ../shared/data/coco128-seg] [--pairs 30] [--sequences 100]
"""

import argparse
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from statistics import fmean

import numpy as np
import torch
from PIL import Image

from benchmarks.timing import machine
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
from tltm_graph.synthetic import simulate_motion
from tltm_graph.synthetic.simulated_motion import SimulatedDetector
from tltm_graph.synthetic.streets import draw_street
from tltm_graph.synthetic.worlds import draw_blobs

SIZE, NUM_FRAMES = (720, 1280), 12
SIMULATED_FRAMES, FPS = 130, 15.0
RESIZE = ResizePair()


def write_videos(scenes: list[MovingShapes], folder: Path) -> Path:
    """Write the frames of scenes as JPEG, with one annotation file."""
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
    """Mean milliseconds of one call."""
    begin = time.perf_counter()
    for number in range(count):
        function(number)
    return 1000 * (time.perf_counter() - begin) / count


def pair_row(name: str, source: PairDataset, count: int) -> None:
    """Print pairs per second and the time of each step."""
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


def simulation_rows(count: int) -> None:
    """Print the time of simulated worlds, of their detections, and of whole sequences."""

    def print_row(name: str, ms: float, objects: list[float]) -> None:
        print(f"| {name} | {fmean(objects):.1f} | {ms:.1f} | {1000 / ms:.0f} |", flush=True)

    simulate_motion(0)  # imports
    for name, draw in (("people and cars", draw_street), ("blobs", draw_blobs)):
        worlds = [draw(np.random.default_rng(seed), SIMULATED_FRAMES, FPS) for seed in range(count)]
        ms = milliseconds(lambda seed, draw=draw: draw(np.random.default_rng(seed), SIMULATED_FRAMES, FPS), count)
        print_row(name, ms, [float(world.present.sum(axis=1).mean()) for world in worlds])
        objects: list[float] = []

        def detect(seed: int, worlds: list = worlds, objects: list[float] = objects) -> None:
            rng = np.random.default_rng(seed)
            detected = SimulatedDetector.draw(rng, worlds[seed].size[0]).detect(rng, worlds[seed])
            objects.append(len(detected) / SIMULATED_FRAMES)

        print_row(f"detections of {name}", milliseconds(detect, count), objects)
    sizes: list[float] = []
    ms = milliseconds(lambda seed: sizes.extend(map(len, simulate_motion(seed, SIMULATED_FRAMES).frames)), count)
    print_row("`simulate_motion`", ms, sizes)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--images", type=Path, default=Path("../shared/data/coco128-seg"), help="(default: %(default)s)"
    )
    parser.add_argument("--pairs", type=int, default=30, help="(default: %(default)s)")
    parser.add_argument("--sequences", type=int, default=100, help="(default: %(default)s)")
    arguments = parser.parse_args()
    scenes = [MovingShapes(NUM_FRAMES, SIZE, seed=seed) for seed in range(2)]
    print(f"\n*{machine()}*\n")
    print("| pairs of | first one, H×W | objects per frame | pairs/s | read, ms | move, ms | flip, ms | resize, ms |")
    print("|---|--:|--:|--:|--:|--:|--:|--:|")
    pair_row("rendered scenes", VideoPairs(scenes), arguments.pairs)
    with tempfile.TemporaryDirectory() as folder:
        videos = annotated_videos(read_youtube_vis(write_videos(scenes, Path(folder)), folder))
        pair_row("JPEG videos", VideoPairs(videos), arguments.pairs)
        if arguments.images.is_dir():
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # two label files have no image
                pair_row(
                    "still images of COCO",
                    StillPairs(annotated_videos(read_yolo(arguments.images, COCO))),
                    arguments.pairs,
                )
        else:
            pair_row("still images", StillPairs(videos), arguments.pairs)
    torch.set_num_threads(1)
    print(f"\n*{machine()}*\n\n| {SIMULATED_FRAMES} frames of | objects per frame | ms | per second |")
    print("|---|--:|--:|--:|")
    simulation_rows(arguments.sequences)


if __name__ == "__main__":
    main()
