"""How many identities a video is cut into: the default association against IoU alone, on the same detections.

Run: python benchmarks/identities.py                                       (four rendered scenes, scored by their truth)
     python benchmarks/identities.py --source VIDEO --detections FILE      (tracks of each class of a real clip)
"""

import argparse
from collections import Counter

from tltm_graph import MovingShapes, Tracker, TrackManager, read_frames
from tltm_graph.association import GeometricAffinity
from tltm_graph.detectors import Detector, OracleDetector, PrecomputedDetector
from tltm_graph.metrics import IdentityMeter
from tltm_graph.tracking import MotionFilters


def plain_iou(detector: Detector, max_time_since_update: int) -> Tracker:
    """Hungarian matching on box IoU of at least 0.3: no motion, no class, every detection may start a track."""
    affinity = GeometricAffinity(threshold=0.3, label=0.0, age=0.0, margin=0.0, margin_growth=0.0)
    still = MotionFilters(windows=(1, 1, 1))
    life = TrackManager(
        max_time_since_update=max_time_since_update,
        min_hits=1,
        new_track_threshold=0.0,
        duplicate_threshold=1.0,
        motion=still,
    )
    return Tracker(detector, affinity=affinity, track_manager=life)


def trackers(detector: Detector) -> dict[str, Tracker]:
    return {
        "IoU": plain_iou(detector, 0),
        "IoU, 30 frames of memory": plain_iou(detector, 30),
        "default": Tracker(detector),
    }


def on_a_clip(source: str, detections: str) -> None:
    detector = PrecomputedDetector.from_file(detections)
    print("| association | tracks | observations of each track, by class |\n|---|--:|---|")
    for name, tracker in trackers(detector).items():
        observations: Counter[tuple[int, int]] = Counter()
        for _, seen in tracker.track(read_frames(source)):
            assert seen.ids is not None
            observations.update(
                (i, label) for i, label in zip(seen.ids.tolist(), seen.labels.tolist(), strict=True) if i >= 0
            )
        lengths: dict[int, Counter[int]] = {}
        for (track, label), count in observations.items():
            lengths.setdefault(track, Counter())[label] += count
        by_class: dict[str, list[int]] = {}
        for labels in lengths.values():
            name_of = (detector.class_names or ())[labels.most_common(1)[0][0]]
            by_class.setdefault(name_of, []).append(labels.total())
        shown = "; ".join(f"{c}: {', '.join(map(str, sorted(n, reverse=True)))}" for c, n in sorted(by_class.items()))
        print(f"| {name} | {len(lengths)} | {shown} |")


def on_scenes(seeds: range) -> None:
    print("| association | objects | followed by one id | id switches | tracks |\n|---|--:|--:|--:|--:|")
    totals: dict[str, Counter[str]] = {}
    for seed in seeds:
        scene = MovingShapes(size=(180, 320), seed=seed)
        noise = {"miss_rate": 0.1, "jitter": 0.03, "false_positives": 0.2, "class_noise": 0.03}
        for name, tracker in trackers(OracleDetector(scene.truth, scene.class_names, **noise, seed=seed)).items():
            meter = IdentityMeter()
            for frame, seen in tracker.track(scene):
                meter.update(scene.truth(frame.index), seen)
            scores = meter.compute()
            totals.setdefault(name, Counter()).update(
                objects=scores.objects, whole=scores.whole, switches=scores.switches, tracks=scores.tracks
            )
    for name, total in totals.items():
        print(f"| {name} | {total['objects']} | {total['whole']} | {total['switches']} | {total['tracks']} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source")
    parser.add_argument("--detections")
    options = parser.parse_args()
    if (options.source is None) != (options.detections is None):
        parser.error("expected --source and --detections together")
    if options.source:
        on_a_clip(options.source, options.detections)
    else:
        on_scenes(range(4))


if __name__ == "__main__":
    main()
