"""Speed of the whole step of the model in the package on a real video, beside torchvision's detectors.

    python benchmarks/real_video.py [--source docs/clips/dog_person.mp4] [--frames 60] [--threads 2]

A step is everything from reading the frame to ids and masks. Of the others, reading and detection are timed; they do
not track. All process the same frames in turns, the slow Mask R-CNN only the first ones. torchvision's weights are
random: a Faster R-CNN finds no object then, which flatters it; a Mask R-CNN is given 5 objects a frame.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import Any

import torch
from torchvision.models.detection import fasterrcnn_mobilenet_v3_large_320_fpn, maskrcnn_resnet50_fpn

from benchmarks.timing import machine
from tltm_graph import Tracker, read_frames
from tltm_graph.models import model_for_tracking


def tracked(source: str, **options: Any) -> Iterator[str]:
    """Yield after each step of the tracker, with the numbers of detections and tracks."""
    tracker = Tracker(model_for_tracking("tltm-pico", **options))
    for _, detections in tracker.track(read_frames(source)):
        yield f"{len(detections)} detections, {int((detections.ids >= 0).sum())} shown"


@torch.no_grad()
def detected(source: str, build: Callable[..., torch.nn.Module], **options: object) -> Iterator[str]:
    """Yield after each frame of a detector of torchvision."""
    torch.manual_seed(0)
    model = build(weights=None, weights_backbone=None, **options).eval()
    for frame in read_frames(source):
        (output,) = model([frame.image.float() / 255])
        yield f"{len(output['boxes'])} detections"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", default="docs/clips/dog_person.mp4")
    parser.add_argument("--frames", type=int, default=60, help="timed frames (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads (default: %(default)s)")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    source = arguments.source
    systems = {
        "Mask R-CNN, ResNet-50, at 800": detected(
            source, maskrcnn_resnet50_fpn, box_score_thresh=0.0, box_detections_per_img=5
        ),
        "Faster R-CNN, MobileNetV3, at 320, boxes only": detected(source, fasterrcnn_mobilenet_v3_large_320_fpn),
        "tltm-pico, ids and masks": tracked(source),
        "the same, without fusion": tracked(source, fusion=False),
        "the same, without appearance": tracked(source, appearance=False),
        "the same, without both": tracked(source, fusion=False, appearance=False),
    }
    if find_spec("openvino"):
        systems["tltm-pico, OpenVINO"] = tracked(source, backend="openvino")
        if torch.cpu.get_capabilities().get("amx_bf16") or torch.cpu.get_capabilities().get("avx512_bf16"):
            systems["tltm-pico, OpenVINO, bfloat16"] = tracked(source, backend="openvino", precision="bfloat16")
    seconds: dict[str, list[float]] = {name: [] for name in systems}
    found = {}
    length = read_frames(source).num_frames
    for step in range(min(arguments.frames + 3, length or arguments.frames + 3)):
        for name, system in systems.items():
            if name.startswith("Mask R-CNN") and step > 8:
                continue
            start = time.perf_counter()
            found[name] = next(system)
            if step >= 3:  # the first ones prepare
                seconds[name].append(time.perf_counter() - start)
    median = {name: statistics.median(values) for name, values in seconds.items()}
    others = list(median.values())[:2]
    print(f"\n{machine()}, {source}\n")
    print("| system | ms a frame | frames per second | × Mask R-CNN | × Faster R-CNN | last frame |")
    print("|---|--:|--:|--:|--:|---|")
    for name, value in median.items():
        ratios = " | ".join(f"{other / value:.2f}" for other in others)
        print(f"| {name} | {1000 * value:.0f} | {1 / value:.1f} | {ratios} | {found[name]} |")


if __name__ == "__main__":
    main()
