import importlib
import platform
import sys
import time
import warnings
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tltm_graph.cli.arguments import Backend, EncoderName, Folder, Option, SolverName
from tltm_graph.cli.checks import check_number
from tltm_graph.cli.running import Interrupt, interrupted_status, write_json

if TYPE_CHECKING:
    from tltm_graph.detectors import Detector
    from tltm_graph.io import FrameReader
    from tltm_graph.metrics import IdentityMeter
    from tltm_graph.structures import Detections, Frame
    from tltm_graph.synthetic import MovingShapes
    from tltm_graph.tracking import Tracker

DEFAULT_DETECTOR = "tltm:tltm-pico"


@dataclass(frozen=True, kw_only=True)
class OverlayOptions:
    """Options of the overlay video.

    Args:
        overlay: The overlay video.
        labels: The labels with id, class and score, and the frame counter.
        trail: Length of the trails in frames; 0 for none.
        encoder: Format of the video: H.264 by x264, which is under the GPL, VP9 or MPEG-4.
    """

    overlay: bool = True
    labels: bool = True
    trail: int = 30
    encoder: EncoderName = "h264"


def track(
    *,
    source: str,
    detector: Annotated[str | None, Option(metavar="NAME[:ARGUMENT][?OPTION=VALUE&...]")] = None,
    solver: SolverName = "hungarian",
    output: Folder = "out/track",
    max_frames: int | None = None,
    device: str = "auto",
    seed: int = 0,
    classes: Annotated[Sequence[str], Option(metavar="NAME")] = (),
    backend: Backend = "torch",
    fusion: bool = True,
    appearance: bool = True,
    save_graph: bool = False,
    drawing: OverlayOptions = OverlayOptions(),
) -> dict[str, Any]:
    """Track the objects of a video.

    Objects are detected, segmented and tracked frame by frame. Written to the output folder:
      tracks.json   track of every object, in the YouTube-VIS results format
      overlay.mp4   video with masks, ids and trails
      run.json      settings, versions and the time of each stage
      graph.zip     with --save-graph: association graph, for tltm-graph explain, diff and solve
      graph.png     with --save-graph: picture of the graph

    The files appear together at the end; after an error none does. They replace those of an older run. Ctrl-C, SIGTERM,
    SIGHUP and SIGUSR1 end the video at the current frame.
    The default detector is part of the package and knows the 80 classes of COCO. With --source shapes, a scene with
    known ground truth is rendered, and scores are printed; its default detector is the ground truth.

    Args:
        source: Video file, image, folder or pattern of images, folder of a MOTChallenge sequence (black frames stand
            for missing pictures), webcam number, rtsp:// or http:// address, or shapes for a rendered scene (a
            folder of this name is ./shapes).
        detector: torchvision:MODEL, transformers:MODEL, tltm:WEIGHTS, precomputed:FILE, oracle[:TRACKS], or the dotted
            path of your own class. Options are keyword arguments of the detector, as in
            'torchvision:maskrcnn_resnet50_fpn_v2?score_threshold=0.5'. Default:
            tltm:tltm-pico, the model in the package; of a rendered scene, oracle.
        solver: Choice of edges: optimal assignment, best edge first, or the rule of the published code.
        output: Folder to write to.
        max_frames: Number of frames after which to stop. Default: all.
        device: cpu, cuda, …; auto is a GPU if there is one.
        seed: Seed of the rendered scene, the oracle and random weights.
        classes: Classes to track, such as person dog. Default: all.
        backend: Implementation of the network of a tltm model; openvino is faster on a CPU and needs its extra.
        fusion: Fuse each frame with the previous one, if a tltm model can.
        appearance: Compare the appearance of objects, if a tltm model can.
        save_graph: Also write graph.zip and graph.png.
        drawing: Options of the overlay.

    Returns:
        Content of run.json.

    Raises:
        ValueError: If an argument, the video or the detections are not valid.
        OSError: If a file cannot be read or written.
    """
    options = {name: value for name, value in locals().items() if name != "drawing"} | asdict(drawing)
    settings = {name: str(value) if isinstance(value, Path) else value for name, value in options.items()}
    if max_frames is not None and max_frames < 1:
        raise ValueError(f"Expected max_frames of at least 1, got {max_frames}")
    check_number("trail", drawing.trail, 0)
    check_number("seed", seed, 0, 2**63 - 1)
    overlay = drawing.overlay and _can_draw("overlay.mp4", "draw")
    import torch
    from tqdm import tqdm

    from tltm_graph.cli.saved_run import RENDERED, build_tracker, expand_detector_name, open_source
    from tltm_graph.detectors import ClassFilter, build_detector
    from tltm_graph.explanation import GraphWriter
    from tltm_graph.formats import TrackWriter
    from tltm_graph.io.output import check_members, mark_input, output_folder, write_together
    from tltm_graph.metrics import IdentityMeter
    from tltm_graph.synthetic import MovingShapes

    names = ["tracks.json", *(["overlay.mp4"] if overlay else []), *(["graph.zip"] if save_graph else [])]
    names += ["graph.png"] if save_graph and _can_draw("graph.png", "association_graph") else []
    names += ["run.json"]
    if not source:
        raise ValueError("Expected a source, got an empty name: --source shapes renders a scene")
    for name in (source, (detector or "").partition("?")[0].partition(":")[2]):
        if name and Path(name).exists():
            mark_input(name)
    check_members(output, names)
    name = detector if detector is not None else "oracle" if source == RENDERED else DEFAULT_DETECTOR
    description = _with_options(expand_detector_name(name), backend, fusion, appearance)
    device = "cpu" if device == "auto" and "backend=openvino" in description else _available_device(device)
    torch.manual_seed(seed)

    frames = open_source(source, seed)
    scene = frames if isinstance(frames, MovingShapes) else None
    model = build_detector(
        description,
        device=device,
        truth=scene.truth if scene else None,
        class_names=scene.class_names if scene else None,
        seed=seed,
    )
    model = ClassFilter(model, classes) if classes else model
    _check_length(model, frames.num_frames)
    tracker = build_tracker(solver, model)
    length = min((n for n in (frames.num_frames, max_frames) if n is not None), default=None)
    meter = IdentityMeter() if scene else None
    seconds: dict[str, deque[float]] = defaultdict(lambda: deque(maxlen=100_000))  # a stream may never end
    track_ids: set[int] = set()
    nothing_found = _NothingFound()

    with (
        Interrupt() as interrupt,
        output_folder(Path(output)),
        write_together(Path(output), "run") as folder,
        ExitStack() as stack,
    ):
        tracks = stack.enter_context(TrackWriter(folder / "tracks.json"))
        write_overlay = _overlay_writer(stack, folder, model, frames, drawing) if overlay else None
        about = {**settings, "detector": name, "related": model.affinity() is not None, "fps": frames.fps}
        graph = stack.enter_context(GraphWriter(folder / "graph.zip", tracker, about)) if save_graph else None
        state = tracker.start()
        start = time.perf_counter()
        timed_frames = _limited(iter(frames), max_frames, interrupt, seconds["read"])
        bar = tqdm(timed_frames, total=length, unit=" frames", desc="tracking", file=sys.stderr)
        for frame in stack.enter_context(bar):
            state, detections = tracker.step(state, frame)
            assert detections.ids is not None
            track_ids.update(detections.ids[detections.ids >= 0].tolist())
            nothing_found.add(frame, detections)
            for stage, value in state.seconds.items():
                seconds[stage].append(value)
            with _timed(seconds["write"]):
                tracks.write(frame.index, detections)
                if graph is not None:
                    graph.write(state)
            if write_overlay is not None:
                with _timed(seconds["draw"]):
                    write_overlay(frame, detections)
            if meter is not None and scene is not None:
                truth = scene.truth(frame.index)
                meter.update(model.select(truth) if isinstance(model, ClassFilter) else truth, detections)
        elapsed = time.perf_counter() - start
        num_frames = tracks.num_frames
        if num_frames == 0:
            interrupt.raise_if_requested()
            raise ValueError(f"Expected at least one frame in '{source}', got none")
        if frames.num_frames is None and max_frames is None and not interrupt.requested:
            _check_length(model, num_frames)  # the length of this source is known only now
        stack.close()  # completes the files
        if "graph.png" in names:
            _draw_graph(folder)
        run = {
            "settings": {**settings, "detector": name, "device": device},
            "tracker": repr(tracker),
            "class_names": model.class_names,
            "frames": num_frames,
            "interrupted": interrupt.name,
            "tracks": len(track_ids),
            "frames_per_second": round(num_frames / elapsed, 2),
            "milliseconds": {stage: _percentiles(values) for stage, values in seconds.items()},
            "scores": _scores(meter) if meter else None,
            "versions": _versions("openvino" if "backend=openvino" in description else None),
            "files": names,
        }
        write_json(folder / "run.json", run)
    _print_run(run)
    if not track_ids:
        print(nothing_found.explain(model, tracker))
    return run


