"""Learned layers of the relation model. None of them depends on a detector or a tracker."""

from tltm_graph.nn.appearance_encoder import AppearanceEncoder
from tltm_graph.nn.folded_transition_gnn import FoldedTransitionGNN
from tltm_graph.nn.folded_transition_head import FoldedTransitionHead
from tltm_graph.nn.gated_fuser import GatedFuser
from tltm_graph.nn.instance_encoder import InstanceEncoder
from tltm_graph.nn.res_fuser import ResFuser
from tltm_graph.nn.transition_gnn import TransitionGNN
from tltm_graph.nn.transition_head import TransitionHead

__all__ = [
    "AppearanceEncoder",
    "FoldedTransitionGNN",
    "FoldedTransitionHead",
    "GatedFuser",
    "InstanceEncoder",
    "ResFuser",
    "TransitionGNN",
    "TransitionHead",
]
