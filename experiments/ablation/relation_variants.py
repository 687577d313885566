"""Relation models that learn, each in minutes, on top of a finished detector."""

import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch_geometric.data import HeteroData
from tqdm import trange

from experiments.ablation.lab import MAX_SHOWN, Lab
from experiments.ablation.models import proposals
from experiments.ablation.scoring import followed
from tltm_graph.association import Affinity
from tltm_graph.data import FlipPair
from tltm_graph.models import TLTM, RelationModel, for_inference
from tltm_graph.nn import TransitionGNN
from tltm_graph.structures import Tracks
from tltm_graph.tracking import Tracker
from tltm_graph.training import CosineSchedule, PairData, RenderedVideos, decayed_groups
from tltm_graph.training.relation_pairs import RelationObjective, pooled_graph

_BATCH = 16


@dataclass(frozen=True)
class Variant:
    """Of a relation model and how it learns.

    Args:
        aggr: How messages are gathered.
        num_steps: Rounds of message passing.
        transition_weight: Weight of the transition loss.
    """

    aggr: str = "sum"
    num_steps: int = 1
    transition_weight: float = 0.0


class RelationLab:
    """Trains variants on what the detector with ResFuser pools of one seed's pairs of frames.

    Args:
        lab: Gives the detector and the scenes.
    """

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self._graphs: tuple[int, list[HeteroData]] | None = None  # of one seed, half a megabyte a pair

    def tracks(self, seed: int, variant: Variant) -> list[Tracks]:
        """The tracks of a newly trained variant, of every test scene."""
        model = self.lab.model("fused", seed)
        relation = train_relation(model.relation, self.graphs(seed), variant, seed, self.lab.plan.relation_steps)
        changed: Any = for_inference(TLTM(copy.deepcopy(model.detector), relation))
        tracker = Tracker(changed, changed, affinity=Affinity(), max_shown=MAX_SHOWN)
        scenes = self.lab.test_scenes
        bar = trange(len(scenes), desc=f"{variant}", unit=" scenes", leave=False)
        return [followed(tracker, scenes[number], scenes.size, scenes.num_frames) for number in bar]

    def graphs(self, seed: int) -> list[HeteroData]:
        """Pooled graphs of the pairs of a seed, features in half precision."""
        if self._graphs is None or self._graphs[0] != seed:
            self._graphs = None  # make room first
            self._graphs = seed, self._pool(seed)
        return self._graphs[1]

    def _pool(self, seed: int) -> list[HeteroData]:
        data = PairData([RenderedVideos(size=self.lab.plan.size)], [FlipPair()]).open(self.lab.class_names, seed)
        detector = self.lab.model("fused", seed).detector.eval()
        torch.manual_seed(seed)
        graphs = []
        for number in trange(self.lab.plan.pairs, desc=f"pooling, seed {seed}", unit=" pairs", leave=False):
            graph = pooled_graph(detector, data.stream[number], proposals())
            for side in ("previous", "current"):
                graph[side].x = graph[side].x.half()
            graphs.append(graph)
        return graphs


def train_relation(
    start: RelationModel, graphs: list[HeteroData], variant: Variant, seed: int, steps: int
) -> RelationModel:
    """A relation model that goes on with the encoder of another one and begins with a new GNN, so that all variants
    have learned equally long.

    Args:
        start: Has the encoder, and a :class:`TransitionGNN` of the right size. It is not changed.
        graphs: What there is to learn from.
        variant: What to train.
        seed: Of first weights and of the order.
        steps: How many steps of 16 graphs.
    """
    torch.manual_seed(seed)
    gnn = TransitionGNN(
        start.gnn.channels,
        start.gnn.hidden_channels,
        edge_dim=start.gnn.edge_dim,
        num_steps=variant.num_steps,
        aggr=variant.aggr,
    )
    relation = RelationModel(copy.deepcopy(start.encoder), gnn, start.groups).train().requires_grad_()
    objective, schedule = RelationObjective(variant.transition_weight), CosineSchedule(warm_up=steps // 20, end=0.01)
    optimizer = torch.optim.AdamW(decayed_groups(relation), lr=1e-3, weight_decay=0.05)
    bar = trange(steps, desc=f"{variant}, seed {seed}", unit=" steps", leave=False)
    order = torch.empty(0, dtype=torch.int64)
    for step in bar:
        if len(order) < _BATCH:
            order = torch.cat([order, torch.randperm(len(graphs))])
        batch, order = order[:_BATCH], order[_BATCH:]
        for group in optimizer.param_groups:
            group["lr"] = 1e-3 * schedule(step, steps)
        losses = objective(relation, [graphs[number] for number in batch.tolist()])
        total = torch.stack(list(losses.values())).sum()
        optimizer.zero_grad()
        total.backward()
        torch.nn.utils.clip_grad_norm_(relation.parameters(), 10.0)
        optimizer.step()
        if step % 20 == 0:
            bar.set_postfix_str(f"loss {float(total.detach()):.3f}")
    relation.is_trained.fill_(True)
    return relation.eval()
