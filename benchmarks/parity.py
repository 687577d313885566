"""Worst difference between each component and the released code, over sets of reference numbers.

Run: python benchmarks/parity.py [--fixtures FOLDER]
A folder with all reference arrays (fixture_*.npz) is compared in full; the default are the arrays kept with the tests.
"""

import argparse
import re
import sys
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from tests.parity import (
    FIXTURES,
    SETTINGS,
    centermask_run,
    difference,
    fill,
    official_centermask,
    official_tltm,
    seeded,
    tltm_run,
    tolerance,
    training_pairs,
)
from tltm_graph import Detections, Frame, Tracker, TransitionGNN
from tltm_graph.detectors import Detector
from tltm_graph.graph import TRANSITION
from tltm_graph.models import for_inference
from tltm_graph.models.checkpoint import reference_name
from tltm_graph.nn import InstanceEncoder, ResFuser
from tltm_graph.published import ArgmaxSolver, PublishedAffinity, PublishedTrackManager
from tltm_graph.training.objectives import released_objective


class Differences:
    """Largest difference of each quantity, with its tolerance."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, str], tuple[int, float, float]] = {}

    def add(self, component: str, quantity: str, ours: Tensor, expected: np.ndarray, tolerance: float) -> None:
        difference = float((ours.double() - torch.from_numpy(expected).double()).abs().max()) if ours.numel() else 0.0
        self.note(component, quantity, difference, tolerance)

    def note(self, component: str, quantity: str, difference: float, tolerance: float) -> None:
        count, worst, _ = self.rows.get((component, quantity), (0, 0.0, 0.0))
        self.rows[component, quantity] = count + 1, max(worst, difference), tolerance

    def show(self) -> bool:
        print("| component | quantity | arrays | worst difference | tolerance |")
        print("|---|---|--:|--:|--:|")
        for (component, quantity), (count, worst, bound) in self.rows.items():
            print(f"| {component} | {quantity} | {count} | {worst:.1e} | {bound:g} |")
        return all(worst <= bound for _, worst, bound in self.rows.values())


def load(folder: Path, names: tuple[str, ...], fallback: str) -> dict[str, np.ndarray]:
    paths = [folder / name for name in names]
    paths = paths if all(path.exists() for path in paths) else [folder / fallback]
    return {key: value for path in paths for key, value in np.load(path).items()}


def components(stored: dict[str, np.ndarray], differences: Differences) -> None:
    fuser, encoder = fill(ResFuser(), "resfuser"), fill(InstanceEncoder(), "obj_encoder")
    for key, expected in stored.items():
        name, _, quantity = key.rpartition(".")
        if key.startswith("resfuser.") and quantity == "out":
            ours = fuser(seeded(f"{name}.f_ref", expected.shape), seeded(f"{name}.f_cur", expected.shape))
            differences.add("ResFuser", "fused map", ours, expected, 1e-4)
        elif key.startswith("encoder.") and quantity == "out":
            ours = encoder(seeded(f"{name}.in", (len(expected), 256, 14, 14)))
            differences.add("InstanceEncoder", "node features", ours, expected, 1e-4)
        elif quantity in ("pairwise_scores", "node_delta", "messages"):
            _, steps, sizes = name.split(".")
            m, n = map(int, sizes.split("x"))
            gnn = fill(TransitionGNN(num_steps=int(steps[2:])), "obj2obj_gnn")
            x = seeded(f"gnn.{sizes}.prev", (m, 512)), seeded(f"gnn.{sizes}.cur", (n, 512))
            edge_index = torch.cartesian_prod(torch.arange(m), torch.arange(n)).reshape(-1, 2).T.contiguous()
            if quantity == "pairwise_scores":
                ours = gnn(x, edge_index).sigmoid().reshape(m, n).T
                differences.add("TransitionGNN", "edge scores", ours, expected[:, 1:], 5e-5)
            elif quantity == "node_delta":
                differences.add("TransitionGNN", "Δz", gnn.transition(x, edge_index), expected.sum(axis=0), 1e-4)
            else:
                pairs = torch.cat([x[0][edge_index[0]], x[1][edge_index[1]]], dim=1)
                differences.add("TransitionGNN", "first messages", gnn.edge_mlp(pairs), expected[0], 1e-4)


class Stored(Detector):
    """Detector and appearance model over the stored detections, whose features are the embeddings."""

    def __init__(self, stored: dict[str, np.ndarray]) -> None:
        self.stored = stored
        self.gnn = fill(TransitionGNN(), "obj2obj_gnn")

    def detect(self, frame: Frame, context: object = None) -> tuple[Detections, None]:
        boxes, scores, labels, features = (
            torch.from_numpy(self.stored[f"in.{frame.index}.{name}"])
            for name in ("boxes", "scores", "classes", "feats")
        )
        return Detections(boxes, scores, labels, features=features), None

    def encode(self, detections: Detections) -> Tensor:
        assert detections.features is not None
        return detections.features

    def score(self, graph: object) -> Tensor:
        return self.gnn((graph["previous"].x, graph["current"].x), graph[TRANSITION].edge_index)  # type: ignore[index]


def association(stored: dict[str, np.ndarray], differences: Differences) -> None:
    source, image = Stored(stored), torch.zeros(3, 480, 640, dtype=torch.uint8)
    for setting, (weights, forget) in SETTINGS.items():
        tracker = Tracker(
            source,
            affinity=PublishedAffinity(*weights, appearance=None if setting == "baseline_nognn" else source),
            solver=ArgmaxSolver(),
            track_manager=PublishedTrackManager(forget),
        )
        state, frame = tracker.start(), 0
        while f"in.{frame}.boxes" in stored:
            state, detections = tracker.step(state, Frame(image, frame, float(frame)))
            assert detections.ids is not None
            # The reference counts from 0.
            ids, expected = detections.ids[detections.ids >= 0] - 1, stored[f"{setting}.{frame}.ids"]
            assert len(ids) == len(expected)
            differences.add(f"ArgmaxSolver, {setting}", "ids", ids, expected, 0)
            if f"{setting}.{frame}.comp_scores" in stored and state.decision is not None:
                scores = state.decision.scores
                edges = scores.edges.reshape(-1, len(detections)).T
                ours = torch.cat([scores.births[:, None], edges], dim=1)
                expected = stored[f"{setting}.{frame}.comp_scores"]
                possible = torch.from_numpy(expected) > -1000  # outside of the gate the scores are -25000
                differences.add(
                    f"ArgmaxSolver, {setting}", "score matrix", ours[possible], expected[possible.numpy()], 5e-5
                )
            frame += 1


def system(component: str, arrays: dict[str, Tensor], stored: dict[str, np.ndarray], differences: Differences) -> None:
    """Compare all arrays of a run that are in the reference, grouped by quantity."""
    for name, expected in stored.items():
        name = name.removesuffix("_packed")
        if name in arrays:
            quantity = ".".join(part for part in name.split(".")[1:] if not re.fullmatch(r"p\d", part))
            differences.note(component, quantity, difference(name, arrays[name], expected), tolerance(name))


def training_step(stored: dict[str, np.ndarray], differences: Differences) -> None:
    """Compare losses and gradient norms, relative to their value."""
    with torch.enable_grad():
        model = official_tltm().train()
        losses = released_objective()(model, training_pairs())
        sum(losses.values()).backward()  # type: ignore[union-attr]
    for name, loss in losses.items():
        expected = float(stored["train.loss/gnn_edge" if name == "gnn_edge" else f"train.loss_{name}"])
        differences.note("training step", "losses, relative", abs(float(loss) - expected) / expected, 1e-5)
    names = {reference_name(name): parameter for name, parameter in model.named_parameters()}
    for name, expected in zip(stored["train.grad_names"], stored["train.grad_norms"], strict=True):
        norm = float(names[name].grad.norm())
        # Rounding decides on which side of a ReLU a few values fall: the reference differs from float64 by 2.3e-4.
        differences.note("training step", "gradient norms, relative", abs(norm - expected) / expected, 5e-4)


@torch.no_grad()
def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fixtures", type=Path, default=FIXTURES)
    folder = parser.parse_args().fixtures
    differences = Differences()
    names = ("fixture_comp_resfuser.npz", "fixture_comp_encoder.npz", "fixture_comp_gnn.npz")
    components(load(folder, names, "components.npz"), differences)
    association(load(folder, ("fixture_tracker_synth.npz",), "association.npz"), differences)
    names = tuple(
        f"fixture_tltm_{part}.npz" for part in ("backbone", "fpn", "fused", "fcos", "mask_f0", "mask_f1", "track")
    )
    tltm = load(folder, names, "tltm.npz")
    system("TLTM", tltm_run(official_tltm()), tltm, differences)
    system("TLTM for inference", tltm_run(for_inference(official_tltm())), tltm, differences)
    names = ("fixture_cm2_fcos_det.npz", "fixture_cm2_mask_f0.npz", "fixture_cm2_mask_f1.npz")
    system("CenterMask2", centermask_run(official_centermask()), load(folder, names, "centermask.npz"), differences)
    training_step(load(folder, ("fixture_losses.npz",), "losses.npz"), differences)
    return 0 if differences.show() else 1


if __name__ == "__main__":
    sys.exit(main())
