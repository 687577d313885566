from tltm_graph.association import AppearanceModel
from tltm_graph.detectors import Detector
from tltm_graph.published.affinity import PublishedAffinity
from tltm_graph.published.solver import ArgmaxSolver
from tltm_graph.published.track_manager import PublishedTrackManager
from tltm_graph.tracking import Tracker


def published_tracker(detector: Detector, appearance: AppearanceModel | None = None) -> Tracker:
    """Build the tracker of the released code for YouTube-VIS: its affinity, solver and memory.

    Args:
        detector: Detector. Its ``scale`` gives the size of the network's pixels.
        appearance: Appearance model, such as a trained :class:`tltm_graph.models.TLTM`; None for the baseline without a
            GNN.
    """
    affinity = PublishedAffinity(match=0.5, score=1.5, iou=2.5, scale=detector.scale, appearance=appearance)
    return Tracker(detector, affinity, ArgmaxSolver(), PublishedTrackManager(), max_shown=15)
