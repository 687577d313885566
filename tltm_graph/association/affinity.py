import copy
from abc import abstractmethod
from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

from torch import Tensor
from torch_geometric.data import HeteroData

from tltm_graph.graph import TRANSITION
from tltm_graph.structures import Detections


@dataclass(frozen=True, eq=False)
class EdgeScores:
    """Scores of a frame-pair graph. A solver maximises their sum over matched edges, births and misses.

    Args:
        edges: Score of each edge as a match (E,), in the order of the graph's ``edge_index``.
        births: Score of each current object as a new track (N,).
        misses: Score of each previous object as not visible (M,).
        terms: Named summands of ``edges``, each (E,).
        objects: Log-odds that each current detection shows an object (N,), None if the affinity does not estimate it.
    """

    edges: Tensor
    births: Tensor
    misses: Tensor
    terms: dict[str, Tensor] = field(default_factory=dict)
    objects: Tensor | None = None

    def __repr__(self) -> str:
        sizes = f"{len(self.edges)} edges, {len(self.births)} births, {len(self.misses)} misses"
        return f"{type(self).__name__}({sizes}, terms {', '.join(self.terms) or 'none'})"


@dataclass(frozen=True)
class Message:
    """Contribution of a neighbour to the score of an edge.

    Args:
        side: ``"previous"`` for another track compared with the same detection, ``"current"`` for another detection
            compared with the same track.
        row: Row of the neighbour.
        value: Contribution to the score.
    """

    side: Literal["previous", "current"]
    row: int
    value: float


@dataclass(frozen=True)
class EdgeExplanation:
    """Decomposition of an edge score into a sum.

    Args:
        terms: Summands by name.
        messages: Contributions of the neighbours in the graph, strongest first; empty without message passing.
    """

    terms: dict[str, float]
    messages: tuple[Message, ...]

    @property
    def total(self) -> float:
        """Sum of all terms and messages."""
        return sum(self.terms.values()) + sum(message.value for message in self.messages)


@runtime_checkable
class AppearanceModel(Protocol):
    """Learned comparison of appearance, a part of an affinity: :class:`tltm_graph.models.RelationModel` is one.

    Inherit from it and implement :meth:`encode` and :meth:`score`.
    """

    @abstractmethod
    def encode(self, detections: Detections) -> Tensor:
        """Compute the appearance embeddings (N, F) of the objects of one frame."""
        ...

    @abstractmethod
    def score(self, graph: HeteroData) -> Tensor:
        """Score the edges of a graph whose nodes have embeddings ``x``.

        Args:
            graph: Frame-pair graph, on the device of its embeddings. Its previous nodes may also have
                ``mean_x (M, F)``, the mean embedding over all observations of each track, and
                ``time_since_update (M,)`` in frames.

        Returns:
            Edge logits (E,): log-odds that both ends are the same object.
        """
        ...

    def evidence(self, graph: HeteroData) -> dict[str, Tensor]:
        """Decompose the logits of :meth:`score` into named summands, each (E,); by default into one."""
        return {"appearance": self.score(graph)}


def on_device_of_embeddings(graph: HeteroData) -> HeteroData:
    """Return the graph with all fields on the device of its embeddings, where an appearance model scores it.

    The graph of a tracker is on the CPU, but embeddings stay on the device of the detector.
    """
    x = graph["current"].get("x")
    on_device = x is None or graph[TRANSITION].edge_index.device == x.device
    return graph if on_device else copy.copy(graph).to(x.device)


@runtime_checkable
class Affinity(Protocol):
    """Scoring of a frame-pair graph: each edge as a match, each object as a birth or a miss.

    Inherit from it and implement :meth:`score`; the other methods have defaults.
    """

    def encode(self, detections: Detections) -> Tensor | None:
        """Compute the appearance embeddings (N, F) that :meth:`score` reads, None if it reads geometry alone."""
        return None

    @abstractmethod
    def score(self, graph: HeteroData) -> EdgeScores:
        """Score a graph.

        Args:
            graph: Frame-pair graph of a tracker: :func:`tltm_graph.graph.frame_pair_graph`, with
                ``graph["previous"].time_since_update (M,)`` in frames, ``graph.scene (1, 3)`` (height and width of the
                frame in pixels, seconds between frames) and the motion fields of the track manager. It is on the CPU,
                except for the embeddings ``x`` and ``mean_x``, which stay on the device of the detector.
        """
        ...

    def explain(self, graph: HeteroData, edge: int) -> EdgeExplanation:
        """Decompose the score of one edge; by default into the terms of its score."""
        return EdgeExplanation({name: float(term[edge]) for name, term in self.score(graph).terms.items()}, ())