def exit_status(run: dict[str, Any]) -> int:
    """128 + its number after a signal, else 0."""
    return interrupted_status(run["interrupted"])


def _print_run(run: dict[str, Any]) -> None:
    print(f"{run['frames']} frames, {run['tracks']} tracks, {run['frames_per_second']} frames/s")
    scores = run["scores"]
    if scores:
        print(
            f"objects followed by one id  {scores['whole']} of {scores['objects']} ({scores['whole_share']:.0%})\n"
            f"observations found             {scores['found']} of {scores['observations']} ({scores['recall']:.0%})\n"
            f"id switches                 {scores['switches']}\n"
            f"fragments                   {scores['fragments']}"
        )
    print("written:")
    for name in run["files"]:
        print(f"  {run['settings']['output']}/{name}")


def _can_draw(name: str, module: str) -> bool:
    """Tell if the packages of a module that draws are installed; warn if not."""
    try:
        importlib.import_module(f"tltm_graph.visualization.{module}")
    except ImportError as error:
        warnings.warn(f"{name} is not written: {error}", stacklevel=2)
        return False
    return True


def _with_options(description: str, backend: str, fusion: bool, appearance: bool) -> str:
    """Add the options of the command line that differ from the defaults to those of a model of this package."""
    given = {"backend": backend, "fusion": fusion, "appearance": appearance}
    flags = {"backend": f"--backend {backend}", "fusion": "--no-fusion", "appearance": "--no-appearance"}
    for name, value in given.items():
        if value is True or value == "torch":
            continue
        if f"{name}=" in description:
            raise ValueError(f"Expected one {name}, got {flags[name]} and another in '{description}': leave one out")
        if not description.startswith("tltm_graph.models.model_for_tracking"):
            raise ValueError(f"Expected a detector tltm:WEIGHTS for {flags[name]}, got '{description}'")
        description = f"{description}{'&' if '?' in description else '?'}{name}={value}"
    return description


