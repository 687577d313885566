import json
from importlib.resources import files
from pathlib import Path

import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from tltm_graph.association.affinity import EdgeScores
from tltm_graph.association.motion_features import NUM_CURRENT, NUM_EDGE, NUM_PREVIOUS, motion_features
from tltm_graph.io import read_weights
from tltm_graph.nn import TransitionHead

_IMPOSSIBLE = -50.0


class LearnedAffinity:
    r"""Scores transitions, births and misses by a :class:`tltm_graph.nn.TransitionHead` over
    :func:`tltm_graph.association.motion_features`: by how things move, and by a relation model's logits, if there are
    any.

    Scores are log-odds, divided by a temperature that was fitted to make them calibrated. There is no threshold: each
    detection is weighed against being new, each track against being gone. Transitions not worth a look score -50.

    Args:
        head: The network; None for the one that is shipped.
        temperature: Of its logits.
    """

    def __init__(self, head: TransitionHead | None = None, temperature: float = 1.0) -> None:
        if temperature <= 0:
            raise ValueError(f"Expected a temperature above 0, got {temperature}")
        self.head = (head or motion_head()).eval()
        self.temperature = temperature

    @torch.no_grad()
    def __call__(self, graph: HeteroData, logits: Tensor | None = None) -> EdgeScores:
        """Scores the transitions of ``graph``.

        Args:
            graph: See :func:`tltm_graph.association.motion_features`.
            logits: Edge logits (E,) of a relation model, or None.
        """
        features = motion_features(graph, logits)
        judged, births, misses = (
            values / self.temperature
            for values in self.head(features.previous, features.current, features.edge_index, features.edges)
        )
        edges = judged.new_full((len(graph["previous"].boxes) * len(graph["current"].boxes),), _IMPOSSIBLE)
        edges[features.kept] = judged
        return EdgeScores(edges, births, misses, {"motion": edges})

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.head!r}, temperature={self.temperature})"


def motion_head(path: str | Path | None = None) -> TransitionHead:
    """Builds a head over motion features from a file, ``.safetensors`` with its ``.json`` beside it.

    Args:
        path: Of the weights; None for those that are shipped.

    Raises:
        FileNotFoundError: If one of the two files is missing.
        ValueError: If they are broken, or of a head over other features.
    """
    path = Path(path) if path is not None else Path(str(files("tltm_graph") / "weights" / "motion_head.safetensors"))
    beside = path.with_suffix(".json")
    for file in (path, beside):
        if not file.is_file():
            raise FileNotFoundError(
                f"Expected the weights of a motion head in '{path}' and '{beside.name}', found no '{file}'"
            )
    config = json.loads(beside.read_text(encoding="utf-8"))
    head = TransitionHead(NUM_PREVIOUS, NUM_CURRENT, NUM_EDGE, **config["head"])
    state = read_weights(path)
    own = head.state_dict()
    if own.keys() != state.keys() or any(own[name].shape != state[name].shape for name in own):
        raise ValueError(f"Expected weights of {head!r} over motion features in '{path}', got those of another network")
    head.load_state_dict(state)
    return head
