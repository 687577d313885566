"""Resident memory and time of a tracker over a long stream with objects that come and go, among false detections.

Run: python benchmarks/stream_memory.py [--appearance] [--frames 20000]
"""

import argparse
import gc
import statistics
import time
from typing import Any

import psutil
import torch

from benchmarks.timing import machine
from tltm_graph import Detections, Frame, Tracker
from tltm_graph.association import LearnedAffinity
from tltm_graph.detectors import Detector
from tltm_graph.models import RelationModel
from tltm_graph.nn import InstanceEncoder, TransitionGNN


class PassingBy(Detector):
    """Twenty objects at a time; each crosses the picture once, then another follows. Three false detections a frame.

    Args:
        appearance: True for masks and features as well.
    """

    visible, lifetime, false = 20, 50, 3

    def __init__(self, appearance: bool) -> None:
        self.appearance = appearance

    def detect(self, frame: Frame, context: Any = None) -> tuple[Detections, None]:
        lane = torch.arange(self.visible)
        age = (frame.index + lane * 7) % self.lifetime
        x, y = 12.0 * age, 17.0 * lane
        boxes = torch.stack([x, y, x + 30, y + 15], dim=1)
        scores = 0.5 + 0.5 * torch.rand(self.visible, generator=_seed(frame.index))
        place = torch.rand((self.false, 2), generator=_seed(frame.index)) * torch.tensor([600.0, 340.0])
        boxes = torch.cat([boxes, torch.cat([place, place + 20], dim=1)])
        scores = torch.cat([scores, torch.rand(self.false, generator=_seed(-frame.index - 1))])
        found = Detections(boxes, scores, torch.zeros(len(boxes), dtype=torch.int64))
        if not self.appearance:
            return found, None
        masks = torch.zeros(len(boxes), 360, 640, dtype=torch.bool)
        for mask, left, top in zip(masks, x.int().tolist(), y.int().tolist(), strict=True):
            mask[top : top + 15, left : left + 30] = True
        number = (frame.index + lane * 7) // self.lifetime * self.visible + lane
        numbers = [*number.tolist(), *(-self.false * frame.index - k for k in range(1, self.false + 1))]
        features = torch.stack([torch.randn(8, 8, 8, generator=_seed(i)) for i in numbers])
        return found.replace(masks=masks, features=features), None


def _seed(number: int) -> torch.Generator:
    return torch.Generator().manual_seed(number)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=20000, help="length of the stream (default: %(default)s)")
    parser.add_argument("--appearance", action="store_true", help="masks, features and a random appearance model too")
    options = parser.parse_args()
    frames = options.frames
    print(f"\n{machine()}\n")
    relation = None
    if options.appearance:
        relation = RelationModel(InstanceEncoder(8, 16, 64, resolution=8), TransitionGNN(64, 32)).eval()
    tracker = Tracker(PassingBy(options.appearance), affinity=LearnedAffinity.from_file(appearance=relation))
    process, state = psutil.Process(), tracker.start()
    image = torch.zeros(3, 360, 640, dtype=torch.uint8)
    first, peak = frames // 10, 0
    print(
        "| frames | tracks so far | tracks in memory | tensors | resident now, MB | highest so far, MB | ms a frame |"
    )
    print("|--:|--:|--:|--:|--:|--:|--:|")
    peaks: dict[int, int] = {}
    speeds, seconds = [], []
    for index in range(frames):
        start = time.perf_counter()
        state, _ = tracker.step(state, Frame(image, index, index / 25))
        seconds.append(time.perf_counter() - start - state.seconds["detect"])
        if index % 10 == 0:
            peak = max(peak, process.memory_info().rss)
        if (index + 1) % first == 0:
            gc.collect()
            tensors = sum(issubclass(type(value), torch.Tensor) for value in gc.get_objects())
            now = process.memory_info().rss
            peaks[index + 1] = peak
            speeds.append(1000 * statistics.median(seconds))
            seconds = []
            print(
                f"| {index + 1} | {state.memory.next_id - 1} | {len(state.memory)} | {tensors} | {now / 1e6:.1f} "
                f"| {peak / 1e6:.1f} | {speeds[-1]:.2f} |",
                flush=True,
            )
    print(f"\nHighest memory over {frames} frames ÷ highest over {first}: **{peaks[frames] / peaks[first]:.3f}**")
    print(f"\nTime of a frame, last tenth ÷ second tenth: **{speeds[-1] / speeds[1]:.2f}**")


if __name__ == "__main__":
    main()
