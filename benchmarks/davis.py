"""J and F of DAVIS from PNG files, compared with a transcription of the official code: time, peak memory, values.

Run: python benchmarks/davis.py [--truth FOLDER --results FOLDER] [--instances FOLDER]

Each measurement runs in a process of its own, in turns. Time and peak memory exclude imports. In the first table all
objects of a video count as one, as in DAVIS 2016. Without arguments the sequences are generated: moving ellipses at
854×480.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import psutil
from PIL import Image

from benchmarks.timing import machine
from tests.metrics import official_davis
from tltm_graph.metrics.davis import DavisSemiSupervised, DavisUnsupervised

SIZE = (480, 854)

Maps = Iterator[tuple[np.ndarray, np.ndarray]]


def label_maps(truth: Path, results: Path) -> Maps:
    """True and predicted label maps of a video. The next frame is read in the background."""
    files = sorted(truth.glob("*.png"))
    with ThreadPoolExecutor(2) as readers:

        def start(file: Path) -> list:
            return [readers.submit(read, folder / file.name) for folder in (truth, results)]

        pending = [start(file) for file in files[:1]]
        for file in [*files[1:], None]:
            pair = pending.pop()
            if file is not None:
                pending.append(start(file))
            yield pair[0].result(), pair[1].result()


def read(file: Path) -> np.ndarray:
    """Read the label map of a palette or grey image."""
    with Image.open(file) as image:
        return np.asarray(image)


def semi_supervised(truth: Path, results: Path) -> np.ndarray:
    """J and F of every video and frame, by this library."""
    metric = DavisSemiSupervised()
    for video in sorted(results.iterdir()):
        metric.update(video.name, ((t > 0, p > 0) for t, p in label_maps(truth / video.name, video)))
    return np.concatenate([np.stack([o.J, o.F]) for o in metric.compute().per_object.values()], axis=1)


def semi_supervised_official(truth: Path, results: Path) -> np.ndarray:
    """J and F of every video and frame, by the official algorithm."""
    rows = []
    for video in sorted(results.iterdir()):
        files = sorted((truth / video.name).glob("*.png"))
        true = official_davis.read_stack(files)
        predicted = official_davis.read_stack([video / file.name for file in files[1:-1]])
        np.minimum(true, 1, out=true)
        np.minimum(predicted, 1, out=predicted)
        rows.append(np.concatenate(official_davis.semi_supervised(true, predicted)))
    return np.concatenate(rows, axis=1)


def unsupervised(truth: Path, results: Path) -> np.ndarray:
    """J and F (2, N, T) of the best proposals for the objects of a video, by this library."""
    metric = DavisUnsupervised()
    metric.update("video", label_maps(truth, results))
    objects = metric.compute().per_object.values()
    return np.array([[o.J for o in objects], [o.F for o in objects]])


def unsupervised_official(truth: Path, results: Path) -> np.ndarray:
    """J and F (2, N, T) of the best proposals, by the official algorithm, in the order of the objects."""
    region, edge, order = official_davis.unsupervised_from_files(truth, results)
    return np.array([region, edge])[:, np.argsort(order)]


TASKS: dict[str, Callable[[Path, Path], np.ndarray]] = {
    task.__name__: task for task in (semi_supervised, semi_supervised_official, unsupervised, unsupervised_official)
}


def work(task: str, truth: Path, results: Path, numbers: Path) -> None:
    """Run one measurement, in a process of its own."""
    before = psutil.Process().memory_info().rss
    start = time.perf_counter()
    values = TASKS[task](truth, results)
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) - before
    np.save(numbers, values)
    print(json.dumps({"seconds": seconds, "megabytes": peak / 1e6}))


def compare(task: str, truth: Path, results: Path, repeats: int) -> dict[str, float]:
    """Run this library and the official algorithm in turns; return medians and the largest difference of any value."""
    measured: dict[str, list[dict[str, float]]] = {task: [], f"{task}_official": []}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(repeats):
            for name, runs in measured.items():
                command = [sys.executable, __file__, "--work", name, "--truth", str(truth)]
                command += ["--results", str(results), "--numbers", f"{folder}/{name}.npy"]
                done = subprocess.run(command, capture_output=True, text=True, check=False)
                if done.returncode:
                    raise RuntimeError(done.stderr)
                runs.append(json.loads(done.stdout))
        ours, official = (np.load(f"{folder}/{name}.npy") for name in measured)
    medians = [{k: statistics.median(run[k] for run in runs) for k in runs[0]} for runs in measured.values()]
    return {
        "seconds": medians[0]["seconds"],
        "official seconds": medians[1]["seconds"],
        "megabytes": medians[0]["megabytes"],
        "official megabytes": medians[1]["megabytes"],
        "difference": float(np.abs(ours - official).max()),
    }


def row(name: str, values: dict[str, float]) -> str:
    """Format a row of a table."""
    faster = values["official seconds"] / values["seconds"]
    smaller = values["official megabytes"] / max(values["megabytes"], 0.1)
    return (
        f"| {name} | {values['official seconds']:.2f} | {values['seconds']:.2f} | **{faster:.1f}×** "
        f"| {values['official megabytes']:.0f} | {values['megabytes']:.0f} | **{smaller:.0f}×** "
        f"| {values['difference']:.1e} |"
    )


HEAD = (
    "| | official, s | here, s | faster | official, MB | here, MB | smaller | largest difference |\n"
    "|---|--:|--:|--:|--:|--:|--:|--:|"
)


def ellipse(centre: np.ndarray, radii: np.ndarray) -> np.ndarray:
    """Draw an ellipse, bool (H, W)."""
    y, x = np.ogrid[: SIZE[0], : SIZE[1]]
    return ((y - centre[0]) / radii[0]) ** 2 + ((x - centre[1]) / radii[1]) ** 2 <= 1


def moving_ellipses(folder: Path, num_objects: int, num_frames: int, wobble: float, seed: int) -> None:
    """Write the label maps of a video; two videos of one seed differ by about ``wobble`` pixels."""
    rng = np.random.default_rng(seed)
    centres, steps = rng.random((num_objects, 2)) * SIZE, rng.normal(size=(num_objects, 2)) * 3
    radii = 40 + 80 * rng.random((num_objects, 2))
    for frame in range(num_frames):
        pixels = np.zeros(SIZE, dtype=np.uint8)
        for i in range(num_objects):
            noise = wobble * rng.normal(size=2)
            pixels[ellipse((centres[i] + frame * steps[i] + noise) % SIZE, radii[i])] = i + 1
        save(pixels, folder / f"{frame:05}.png")


def proposals(truth: Path, folder: Path, num_proposals: int, num_frames: int) -> None:
    """Write label maps of moved copies of the true objects, later ones on top."""
    rng = np.random.default_rng(0)
    files = sorted(truth.glob("*.png"))[:num_frames]
    num_objects = int(read(files[0]).max())
    ids = rng.permutation(num_proposals)
    steps = rng.normal(size=(num_proposals, 2)) * (60, 120)
    steps[:num_objects] = 3  # one close copy of each object
    for file in files:
        true, pixels = read(file), np.zeros(SIZE, dtype=np.uint8)
        for i in reversed(range(num_proposals)):
            dy, dx = (steps[i] + rng.normal(size=2) * 3).astype(int)
            pixels[np.roll(true == i % num_objects + 1, (dy, dx), axis=(0, 1))] = ids[i] + 1
        save(pixels, folder / "results" / file.name)
        save(true, folder / "truth" / file.name)


def save(pixels: np.ndarray, file: Path) -> None:
    """Write a grey PNG."""
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(file)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--truth", type=Path, help="folder with a folder of label maps per video")
    parser.add_argument("--results", type=Path, help="folder of predicted label maps; its videos are scored")
    parser.add_argument("--instances", type=Path, help="true label maps of one video with several objects")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--work", help=argparse.SUPPRESS)
    parser.add_argument("--numbers", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.work:
        work(args.work, args.truth, args.results, args.numbers)
        return
    with tempfile.TemporaryDirectory() as folder:
        generated = Path(folder)
        if args.truth is None or args.results is None:
            args.truth, args.results = generated / "truth", generated / "results"
            for video in range(4):
                moving_ellipses(args.truth / str(video), 1, 70, wobble=0, seed=video)
                moving_ellipses(args.results / str(video), 1, 70, wobble=3, seed=video)
        if args.instances is None:
            args.instances = generated / "instances"
            moving_ellipses(args.instances, 2, 50, wobble=0, seed=9)
        videos = [video.name for video in sorted(args.results.iterdir())]
        num_frames = sum(len(list((args.truth / video).glob("*.png"))) for video in videos)
        print(f"\n{machine()}")
        print(f"\n{len(videos)} videos, {num_frames} frames, from PNG files; medians of {args.repeats} runs\n\n{HEAD}")
        print(row("semi-supervised", compare("semi_supervised", args.truth, args.results, args.repeats)), flush=True)
        print(f"\nUnsupervised, one video of {int(read(min(args.instances.glob('*.png'))).max())} objects\n\n{HEAD}")
        for num_proposals, length in ((20, 50), (10, 25), (20, 25), (10, 50)):
            case = generated / f"unsupervised {num_proposals} {length}"
            proposals(args.instances, case, num_proposals, length)
            values = compare("unsupervised", case / "truth", case / "results", args.repeats)
            print(row(f"{num_proposals} proposals, {length} frames", values), flush=True)


if __name__ == "__main__":
    main()
