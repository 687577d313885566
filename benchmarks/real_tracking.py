"""Tracks of real videos with and without the temporal relations: fusion with the previous frame, and appearance.

    python benchmarks/real_tracking.py [--data FOLDER] [--weights NAME] [--length 60]

As in table 3 of arXiv 2210.16795, parts are added one by one to the detector and a tracker by IoU. There are
three kinds of truth:

instances   objects of two DAVIS-2016 sequences (davis2016_instances), whose boundary is the annotated one
chains      objects that overlap from frame to frame without a rival, in the detector's output for clean frames; the
            videos are tracked as filmed, and with degraded stretches of 4 to 10 frames (benchmarks/fusion.py)
ids         track ids that each chain of the clips has, as filmed; 1 is perfect
"""

import argparse
import statistics
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from tqdm import tqdm

from benchmarks.association_scores import Metrics, joint_scores
from benchmarks.fusion import davis_videos, degraded, stretches
from benchmarks.identities import plain_iou
from benchmarks.timing import machine
from tltm_graph import Detections, Frame, Tracker, Tracks, read_frames
from tltm_graph.metrics import Clear, Hota, IdentityF1
from tltm_graph.metrics.benchmark_rules import bdd100k_frames
from tltm_graph.metrics.metric import update_together
from tltm_graph.metrics.overlap import On
from tltm_graph.models import load_model, model_for_tracking
from tltm_graph.ops import mask_iou, masks_to_boxes
from tltm_graph.training.video_identities import unambiguous_chains

CLIPS = ("sam2_bedroom_two_kids", "sam2_dog_person")
INSTANCES = ("bmx-trees", "horsejump-high")


def trackers(weights: str) -> dict[str, Callable[[], Tracker]]:
    """Builders of the trackers by name, each with one part more."""

    def model(**options: bool) -> Tracker:
        return Tracker(model_for_tracking(weights, **options))

    return {
        "detector, IoU": lambda: plain_iou(model_for_tracking(weights, fusion=False, appearance=False), 30),
        "+ fusion": lambda: plain_iou(model_for_tracking(weights, appearance=False), 30),
        "+ learned association": lambda: model(appearance=False),
        "+ appearance (the default)": model,
        "the default without fusion": lambda: model(fusion=False),
    }