class _NothingFound:
    """Explanation of a run without tracks: its best score, and some of its frames as long as nothing was detected."""

    def __init__(self) -> None:
        self.best_score: float | None = None
        self.frames: list[Frame] = []

    def add(self, frame: "Frame", detections: "Detections") -> None:
        if len(detections):
            self.best_score = max(self.best_score or 0.0, float(detections.scores.max()))
            self.frames.clear()
        elif self.best_score is None and frame.index & (frame.index - 1) == 0 and len(self.frames) < 8:
            self.frames.append(frame)  # 0, 1, 2, 4, 8, …

    def explain(self, model: "Detector", tracker: "Tracker") -> str:
        """Say how close the best detection came to a track."""
        if self.best_score is not None:
            best = f"the best score of a detection was {self.best_score:.2f}"
            threshold = getattr(tracker.track_manager, "new_track_threshold", None)
            if threshold is None or self.best_score >= threshold:
                return f"no track was confirmed: {best}"
            return f"no track was started: {best}, threshold {threshold:g}"
        best_probability = _best_probability(model, self.frames)
        if best_probability is None:
            return "no object was detected: lower the detector's score_threshold, or use one that knows these objects"
        return "no object was detected: best score {:.2f}, threshold {:g}".format(*best_probability)


def _best_probability(model: "Detector", frames: Sequence["Frame"]) -> tuple[float, float] | None:
    """Highest class probability in some frames, and the threshold, if the detector is a model of this package."""
    import torch

    from tltm_graph.detectors import ClassFilter
    from tltm_graph.detectors.centermask import CenterMask
    from tltm_graph.models import TLTM
    from tltm_graph.models.tltm import detector_of

    labels: slice | torch.Tensor = slice(None)
    if isinstance(model, ClassFilter):
        labels, model = model.labels, model.detector
    if not isinstance(model, TLTM | CenterMask) or not frames:
        return None
    detector = detector_of(model)
    best = 0.0
    with torch.no_grad():
        for frame in frames:
            _, outputs = detector.dense(detector.prepare([detector.resize(frame.image)]))
            best = max(best, *(float(output.logits[:, labels].max().sigmoid()) for output in outputs))
    return best, detector.decoder.score_threshold


