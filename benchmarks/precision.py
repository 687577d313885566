"""Effect of bfloat16 or float16 on boxes, scores, masks and ids of the published system.

Frames and weights are those of the reference numbers. The weights are drawn from their names, so scores are closer to
the thresholds than those of trained weights. Objects of both runs are matched by class and overlap (IoU ≥ 0.5). Ids are
equal if each id of one run always corresponds to the same id of the other.

Run: python benchmarks/precision.py [--precision bfloat16]
"""

import argparse

import torch
from torchvision.ops import box_iou

from benchmarks.timing import machine
from tests.parity import frames, official_tltm, published_tracker
from tltm_graph import Detections, Frame
from tltm_graph.association import HungarianSolver
from tltm_graph.models import for_inference
from tltm_graph.ops import mask_iou


def tracked(precision: torch.dtype | None) -> list[Detections]:
    model = for_inference(official_tltm())
    model.detector.autocast = precision
    video = (Frame(image, index, float(index)) for index, image in enumerate(frames()))
    return [detections for _, detections in published_tracker(model).track(video)]


def pairs(exact: Detections, rounded: Detections) -> tuple[torch.Tensor, torch.Tensor]:
    """Match the objects of two frames; return their rows."""
    overlap = box_iou(exact.boxes, rounded.boxes)
    overlap = torch.where(exact.labels[:, None] == rounded.labels[None, :], overlap, 0.0)
    row, column = (overlap >= 0.5).nonzero().T
    sizes = len(exact), len(rounded)
    nothing = torch.zeros(sizes[1]), torch.zeros(sizes[0])
    assignment = HungarianSolver()(torch.stack([row, column]), overlap[row, column], sizes, *nothing)
    return assignment.previous, assignment.current


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--precision", choices=("bfloat16", "float16"), default="bfloat16")
    precision = parser.parse_args().precision
    print(f"\n{machine()}, {precision} against float32\n")
    print("| frame | objects | in both | box, pixels (median, worst) | score (worst) | mask IoU (least) | same id |")
    print("|--:|---|--:|---|--:|--:|---|")
    partner: dict[int, int] = {}
    exact, rounded = tracked(None), tracked(getattr(torch, precision))
    for index, (a, b) in enumerate(zip(exact, rounded, strict=True)):
        i, j = pairs(a, b)
        box = (a.boxes[i] - b.boxes[j]).abs().amax(dim=1)
        score = (a.scores[i] - b.scores[j]).abs()
        assert a.ids is not None
        assert b.ids is not None
        assert a.masks is not None
        assert b.masks is not None
        shown = (a.ids[i] >= 0) & (b.ids[j] >= 0)
        ids = list(zip(a.ids[i][shown].tolist(), b.ids[j][shown].tolist(), strict=True))
        same = sum(partner.setdefault(i, j) == j for i, j in ids)
        masks = mask_iou(a.masks[i][shown], b.masks[j][shown]).diagonal()
        print(
            f"| {index} | {len(a)} and {len(b)} | {len(i)} | {box.median():.2f}, {box.max():.2f} | {score.max():.4f} | "
            f"{masks.min():.3f} | {same} of {int(shown.sum())} |"
        )


if __name__ == "__main__":
    main()
