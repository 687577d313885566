"""What the tltm_tiny that comes with the package is worth on scenes it has never seen, and how fast it is.

The first two tables are scores on masks, of the standard test split: of the tracker, of the same with other
association, and with one part made perfect. Its last row is perfect association that guesses where one of several
look-alikes comes back: more cannot be known. A scene is looked at once, and what was seen is followed in each way. The
third table tells how often the GNN's largest logit is the true one, by how long ago the object was seen. The
fourth is the whole step (objects, masks, relation, association) beside torchvision's fastest Faster R-CNN, which gives
boxes alone, frame by frame in turns. Its weights are random: it proposes as many regions as it may, and returns none of
them. Trained ones may propose fewer, and return some; without regions it takes the least that it can.

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
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch_geometric.data import HeteroData
from torchvision.models.detection import fasterrcnn_mobilenet_v3_large_320_fpn
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.look_alikes import with_look_alikes_confused
from benchmarks.timing import machine, side_by_side
from experiments.ablation.scoring import ScoredScene, followed, frames_only
from tltm_graph import Frame, MovingShapes, Tracker, Tracks
from tltm_graph.association import GeometricAffinity, LearnedAffinity
from tltm_graph.graph import frame_pair_graph
from tltm_graph.metrics import ORACLES, Evaluation
from tltm_graph.models import TLTM, RecordedModel, for_inference, load_model, record
from tltm_graph.synthetic import STANDARD, TEST, VAL, DetectionSequence, moving_shapes
from tltm_graph.training import ModelDetections, RenderedVideos

MAX_SHOWN = 15
"""As in the published system."""

AS_IS = "as it is"
TRACKERS: dict[str, Callable[[RecordedModel], Tracker]] = {
    AS_IS: lambda model: Tracker(model, model, max_shown=MAX_SHOWN),
    "without the relation": lambda model: Tracker(model, max_shown=MAX_SHOWN),
    "associated by the head for any detector": lambda model: Tracker(
        model, model, affinity=LearnedAffinity.from_file(), max_shown=MAX_SHOWN
    ),
    "associated by hand": lambda model: Tracker(model, model, affinity=GeometricAffinity(), max_shown=MAX_SHOWN),
}
CONFUSED = "association, but for look-alikes that come back"
"""What nobody can do better, as far as looks decide."""
METRICS = ("AP", "AP50", "AR10", "HOTA", "AssA", "DetA", "IDF1", "AP degraded", "AP clean")
SPLITS = {"test": TEST, "val": VAL}
TIMED_SCENES = 3
GAPS = (1, 3, 10, 20, 40)


class Judgement:
    """Scores of tracks: over all frames, and AP over those that are degraded and those that are clean."""

    def __init__(self) -> None:
        families = {"": ("ap", "hota", "idf1"), " degraded": ("ap",), " clean": ("ap",)}
        self.parts = {name: Evaluation(of, MovingShapes.class_names) for name, of in families.items()}

    def update(self, number: int, scene: ScoredScene, tracks: Tracks) -> None:
        clean = frozenset(range(scene.truth.num_frames)) - scene.degraded
        self.parts[""].update(scene.name, number, scene.truth, tracks)
        for name, frames in ((" degraded", scene.degraded), (" clean", clean)):
            self.parts[name].update(scene.name, number, frames_only(scene.truth, frames), frames_only(tracks, frames))

    def merge(self, other: "Judgement") -> None:
        for name, part in self.parts.items():
            part.merge(other.parts[name])

    def scores(self) -> dict[str, float]:
        """All of :data:`METRICS`, in percent."""
        named = {
            metric + name: value
            for name, part in self.parts.items()
            for metric, value in part.compute().overall.items()
        }
        return {metric: 100 * named[metric] for metric in METRICS}


@cache
def ready(weights: str, threshold: float | None = None) -> TLTM:
    """The model, as the command line uses it, with another score threshold if there is one."""
    model = load_model(weights)
    assert isinstance(model, TLTM), f"Expected a model with a relation, got {model}"
    if threshold is not None:
        model.detector.decoder = replace(model.detector.decoder, score_threshold=threshold)
    return for_inference(model)


def judged(weights: str, threshold: float | None, split: range, num_frames: int, number: int) -> dict[str, Judgement]:
    """Follows one scene in every way."""
    scene = moving_shapes(STANDARD, split, num_frames)[number]
    scored, model = ScoredScene.of(scene), ready(weights, threshold)
    seen = record(model, scene)
    tracks = {
        name: followed(make(RecordedModel(seen, model.score, model.affinity)), seen.frames(), seen.size, len(seen))
        for name, make in TRACKERS.items()
    }
    tracks |= {part: perfect(scored.truth, tracks[AS_IS], "masks") for part, perfect in ORACLES.items()}
    tracks[CONFUSED] = with_look_alikes_confused(
        tracks["association"], scene.look_alike_groups[: max(scored.truth, default=-1) + 1], seed=number
    )
    judgements = {name: Judgement() for name in tracks}
    for name, judgement in judgements.items():
        judgement.update(number, scored, tracks[name])
    return judgements


def score(
    weights: str, threshold: float | None, split: range, scenes: int, num_frames: int
) -> dict[str, dict[str, float]]:
    """The scores of all ways, over all scenes."""
    total: dict[str, Judgement] = defaultdict(Judgement)
    with ProcessPoolExecutor(2, get_context("spawn"), torch.set_num_threads, (1,)) as pool:
        waiting = [pool.submit(judged, weights, threshold, split, num_frames, number) for number in range(scenes)]
        for future in tqdm(as_completed(waiting), total=scenes, unit=" scenes", file=sys.stderr):
            for name, judgement in future.result().items():
                total[name].merge(judgement)
    return {name: total[name].scores() for name in (*TRACKERS, *ORACLES, CONFUSED)}


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
    """How many detections of objects seen ``gap`` frames before have the largest logit with themselves, how many there
    are, and how many candidates they have."""
    right = asked = candidates = 0
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
        graph["previous"].gap = torch.full((len(before),), float(gap))
        best = score(graph).reshape(same.shape).argmax(dim=0)  # (N,)
        known = same.any(dim=0)
        right += int(same[best, torch.arange(len(now))][known].sum())
        asked, candidates = asked + int(known.sum()), candidates + len(before) * int(known.sum())
    return right, asked, candidates


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
    shares = {gap: (right / max(1, asked), among / max(1, asked)) for gap, (right, asked, among) in counts.items()}
    lines = [f"| seen so many frames ago | {' | '.join(map(str, shares))} |", "|---|" + "--:|" * len(shares)]
    lines.append(
        "| the GNN's first choice is right | " + " | ".join(f"{right:.0%}" for right, _ in shares.values()) + " |"
    )
    lines.append("| of so many candidates | " + " | ".join(f"{among:.1f}" for _, among in shares.values()) + " |")
    return "\n".join(lines)


class Following:
    """A step of a tracker with each call, scene after scene."""

    def __init__(self, tracker: Tracker, frames: Sequence[Frame]) -> None:
        self.tracker, self.frames = tracker, frames
        self.state = tracker.start()
        self.found: list[int] = []
        self.stages: dict[str, list[float]] = defaultdict(list)

    def __call__(self) -> None:
        frame = self.frames[len(self.found) % len(self.frames)]
        state = self.tracker.start() if frame.index == 0 else self.state
        self.state, detections = self.tracker.step(state, frame)
        assert detections.ids is not None
        self.found.append(int((detections.ids >= 0).sum()))
        for stage, seconds in self.state.seconds.items():
            self.stages[stage].append(1000 * seconds)


class Detecting:
    """The boxes of a frame with each call, of a detector of torchvision."""

    def __init__(self, frames: Sequence[Frame], **options: Any) -> None:
        torch.manual_seed(0)
        self.model: nn.Module = fasterrcnn_mobilenet_v3_large_320_fpn(
            weights=None, weights_backbone=None, **options
        ).eval()
        self.frames = frames
        self.found: list[int] = []
        self.regions: list[int] = []
        self.model.roi_heads.register_forward_pre_hook(lambda _, inputs: self.regions.append(len(inputs[1][0])))

    @torch.no_grad()
    def __call__(self) -> None:
        frame = self.frames[len(self.found) % len(self.frames)]
        (output,) = self.model([frame.image.float() / 255])
        self.found.append(len(output["boxes"]))


def time_step(weights: str, num_frames: int) -> tuple[str, str]:
    """Tables of whole steps beside those of a detector, and of the stages of a step."""
    frames = [frame for number in range(TIMED_SCENES) for frame in moving_shapes(STANDARD, TEST, num_frames)[number]]
    model = ready(weights)
    ours = Following(Tracker(model, model, max_shown=MAX_SHOWN), frames)
    as_ours = {"min_size": model.detector.min_size, "max_size": model.detector.max_size}
    peers = {
        "enlarged to 320×533, as it comes": Detecting(frames),
        "enlarged, without regions": Detecting(frames, rpn_score_thresh=1.0),
        "at 192×320": Detecting(frames, **as_ours),
        "at 192×320, without regions": Detecting(frames, rpn_score_thresh=1.0, **as_ours),
    }
    ms = side_by_side({"ours": ours, **peers}, repeats=len(frames))
    lines = ["| a frame | ms | tltm_tiny ÷ this | regions | objects |", "|---|--:|--:|--:|--:|"]
    lines.append(f"| tltm_tiny, the whole step | {ms['ours']:.1f} | | | {_mean(ours.found)} |")
    for name, peer in peers.items():
        ratio = f"**{ms['ours'] / ms[name]:.2f}**"
        lines.append(
            f"| Faster R-CNN, {name} | {ms[name]:.1f} | {ratio} | {_mean(peer.regions)} | {_mean(peer.found)} |"
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
    parser.add_argument("--weights", default="tltm-tiny-moving-shapes", help="a file, or a name; default: %(default)s")
    parser.add_argument("--scenes", type=int, help="default: all of the split")
    parser.add_argument("--split", choices=SPLITS, default="test", help="default: %(default)s")
    parser.add_argument(
        "--score-threshold", type=float, metavar="P", help="of the detector; default: that of the weights"
    )
    parser.add_argument("--frames", type=int, default=60, help="of each scene; default: %(default)s")
    parser.add_argument("--threads", type=int, default=1, help="while time is taken; default: %(default)s")
    options = parser.parse_args()
    split = SPLITS[options.split]
    scenes = options.scenes or len(split)
    scores = score(options.weights, options.score_threshold, split, scenes, options.frames)
    print(f"*{scenes} {options.split} scenes of {options.frames} frames, at most {MAX_SHOWN} objects a frame*\n")
    print(f"{score_table(scores)}\n\n{oracle_table(scores)}", flush=True)
    choices = relation_table(options.weights, options.score_threshold, options.split, scenes, options.frames)
    print(f"\n{choices}", flush=True)
    torch.set_num_threads(options.threads)
    print(f"\n*{machine()}, 192×320*\n", flush=True)
    print("\n\n".join(time_step(options.weights, options.frames)))


if __name__ == "__main__":
    main()
