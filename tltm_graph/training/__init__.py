"""How models learn: losses, and what they are computed from."""

from tltm_graph.training.losses import edge_loss, fcos_losses, mask_loss, smoothed_giou, transition_loss
from tltm_graph.training.objective import (
    PairObjective,
    current_twice,
    paper_objective,
    released_objective,
    true_previous,
)
from tltm_graph.training.regions import GroundTruthRegions, ProposalRegions, Regions, RegionSampler

__all__ = [
    "GroundTruthRegions",
    "PairObjective",
    "ProposalRegions",
    "RegionSampler",
    "Regions",
    "current_twice",
    "edge_loss",
    "fcos_losses",
    "mask_loss",
    "paper_objective",
    "released_objective",
    "smoothed_giou",
    "transition_loss",
    "true_previous",
]
