"""Scores of predicted tracks and masks, given the ground truth."""

from tltm_graph.metrics.association_edges import AssociationEdges
from tltm_graph.metrics.clear import Clear
from tltm_graph.metrics.davis import DavisSemiSupervised, DavisUnsupervised
from tltm_graph.metrics.evaluation import Evaluation
from tltm_graph.metrics.hota import Hota
from tltm_graph.metrics.identity import IdentityF1, IdentityMeter
from tltm_graph.metrics.matching import match_to_ground_truth
from tltm_graph.metrics.video_ap import VideoAP

__all__ = [
    "AssociationEdges",
    "Clear",
    "DavisSemiSupervised",
    "DavisUnsupervised",
    "Evaluation",
    "Hota",
    "IdentityF1",
    "IdentityMeter",
    "VideoAP",
    "match_to_ground_truth",
]
