"""One training step of tltm_r50 on a pair at 384×640: time, peak memory and losses, in both faithful ways.

Twenty steps on one and the same pair of a rendered scene, from random weights: the losses must fall.

Run: python benchmarks/training_step.py [--steps 20] [--bfloat16]
"""

import argparse
import resource
import sys
import time

import torch

from benchmarks.timing import machine
from tltm_graph import MovingShapes
from tltm_graph.models import tltm_r50
from tltm_graph.structures import FramePair
from tltm_graph.training import PairObjective, paper_objective, released_objective

OBJECTIVES = {"paper": lambda: paper_objective(transition_weight=0.1), "released": released_objective}


def pair() -> FramePair:
    scene = MovingShapes(size=(384, 640), num_frames=8, seed=0)
    images = [scene.frame(index).image for index in (0, 3)]
    truth = [scene.truth(index) for index in (0, 3)]
    return FramePair(*images, *truth)


def peak_gib() -> float:
    """Peak memory of the process so far (of the GPU, if there is one)."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 2**30
    scale = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale / 2**30


def run(name: str, objective: PairObjective, steps: int, bfloat16: bool) -> None:
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
    changes = " | ".join(
        f"{first[key]:.2f} → {last[key]:.2f}" for key in ("fcos_cls", "fcos_loc", "fcos_ctr", "mask", "gnn_edge", "all")
    )
    middle = sorted(seconds)[len(seconds) // 2]
    print(f"| {name} | {middle:.1f} | {peak_gib():.1f} | {changes} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=20, help="(default: %(default)s)")
    parser.add_argument("--bfloat16", action="store_true", help="under autocast; slow on CPUs without bfloat16")
    arguments = parser.parse_args()
    scene = pair()
    print(f"\n{machine()}, {len(scene.previous)} and {len(scene.current)} objects\n")
    print("| way | seconds a step | peak memory, GiB | fcos_cls | fcos_loc | fcos_ctr | mask | gnn_edge | all |")
    print("|---|--:|--:|---|---|---|---|---|---|")
    for name, objective in OBJECTIVES.items():
        run(name + (", bfloat16" if arguments.bfloat16 else ""), objective(), arguments.steps, arguments.bfloat16)


if __name__ == "__main__":
    main()
