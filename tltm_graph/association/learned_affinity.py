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

from tltm_graph.association.affinity import (
    Affinity,
    AppearanceModel,
    EdgeExplanation,
    EdgeScores,
    Message,
    on_device_of_embeddings,
)
from tltm_graph.association.motion_features import (
    FEATURE_GROUPS,
    NUM_CURRENT,
    NUM_EDGE,
    NUM_PREVIOUS,
    MotionFeatures,
    motion_features,
)
from tltm_graph.association.shapley_explainer import ShapleyExplainer
from tltm_graph.graph import TRANSITION
from tltm_graph.io import read_weights
from tltm_graph.io.json_schema import choice, field, integer, json_object, number
from tltm_graph.io.output import write_atomically
from tltm_graph.io.text import read_json
from tltm_graph.nn import FoldedTransitionHead, TransitionHead
from tltm_graph.structures import Detections

SHIPPED = Path(str(files("tltm_graph"))) / "weights" / "association_head.safetensors"
"""Weights of the association head that comes with the package."""

GATED = -50.0
"""Score of an edge outside the gate."""


class LearnedAffinity(Affinity):
    r"""Affinity of a trained :class:`tltm_graph.nn.TransitionHead` over motion features and, optionally, appearance.

    The head reads :func:`~tltm_graph.association.motion_features.motion_features`, with the logits of the appearance
    model if there is one. Scores are log-odds, divided by a temperature that calibrates them. There is no threshold:
    each detection is compared with being a birth, each track with being a miss. Edges outside the gate score -50.

    Args:
        head: Trained association head. Later changes to its weights do not change the scores.
        temperature: Divisor of its logits, above 0.
        appearance: Appearance model; None to score by motion alone.

    Raises:
        ValueError: If the temperature is not above 0.
    """

    def __init__(
        self, head: TransitionHead, temperature: float = 1.0, appearance: AppearanceModel | None = None
    ) -> None:
        if not temperature > 0:
            raise ValueError(f"Expected a temperature above 0, got {temperature}: 1.0 leaves the logits unchanged")
        self.head = head.eval()
        self._folded = FoldedTransitionHead(head) if head.config["aggr"] in ("sum", "add") else head
        self.temperature = temperature
        self.appearance = appearance

    @classmethod
    def from_file(cls, path: str | Path | None = None, appearance: AppearanceModel | None = None) -> Self:
        """Read an association head that :func:`save_head` wrote.

        Args:
            path: Path of the weights; None for the shipped head, trained on simulated motion alone.
            appearance: Appearance model; None to score by motion alone.

        Raises:
            FileNotFoundError: If the weights or the configuration is missing.
            ValueError: If a file is damaged, or the head reads other features.
        """
        path = SHIPPED if path is None else Path(path)
        config_path = path.with_suffix(".json")
        for file in (path, config_path):
            if not file.is_file():
                raise FileNotFoundError(
                    f"Expected an association head in '{path}' and '{config_path.name}', found no '{file}': "
                    "save_head() writes both"
                )
        where = f"the configuration of an association head '{config_path}'"
        config = read_json(config_path, "the configuration of an association head")
        temperature = float(field(config, "temperature", number(1e-6, 1e6), where))
        settings, of = field(config, "head", json_object(), where), f"'head' of {where}"
        head = TransitionHead(
            NUM_PREVIOUS,
            NUM_CURRENT,
            NUM_EDGE,
            channels=field(settings, "channels", integer(1, 4096), of, 32),
            hidden_channels=field(settings, "hidden_channels", integer(1, 4096), of, 64),
            num_steps=field(settings, "num_steps", integer(0, 64), of, 1),
            aggr=field(settings, "aggr", choice(("sum", "add", "mean", "max")), of, "sum"),
        )
        state, own = read_weights(path), head.state_dict()
        if own.keys() != state.keys() or any(own[name].shape != state[name].shape for name in own):
            raise ValueError(
                f"Expected the weights of {head!r} over motion features in '{path}', got those of another network"
            )
        head.load_state_dict(state)
        return cls(head, temperature, appearance)

    def encode(self, detections: Detections) -> Tensor | None:
        """Compute appearance embeddings (N, F); None without an appearance model."""
        return None if self.appearance is None else self.appearance.encode(detections)

    @torch.no_grad()
    def score(self, graph: HeteroData) -> EdgeScores:
        """Score a graph with the fields that :func:`tltm_graph.association.motion_features.motion_features` reads."""
        features = self._features(graph)
        logits, births, misses, objects = (
            values / self.temperature
            for values in self._folded(features.previous, features.current, features.edge_index, features.edges)
        )
        edges = logits.new_full((graph[TRANSITION].edge_index.shape[1],), GATED)
        edges[features.kept] = logits
        return EdgeScores(edges, births, misses, {"motion": edges}, objects)

    def explain(self, graph: HeteroData, edge: int) -> EdgeExplanation:
        """Decompose the score of one edge by Shapley values: :class:`ShapleyExplainer`.

        Returns:
            Terms named as in :data:`tltm_graph.association.motion_features.FEATURE_GROUPS`, and messages of neighbours.
        """
        features = self._features(graph)
        place = (features.kept == edge).nonzero().flatten()
        if len(place) == 0:
            return EdgeExplanation({"too far": GATED}, ())
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
        explanation = explainer(nodes, index, index=place, edge_attr=features.edges.double())
        terms = {name: value / self.temperature for name, value in explanation.terms.items()}
        mask = explanation[TRANSITION].edge_mask / self.temperature
        track, detection = features.edge_index[:, place[0]].tolist()
        messages = [
            Message("current", j, value) if i == track else Message("previous", i, value)
            for i, j, value in zip(*features.edge_index.tolist(), mask.tolist(), strict=True)
            if (i == track) != (j == detection) and value != 0
        ]
        return EdgeExplanation(terms, tuple(sorted(messages, key=lambda message: -abs(message.value))))

    def without_appearance(self) -> "LearnedAffinity":
        """Return the affinity without its appearance model, which scores by motion alone."""
        return LearnedAffinity(self.head, self.temperature)

    def _features(self, graph: HeteroData) -> MotionFeatures:
        if self.appearance is None:
            return motion_features(graph)
        return motion_features(graph, self.appearance.score(on_device_of_embeddings(graph)))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.head!r}, temperature={self.temperature}, appearance={self.appearance!r})"


