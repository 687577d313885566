"""From a graph to an assignment: an affinity gives every edge a score, a solver picks the best set of edges."""

from tltm_graph.association.affinity import Affinity, EdgeScores
from tltm_graph.association.assignment import Assignment
from tltm_graph.association.check import check_solver
from tltm_graph.association.common_motion import common_motion
from tltm_graph.association.decision import Decision
from tltm_graph.association.edge_explanation import EdgeExplanation, Message, explain_edge
from tltm_graph.association.learned_affinity import LearnedAffinity, save_head
from tltm_graph.association.margin import Counterfactual, RunnerUp, best_total, counterfactual, margins, runner_up
from tltm_graph.association.motion_features import MotionFeatures, motion_features
from tltm_graph.association.shapley_explainer import FeatureGroup, ShapleyExplainer
from tltm_graph.association.solvers import GreedySolver, HungarianSolver, Solver

__all__ = [
    "Affinity",
    "Assignment",
    "Counterfactual",
    "Decision",
    "EdgeExplanation",
    "EdgeScores",
    "FeatureGroup",
    "GreedySolver",
    "HungarianSolver",
    "LearnedAffinity",
    "Message",
    "MotionFeatures",
    "RunnerUp",
    "ShapleyExplainer",
    "Solver",
    "best_total",
    "check_solver",
    "common_motion",
    "counterfactual",
    "explain_edge",
    "margins",
    "motion_features",
    "runner_up",
    "save_head",
]
