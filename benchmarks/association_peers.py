"""The trackers that ours is compared with, and their settings.

*default* is what the package has, *tuned* the best of a grid on the sequences of MOT15, *tuned17* that of a smaller one
on the sequences of MOT17c: each of them knows the sequences it was tuned on.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from benchmarks.association_trackers import Associator, IouHungarian, Norfair, Roboflow


def _roboflow(kind: str, **fixed: Any) -> Callable[..., Associator]:
    return partial(Roboflow, kind, **fixed)


Settings = Mapping[str, Mapping[str, Any]]

PEERS: Mapping[str, tuple[Callable[..., Associator], Settings]] = {
    "IoU-Hungarian": (
        IouHungarian,
        {
            "default": {},
            "tuned": {"thr": 0.3, "max_time_since_update": 5, "min_hits": 1, "det_min": 0.7},
            "tuned17": {"thr": 0.3, "max_time_since_update": 15, "min_hits": 2},
        },
    ),
    "SORT": (
        _roboflow("SORTTracker"),
        {
            "default": {},
            "tuned": {
                "lost_track_buffer": 10,
                "track_activation_threshold": 0.7,
                "minimum_consecutive_frames": 3,
                "minimum_iou_threshold": 0.2,
            },
            "tuned17": {"lost_track_buffer": 16, "minimum_consecutive_frames": 2, "minimum_iou_threshold": 0.1},
        },
    ),
    "ByteTrack": (
        _roboflow("ByteTrackTracker"),
        {
            "default": {},
            "tuned": {
                "lost_track_buffer": 30,
                "track_activation_threshold": 0.5,
                "minimum_consecutive_frames": 2,
                "minimum_iou_threshold": 0.2,
                "high_conf_det_threshold": 0.6,
            },
            "tuned17": {"lost_track_buffer": 16, "minimum_consecutive_frames": 2, "minimum_iou_threshold": 0.1},
        },
    ),
    "OC-SORT": (
        _roboflow("OCSORTTracker"),
        {
            "default": {},
            "tuned": {
                "lost_track_buffer": 30,
                "minimum_consecutive_frames": 1,
                "minimum_iou_threshold": 0.3,
                "high_conf_det_threshold": 0.7,
            },
            "tuned17": {"lost_track_buffer": 16, "minimum_consecutive_frames": 1, "minimum_iou_threshold": 0.3},
        },
    ),
    "BoT-SORT (no CMC)": (
        _roboflow("BoTSORTTracker", enable_cmc=False),
        {
            "default": {},
            "tuned": {
                "lost_track_buffer": 30,
                "track_activation_threshold": 0.5,
                "minimum_consecutive_frames": 2,
                "minimum_iou_threshold_first_assoc": 0.1,
                "high_conf_det_threshold": 0.6,
            },
            "tuned17": {
                "lost_track_buffer": 16,
                "minimum_consecutive_frames": 2,
                "minimum_iou_threshold_first_assoc": 0.3,
            },
        },
    ),
    "C-BIoU": (
        _roboflow("CBIoUTracker"),
        {
            "default": {},
            "tuned": {
                "lost_track_buffer": 30,
                "track_activation_threshold": 0.7,
                "minimum_consecutive_frames": 2,
                "minimum_iou_threshold_first_assoc": 0.2,
                "buffer_ratio_first": 0.1,
                "buffer_ratio_second": 0.3,
            },
            "tuned17": {"lost_track_buffer": 16, "minimum_consecutive_frames": 2, "buffer_ratio_first": 0.1},
        },
    ),
    "McByte (no CMC, no masks)": (
        _roboflow("McByteTracker", enable_cmc=False),
        {
            "default": {},
            "tuned": {
                "lost_track_buffer": 30,
                "track_activation_threshold": 0.5,
                "minimum_consecutive_frames": 2,
                "minimum_iou_threshold_first_assoc": 0.1,
                "high_conf_det_threshold": 0.6,
            },
        },
    ),
    "norfair": (
        Norfair,
        {
            "default": {"distance_threshold": 0.7},
            "tuned": {
                "distance_threshold": 0.9,
                "hit_counter_max": 15,
                "initialization_delay": 2,
                "det_min": 0.6,
            },
            "tuned17": {"distance_threshold": 0.7, "hit_counter_max": 30, "initialization_delay": 1},
        },
    ),
}
"""How each is made, and with which settings."""

PACKAGE = {name: "norfair" if name == "norfair" else "trackers" for name in PEERS if name != "IoU-Hungarian"}
"""What has to be installed for it."""