class _EdgeLogits(nn.Module):
    """Edge logits of a head, with the call signature of PyG's explainers."""

    def __init__(self, head: TransitionHead) -> None:
        super().__init__()
        self.head = head

    def forward(
        self, x: dict[str, Tensor], edge_index: dict[tuple[str, str, str], Tensor], edge_attr: Tensor
    ) -> Tensor:
        return self.head(x["previous"], x["current"], edge_index[TRANSITION], edge_attr)[0]


def save_head(head: TransitionHead, path: str | Path, temperature: float = 1.0) -> None:
    """Write an association head as safetensors, and its configuration and temperature as JSON next to it.

    Args:
        head: Association head.
        path: Path that ends in ``.safetensors``. Both files are replaced when they are complete.
        temperature: Divisor of the logits, see :class:`LearnedAffinity`.

    Raises:
        ValueError: If the path does not end in ``.safetensors``.
    """
    path = Path(path)
    if path.suffix != ".safetensors":
        raise ValueError(f"Expected a path that ends in .safetensors, got '{path}'")
    config = {"head": head.config, "temperature": temperature}
    state = {name: value.detach().contiguous().cpu() for name, value in head.state_dict().items()}
    with write_atomically(path) as weights, write_atomically(path.with_suffix(".json")) as config_path:
        save_file(state, weights)
        config_path.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
