"""Time of the whole online step of tltm_r50 (ResFuser, boxes, relation, masks of shown objects) beside Mask R-CNN.

Both run on the same frames at 360×640, in turns, with the same number of detections. Weights are random, which does not
change the time. As in the published system, the 15 best objects of a frame are shown; "all masks" shows all of them.
With the extra openvino, OpenVINO runs the network too.

Run: python benchmarks/online_step.py [--threads 2] [--frames 9] [--device cuda] [--size 750 1333]
"""

import argparse
import statistics
import time
from collections import defaultdict
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import torch
from torch import nn
from torchvision.models.detection import maskrcnn_resnet50_fpn

from benchmarks.timing import machine
from tltm_graph import Detections, Frame, MovingShapes, Tracker, TrackManager
from tltm_graph.detectors.centermask import Decoder
from tltm_graph.models import TLTM, for_inference, tltm_r50

STAGES = ("backbone + FPN", "ResFuser", "FCOS", "pool", "encode", "associate", "masks")
# Published implementation with 50 detections, relative to its Mask R-CNN (0.875 s) on another machine.
PUBLISHED = {"backbone + FPN": 0.264, "ResFuser": 0.058, "FCOS": 0.177, "pool": None, "encode": 0.123,
             "associate": 0.034, "masks": 0.311}  # fmt: skip


class Apart:
    """Decoder that moves the objects apart: random weights detect the same object repeatedly."""

    def __init__(self, decoder: Decoder, size: tuple[int, int]) -> None:
        self.decode, self.num_objects = decoder.__call__, decoder.max_objects
        place = torch.arange(float(decoder.max_objects))
        x, y = (place % 10) * size[1] / 10, (place // 10) * size[0] / 5
        self.boxes = torch.stack([x, y, x + size[1] / 8, y + size[0] / 4], dim=1)

    def __call__(self, *output: Any) -> list[Detections]:
        (objects,) = self.decode(*output)
        assert len(objects) == self.num_objects, f"Expected {self.num_objects} objects, got {len(objects)}"
        return [objects.replace(boxes=self.boxes.to(objects.boxes))]


class Stopwatch:
    """Sum of the time spent in functions of a model, by stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)

    def watch(self, owner: Any, function: str, stage: str) -> None:
        inner = getattr(owner, function)

        def timed(*args: Any, **kwargs: Any) -> Any:
            start = time.perf_counter()
            output = inner(*args, **kwargs)
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            self.seconds[stage] += time.perf_counter() - start
            return output

        object.__setattr__(owner, function, timed)


def tltm(num_objects: int, frames: list[Frame], device: str) -> TLTM:
    """Build the model with a score threshold that leaves ``num_objects`` of a few hundred candidates in each frame."""
    torch.manual_seed(0)
    height, width = frames[0].size
    model = tltm_r50(min_size=min(height, width), max_size=max(height, width)).eval().to(device)
    model.relation.is_trained.fill_(True)
    with torch.no_grad():
        pyramid = model.detector.backbone(model.detector.prepare([frames[0].image]))
        scores = torch.cat([level.logits.flatten() for level in model.detector.head(pyramid)]).sigmoid()
    threshold = float(scores.sort(descending=True).values[1000])
    decoder = Decoder(score_threshold=threshold, max_objects=num_objects)
    model.detector.decoder = Apart(decoder, (height, width))  # type: ignore[assignment]
    return model


def exported(model: TLTM, dtype: torch.dtype | None) -> TLTM:
    """Copy the model for inference by OpenVINO."""
    from tltm_graph.detectors.centermask.openvino_backend import OpenVinoBackend

    fast = for_inference(model)
    fast.detector.autocast = dtype
    fast.detector.backend = OpenVinoBackend(fast.detector)
    return fast


class Stepper:
    """Tracker that takes one step per call. Every object has a confirmed track from its first frame on."""

    def __init__(self, model: TLTM, frames: list[Frame], max_shown: int) -> None:
        track_manager = TrackManager(min_hits=1, new_track_threshold=0.0, confirm_threshold=0.0)
        self.tracker = Tracker(model, track_manager=track_manager, max_shown=max_shown)
        self.frames, self.state, self.index = frames, self.tracker.start(), 0
        self.objects: list[int] = []
        self.shown: list[list[int]] = []

    def __call__(self) -> Detections:
        frame = Frame(self.frames[self.index % len(self.frames)].image, self.index, self.index / 25)
        self.index += 1
        self.state, detections = self.tracker.step(self.state, frame)
        assert detections.ids is not None
        self.objects.append(len(detections))
        self.shown.append(detections.ids.tolist())
        return detections


def in_turns(functions: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Median seconds of functions called in turns, without the first two rounds."""
    seconds: dict[str, list[float]] = defaultdict(list)
    for _ in range(repeats + 2):
        for name, function in functions.items():
            start = time.perf_counter()
            function()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(values[2:]) for name, values in seconds.items()}


