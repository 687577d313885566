"""Resident memory of a tracker over a long stream with objects that come and go: 5,000 frames against 500.

Run: python benchmarks/stream_memory.py
"""

import argparse
import gc
from typing import Any

import psutil
import torch

from benchmarks.timing import machine
from tltm_graph import Detections, Frame, Tracker
from tltm_graph.association import GeometricAffinity
from tltm_graph.detectors import Detector
from tltm_graph.models import RelationModel
from tltm_graph.nn import InstanceEncoder, TransitionGNN


class PassingBy(Detector):
    """Twenty objects at a time, with masks and features; each crosses the picture once, then another follows."""

    visible, lifetime = 20, 50

    def detect(self, frame: Frame, context: Any = None) -> tuple[Detections, None]:
        lane = torch.arange(self.visible)
        age = (frame.index + lane * 7) % self.lifetime
        x, y = 12.0 * age, 17.0 * lane
        masks = torch.zeros(self.visible, 360, 640, dtype=torch.bool)
        for mask, left, top in zip(masks, x.int().tolist(), y.int().tolist(), strict=True):
            mask[top : top + 15, left : left + 30] = True
        number = (frame.index + lane * 7) // self.lifetime * self.visible + lane
        features = torch.stack([torch.randn(8, 8, 8, generator=_seed(i)) for i in number.tolist()])
        boxes = torch.stack([x, y, x + 30, y + 15], dim=1)
        labels = torch.zeros(self.visible, dtype=torch.int64)
        return Detections(boxes, torch.full((self.visible,), 0.9), labels, masks, features=features), None


def _seed(number: int) -> torch.Generator:
    return torch.Generator().manual_seed(number)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=5000)
    frames = parser.parse_args().frames
    print(f"\n{machine()}\n")
    relation = RelationModel(InstanceEncoder(8, 16, 64, resolution=8), TransitionGNN(64, 32)).eval()
    # Weight 0: the random relation is evaluated, but must not re-identify objects that are gone.
    tracker = Tracker(PassingBy(), affinity=GeometricAffinity(relation=0.0, appearance=relation))
    process, state = psutil.Process(), tracker.start()
    image = torch.zeros(3, 360, 640, dtype=torch.uint8)
    first, peak = frames // 10, 0
    print("| frames | tracks so far | tracks in memory | tensors | resident now, MB | highest so far, MB |")
    print("|--:|--:|--:|--:|--:|--:|")
    peaks = {}
    for index in range(frames):
        state, _ = tracker.step(state, Frame(image, index, index / 25))
        if index % 10 == 0:
            peak = max(peak, process.memory_info().rss)
        if (index + 1) % first == 0:
            gc.collect()
            tensors = sum(issubclass(type(value), torch.Tensor) for value in gc.get_objects())
            now = process.memory_info().rss
            peaks[index + 1] = peak
            print(
                f"| {index + 1} | {state.memory.next_id - 1} | {len(state.memory)} | {tensors} | {now / 1e6:.1f} "
                f"| {peak / 1e6:.1f} |"
            )
    print(f"\nHighest over {frames} frames ÷ highest over {first}: **{peaks[frames] / peaks[first]:.3f}**")


if __name__ == "__main__":
    main()
