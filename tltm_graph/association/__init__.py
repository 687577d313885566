"""Association of a frame pair: an affinity scores the graph, a solver picks the best set of edges."""

from tltm_graph.association.affinity import Affinity, AppearanceModel, EdgeExplanation, EdgeScores, Message
from tltm_graph.association.check import check_solver
from tltm_graph.association.decision import Decision
from tltm_graph.association.geometric_affinity import GeometricAffinity
from tltm_graph.association.learned_affinity import LearnedAffinity, save_head
from tltm_graph.association.margin import Counterfactual, counterfactual, margins, runner_up
from tltm_graph.association.motion_features import motion_features
from tltm_graph.association.shapley_explainer import FeatureGroup, ShapleyExplainer
from tltm_graph.association.solvers import Assignment, GreedySolver, HungarianSolver, Solver

__all__ = [
    "Affinity",
    "AppearanceModel",
    "Assignment",
    "Counterfactual",
    "Decision",
    "EdgeExplanation",
    "EdgeScores",
    "FeatureGroup",
    "GeometricAffinity",
    "GreedySolver",
    "HungarianSolver",
    "LearnedAffinity",
    "Message",
    "ShapleyExplainer",
    "Solver",
    "check_solver",
    "counterfactual",
    "margins",
    "motion_features",
    "runner_up",
    "save_head",
]
