"""GNNs that learn, each in a minute, on the nodes of a finished detector and encoder."""

from dataclasses import dataclass
from itertools import islice

import torch
from tltm_graph.models.recorded import RecordedModel
from torch import nn
from torch_geometric.data import HeteroData
from tqdm import tqdm, trange

from experiments.ablation.lab import MAX_SHOWN, Lab
from tltm_graph.models import TLTM, RelationModel
from tltm_graph.nn import TransitionGNN
from tltm_graph.structures import Tracks
from tltm_graph.tracking import Tracker
from tltm_graph.training import CosineSchedule, RelationObjective, RenderedVideos, decayed_groups
from tltm_graph.training.memory_data import CachedFrame, cache_frames, memory_graph, sample_runs

_BATCH, _RUNS, _RUN_LENGTH = 16, 5, 3


@dataclass(frozen=True)
class Variant:
    """Of a GNN and how it learns.

    Args:
        aggr: How messages are gathered.
        num_steps: Rounds of message passing.
        transition_weight: Weight of the transition loss.
    """

    aggr: str = "sum"
    num_steps: int = 1
    transition_weight: float = 0.0


class RelationLab:
    """Trains variants on what the model with ResFuser sees, and remembers, in training scenes: others for each seed.

    Args:
        lab: Gives the model and the scenes.
    """

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self._graphs: tuple[int, list[HeteroData]] | None = None  # of one seed

    def tracks(self, seed: int, variant: Variant) -> list[Tracks]:
        """The tracks of every test scene with a newly trained variant, associated by the model's own head."""
        relation = train_gnn(
            self.lab.model("fused", seed).relation, self.graphs(seed), variant, seed, self.lab.plan.relation_steps
        )

        def tracker(model: RecordedModel) -> Tracker:
            changed = RecordedModel(model.recording, torch.no_grad()(relation.score), model.affinity)
            return Tracker(changed, changed, affinity=self.lab.affinity_of(model), max_shown=MAX_SHOWN)

        return self.lab.tracks("fused", seed, tracker)

    def graphs(self, seed: int) -> list[HeteroData]:
        """Graphs between all that was seen of a training scene before a frame and what is seen there, with the model's
        nodes."""
        if self._graphs is None or self._graphs[0] != seed:
            self._graphs = seed, self._look(seed)
        return self._graphs[1]

    def _look(self, seed: int) -> list[HeteroData]:
        plan, model = self.lab.plan, self.lab.model("fused", seed).eval()
        videos = RenderedVideos(size=plan.size, num_frames=plan.frames).videos(self.lab.class_names)
        first = seed * plan.relation_scenes
        generator = torch.Generator().manual_seed(seed)
        graphs = []
        for video in tqdm(
            islice(videos, first, first + plan.relation_scenes),
            desc=f"looking, seed {seed}",
            total=plan.relation_scenes,
            unit=" scenes",
            leave=False,
        ):
            truth = video.truth()
            chosen = sample_runs(truth.num_frames, _RUNS, _RUN_LENGTH, generator)
            seen = [_with_nodes(model, one) for one in cache_frames(model.detector, video.frames(), truth, chosen)]
            graphs += [memory_graph(seen, now) for now in range(1, len(seen))]
        return graphs


@torch.no_grad()
def _with_nodes(model: TLTM, seen: CachedFrame) -> CachedFrame:
    objects = seen.objects
    assert objects.features is not None
    return CachedFrame(
        seen.frame, objects.replace(features=model.encode(objects.replace(features=objects.features.float())))
    )


def train_gnn(start: RelationModel, graphs: list[HeteroData], variant: Variant, seed: int, steps: int) -> RelationModel:
    """A relation model over given nodes, whose GNN begins with random weights.

    Args:
        start: Has a GNN of the right size.
        graphs: What there is to learn from, with nodes.
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
    relation = RelationModel(nn.Identity(), gnn, start.groups).train()
    objective, schedule = RelationObjective(variant.transition_weight), CosineSchedule(warm_up=steps // 20, end=0.01)
    optimizer = torch.optim.AdamW(decayed_groups(relation), lr=2e-3, weight_decay=0.05)
    bar = trange(steps, desc=f"{variant}, seed {seed}", unit=" steps", leave=False)
    order = torch.empty(0, dtype=torch.int64)
    for step in bar:
        if len(order) < _BATCH:
            order = torch.cat([order, torch.randperm(len(graphs))])
        batch, order = order[:_BATCH], order[_BATCH:]
        for group in optimizer.param_groups:
            group["lr"] = 2e-3 * schedule(step, steps)
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
