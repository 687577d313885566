"""Speed of training: pairs per second of tltm_tiny and what limits them, and one training step of tltm_r50.

tltm_tiny: pairs of rendered scenes at 192×320, in batches. Data, forward pass, backward pass and step are timed
separately, in turns, and also the dense part of the forward pass, from images to the output of the head. The rest
depends on the regions: a trained detector proposes more of them than a fresh one, so their number is fixed. Times are
the minimum over all turns, which other work on the machine affects least.

tltm_r50: steps on one pair of a rendered scene at 384×640, from random weights, with the objective of the paper and
that of the released code. The losses must fall. Peak memory is that of the whole process.

Run: python benchmarks/training_throughput.py [--batch-size 8] [--threads 1 2] [--steps 20] [--bfloat16]
"""

import argparse
import resource
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

import torch
from torch import Tensor

from benchmarks.timing import machine
from tltm_graph import MovingShapes
from tltm_graph.detectors.centermask import Decoder
from tltm_graph.models import TLTM, tltm_r50, tltm_tiny
from tltm_graph.structures import Detections, FramePair
from tltm_graph.training import PairData, PairObjective, RenderedVideos
from tltm_graph.training.objectives import paper_objective, released_objective
from tltm_graph.training.optimization import decayed_groups
from tltm_graph.training.regions import Regions

Result = TypeVar("Result")

OBJECTIVES = {"paper": lambda: paper_objective(transition_weight=0.1), "released": released_objective}
LOSSES = ("fcos_cls", "fcos_loc", "fcos_ctr", "mask", "gnn_edge", "all")


def pair() -> FramePair:
    scene = MovingShapes(size=(384, 640), num_frames=8, seed=0)
    images = [scene.frame(index).image for index in (0, 3)]
    truth = [scene.truth(index) for index in (0, 3)]
    return FramePair(*images, *truth)


def peak_gib() -> float:
    """Peak memory of the process so far, or of the GPU if there is one."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 2**30
    scale = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale / 2**30


def step_row(name: str, objective: PairObjective, steps: int, bfloat16: bool) -> str:
    """Train for some steps; format the time, the peak memory, and each loss at the first and the last step."""
    torch.manual_seed(0)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = tltm_r50().train().to(device)
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(trained, lr=0.002, momentum=0.9, weight_decay=1e-4)
    pairs, seconds, rows = [pair()], [], []
    for _ in range(steps):
        start = time.perf_counter()
        with torch.autocast(device.type, torch.bfloat16, enabled=bfloat16):
            losses = objective(model, pairs)
        total = torch.stack(list(losses.values())).sum()
        optimizer.zero_grad()
        total.backward()
        norm = torch.nn.utils.clip_grad_norm_(trained, 10.0)
        optimizer.step()
        seconds.append(time.perf_counter() - start)
        assert total.isfinite(), losses
        assert norm.isfinite()
        rows.append({**{key: float(value.detach()) for key, value in losses.items()}, "all": float(total.detach())})
    first, last = rows[0], rows[-1]
    changes = " | ".join(f"{first[key]:.2f} → {last[key]:.2f}" for key in LOSSES)
    median = sorted(seconds)[len(seconds) // 2]
    return f"| {name} | {median:.1f} | {peak_gib():.1f} | {changes} |"


class Repeated:
    """Sampler that repeats the true boxes, as many as a trained detector would propose."""

    def __init__(self, num_regions: int) -> None:
        self.num_regions = num_regions

    def __call__(self, propose: Callable[[Decoder], list[Detections]], truth: Sequence[Detections]) -> list[Regions]:
        rows = [torch.arange(self.num_regions if len(t) else 0) % max(1, len(t)) for t in truth]
        return [Regions(t.boxes[r], r) for t, r in zip(truth, rows, strict=True)]


class Stopwatch:
    """Seconds of named work."""

    def __init__(self) -> None:
        self.seconds: dict[str, list[float]] = {}

    def __call__(self, name: str, work: Callable[[], Result]) -> Result:
        start = time.perf_counter()
        result = work()
        self.seconds.setdefault(name, []).append(time.perf_counter() - start)
        return result

    def best(self, name: str) -> float:
        return min(self.seconds[name])


def total_loss(objective: PairObjective, model: TLTM, pairs: Sequence[FramePair]) -> Tensor:
    return torch.stack(list(objective(model, pairs).values())).sum()


def dense_pass(model: TLTM, images: list[Tensor]) -> object:
    return model.detector.head(model.detector.backbone(model.detector.prepare(images)))


def throughput_row(threads: int, batch_size: int, num_regions: int, repeats: int) -> str:
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    data = PairData([RenderedVideos()], batch_size=batch_size, num_workers=0).open(RenderedVideos().scenes.class_names)
    model = tltm_tiny(RenderedVideos().scenes.class_names).to(memory_format=torch.channels_last)
    objective = PairObjective(sampler=Repeated(num_regions))
    optimizer = torch.optim.AdamW(decayed_groups(model), lr=1e-4)
    batches, watch = iter(data.loader(0)), Stopwatch()
    for _ in range(repeats + 1):
        pairs = watch("data", partial(next, batches))
        with torch.no_grad():
            images = [p.previous_image for p in pairs] + [p.current_image for p in pairs]
            watch("dense", partial(dense_pass, model, images))
        loss = watch("forward", partial(total_loss, objective, model, pairs))
        optimizer.zero_grad()
        watch("backward", loss.backward)
        watch("step", optimizer.step)
    parts = {name: watch.best(name) for name in ("data", "forward", "backward", "step")}
    learning = parts["forward"] + parts["backward"] + parts["step"]
    bound = "the data" if parts["data"] > learning else "the model"
    rates = " | ".join(f"{batch_size / seconds:.1f}" for seconds in (parts["data"], parts["forward"], learning))
    dense = watch.best("dense") / parts["forward"]
    return f"| {threads} | {batch_size} | {num_regions} | {rates} | {dense:.0%} | {bound} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch-size", type=int, default=8, help="(default: %(default)s)")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="(default: 1 2)")
    parser.add_argument("--repeats", type=int, default=5, help="(default: %(default)s)")
    parser.add_argument("--steps", type=int, default=20, help="steps of tltm_r50 (default: %(default)s)")
    parser.add_argument(
        "--bfloat16", action="store_true", help="tltm_r50 under autocast; slow without hardware support"
    )
    options = parser.parse_args()
    scene = pair()
    print(f"\n{machine()}, {len(scene.previous)} and {len(scene.current)} objects\n")
    print(f"| objective | seconds per step | peak memory, GiB | {' | '.join(LOSSES)} |")
    print("|---|--:|--:|" + "---|" * len(LOSSES))
    for name, objective in OBJECTIVES.items():
        label = f"{name}, bfloat16" if options.bfloat16 else name
        print(step_row(label, objective(), options.steps, options.bfloat16), flush=True)
    print(f"\n{machine()}; pairs per second at 192×320\n")
    print("| threads | batch | regions per image | data only | forward | step | dense share of forward | limited by |")
    print("|--:|--:|--:|--:|--:|--:|--:|---|")
    for threads in options.threads:
        for num_regions in (4, 16, 64):
            print(throughput_row(threads, options.batch_size, num_regions, options.repeats), flush=True)


if __name__ == "__main__":
    main()
