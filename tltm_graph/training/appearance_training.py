"""Training of an appearance model whose evidence is calibrated on real video."""

import json
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from scipy.optimize import minimize
from torch import Tensor
from torch.optim import Optimizer
from torch_geometric.data import HeteroData

from tltm_graph.detectors.centermask import CenterMask
from tltm_graph.graph import TRANSITION, frame_pair_graph
from tltm_graph.io import read_frames
from tltm_graph.io.output import write_atomically
from tltm_graph.io.video import Source
from tltm_graph.models import TLTM, load_model
from tltm_graph.models.appearance import AppearanceEvidence
from tltm_graph.models.tltm import detector_of
from tltm_graph.structures import Detections
from tltm_graph.training.calibration import calibration_error
from tltm_graph.training.look_alike_data import object_evidence
from tltm_graph.training.module import EXPORTS, TrainingModule
from tltm_graph.training.video_identities import known_pairs, unambiguous_chains

_EVERY, _GAPS = 5, (5, 10, 20, 30, 45, 60)  # frames
_SHRINKAGE = 0.003  # weight of the squares


class AppearanceTraining(TrainingModule):
    """A model with :class:`AppearanceEvidence` that learns from stills and is calibrated on videos.

    Args:
        model: Model whose ``relation`` is the appearance model.
        objective: Function of the losses, as for :class:`TrainingModule`.
        optimizer: Function that makes the optimiser.
        schedule: Function of the learning rate's factor.
        clip_norm: Maximum norm of the gradient.
        ema_decay: Decay of the average.
        clips: Videos without labels, to calibrate on; none leaves the model as it is.
        detector: Weights of the model that detects the objects of the clips, see
            :func:`tltm_graph.models.load_model`.
    """

    def __init__(
        self,
        model: TLTM,
        objective: Callable[[Any, Any], dict[str, Tensor]],
        optimizer: Callable[[Iterable[Any]], Optimizer] = torch.optim.AdamW,
        schedule: Callable[[int, int], float] | None = None,
        clip_norm: float = 5.0,
        ema_decay: float = 0.99,
        clips: Sequence[str] = (),
        detector: str = "centermask-pico",
    ) -> None:
        super().__init__(model, objective, optimizer, schedule, clip_norm, ema_decay)
        self.clips, self.detector = tuple(clips), detector

    def export(self, folder: Path) -> None:
        """Calibrate the last weights and their average and write both; ``calibration.json`` has the results."""
        report = {}
        detector = detector_of(load_model(self.detector)).eval()
        graphs = [graph for clip in self.clips for graph in identity_graphs(detector, clip)]
        for model, name in zip((self.model, self.averaged), EXPORTS, strict=True):
            if graphs:
                report[name] = calibrate_evidence(model.relation, graphs)
        super().export(folder)
        with write_atomically(folder / "calibration.json") as temporary:
            temporary.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


