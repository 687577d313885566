"""How good the result is, given the truth."""

from tltm_graph.metrics.identity import IdentityMeter, IdentityScores

__all__ = ["IdentityMeter", "IdentityScores"]
