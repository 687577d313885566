"""Baseline tracker on box overlap alone, and the search for its best setting."""

from dataclasses import asdict, dataclass
from functools import partial
from itertools import product

from tqdm import tqdm

from experiments.ablation.lab import MAX_SHOWN, Lab, track_cached
from experiments.ablation.results import write_json
from experiments.ablation.scoring import score
from tltm_graph.association import GeometricAffinity
from tltm_graph.detectors import Detector
from tltm_graph.io.text import read_json
from tltm_graph.tracking import MotionFilters, Tracker, TrackManager


@dataclass(frozen=True)
class IouSetting:
    """Setting of the IoU tracker.

    Args:
        threshold: Minimum IoU of a match.
        max_time_since_update: Number of consecutive frames after which an unseen track is removed.
        new_track_threshold: Minimum detection score that starts a track.
        min_hits: Number of observations that confirm a track.
    """

    threshold: float = 0.3
    max_time_since_update: int = 0
    new_track_threshold: float = 0.3
    min_hits: int = 1


GRID = tuple(IouSetting(*values) for values in product((0.1, 0.3, 0.5), (5, 15, 60), (0.3, 0.5), (1, 2)))
"""Settings to search."""


def iou_tracker(setting: IouSetting, detector: Detector) -> Tracker:
    """Build a tracker that matches boxes with the last boxes of tracks, without motion, class and appearance."""
    track_manager = TrackManager(
        max_time_since_update=setting.max_time_since_update,
        min_hits=setting.min_hits,
        new_track_threshold=setting.new_track_threshold,
        motion=MotionFilters(windows=(1, 1, 1)),
    )
    affinity = GeometricAffinity(threshold=setting.threshold, label=0.0, age=0.0, margin=0.0, margin_growth=0.0)
    return Tracker(detector, affinity, track_manager=track_manager, max_shown=MAX_SHOWN)


def tune(lab: Lab, arm: str, seed: int, grid: tuple[IouSetting, ...] = GRID) -> IouSetting:
    """Find the setting with the best mean of AP and HOTA on the validation scenes; of equals, the first.

    The scores of all settings are written to ``tuning/ARM_seed_N.json``, from which the next call reads the best one.
    """
    path = lab.plan.output / "tuning" / f"{arm}_seed_{seed}.json"
    if not path.is_file():
        caches = list(lab.caches(arm, seed, lab.val_scenes))
        tried = []
        for setting in tqdm(grid, desc=f"tuning IoU on {arm}, seed {seed}", unit=" settings", leave=False):
            tracks = [track_cached(cached, partial(iou_tracker, setting)) for cached in caches]
            scores = score(lab.val_truth, tracks, lab.class_names).overall
            mean = (scores["AP"] + scores["HOTA"]) / 2
            tried.append({**asdict(setting), "AP": scores["AP"], "HOTA": scores["HOTA"], "mean": mean})
        best = max(range(len(grid)), key=lambda number: tried[number]["mean"])
        write_json(path, {"scenes": repr(lab.val_scenes), "chosen": asdict(grid[best]), "grid": tried})
    return IouSetting(**read_json(path, "a tuned setting")["chosen"])
