"""The baseline that knows nothing but overlap, and its best setting."""

from dataclasses import asdict, dataclass
from itertools import product
from typing import Any

from tqdm import tqdm

from experiments.ablation.lab import MAX_SHOWN, Lab
from experiments.ablation.results import write_json
from experiments.ablation.scoring import followed, score
from tltm_graph.association import Affinity
from tltm_graph.detectors import Detector
from tltm_graph.io import read_json
from tltm_graph.tracking import MotionFilters, Tracker, TrackManager


@dataclass(frozen=True)
class IouSetting:
    """Of an IoU tracker.

    Args:
        threshold: Least IoU of a match.
        max_time_since_update: Frames in a row that a track survives unseen.
        new_track_threshold: Least detection score of a new track.
        min_hits: Observations that confirm a track.
    """

    threshold: float = 0.3
    max_time_since_update: int = 0
    new_track_threshold: float = 0.3
    min_hits: int = 1


GRID = tuple(
    IouSetting(threshold, max_time_since_update, new_track_threshold, min_hits)
    for threshold, max_time_since_update, new_track_threshold, min_hits in product(
        (0.1, 0.3, 0.5), (5, 15, 60), (0.3, 0.5), (1, 2)
    )
)
"""What is tried."""


def iou_tracker(detector: Detector, setting: IouSetting) -> Tracker:
    """Hungarian matching on the IoU with the box last seen: no motion, no class, no looks."""
    track_manager = TrackManager(
        max_time_since_update=setting.max_time_since_update,
        min_hits=setting.min_hits,
        new_track_threshold=setting.new_track_threshold,
        motion=MotionFilters(windows=(1, 1, 1)),
    )
    affinity = Affinity(threshold=setting.threshold, label=0.0, age=0.0, margin=0.0, margin_growth=0.0)
    return Tracker(detector, affinity=affinity, track_manager=track_manager, max_shown=MAX_SHOWN)


def tuned(lab: Lab, arm: str, seed: int, grid: tuple[IouSetting, ...] = GRID) -> tuple[IouSetting, dict[str, Any]]:
    """The setting with the best mean of AP and HOTA on validation scenes, the first of equals.

    Returns:
        The setting, and what every setting scored, as it is kept on the disk.
    """
    path = lab.plan.output / "tuning" / f"{arm}_seed_{seed}.json"
    if not path.is_file():
        recorded = list(lab.recordings(arm, seed, lab.val_scenes))
        tried = []
        for setting in tqdm(grid, desc=f"tuning IoU on {arm}, seed {seed}", unit=" settings", leave=False):
            tracks = [
                followed(iou_tracker(one, setting), one.recording.frames(), one.recording.size, len(one.recording))
                for one in recorded
            ]
            scores = score(lab.val_truth, tracks, lab.class_names).overall
            value = (scores["AP"] + scores["HOTA"]) / 2
            tried.append({**asdict(setting), "AP": scores["AP"], "HOTA": scores["HOTA"], "mean": value})
        best = max(range(len(grid)), key=lambda number: tried[number]["mean"])
        write_json(path, {"scenes": repr(lab.val_scenes), "chosen": asdict(grid[best]), "grid": tried})
    content = read_json(path, "a tuned setting")
    return IouSetting(**content["chosen"]), content
