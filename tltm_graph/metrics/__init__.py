"""How good the result is, given the truth."""

from tltm_graph.metrics.association_edges import AssociationEdges
from tltm_graph.metrics.clear import Clear
from tltm_graph.metrics.clear_bdd100k import ClearBdd100k
from tltm_graph.metrics.davis import DavisSemiSupervised, DavisUnsupervised
from tltm_graph.metrics.evaluation import FAMILIES, RULES, Evaluation, Scores
from tltm_graph.metrics.hota import Hota
from tltm_graph.metrics.identity import IdentityMeter, IdentityScores
from tltm_graph.metrics.identity_f1 import IdentityF1
from tltm_graph.metrics.match_to_ground_truth import match_to_ground_truth
from tltm_graph.metrics.metric import Metric
from tltm_graph.metrics.oracle import ORACLES
from tltm_graph.metrics.overlap import FrameOverlap, On, frame_overlaps
from tltm_graph.metrics.region_boundary import (
    boundary_f,
    paired_boundary_f,
    paired_region_similarity,
    region_similarity,
)
from tltm_graph.metrics.track_iou import track_iou
from tltm_graph.metrics.video_ap import VideoAP

__all__ = [
    "FAMILIES",
    "ORACLES",
    "RULES",
    "AssociationEdges",
    "Clear",
    "ClearBdd100k",
    "DavisSemiSupervised",
    "DavisUnsupervised",
    "Evaluation",
    "FrameOverlap",
    "Hota",
    "IdentityF1",
    "IdentityMeter",
    "IdentityScores",
    "Metric",
    "On",
    "Scores",
    "VideoAP",
    "boundary_f",
    "frame_overlaps",
    "match_to_ground_truth",
    "paired_boundary_f",
    "paired_region_similarity",
    "region_similarity",
    "track_iou",
]
