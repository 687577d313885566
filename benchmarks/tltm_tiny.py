"""Scores and speed of the shipped tltm_tiny on scenes that it was not trained on.

Tables 1 and 2: scores on masks on the standard test split. Table 1 compares ways of association; each scene is detected
once and replayed for each. Table 2 makes one part perfect at a time. Its last row is perfect association that guesses
which of several look-alikes returned, an upper bound for association by appearance. Table 3: how often the GNN's
largest logit is correct, by frames since the object was last detected. Table 4: time of the whole step beside
torchvision's fastest Faster R-CNN, which returns boxes only, in turns. Its weights are random: it proposes as many
regions as it may and returns none. Trained weights may propose fewer. Without regions it takes its minimum time.

Run: python benchmarks/tltm_tiny.py
     python benchmarks/tltm_tiny.py --weights out/train/tiny_moving_shapes/model_ema.safetensors --scenes 5
"""

import argparse
import statistics
import sys
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from functools import cache
from multiprocessing import get_context
from typing import Any

import torch
from torch import nn
from torch_geometric.data import HeteroData
from torchvision.models.detection import fasterrcnn_mobilenet_v3_large_320_fpn
from tqdm import tqdm

from benchmarks.look_alikes import with_look_alikes_confused
from benchmarks.shapes_model import TINY
from benchmarks.timing import machine, side_by_side
from experiments.ablation.scoring import ScoredScene, followed, frames_only
from tltm_graph import Frame, MovingShapes, Tracker, Tracks
from tltm_graph.association import GeometricAffinity, LearnedAffinity
from tltm_graph.detectors import Detector, ReplayDetector, cache_detections
from tltm_graph.graph import frame_pair_graph
from tltm_graph.metrics import Evaluation
from tltm_graph.metrics.oracle import ORACLES
from tltm_graph.models import TLTM, for_inference, load_model
from tltm_graph.models.tltm import expect_tltm
from tltm_graph.synthetic import STANDARD, TEST, VAL, moving_shapes
from tltm_graph.synthetic.simulated_motion import DetectionSequence
from tltm_graph.training import ModelDetections, RenderedVideos

MAX_SHOWN = 15
"""As in the published system."""

AS_IS = "as it is"
TRACKERS: dict[str, Callable[[Detector, TLTM], Tracker]] = {
    AS_IS: lambda detector, model: Tracker(detector, model.affinity(), max_shown=MAX_SHOWN),
    "without the relation": lambda detector, _: Tracker(detector, LearnedAffinity.from_file(), max_shown=MAX_SHOWN),
    "associated by the head for any detector": lambda detector, model: Tracker(
        detector, LearnedAffinity.from_file(appearance=model), max_shown=MAX_SHOWN
    ),
    "associated by hand": lambda detector, model: Tracker(
        detector, GeometricAffinity(appearance=model), max_shown=MAX_SHOWN
    ),
}
"""Trackers by name, each built of a detector that replays the model's detections, and the model."""
CONFUSED = "association, but for look-alikes that come back"
"""Upper bound of association by appearance."""
METRICS = ("AP", "AP50", "AR10", "HOTA", "AssA", "DetA", "IDF1", "AP degraded", "AP clean")
SPLITS = {"test": TEST, "val": VAL}
TIMED_SCENES = 3
GAPS = (1, 3, 10, 20, 40)


class Scores:
    """Scores of tracks over all frames, and AP over degraded and over clean frames."""

    def __init__(self) -> None:
        families = {"": ("ap", "hota", "idf1"), " degraded": ("ap",), " clean": ("ap",)}
        self.parts = {name: Evaluation(of, MovingShapes.class_names) for name, of in families.items()}

    def update(self, number: int, scene: ScoredScene, tracks: Tracks) -> None:
        clean = frozenset(range(scene.truth.num_frames)) - scene.degraded
        self.parts[""].update(scene.name, number, scene.truth, tracks)
        for name, frames in ((" degraded", scene.degraded), (" clean", clean)):
            self.parts[name].update(scene.name, number, frames_only(scene.truth, frames), frames_only(tracks, frames))

    def merge(self, other: "Scores") -> None:
        for name, part in self.parts.items():
            part.merge(other.parts[name])

    def compute(self) -> dict[str, float]:
        """Compute all :data:`METRICS`, in percent."""
        named = {
            metric + name: value
            for name, part in self.parts.items()
            for metric, value in part.compute().overall.items()
        }
        return {metric: 100 * named[metric] for metric in METRICS}


@cache
def ready(weights: str, threshold: float | None = None) -> TLTM:
    """Load the model for inference, with another score threshold unless it is None."""
    model = expect_tltm(load_model(weights))
    if threshold is not None:
        model.detector.decoder = replace(model.detector.decoder, score_threshold=threshold)
    return for_inference(model)


