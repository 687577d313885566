import copy
import json
from importlib.resources import files
from pathlib import Path
from typing import Self

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch_geometric.data import HeteroData
from torch_geometric.explain import Explainer

from tltm_graph.association.affinity import EdgeScores
from tltm_graph.association.edge_explanation import EdgeExplanation, Message
from tltm_graph.association.motion_features import (
    FEATURE_GROUPS,
    NUM_CURRENT,
    NUM_EDGE,
    NUM_PREVIOUS,
    motion_features,
)
from tltm_graph.association.shapley_explainer import ShapleyExplainer
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

    def explain(self, graph: HeteroData, edge: int, logits: Tensor | None = None) -> EdgeExplanation:
        """What the score of one transition is made of: :class:`ShapleyExplainer`.

        Args:
            graph: See above.
            edge: Which of its transitions.
            logits: As for the scores.

        Returns:
            Terms by the names of :data:`tltm_graph.association.motion_features.FEATURE_GROUPS`, and messages.
        """
        features = motion_features(graph, logits)
        place = (features.kept == edge).nonzero().flatten()
        if len(place) == 0:
            return EdgeExplanation({"too far": _IMPOSSIBLE}, ())
        head = copy.deepcopy(self.head).double()
        average = tuple(part[0].mean for part in (head.previous, head.current, head.edge))
        explainer = Explainer(
            _EdgeLogits(head).eval(),
            ShapleyExplainer(FEATURE_GROUPS, average),  # type: ignore[arg-type]
            explanation_type="model",
            edge_mask_type="object",
            model_config={"mode": "regression", "task_level": "edge", "return_type": "raw"},
        )
        nodes = {"previous": features.previous.double(), "current": features.current.double()}
        index = {TRANSITION: features.edge_index}
        told = explainer(nodes, index, index=place, edge_attr=features.edges.double())
        terms = {name: value / self.temperature for name, value in told.terms.items()}
        mask = told[TRANSITION].edge_mask / self.temperature
        track, detection = features.edge_index[:, place[0]].tolist()
        messages = [
            Message("current", j, value) if i == track else Message("previous", i, value)
            for i, j, value in zip(*features.edge_index.tolist(), mask.tolist(), strict=True)
            if (i == track) != (j == detection) and value != 0
        ]
        return EdgeExplanation(terms, tuple(sorted(messages, key=lambda message: -abs(message.value))))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.head!r}, temperature={self.temperature})"


class _EdgeLogits(nn.Module):
    """The transitions of a head as PyG's explainers ask for them."""

    def __init__(self, head: TransitionHead) -> None:
        super().__init__()
        self.head = head

    def forward(
        self, x: dict[str, Tensor], edge_index: dict[tuple[str, str, str], Tensor], edge_attr: Tensor
    ) -> Tensor:
        return self.head(x["previous"], x["current"], edge_index[TRANSITION], edge_attr)[0]


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
