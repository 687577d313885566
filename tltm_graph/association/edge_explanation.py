from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from torch import Tensor
from torch_geometric.data import HeteroData

from tltm_graph.association.affinity import EdgeScores


@dataclass(frozen=True)
class Message:
    """What a neighbour adds to the score of a transition.

    Args:
        side: ``"previous"`` for another track that the detection is compared with, ``"current"`` for another detection
            that the track is compared with.
        row: Which one.
        value: How much.
    """

    side: Literal["previous", "current"]
    row: int
    value: float


@dataclass(frozen=True)
class EdgeExplanation:
    """What the score of a transition is the sum of.

    Args:
        terms: By name.
        messages: What came from its neighbours in the graph, the strongest first; none where no network judged.
    """

    terms: dict[str, float]
    messages: tuple[Message, ...]

    @property
    def total(self) -> float:
        """The sum of all."""
        return sum(self.terms.values()) + sum(message.value for message in self.messages)


def explain_edge(
    affinity: Callable[[HeteroData, Tensor | None], EdgeScores], graph: HeteroData, edge: int, logits: Tensor | None
) -> EdgeExplanation:
    """What an affinity's score of a transition is the sum of.

    An affinity that can ``explain`` itself is asked, such as :class:`tltm_graph.association.LearnedAffinity`; of others
    the terms of their scores tell.
    """
    explain = getattr(affinity, "explain", None)
    if explain is not None:
        return explain(graph, edge, logits)
    scores = affinity(graph, logits)
    return EdgeExplanation({name: float(term[edge]) for name, term in scores.terms.items()}, ())