def track_scene(weights: str, threshold: float | None, split: range, num_frames: int, number: int) -> dict[str, Scores]:
    """Track one scene with every tracker and oracle."""
    scene = moving_shapes(STANDARD, split, num_frames)[number]
    scored, model = ScoredScene.of(scene), ready(weights, threshold)
    cache = cache_detections(model, scene)
    tracks = {
        name: followed(make(ReplayDetector(cache), model), cache.blank_frames(), cache.size, len(cache))
        for name, make in TRACKERS.items()
    }
    tracks |= {part: perfect(scored.truth, tracks[AS_IS], "masks") for part, perfect in ORACLES.items()}
    tracks[CONFUSED] = with_look_alikes_confused(
        tracks["association"], scene.look_alike_groups[: max(scored.truth, default=-1) + 1], seed=number
    )
    scores = {name: Scores() for name in tracks}
    for name, of_tracker in scores.items():
        of_tracker.update(number, scored, tracks[name])
    return scores


def score(
    weights: str, threshold: float | None, split: range, scenes: int, num_frames: int
) -> dict[str, dict[str, float]]:
    """Scores of all trackers and oracles over all scenes."""
    total: dict[str, Scores] = defaultdict(Scores)
    with ProcessPoolExecutor(2, get_context("spawn"), torch.set_num_threads, (1,)) as pool:
        waiting = [pool.submit(track_scene, weights, threshold, split, num_frames, number) for number in range(scenes)]
        for future in tqdm(as_completed(waiting), total=scenes, unit=" scenes", file=sys.stderr):
            for name, judgement in future.result().items():
                total[name].merge(judgement)
    return {name: total[name].compute() for name in (*TRACKERS, *ORACLES, CONFUSED)}


def score_table(scores: Mapping[str, Mapping[str, float]]) -> str:
    lines = [f"| tltm_tiny | {' | '.join(METRICS)} |", "|---|" + "--:|" * len(METRICS)]
    lines += [f"| {name} | {' | '.join(f'{scores[name][metric]:.1f}' for metric in METRICS)} |" for name in TRACKERS]
    return "\n".join(lines)


def oracle_table(scores: Mapping[str, Mapping[str, float]]) -> str:
    lines = ["| made perfect | AP | more than as it is | HOTA | IDF1 |", "|---|--:|--:|--:|--:|"]
    for name in ("", *ORACLES, CONFUSED):
        of = scores[name or AS_IS]
        more = f"{of['AP'] - scores[AS_IS]['AP']:+.1f}" if name else ""
        lines.append(f"| {name or 'nothing'} | {of['AP']:.1f} | {more} | {of['HOTA']:.1f} | {of['IDF1']:.1f} |")
    return "\n".join(lines)


def top_share(score: Callable[[HeteroData], torch.Tensor], video: DetectionSequence, gap: int) -> tuple[int, int, int]:
    """Count correct first choices of the GNN over a gap in frames, all choices, and all candidates."""
    correct = choices = candidates = 0
    assert video.objects is not None
    for t in range(gap, len(video)):
        before = video.frames[t - gap][video.objects[t - gap] == 1]
        now = video.frames[t][video.objects[t] == 1]
        assert before.ids is not None
        assert now.ids is not None
        same = before.ids[:, None] == now.ids[None]  # (M, N)
        if not same.any():
            continue
        graph = frame_pair_graph(before.replace(ids=None), now.replace(ids=None))
        graph["previous"].time_since_update = torch.full((len(before),), float(gap))
        best = score(graph).reshape(same.shape).argmax(dim=0)  # (N,)
        paired = same.any(dim=0)
        correct += int(same[best, torch.arange(len(now))][paired].sum())
        choices, candidates = choices + int(paired.sum()), candidates + len(before) * int(paired.sum())
    return correct, choices, candidates


def relation_table(weights: str, threshold: float | None, split: str, scenes: int, num_frames: int) -> str:
    rendered = RenderedVideos(split=split, num_frames=num_frames)
    videos = ModelDetections(rendered, weights, threshold, num_videos=scenes)
    counts: dict[int, list[int]] = {gap: [0, 0, 0] for gap in GAPS if gap < num_frames}
    for index in tqdm(range(len(videos)), unit=" scenes", file=sys.stderr):
        video = videos[index]
        assert video.relation is not None
        for gap, sums in counts.items():
            for number, value in enumerate(top_share(video.relation, video, gap)):
                sums[number] += value
    shares = {gap: (correct / max(1, n), candidates / max(1, n)) for gap, (correct, n, candidates) in counts.items()}
    lines = [f"| frames since the last observation | {' | '.join(map(str, shares))} |", "|---|" + "--:|" * len(shares)]
    lines.append(
        "| the GNN's first choice is correct | " + " | ".join(f"{correct:.0%}" for correct, _ in shares.values()) + " |"
    )
    lines.append("| candidates | " + " | ".join(f"{candidates:.1f}" for _, candidates in shares.values()) + " |")
    return "\n".join(lines)