def chains_of(weights: str, frames: Sequence[Frame]) -> Tracks | None:
    """Tracks of a video from unambiguous overlaps in clean frames, None if there are none."""
    detector = model_for_tracking(weights, fusion=False, appearance=False)
    detections = [detector.detect(frame)[0].replace(features=None) for frame in frames]
    ids = unambiguous_chains(detections, min_length=min(30, len(frames) // 2))
    stream = ((i, d.replace(ids=chain)[chain >= 0]) for i, (d, chain) in enumerate(zip(detections, ids, strict=True)))
    tracks = Tracks.from_stream(stream, frames[0].size, len(frames))
    return tracks if len(tracks) else None


def instances_of(folder: Path, frames: Sequence[Frame]) -> Tracks:
    """Tracks of annotated instances, at the size of the frames."""

    def stream() -> Iterator[tuple[int, Detections]]:
        for frame, path in zip(frames, sorted(folder.glob("*.png"))[: len(frames)], strict=True):
            ids = np.array(Image.open(path).resize(frame.size[::-1], Image.Resampling.NEAREST))
            present = torch.from_numpy(np.unique(ids[ids > 0])).long()
            masks = torch.from_numpy(ids)[None] == present[:, None, None]
            zeros = torch.zeros_like(present)
            yield (
                frame.index,
                Detections(masks_to_boxes(masks), torch.ones(len(present)), zeros, masks=masks, ids=present),
            )

    return Tracks.from_stream(stream(), frames[0].size, len(frames))


def track(tracker: Tracker, frames: Iterable[Frame], size: tuple[int, int], length: int) -> Tracks:
    """Track a video."""
    stream = ((f.index, d.replace(features=None, embeddings=None)[d.ids >= 0]) for f, d in tracker.track(frames))
    return Tracks.from_stream(stream, size, length)


def score(name: str, truth: Tracks, found: Tracks, on: On) -> Metrics:
    """Score one video, all classes as one."""
    metrics = Hota(), Clear(), IdentityF1()
    update_together(metrics, name, bdd100k_frames(truth, found, on, None))
    return metrics


def ids_of(truth: Tracks, found: Tracks) -> list[int]:
    """Number of ids that follow each true track, for at least three frames each."""
    counts: dict[int, dict[int, int]] = {number: {} for number in truth}
    for frame in range(truth.num_frames):
        true, tracked = truth.at(frame), found.at(frame)
        if not len(true) or not len(tracked):
            continue
        iou = mask_iou(true.masks, tracked.masks)
        for row, best in enumerate(iou.argmax(dim=1).tolist()):
            if iou[row, best] >= 0.5:
                number, found_id = int(true.ids[row]), int(tracked.ids[best])
                counts[number][found_id] = counts[number].get(found_id, 0) + 1
    return [sum(count >= 3 for count in of.values()) for of in counts.values()]


def table(title: str, rows: Mapping[str, Sequence[Metrics]]) -> str:
    """Markdown table of the scores of each tracker."""
    lines = [f"| {title} | HOTA | AssA | DetA | IDF1 | ID switches |", "|---|--:|--:|--:|--:|--:|"]
    for name, parts in rows.items():
        s = joint_scores(parts)
        lines.append(
            f"| {name} | {s['HOTA']:.1f} | {s['AssA']:.1f} | {s['DetA']:.1f} | {s['IDF1']:.1f} | {s['IDSW']} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--weights", default="tltm-pico", help="name or file of a model (default: %(default)s)")
    parser.add_argument("--length", type=int, default=60, help="frames of a DAVIS sequence (default: %(default)s)")
    parser.add_argument("--clip-length", type=int, default=200, help="frames of a clip (default: %(default)s)")
    options = parser.parse_args()
    build, weights = trackers(options.weights), options.weights
    load_model(weights)  # an error comes before the videos are read
    videos = {name: frames[: options.length] for name, frames in davis_videos(options.data).items()}
    clips = {
        name: list(islice(read_frames(options.data / "clips" / f"{name}.mp4"), options.clip_length)) for name in CLIPS
    }

    print(f"{machine()}\n")
    truth = {name: instances_of(options.data / "davis2016_instances" / name, videos[name]) for name in INSTANCES}
    rows = {
        name: [
            score(v, truth[v], track(make(), videos[v], videos[v][0].size, len(videos[v])), "masks") for v in INSTANCES
        ]
        for name, make in build.items()
    }
    print(table(f"instances of {len(INSTANCES)} sequences", rows) + "\n")

    both = videos | clips
    chains = {name: chains_of(weights, both[name]) for name in tqdm(both, desc="chains", file=sys.stderr)}
    for condition in ("as filmed", "degraded"):
        rows = {name: [] for name in build}
        ids: dict[str, dict[str, list[int]]] = {name: {} for name in build}
        for number, (video, of) in enumerate(tqdm(chains.items(), desc=condition, file=sys.stderr)):
            if of is None:
                continue
            frames = both[video]
            if condition == "degraded":
                kinds = stretches(len(frames), number)
                frames = [
                    f if kind is None else degraded(f, *kind, f.index) for f, kind in zip(frames, kinds, strict=True)
                ]
            for name, make in build.items():
                found = track(make(), frames, frames[0].size, len(frames))
                rows[name].append(score(video, of, found, "boxes"))
                ids[name][video] = ids_of(of, found)
        used = [video for video, of in chains.items() if of is not None]
        objects = sum(len(of) for of in chains.values() if of is not None)
        print(table(f"{condition}: {objects} chains in {len(used)} videos", rows) + "\n")
        print(f"| ids of a chain, {condition} | " + " | ".join((*CLIPS, "DAVIS-2016, mean")) + " |")
        print("|---|" + "---|" * (len(CLIPS) + 1))
        for name, by_video in ids.items():
            of_clips = [", ".join(map(str, by_video.get(clip, ()))) for clip in CLIPS]
            rest = [n for video, numbers in by_video.items() if video not in CLIPS for n in numbers]
            print(f"| {name} | " + " | ".join(of_clips) + f" | {statistics.fmean(rest):.2f} |")
        print()


if __name__ == "__main__":
    main()
