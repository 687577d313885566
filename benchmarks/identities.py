"""Identities that the default association keeps, compared with IoU alone on the same detections.

The detections are those of a noisy oracle on four easy rendered scenes, scored by their ground truth.

Run: python benchmarks/identities.py
"""

from collections import Counter

from tltm_graph import MovingShapes, Tracker, TrackManager
from tltm_graph.association import GeometricAffinity
from tltm_graph.detectors import Detector, OracleDetector
from tltm_graph.metrics import IdentityMeter
from tltm_graph.tracking import MotionFilters


def plain_iou(detector: Detector, max_time_since_update: int) -> Tracker:
    """Hungarian matching on box IoU of at least 0.3, without motion or classes; every detection may start a track."""
    affinity = GeometricAffinity(threshold=0.3, label=0.0, age=0.0, margin=0.0, margin_growth=0.0)
    track_manager = TrackManager(
        max_time_since_update=max_time_since_update,
        min_hits=1,
        new_track_threshold=0.0,
        duplicate_threshold=1.0,
        motion=MotionFilters(windows=(1, 1, 1)),
    )
    return Tracker(detector, affinity=affinity, track_manager=track_manager)


def trackers(detector: Detector) -> dict[str, Tracker]:
    return {
        "IoU": plain_iou(detector, 0),
        "IoU, 30 frames of memory": plain_iou(detector, 30),
        "default": Tracker(detector),
    }


def main() -> None:
    print("| association | objects | followed by one id | id switches | tracks |\n|---|--:|--:|--:|--:|")
    totals: dict[str, Counter[str]] = {}
    for seed in range(4):
        scene = MovingShapes(size=(180, 320), seed=seed)
        noise = {"miss_rate": 0.1, "jitter": 0.03, "false_positives": 0.2, "class_noise": 0.03}
        for name, tracker in trackers(OracleDetector(scene.truth, scene.class_names, **noise, seed=seed)).items():
            meter = IdentityMeter()
            for frame, shown in tracker.track(scene):
                meter.update(scene.truth(frame.index), shown)
            scores = meter.compute()
            totals.setdefault(name, Counter()).update(
                objects=scores.objects, whole=scores.whole, switches=scores.switches, tracks=scores.tracks
            )
    for name, total in totals.items():
        print(f"| {name} | {total['objects']} | {total['whole']} | {total['switches']} | {total['tracks']} |")


if __name__ == "__main__":
    main()