def stages_of(model: TLTM, frames: list[Frame], repeats: int) -> dict[str, float]:
    """Median seconds of each stage of a step."""
    stepper, watch = Stepper(model, frames, 15), Stopwatch()
    detector = model.detector
    watch.watch(detector.backbone, "forward", "backbone + FPN")
    watch.watch(detector, "fuse", "ResFuser")
    watch.watch(detector.head, "forward", "FCOS")
    watch.watch(detector.decoder, "decode", "FCOS")
    watch.watch(detector, "pool", "pool")
    watch.watch(model.relation, "encode", "encode")
    watch.watch(detector, "segment", "masks")
    rounds = []
    for _ in range(repeats + 2):
        watch.seconds.clear()
        stepper()
        seconds = stepper.state.seconds
        associate = sum(seconds[stage] for stage in ("graph", "score", "solve", "update")) - watch.seconds["encode"]
        rounds.append({**watch.seconds, "associate": associate})
    return {stage: statistics.median(r[stage] for r in rounds[2:]) for stage in STAGES}


def mask_rcnn(num_objects: int, frames: list[Frame], device: str) -> Callable[[], object]:
    torch.manual_seed(0)
    model: nn.Module = maskrcnn_resnet50_fpn(
        weights=None,
        weights_backbone=None,
        min_size=min(frames[0].size),
        max_size=max(frames[0].size),
        box_score_thresh=0.0,
        box_detections_per_img=num_objects,
    )
    model.eval().to(device)
    image = frames[0].image.to(device).float() / 255

    @torch.no_grad()
    def call() -> object:
        (output,) = model([image])
        assert len(output["boxes"]) == num_objects
        return output

    return call


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2, help="CPU threads (default: %(default)s)")
    parser.add_argument("--frames", type=int, default=9, help="timed frames (default: %(default)s)")
    parser.add_argument("--device", default="cpu", help="(default: %(default)s)")
    parser.add_argument("--size", type=int, nargs=2, default=(360, 640), help="height and width (default: 360 640)")
    parser.add_argument("--bfloat16", action="store_true", help="also without hardware support")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    frames = list(MovingShapes(size=tuple(arguments.size), num_frames=8))
    device = arguments.device
    capabilities = torch.cpu.get_capabilities()
    fast_bf16 = device != "cpu" or capabilities.get("avx512_bf16") or capabilities.get("amx_bf16")
    where = torch.cuda.get_device_name() if device.startswith("cuda") else machine()
    print(f"\n{where}, {arguments.size[0]}×{arguments.size[1]}, bfloat16 {'in' if fast_bf16 else 'not in'} hardware\n")
    print("| detections | masks | model | ms per frame | frames per second | of Mask R-CNN | ids |")
    print("|--:|--:|---|--:|--:|--:|---|")
    for count in (50, 12):
        plain = tltm(count, frames, device)
        fast = for_inference(plain)
        half = for_inference(plain)
        half.detector.autocast = torch.bfloat16
        shown = min(count, 15)
        steppers = {
            "as trained": Stepper(plain, frames, shown),
            "for inference": Stepper(fast, frames, shown),
            "for inference, all masks": Stepper(fast, frames, count),
        }
        if fast_bf16 or arguments.bfloat16:
            steppers["for inference, bfloat16"] = Stepper(half, frames, shown)
        if device == "cpu" and find_spec("openvino"):
            for name, dtype in (("OpenVINO", None), ("OpenVINO, bfloat16", torch.bfloat16)):
                if dtype is None or fast_bf16 or arguments.bfloat16:
                    steppers[name] = Stepper(exported(plain, dtype), frames, shown)
        functions: dict[str, Callable[[], object]] = {"Mask R-CNN": mask_rcnn(count, frames, device), **steppers}
        seconds = in_turns(functions, arguments.frames)
        for name, value in seconds.items():
            ids, masks = "", count
            if name in steppers:
                assert steppers[name].objects[-1] == count, f"Expected {count} objects, got {steppers[name].objects}"
                masks = sum(i >= 0 for i in steppers[name].shown[-1])
                same = steppers[name].shown == steppers["as trained"].shown
                ids = "" if name in ("as trained", "for inference, all masks") else "same" if same else "different"
            ratio = value / seconds["Mask R-CNN"]
            print(
                f"| {count} | {masks} | {name} | {1000 * value:.0f} | {1 / value:.1f} | **{ratio:.2f}** | {ids} |",
                flush=True,
            )

        if count == 50:
            ms = stages_of(fast, frames, arguments.frames)
            rows = [
                f"| {stage} | {1000 * value:.0f} | {value / seconds['Mask R-CNN']:.3f} | {PUBLISHED[stage] or ''} |"
                for stage, value in ms.items()
            ]
    print("\n| stage, 50 detections | ms | of Mask R-CNN | published code, of Mask R-CNN, other machine |")
    print("|---|--:|--:|--:|")
    print("\n".join(rows))


if __name__ == "__main__":
    main()