class Following:
    """Tracker that takes one step per call, scene after scene."""

    def __init__(self, tracker: Tracker, frames: Sequence[Frame]) -> None:
        self.tracker, self.frames = tracker, frames
        self.state = tracker.start()
        self.counts: list[int] = []
        self.stages: dict[str, list[float]] = defaultdict(list)

    def __call__(self) -> None:
        frame = self.frames[len(self.counts) % len(self.frames)]
        state = self.tracker.start() if frame.index == 0 else self.state
        self.state, detections = self.tracker.step(state, frame)
        assert detections.ids is not None
        self.counts.append(int((detections.ids >= 0).sum()))
        for stage, seconds in self.state.seconds.items():
            self.stages[stage].append(1000 * seconds)


class Detecting:
    """Faster R-CNN of torchvision that processes one frame per call."""

    def __init__(self, frames: Sequence[Frame], **options: Any) -> None:
        torch.manual_seed(0)
        self.model: nn.Module = fasterrcnn_mobilenet_v3_large_320_fpn(
            weights=None, weights_backbone=None, **options
        ).eval()
        self.frames = frames
        self.counts: list[int] = []
        self.regions: list[int] = []
        self.model.roi_heads.register_forward_pre_hook(lambda _, inputs: self.regions.append(len(inputs[1][0])))

    @torch.no_grad()
    def __call__(self) -> None:
        frame = self.frames[len(self.counts) % len(self.frames)]
        (output,) = self.model([frame.image.float() / 255])
        self.counts.append(len(output["boxes"]))


def time_step(weights: str, num_frames: int) -> tuple[str, str]:
    """Tables of the whole step beside the detector, and of the stages of the step."""
    frames = [frame for number in range(TIMED_SCENES) for frame in moving_shapes(STANDARD, TEST, num_frames)[number]]
    model = ready(weights)
    ours = Following(Tracker(model, max_shown=MAX_SHOWN), frames)
    as_ours = {"min_size": model.detector.min_size, "max_size": model.detector.max_size}
    peers = {
        "enlarged to 320×533, as it comes": Detecting(frames),
        "enlarged, without regions": Detecting(frames, rpn_score_thresh=1.0),
        "at 192×320": Detecting(frames, **as_ours),
        "at 192×320, without regions": Detecting(frames, rpn_score_thresh=1.0, **as_ours),
    }
    ms = side_by_side({"ours": ours, **peers}, repeats=len(frames))
    lines = ["| per frame | ms | tltm_tiny ÷ this | regions | objects |", "|---|--:|--:|--:|--:|"]
    lines.append(f"| tltm_tiny, the whole step | {ms['ours']:.1f} | | | {_mean(ours.counts)} |")
    for name, peer in peers.items():
        ratio = f"**{ms['ours'] / ms[name]:.2f}**"
        lines.append(
            f"| Faster R-CNN, {name} | {ms[name]:.1f} | {ratio} | {_mean(peer.regions)} | {_mean(peer.counts)} |"
        )
    stages = {stage: statistics.median(of) for stage, of in ours.stages.items()}
    whole = sum(stages.values())
    parts = ["| stage of the step | ms | share |", "|---|--:|--:|"]
    parts += [f"| {stage} | {value:.2f} | {value / whole:.0%} |" for stage, value in stages.items()]
    return "\n".join(lines), "\n".join(parts)


def _mean(counts: Sequence[int]) -> str:
    return f"{statistics.mean(counts):.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", default=TINY, help="file of weights; default: %(default)s")
    parser.add_argument("--scenes", type=int, help="default: all of the split")
    parser.add_argument("--split", choices=SPLITS, default="test", help="default: %(default)s")
    parser.add_argument(
        "--score-threshold", type=float, metavar="P", help="minimum detection score; default: that of the weights"
    )
    parser.add_argument("--frames", type=int, default=60, help="per scene; default: %(default)s")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of the timing; default: %(default)s")
    options = parser.parse_args()
    split = SPLITS[options.split]
    scenes = options.scenes or len(split)
    scores = score(options.weights, options.score_threshold, split, scenes, options.frames)
    print(f"*{scenes} {options.split} scenes of {options.frames} frames, at most {MAX_SHOWN} objects per frame*\n")
    print(f"{score_table(scores)}\n\n{oracle_table(scores)}", flush=True)
    choices = relation_table(options.weights, options.score_threshold, options.split, scenes, options.frames)
    print(f"\n{choices}", flush=True)
    torch.set_num_threads(options.threads)
    print(f"\n*{machine()}, 192×320*\n", flush=True)
    print("\n\n".join(time_step(options.weights, options.frames)))


if __name__ == "__main__":
    main()
