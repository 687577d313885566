"""Weights and inputs of the reference numbers, generated from their names."""

import re
import zlib
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torchvision.ops import clip_boxes_to_image

from tltm_graph import Frame, Tracker
from tltm_graph.detectors.centermask import CenterMask
from tltm_graph.formats import YOUTUBE_VIS_2019
from tltm_graph.graph import TRANSITION
from tltm_graph.models import TLTM, centermask_r50, tltm_r50
from tltm_graph.models.checkpoint import reference_name
from tltm_graph.nn import TransitionGNN
from tltm_graph.ops import paste_masks
from tltm_graph.published import ArgmaxSolver, PublishedAffinity, PublishedTrackManager
from tltm_graph.structures import Detections, FramePair

FIXTURES = Path(__file__).parent / "fixtures"

# Settings of the association rule: weights of match, score, IoU and class; frames without a match until removal.
SETTINGS = {
    "r50_ytvis": ((0.5, 1.5, 2.5, 10), None),
    "r101_ytvis": ((1.25, 1, 2.5, 10), None),
    "baseline_nognn": ((0, 1.5, 2.5, 10), None),
    "forget3": ((1, 1, 2, 10), 3),
    "forget1": ((1, 1, 2, 10), 1),
}

_GAINS = (  # the first matching pattern applies; 1 if none does
    (r"(^|\.)stem\.conv1\.weight$", 1 / 64),
    (r"\.res[2-5]\.\d+\.conv3\.weight$", 0.5),
    (r"\.fpn_lateral\d\.weight$", 0.25),
    (r"\.(fpn_output\d|top_block\.p[67])\.weight$", 0.7),
    (r"\.resfuser_\d\.cn2\.weight$", 0.5),
    (r"\.bbox_pred\.weight$", 2.0),
    (r"\.mask_head\.predictor\.weight$", 0.5),
    (r"obj_encoder\.fc\.weight$", 0.5),
    (r"edge_predictor\.2\.weight$", 1.5),
    (r"node_mlp\.5\.weight$", 0.5),
)
_OFFSETS = {"cls_logits.bias": -6.5, "bbox_pred.bias": 5.0, "edge_predictor.2.bias": -3.5}


