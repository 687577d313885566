"""A conformance kit: does your detector or solver do what the rest of the library relies on?"""

from tltm_graph.testing.detectors import check_detector
from tltm_graph.testing.solvers import check_solver

__all__ = ["check_detector", "check_solver"]
