"""The learned parts of the relation model, each a plain module that knows nothing of detectors and trackers."""

from tltm_graph.nn.appearance_encoder import AppearanceEncoder, likeness
from tltm_graph.nn.folded_transition_gnn import FoldedTransitionGNN
from tltm_graph.nn.instance_encoder import InstanceEncoder
from tltm_graph.nn.res_fuser import ResFuser
from tltm_graph.nn.transition_gnn import TransitionGNN
from tltm_graph.nn.transition_head import Standardize, TransitionHead

__all__ = [
    "AppearanceEncoder",
    "FoldedTransitionGNN",
    "InstanceEncoder",
    "ResFuser",
    "Standardize",
    "TransitionGNN",
    "TransitionHead",
    "likeness",
]