def seeded(name: str, shape: tuple[int, ...]) -> Tensor:
    """Draw standard normal numbers with a seed that depends on ``name`` alone."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(zlib.crc32(name.encode())))


def fill(module: nn.Module, prefix: str) -> nn.Module:
    """Set every parameter of a module with official names to the value generated from its name."""
    state = {name: value(f"{prefix}.{name}", tuple(tensor.shape)) for name, tensor in module.state_dict().items()}
    module.load_state_dict(state)
    return module.eval()


def reference_state(model: nn.Module) -> dict[str, Tensor]:
    """Generate the weights of a TLTM or CenterMask, by their official names."""
    prefix = "" if isinstance(model, TLTM) else "detector."
    names = {reference_name(prefix + name): tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    return {name: value(name, shape) for name, shape in names.items() if name is not None}


def value(name: str, shape: tuple[int, ...]) -> Tensor:
    """Generate the value of a weight from its official name."""
    generator = torch.Generator().manual_seed(zlib.crc32(name.encode()))
    if name.endswith("running_var"):
        return 1 + 0.1 * torch.rand(shape, generator=generator)
    random = torch.randn(shape, generator=generator)
    if name.endswith("running_mean"):
        return 0.05 * random
    if re.search(r"scales\.\d+\.scale$", name):
        return 1 + 0.05 * random
    if name.endswith(".bias"):
        return 0.05 * random + next((off for end, off in _OFFSETS.items() if name.endswith(end)), 0.0)
    if len(shape) == 1:
        return 1 + 0.05 * random
    gain = next((gain for pattern, gain in _GAINS if re.search(pattern, name)), 1.0)
    fan_in = shape[0] if name.endswith("deconv.weight") else torch.Size(shape[1:]).numel()
    return random * (gain * (2.0 / fan_in) ** 0.5)


@cache
def frames() -> Tensor:
    """Read the five frames of the reference runs, RGB uint8 (5, 3, 192, 256)."""
    return torch.from_numpy(np.load(FIXTURES / "input.npz")["frames"]).flip(1)


def truth(frame: int) -> Detections:
    """Read the true objects of a frame."""
    stored = np.load(FIXTURES / "input.npz")
    boxes, classes, packed = (
        torch.from_numpy(stored[f"gt{frame}.{name}"]) for name in ("boxes", "classes", "masks_packed")
    )
    masks = torch.from_numpy(np.unpackbits(packed.numpy(), axis=1)).bool().reshape(-1, *frames().shape[2:])
    return Detections(boxes.float(), torch.ones(len(boxes)), classes.long(), masks=masks, ids=torch.arange(len(boxes)))


def training_pairs() -> list[FramePair]:
    """Return the two frame pairs of the reference training step."""
    return [FramePair(frames()[a], frames()[b], truth(a), truth(b)) for a, b in ((0, 1), (2, 4))]


def official_tltm() -> TLTM:
    """Build the published model with generated weights. Frames are not resized."""
    return _filled(tltm_r50(min_size=192, max_size=256))


def official_centermask() -> CenterMask:
    """Build CenterMask2 with generated weights. Frames are not resized."""
    return _filled(centermask_r50(YOUTUBE_VIS_2019, min_size=192, max_size=256))


def _filled(model):
    prefix, weights = "" if isinstance(model, TLTM) else "detector.", reference_state(model)
    names = {name: reference_name(prefix + name) for name in model.state_dict()}
    model.load_state_dict({n: torch.tensor(True) if r is None else weights[r] for n, r in names.items()})
    return model.eval()


def published_tracker(model: TLTM) -> Tracker:
    """Build the published tracker on a model."""
    return Tracker(
        model,
        affinity=PublishedAffinity(match=0.5, score=1.5, iou=2.5, appearance=model),
        solver=ArgmaxSolver(),
        track_manager=PublishedTrackManager(),
        max_shown=15,
    )


@torch.no_grad()
def stages(
    detector: CenterMask, image: Tensor, previous: list[Tensor] | None = None
) -> tuple[dict[str, Tensor], list[Tensor]]:
    """Compute all arrays from an image to its masks, by the names of the reference arrays, and the pyramid."""
    batch, size = detector.prepare([image]), (image.shape[1], image.shape[2])
    arrays = {f"backbone.res{key}": features for key, features in detector.backbone.body(batch).items()}
    pyramid = detector.backbone(batch)
    fused = detector.fuse(previous or pyramid, pyramid)
    outputs = detector.head(fused)
    for level, (plain, mixed, output) in enumerate(zip(pyramid, fused, outputs, strict=True), start=3):
        arrays |= {
            f"fpn.p{level}": plain,
            f"fused.p{level}": mixed,
            f"fcos.logits.p{level}": output.logits,
            f"fcos.bbox_reg.p{level}": output.distances,
            f"fcos.ctrness.p{level}": output.centerness,
            f"fcos.bbox_tower.p{level}": detector.head.bbox_tower(mixed),
        }
    (objects,) = detector.decoder(outputs, detector.backbone.strides)
    pooled = detector.pool(pyramid, [objects.boxes], [size], batch)
    arrays |= {
        "det.boxes": objects.boxes,
        "det.scores": objects.scores,
        "det.classes": objects.labels,
        "mask.pooled": pooled,
        "mask.pooled_c2": pooled[:, ::2],
        "mask.logits": detector.mask_head(pooled),
        "mask.prob": detector.mask_head(pooled, objects.labels).sigmoid()[:, None],
    }
    return arrays, pyramid


@torch.no_grad()
def tltm_run(model: TLTM) -> dict[str, Tensor]:
    """Compute all arrays of the reference run of TLTM on five frames."""
    collected: dict[str, Tensor] = {}
    pyramid = None
    for t in range(2):
        arrays, pyramid = stages(model.detector, frames()[t], pyramid)
        collected |= {f"f{t}.{name}": value for name, value in arrays.items()}
    tracker = published_tracker(model)
    state = tracker.start()
    for t, image in enumerate(frames()):
        state, detections = tracker.step(state, Frame(image, t, float(t)))
        decision = state.decision
        graph, n = decision.graph, len(detections)
        shown = detections[detections.ids >= 0]
        arrays = {
            "det.scores": detections.scores,
            "det.classes": detections.labels,
            "obj.feats": graph["current"].x,
            "track.hits_after": state.memory.hits,
            "track.n_prev_and_id_counter_after": torch.tensor([len(state.memory), state.memory.next_id - 1]),
            "out.ids": shown.ids - 1,  # the released code counts from 0
            "out.boxes": shown.boxes,
            "out.scores": shown.scores,
            "out.classes": shown.labels,
            "out.masks": shown.masks,
            "out.mask_area": shown.masks.flatten(1).sum(dim=1),
        }
        if t > 0:
            x, store = (graph["previous"].x, graph["current"].x), graph[TRANSITION]
            probability = model.relation.score(graph).sigmoid()
            arrays |= {
                "gnn.prev_feats": x[0],
                "gnn.cur_feats": x[1],
                "gnn.edge_preds": probability[:, None],
                "gnn.pairwise_scores": torch.cat([torch.zeros(n, 1), probability.reshape(-1, n).T], dim=1),
                "track.prev_bboxes": graph["previous"].boxes,
                "track.prev_labels": graph["previous"].labels,
                "track.cumulative_score": torch.cat(
                    [decision.scores.births[:, None], store.score.reshape(-1, n).T], dim=1
                ),
            }
            if isinstance(model.relation.gnn, TransitionGNN):
                arrays["gnn.node_delta"] = model.relation.gnn.transition(x, store.edge_index)
        collected |= {f"f{t}.{name}": value for name, value in arrays.items()}
    return collected


@torch.no_grad()
def centermask_run(model: CenterMask) -> dict[str, Tensor]:
    """Compute all arrays of the reference run of CenterMask2: two frames, and a crop at 1.5 times its size."""
    collected: dict[str, Tensor] = {}
    for name, image in (("f0", frames()[0]), ("f1", frames()[1]), ("pad", frames()[1][:, :180, :250])):
        size = (270, 375) if name == "pad" else (image.shape[1], image.shape[2])
        arrays, _ = stages(model, image)
        boxes = clip_boxes_to_image(arrays["det.boxes"] * (size[0] / image.shape[1]), size)
        masks = paste_masks(arrays["mask.prob"][:, 0], boxes, size)
        arrays |= {
            "det.boxes": boxes,  # the released code rescales and clips them in place
            "out.boxes": boxes,
            "out.scores": arrays["det.scores"],
            "out.classes": arrays["det.classes"],
            "out.masks": masks,
            "out.mask_area": masks.flatten(1).sum(dim=1),
        }
        collected |= {f"{name}.{key}": value for key, value in arrays.items()}
    return collected


_TOLERANCES = (  # the first pattern that matches the name of an array applies
    (r"masks$|mask_area$", 2.0),
    (r"boxes$|bboxes$", 2e-3),
    (r"det\.scores|out\.scores|edge_preds|pairwise_scores|cumulative_score", 5e-5),
    (r"mask\.prob$", 3e-5),
    (r"classes$|ids$|labels$|hits_after$|id_counter_after$", 0.0),
    (r"mask\.(pooled|logits)|obj\.feats|_feats$", 2e-4),  # they depend on boxes, which differ by up to 5e-4 pixels
    (r"", 1e-4),
)


def tolerance(name: str) -> float:
    """Return the largest allowed difference of an array from the reference."""
    return next(bound for pattern, bound in _TOLERANCES if re.search(pattern, name))


def difference(name: str, ours: Tensor, expected: np.ndarray) -> float:
    """Compute the largest difference of an array from the reference, which may be packed or subsampled."""
    if name.endswith("masks"):
        masks = torch.from_numpy(np.unpackbits(expected, axis=1)).bool()[:, : ours[0].numel()]
        return float((ours.flatten(1) != masks).sum(dim=1).max())
    if ours.shape != expected.shape:
        flat = ours.flatten()
        ours = flat[:: max(1, -(-len(flat) // 2048))]
    assert ours.shape == expected.shape, f"{name}: {tuple(ours.shape)} for {expected.shape}"
    ours, reference = ours.double(), torch.from_numpy(expected).double()
    possible = reference > -1000  # edges without overlap are gated: their scores are -25000
    return float((ours - reference)[possible].abs().max()) if possible.any() else 0.0
