"""From a graph to an assignment: an affinity gives every edge a score, a solver picks the best set of edges."""

from tltm_graph.association.affinity import Affinity, EdgeScores
from tltm_graph.association.assignment import Assignment
from tltm_graph.association.published import ArgmaxAssignment, ArgmaxSolver, PublishedAffinity
from tltm_graph.association.solvers import GreedySolver, HungarianSolver, Solver

__all__ = [
    "Affinity",
    "ArgmaxAssignment",
    "ArgmaxSolver",
    "Assignment",
    "EdgeScores",
    "GreedySolver",
    "HungarianSolver",
    "PublishedAffinity",
    "Solver",
]