@torch.no_grad()
def identity_graphs(detector: CenterMask, video: Source, score_threshold: float = 0.25) -> list[HeteroData]:
    """Make graphs between frames of a video whose identities are those of :func:`unambiguous_chains`.

    Args:
        detector: Detector of the objects.
        video: Video, as for :func:`tltm_graph.io.read_frames`.
        score_threshold: Minimum score of an object.

    Returns:
        Graphs between all pairs of every fifth frame that are 5, 10, 20, 30, 45 or 60 frames apart. Nodes have pooled
        evidence ``x``; edges have ``y (E,)``, 1 where both ends are the same object, and ``known (E,)``.
    """
    decoder, detector.decoder = detector.decoder, replace(detector.decoder, score_threshold=score_threshold)
    images: dict[int, Tensor] = {}
    frames: list[Detections] = []
    for frame in read_frames(video):
        objects, _ = detector.detect(frame)
        size = detector.network_size(frame.size)
        scale = objects.boxes.new_tensor([size[1] / frame.size[1], size[0] / frame.size[0]]).repeat(2)
        frames.append(Detections(objects.boxes * scale, objects.scores, objects.labels))
        if frame.index % _EVERY == 0:
            images[frame.index] = detector.resize(frame.image).clone()
    detector.decoder = decoder
    chains = unambiguous_chains(frames, min_length=_EVERY + 1)
    different = known_pairs(frames, chains)
    seen, evidence = {}, {}
    for index, image in images.items():
        rows = (chains[index] >= 0).nonzero().flatten()
        seen[index] = frames[index][rows].replace(ids=chains[index][rows])
        evidence[index] = object_evidence(detector, image, seen[index].boxes, seen[index].labels).half()
    graphs = []
    for before in images:
        for after in (before + gap for gap in _GAPS if before + gap in images):
            graph = frame_pair_graph(seen[before], seen[after])
            graph["previous"].x, graph["current"].x = evidence[before], evidence[after]
            row, column = graph[TRANSITION].edge_index
            ids = list(zip(graph["previous"].ids[row].tolist(), graph["current"].ids[column].tolist(), strict=True))
            graph[TRANSITION].y = torch.tensor([float(a == b) for a, b in ids])
            graph[TRANSITION].known = torch.tensor([a == b or (a, b) in different for a, b in ids], dtype=torch.bool)
            if graph[TRANSITION].known.any():
                graphs.append(graph)
    return graphs


@torch.no_grad()
def calibrate_evidence(relation: AppearanceEvidence, graphs: Sequence[HeteroData]) -> dict[str, float]:
    """Set the temperature and the bias of an appearance model (Platt scaling), with the smallest cross-entropy.

    Edges of unknown truth and between objects of different classes, which are easy to tell, are left out. Log
    temperature and bias are shrunk to 0: a few clips have thousands of edges but few identities, which a good model
    separates, and then the best temperature would be 0.

    Args:
        relation: The model, changed in place.
        graphs: Graphs of :func:`identity_graphs`.

    Returns:
        Temperature, bias, number of edges and of matches, and the calibration error before and after.

    Raises:
        ValueError: If there is no match or no other edge to calibrate on.
    """
    was_training = relation.training
    relation.eval()
    evidence, prior, truth = (torch.cat(parts) for parts in zip(*(_evidence(relation, g) for g in graphs), strict=True))
    relation.train(was_training)
    if not 0 < truth.sum() < len(truth):
        raise ValueError(
            f"Expected matches and other edges to calibrate on, got {int(truth.sum())} matches among {len(truth)} "
            "edges: give longer clips with several objects"
        )

    def loss(values: np.ndarray) -> float:
        logits = evidence / math.exp(values[0]) + values[1] + prior
        return float(F.binary_cross_entropy_with_logits(logits, truth)) + _SHRINKAGE * float((values**2).sum())

    before = calibration_error(evidence + prior, truth)
    best = minimize(loss, np.zeros(2), method="Nelder-Mead", options={"xatol": 1e-3, "fatol": 1e-7}).x
    relation.temperature.fill_(math.exp(best[0]))
    relation.bias.fill_(best[1])
    after = calibration_error(evidence / math.exp(best[0]) + best[1] + prior, truth)
    return {
        "temperature": float(relation.temperature),
        "bias": float(relation.bias),
        "edges": len(truth),
        "matches": int(truth.sum()),
        "error_before": before,
        "error_after": after,
    }


def _evidence(relation: AppearanceEvidence, graph: HeteroData) -> tuple[Tensor, Tensor, Tensor]:
    """Evidence without temperature, prior without bias, and truth of the known edges between objects of one class."""
    graph = graph.clone()
    for side in ("previous", "current"):
        graph[side].x = relation.encoder(graph[side].x.float())
    terms = relation.evidence(graph)
    row, column = graph[TRANSITION].edge_index
    known = graph[TRANSITION].known & (graph["previous"].labels[row] == graph["current"].labels[column])
    prior = terms.pop("prior")
    evidence = torch.stack(list(terms.values())).sum(dim=0) * relation.temperature
    return evidence[known].double(), (prior - relation.bias)[known].double(), graph[TRANSITION].y[known].double()
