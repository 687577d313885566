import json
from importlib.resources import files
from pathlib import Path
from typing import Self

import torch
from safetensors.torch import save_file
from torch import Tensor
from torch_geometric.data import HeteroData

from tltm_graph.association.affinity import EdgeScores
from tltm_graph.association.motion_features import NUM_CURRENT, NUM_EDGE, NUM_PREVIOUS, motion_features
from tltm_graph.graph import TRANSITION
from tltm_graph.io import read_weights, write_atomically
from tltm_graph.nn import TransitionHead

SHIPPED = Path(str(files("tltm_graph"))) / "weights" / "association_head.safetensors"
"""The head that comes with the package."""

_IMPOSSIBLE = -50.0


class LearnedAffinity:
    r"""Scores transitions, births and misses by a :class:`tltm_graph.nn.TransitionHead` over
    :func:`tltm_graph.association.motion_features`: by how things move, and by a relation model's logits, if there are
    any.

    Scores are log-odds, divided by a temperature that was fitted to make them calibrated. There is no threshold: each
    detection is weighed against being new, each track against being gone. Transitions not worth a look score -50.

    Args:
        head: The network.
        temperature: Of its logits.

    Raises:
        ValueError: If the temperature is not above 0.
    """

    def __init__(self, head: TransitionHead, temperature: float = 1.0) -> None:
        if not temperature > 0:
            raise ValueError(f"Expected a temperature above 0, got {temperature}")
        self.head = head.eval()
        self.temperature = temperature

    @classmethod
    def from_file(cls, path: str | Path | None = None) -> Self:
        """Reads what :func:`save_head` wrote.

        Args:
            path: Of the weights; None for those that are shipped, which learned from simulated motion alone.

        Raises:
            FileNotFoundError: If one of the two files is missing.
            ValueError: If they are broken, or of a head over other features.
        """
        path = SHIPPED if path is None else Path(path)
        beside = path.with_suffix(".json")
        for file in (path, beside):
            if not file.is_file():
                raise FileNotFoundError(
                    f"Expected an association head in '{path}' and '{beside.name}', found no '{file}'"
                )
        try:
            config = json.loads(beside.read_text(encoding="utf-8"))
            head = TransitionHead(NUM_PREVIOUS, NUM_CURRENT, NUM_EDGE, **config["head"])
            temperature = float(config["temperature"])
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"Expected how to build an association head in '{beside}', got: {error}") from error
        state, own = read_weights(path), head.state_dict()
        if own.keys() != state.keys() or any(own[name].shape != state[name].shape for name in own):
            raise ValueError(f"Expected the weights of {head!r} over motion features in '{path}', got those of another")
        head.load_state_dict(state)
        return cls(head, temperature)

    @torch.no_grad()
    def __call__(self, graph: HeteroData, logits: Tensor | None = None) -> EdgeScores:
        """Scores the transitions of ``graph``.

        Args:
            graph: See :func:`tltm_graph.association.motion_features`.
            logits: Edge logits (E,) of a relation model, or None.
        """
        features = motion_features(graph, logits)
        judged, births, misses, objects = (
            values / self.temperature
            for values in self.head(features.previous, features.current, features.edge_index, features.edges)
        )
        edges = judged.new_full((graph[TRANSITION].edge_index.shape[1],), _IMPOSSIBLE)
        edges[features.kept] = judged
        return EdgeScores(edges, births, misses, {"motion": edges}, objects)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.head!r}, temperature={self.temperature})"


def save_head(head: TransitionHead, path: str | Path, temperature: float = 1.0) -> None:
    """Writes a head as safetensors, and beside it (``.json``) how to build it and the temperature of its logits.

    Args:
        head: The head.
        path: A path that ends in ``.safetensors``. Both files are replaced when they are complete.
        temperature: See :class:`LearnedAffinity`.

    Raises:
        ValueError: If the path ends otherwise.
    """
    path = Path(path)
    if path.suffix != ".safetensors":
        raise ValueError(f"Expected a path that ends in .safetensors, got '{path}'")
    config = {"head": head.config, "temperature": temperature}
    state = {name: value.detach().contiguous().cpu() for name, value in head.state_dict().items()}
    with write_atomically(path) as weights, write_atomically(path.with_suffix(".json")) as beside:
        save_file(state, weights)
        beside.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
