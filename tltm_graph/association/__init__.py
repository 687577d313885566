"""Association of a frame pair: an affinity scores the graph, a solver picks the best set of edges."""

from tltm_graph.association.affinity import Affinity, AppearanceModel, EdgeScores
from tltm_graph.association.check import check_solver
from tltm_graph.association.decision import Decision
from tltm_graph.association.geometric_affinity import GeometricAffinity
from tltm_graph.association.learned_affinity import LearnedAffinity, save_head
from tltm_graph.association.solvers import Assignment, GreedySolver, HungarianSolver, Solver

__all__ = [
    "Affinity",
    "AppearanceModel",
    "Assignment",
    "Decision",
    "EdgeScores",
    "GeometricAffinity",
    "GreedySolver",
    "HungarianSolver",
    "LearnedAffinity",
    "Solver",
    "check_solver",
    "save_head",
]
