"""How many pairs a second ``tltm_tiny`` learns from, and what bounds it.

Pairs of rendered scenes at 192×320, in batches. Data, forward pass, backward pass and step are timed apart, in turns,
and so is the dense part of a forward pass, from images to the output of the head; the rest is the price of the
regions. A trained detector proposes more of them than a fresh one, so their number is set here. Times are the best of
all turns, which others on the same machine disturb least.

Run: python benchmarks/training_throughput.py [--batch-size 8] [--threads 1 2]
"""

import argparse
import time
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from benchmarks.timing import machine
from tltm_graph.detectors.centermask import Decoder
from tltm_graph.models import tltm_tiny
from tltm_graph.structures import Detections
from tltm_graph.training import PairData, PairObjective, Regions, RenderedVideos, decayed_groups


class Repeated:
    """The true boxes again and again, as many as a trained detector would propose."""

    def __init__(self, num_regions: int) -> None:
        self.num_regions = num_regions

    def __call__(self, propose: Callable[[Decoder], list[Detections]], truth: Sequence[Detections]) -> list[Regions]:
        rows = [torch.arange(self.num_regions if len(t) else 0) % max(1, len(t)) for t in truth]
        return [Regions(t.boxes[r], r) for t, r in zip(truth, rows, strict=True)]


class Stopwatch:
    def __init__(self) -> None:
        self.seconds: dict[str, list[float]] = {}

    def __call__(self, name: str, work: Callable[[], object]) -> object:
        start = time.perf_counter()
        result = work()
        self.seconds.setdefault(name, []).append(time.perf_counter() - start)
        return result

    def best(self, name: str) -> float:
        return min(self.seconds[name])


def total(losses: dict[str, Tensor]) -> Tensor:
    return torch.stack(list(losses.values())).sum()


def row(threads: int, batch_size: int, num_regions: int, repeats: int) -> str:
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    data = PairData([RenderedVideos()], batch_size=batch_size, num_workers=0).open(RenderedVideos().scenes.class_names)
    model = tltm_tiny(RenderedVideos().scenes.class_names).to(memory_format=torch.channels_last)
    objective = PairObjective(sampler=Repeated(num_regions))
    optimizer = torch.optim.AdamW(decayed_groups(model), lr=1e-4)
    batches, watch = iter(data.loader(0)), Stopwatch()
    for _ in range(repeats + 1):
        pairs = watch("data", lambda: next(batches))
        with torch.no_grad():
            images = [p.previous_image for p in pairs] + [p.current_image for p in pairs]
            watch(
                "dense",
                lambda images=images: model.detector.head(model.detector.backbone(model.detector.prepare(images))),
            )
        loss = watch("forward", lambda pairs=pairs: total(objective(model, pairs)))
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
    arguments = parser.parse_args()
    print(f"\n{machine()}; pairs a second at 192×320\n")
    print("| threads | batch | regions an image | data alone | forward | step | dense share of forward | bound by |")
    print("|--:|--:|--:|--:|--:|--:|--:|---|")
    for threads in arguments.threads:
        for num_regions in (4, 16, 64):
            print(row(threads, arguments.batch_size, num_regions, arguments.repeats), flush=True)


if __name__ == "__main__":
    main()
