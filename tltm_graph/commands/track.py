import json
import platform
import sys
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from tltm_graph.commands.interrupt import Interrupt
from tltm_graph.commands.saved_run import SOLVERS, build_tracker, own_models
from tltm_graph.commands.source import open_source
from tltm_graph.detectors import Detector, build_detector
from tltm_graph.explanation import GraphWriter, SavedGraph, association_graph
from tltm_graph.formats import TrackWriter
from tltm_graph.io import FrameReader, VideoWriter, output_folder, write_atomically
from tltm_graph.metrics import IdentityMeter
from tltm_graph.structures import Frame
from tltm_graph.synthetic import MovingShapes

DEFAULT_DETECTOR = "torchvision:maskrcnn_resnet50_fpn_v2"
DEMO_DETECTOR = "tltm:tltm-tiny-moving-shapes"


def track(
    source: str | None = None,
    detector: str | None = None,
    solver: str = "hungarian",
    output: str | Path = "out/track",
    max_frames: int | None = None,
    device: str = "auto",
    seed: int = 0,
    save_graph: bool = False,
    overlay: bool = True,
) -> dict[str, Any]:
    """Tracks the objects of a video and writes what it found.

    Written to ``output``: ``tracks.json``, ``overlay.mp4``, ``run.json`` and, on request, ``graph.zip`` and
    ``graph.png``. Each appears when it is complete; after an error none does. An interrupt (Ctrl-C) ends the video at
    the current frame.

    Args:
        source: What :func:`tltm_graph.io.read_frames` opens, or the folder of a sequence of MOTChallenge, whose frames
            are black where its pictures are not at hand; None renders a scene whose truth is known.
        detector: What :func:`tltm_graph.detectors.build_detector` builds, or ``tltm:FILE`` with the options of
            :func:`tltm_graph.models.model_for_tracking` (a model whose relation is trained relates objects too). None
            takes a Mask R-CNN for a source; without one, the ``tltm_tiny`` that comes with the package, and for it a
            scene of the kind and size that it was trained on.
        solver: One of :data:`SOLVERS`.
        output: Folder to write to.
        max_frames: Stop after so many frames.
        device: ``"cpu"``, ``"cuda"``, …; ``"auto"`` takes a GPU if there is one.
        seed: Of the rendered scene, the oracle and whatever else is random.
        save_graph: Also write the association graph.
        overlay: Write the overlay video.

    Returns:
        What is in ``run.json``.

    Raises:
        ValueError: If an argument is not understood, or the video or the detections are not valid.
        OSError: If a file cannot be read or written.
    """
    settings = {name: str(value) if isinstance(value, Path) else value for name, value in locals().items()}
    if solver not in SOLVERS:
        raise ValueError(f"Expected a solver of {sorted(SOLVERS)}, got '{solver}'")
    if max_frames is not None and max_frames < 1:
        raise ValueError(f"Expected max_frames of at least 1, got {max_frames}")
    names = ["tracks.json", *(["overlay.mp4"] if overlay else [])]
    names += ["graph.zip", "graph.png"] if save_graph else []
    _check_targets([Path(output) / name for name in (*names, "run.json")], source, detector)
    device = _device(device)
    torch.manual_seed(seed)

    frames = open_source(source, seed, demo=detector is None)
    scene = frames if isinstance(frames, MovingShapes) else None
    description = detector if detector is not None else DEMO_DETECTOR if scene else DEFAULT_DETECTOR
    finder = build_detector(
        own_models(description),
        device=device,
        truth=scene.truth if scene else None,
        class_names=scene.class_names if scene else None,
        seed=seed,
    )
    _check_length(finder, frames.num_frames)
    versions = _versions()
    if overlay or save_graph:
        import tltm_graph.visualization  # noqa: F401  a missing extra shall be missed before the work, not after it
    tracker = build_tracker(solver, finder)
    length = (
        frames.num_frames if max_frames is None or frames.num_frames is None else min(frames.num_frames, max_frames)
    )
    meter = IdentityMeter() if scene else None
    seconds: dict[str, deque[float]] = defaultdict(lambda: deque(maxlen=100_000))  # a stream may never end
    shown: set[int] = set()

    with output_folder(Path(output)) as folder, ExitStack() as stack, Interrupt() as interrupt:
        tracks = stack.enter_context(TrackWriter(folder / "tracks.json"))
        picture = _overlay(stack, folder, finder, frames) if overlay else None
        about = {**settings, "detector": description, "related": finder.affinity() is not None, "fps": frames.fps}
        about["scene"] = None if scene is None else "demo" if detector is None else "easy"
        graph = stack.enter_context(GraphWriter(folder / "graph.zip", tracker, about)) if save_graph else None
        state = tracker.start()
        began = time.perf_counter()
        every = _limited(iter(frames), max_frames, interrupt, seconds["read"])
        bar = tqdm(every, total=length, unit=" frames", desc="tracking", file=sys.stderr)
        for frame in stack.enter_context(bar):
            state, detections = tracker.step(state, frame)
            assert detections.ids is not None
            shown.update(detections.ids[detections.ids >= 0].tolist())
            for stage, value in state.seconds.items():
                seconds[stage].append(value)
            with _timed(seconds["write"]):
                tracks.write(frame.index, detections)
                if graph is not None:
                    graph.write(state)
            if picture is not None:
                with _timed(seconds["draw"]):
                    picture(frame, detections)
            if meter is not None and scene is not None:
                meter.update(scene.truth(frame.index), detections)
        elapsed = time.perf_counter() - began
        num_frames = tracks.num_frames
        if num_frames == 0:
            raise ValueError(f"Expected at least one frame in '{source}', got none")
        if frames.num_frames is None and max_frames is None and not interrupt.requested:
            _check_length(finder, num_frames)  # the source did not know before
        if save_graph:
            stack.close()  # all files get their names
            _draw_graph(folder)
    run = {
        "settings": {**settings, "detector": description, "device": device},
        "tracker": repr(tracker),
        "class_names": finder.class_names,
        "frames": num_frames,
        "interrupted": interrupt.requested,
        "tracks": len(shown),
        "frames_per_second": round(num_frames / elapsed, 2),
        "milliseconds": {stage: _percentiles(values) for stage, values in seconds.items()},
        "scores": _scores(meter) if meter else None,
        "versions": versions,
        "files": [*names, "run.json"],
    }
    with write_atomically(folder / "run.json") as temporary:
        temporary.write_text(json.dumps(run, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return run


def _check_targets(targets: list[Path], source: str | None, detector: str | None) -> None:
    """Nothing that is read may be written over, and nothing else may stand in the way."""
    if source == "":
        raise ValueError("Expected a source, got an empty name; leave --source out to render a scene")
    inputs = [source, (detector or "").partition("?")[0].partition(":")[2]]
    read = [Path(name).resolve() for name in inputs if name]
    for target in targets:
        if target.resolve() in read:
            raise ValueError(f"Expected to write to another folder: '{target}' is also an input, and would be lost")
        if target.is_dir():
            raise ValueError(f"Expected to write the file '{target}', got a folder of that name: take it away")


def _device(name: str) -> str:
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"Expected a device of this machine such as 'cpu' or 'cuda', got '{name}': {error}") from error
    return name


def _check_length(detector: Detector, num_frames: int | None) -> None:
    """Detections made for a video of another length are for another video."""
    length = detector.num_frames
    if length is not None and num_frames is not None and length != num_frames:
        raise ValueError(
            f"Expected detections for {num_frames} frames, {detector} has them for {length}: "
            "they belong to another video"
        )


def _overlay(
    stack: ExitStack, folder: Path, detector: Detector, frames: FrameReader | MovingShapes
) -> Callable[[Frame, Any], None]:
    from tltm_graph.visualization import Overlay

    drawing = Overlay(detector.class_names)
    video = stack.enter_context(VideoWriter(folder / "overlay.mp4", frames.fps or 30.0))
    return lambda frame, detections: video.write(drawing.draw(frame, detections))


def _draw_graph(folder: Path) -> None:
    from tltm_graph.visualization import draw_association_graph

    draw_association_graph(association_graph(SavedGraph(folder / "graph.zip"))).save(folder / "graph.png")


def _limited(
    frames: Iterator[Frame], max_frames: int | None, interrupt: Interrupt, seconds: deque[float]
) -> Iterator[Frame]:
    count = 0
    while not interrupt.requested and (max_frames is None or count < max_frames):
        with _timed(seconds):
            frame = next(frames, None)
        if frame is None:
            return
        yield frame
        count += 1


@contextmanager
def _timed(seconds: deque[float]) -> Iterator[None]:
    start = time.perf_counter()
    yield
    seconds.append(time.perf_counter() - start)


def _percentiles(seconds: deque[float]) -> dict[str, float]:
    p50, p95 = np.percentile(seconds, [50, 95]) * 1000 if seconds else (0.0, 0.0)
    return {"p50": round(float(p50), 3), "p95": round(float(p95), 3)}


def _scores(meter: IdentityMeter) -> dict[str, float]:
    scores = meter.compute()
    return {**asdict(scores), "recall": round(scores.recall, 4), "whole_share": round(scores.whole_share, 4)}


def _versions() -> dict[str, str]:
    names = ("tltm-graph", "torch", "torchvision", "torch-geometric", "networkx", "numpy", "av", "pycocotools")
    return {"python": platform.python_version(), "platform": platform.platform(), **{n: version(n) for n in names}}