def _available_device(name: str) -> str:
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"Expected a device of this machine such as 'cpu' or 'cuda', got '{name}': {error}") from error
    return name


def _check_length(detector: "Detector", num_frames: int | None) -> None:
    """Refuse precomputed detections of a video with another number of frames."""
    length = detector.num_frames
    if length is not None and num_frames is not None and length != num_frames:
        raise ValueError(
            f"Expected detections for {num_frames} frames, {detector} has them for {length}: "
            "they belong to another video"
        )


def _overlay_writer(
    stack: ExitStack,
    folder: Path,
    detector: "Detector",
    frames: "FrameReader | MovingShapes",
    options: OverlayOptions,
) -> Callable[["Frame", "Detections"], None]:
    from tltm_graph.io import VideoWriter
    from tltm_graph.visualization.draw import Overlay

    overlay = Overlay(detector.class_names, options.trail, options.labels, options.labels)
    video = stack.enter_context(VideoWriter(folder / "overlay.mp4", frames.fps or 30.0, options.encoder))
    return lambda frame, detections: video.write(overlay.draw(frame, detections))


def _draw_graph(folder: Path) -> None:
    from tltm_graph.explanation import SavedGraph, association_graph
    from tltm_graph.visualization.association_graph import draw_association_graph

    draw_association_graph(association_graph(SavedGraph(folder / "graph.zip"))).save(folder / "graph.png")


def _limited(
    frames: Iterator["Frame"], max_frames: int | None, interrupt: Interrupt, seconds: deque[float]
) -> Iterator["Frame"]:
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
    import numpy as np

    p50, p95 = np.percentile(seconds, [50, 95]) * 1000 if seconds else (0.0, 0.0)
    return {"p50": round(float(p50), 3), "p95": round(float(p95), 3)}


def _scores(meter: "IdentityMeter") -> dict[str, float]:
    scores = meter.compute()
    return {**asdict(scores), "recall": round(scores.recall, 4), "whole_share": round(scores.whole_share, 4)}


def _versions(backend: str | None) -> dict[str, str]:
    names = ("tltm-graph", "torch", "torchvision", "torch-geometric", "networkx", "numpy", "av", "pycocotools")
    used = (*names, *([backend] if backend else []))
    return {"python": platform.python_version(), "platform": platform.platform(), **{n: version(n) for n in used}}
