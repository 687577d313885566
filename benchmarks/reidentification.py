"""Re-identification of objects among others of their class, by appearance alone.

    python benchmarks/reidentification.py --data ../shared/data --weights model_ema.safetensors

Stills: the complete images of COCO val2017 with at least four objects of a class, and a hallucinated view of them.
Video: identities are chains of the detector's own boxes without a rival, which favours the IoU; the later frame is 10,
30 or 60 frames on, as filmed or relit. Several weights are several seeds: their mean, and the range.
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import box_iou, roi_align
from tqdm import tqdm

from tltm_graph import Detections
from tltm_graph.detectors.centermask import CenterMask
from tltm_graph.formats import COCO
from tltm_graph.frame_pairs.hallucinated_views import HallucinatedView
from tltm_graph.frame_pairs.sampling import integer, seeded_generator
from tltm_graph.graph import frame_pair_graph
from tltm_graph.io import read_frames, read_weights
from tltm_graph.models import load_model
from tltm_graph.models.appearance import AppearanceEvidence, equalize
from tltm_graph.models.pretrained import weights_file
from tltm_graph.models.tltm import detector_of
from tltm_graph.training import ImageFiles
from tltm_graph.training.calibration import calibration_error
from tltm_graph.training.look_alike_data import object_evidence, stretched_image
from tltm_graph.training.video_identities import known_pairs, unambiguous_chains

VIDEOS = (
    "clips/sam2_bedroom_two_kids.mp4",
    "davis2016/JPEGImages/240p/breakdance",
    "davis2016/JPEGImages/240p/camel",
    "davis2016/JPEGImages/240p/dance-twirl",
    "davis2016/JPEGImages/240p/hockey",
)
"""Videos with two or more chains of a class at a time."""
GAPS = (10, 30, 60)
COLUMNS = ("affine", "other background", *(f"{kind} {gap}" for kind in ("video", "relit") for gap in GAPS))
_AFFINE = HallucinatedView(rotation=20, translation=0.1, scale=(0.7, 1.4), warp=0.0, degraded=0.0)
_LIGHT = HallucinatedView(gamma=0.7, gain=0.4, white_balance=0.2)
_EVERY = 2  # frames between two earlier frames


@dataclass(frozen=True, eq=False)
class Seen:
    """Objects of one class in a frame.

    Args:
        ids: Identity of each object (N,).
        boxes: Boxes xyxy at the network's size (N, 4).
        cues: Unit vectors by name, each (N, …), and the pooled evidence ``"evidence"``.
    """

    ids: Tensor
    boxes: Tensor
    cues: dict[str, Tensor]

    def __getitem__(self, rows: Tensor) -> "Seen":
        return Seen(self.ids[rows], self.boxes[rows], {name: cue[rows] for name, cue in self.cues.items()})


@dataclass(frozen=True, eq=False)
class Group:
    """Objects of one class in two frames, and the pairs that are certainly the same or different (M, N)."""

    previous: Seen
    current: Seen
    same: Tensor
    known: Tensor


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--weights", nargs="+", default=["tltm-pico"], help="models with AppearanceEvidence, by seed")
    parser.add_argument("--detector", default="centermask-pico", help="weights or name of the model with the detector")
    parser.add_argument("--max-images", type=int, help="use the first images only")
    arguments = parser.parse_args()
    torch.manual_seed(0)
    groups = collect(arguments.data, arguments.detector, arguments.max_images)
    models = [read_evidence(path) for path in arguments.weights]
    table(groups, models)


def collect(data: Path, detector_name: str, max_images: int | None = None) -> dict[str, list[Group]]:
    """Make the groups of each of :data:`COLUMNS`."""
    detector = detector_of(load_model(detector_name)).eval()
    groups: dict[str, list[Group]] = {column: [] for column in COLUMNS}
    for column, group in _still_groups(detector, data / "coco_subset", max_images):
        groups[column].append(group)
    for number, video in enumerate(tqdm(VIDEOS, desc="videos")):
        for column, group in _video_groups(detector, data / video, number):
            groups[column].append(group)
    return groups


def _still_groups(detector: CenterMask, folder: Path, max_images: int | None) -> Iterator[tuple[str, Group]]:
    content = json.loads((folder / "instances.json").read_text(encoding="utf-8"))
    test = {image["file_name"] for image in content["images"] if image["split"] == "val2017" and image["complete"]}
    source = ImageFiles(str(folder / "instances.json"), str(folder / "images")).open(COCO)
    images = [still for still in source.pairs.videos if still.video.images[0].name in test][:max_images]
    for index, still in enumerate(tqdm(images, desc="stills", unit=" images")):
        image, objects = stretched_image(detector, still)
        if len(objects) == 0 or int(torch.bincount(objects.labels).max()) < 4:
            continue
        generator = seeded_generator(77, index)
        other = images[(index + integer(generator, 1, len(images) - 1)) % len(images)]
        background = detector.resize(other.frame(0).image)
        before = _seen(detector, image, objects)
        for column, behind in (("affine", None), ("other background", background)):
            view, shown = _AFFINE(image, objects, generator, behind)
            noise = 0.04 * (shown.boxes[:, 2:] - shown.boxes[:, :2]).repeat(1, 2)
            boxes = (shown.boxes + noise * torch.randn(noise.shape, generator=generator)).clamp(0, image.shape[1])
            shown = shown.replace(boxes=torch.cat([boxes[:, :2], torch.maximum(boxes[:, :2] + 1, boxes[:, 2:])], 1))
            after = _seen(detector, view, shown)
            for label in objects.labels.unique():
                both = shown.ids[shown.labels == label].tolist()
                if len(both) < 4:
                    continue
                rows = torch.tensor([before.ids.tolist().index(i) for i in both])
                columns = torch.tensor([after.ids.tolist().index(i) for i in both])
                same = torch.eye(len(both), dtype=torch.bool)
                yield column, Group(before[rows], after[columns], same, torch.ones_like(same))


@torch.no_grad()
def _video_groups(detector: CenterMask, video: Path, number: int) -> Iterator[tuple[str, Group]]:
    images: list[Tensor] = []
    frames: list[Detections] = []
    for frame in read_frames(video):
        image = detector.resize(frame.image).clone()
        maps = detector.backbone(detector.prepare([image]))
        (objects,) = replace(detector.decoder, score_threshold=0.4)(
            detector.head(detector.head_levels(maps)), detector.backbone.strides
        )
        images.append(image)
        frames.append(objects)
    chains = unambiguous_chains(frames, max_rival_iou=0.5, max_gap=10, min_length=20)
    different = known_pairs(frames, chains, 1.0)
    filmed: dict[int, tuple[Seen, Tensor]] = {}
    relit: dict[int, Seen] = {}
    for index in range(0, len(images), _EVERY):
        rows = chains[index] >= 0
        if rows.sum() < 2:
            continue
        objects = frames[index][rows].replace(ids=chains[index][rows])
        light = _LIGHT.relight(images[index].float(), seeded_generator(number, index)).round().to(torch.uint8)
        filmed[index] = _seen(detector, images[index], objects), objects.labels
        relit[index] = _seen(detector, light, objects)
    for before, (seen, labels) in filmed.items():
        for gap in GAPS:
            if before + gap not in filmed:
                continue
            for label in labels.unique():
                previous, columns = seen[labels == label], filmed[before + gap][1] == label
                for kind, later in (("video", filmed[before + gap][0]), ("relit", relit[before + gap])):
                    current = later[columns]
                    same = previous.ids[:, None] == current.ids[None]
                    pairs = [[(a, b) in different for b in current.ids.tolist()] for a in previous.ids.tolist()]
                    known = same | torch.tensor(pairs, dtype=torch.bool).reshape(same.shape)
                    if same.any() and len(current.ids) > 1:
                        yield f"{kind} {gap}", Group(previous, current, same, known)


@torch.no_grad()
def _seen(detector: CenterMask, image: Tensor, objects: Detections) -> Seen:
    evidence = object_evidence(detector, image, objects.boxes, objects.labels)
    maps = evidence[:, : 408 * 49].unflatten(1, (408, 49)).mean(dim=2)
    pixels = torch.cat([image, equalize(image)])[None].float()
    pixels = roi_align(pixels, [objects.boxes], 28, sampling_ratio=1, aligned=True)
    cues = {
        "neck": maps[:, 120:],
        "pooled": maps,
        "plain": _histogram(pixels[:, :3]),
        "equalised": _histogram(pixels[:, 3:]),
        "evidence": evidence.half(),
    }
    assert objects.ids is not None
    return Seen(objects.ids, objects.boxes, cues)


def _histogram(pixels: Tensor, bins: int = 8) -> Tensor:
    """Square roots of histograms of RGB pixels (N, 3, R, R), bins³ hard bins of the whole box."""
    index = (pixels.round().clamp(0, 255).long() * bins // 256).flatten(2)
    index = (index[:, 0] * bins + index[:, 1]) * bins + index[:, 2]  # (N, R²)
    counts = torch.zeros((len(pixels), bins**3)).scatter_add(1, index, torch.ones(index.shape))
    return (counts / index.shape[1]).sqrt()


def read_evidence(weights: str) -> AppearanceEvidence:
    """Read the appearance model of a file of weights, or of the model in the package."""
    model, read = AppearanceEvidence(), read_weights(weights_file(weights))
    state = {name.removeprefix("relation."): value for name, value in read.items() if "relation." in name}
    model.load_state_dict({name: value.to(model.state_dict()[name].dtype) for name, value in state.items()})
    return model.eval()


def _cosine(name: str, groups: Sequence[Group]) -> list[Tensor]:
    means, deviations = 0.0, 1.0
    if name == "pooled":
        everything = torch.cat([side.cues[name] for group in groups for side in (group.previous, group.current)])
        means, deviations = everything.mean(dim=0), everything.std(dim=0) + 1e-6
    sides = [
        [F.normalize((side.cues[name] - means) / deviations, dim=1) for side in (g.previous, g.current)] for g in groups
    ]
    return [previous @ current.T for previous, current in sides]


@torch.no_grad()
def _model_scores(model: AppearanceEvidence, groups: Sequence[Group]) -> dict[str, list[Tensor]]:
    rows: dict[str, list[Tensor]] = {"embedding alone": [], "sum of evidence": [], "whole model": []}
    for group in groups:
        sides = []
        for seen in (group.previous, group.current):
            n = len(seen.ids)
            embeddings = model.encoder(seen.cues["evidence"].float())
            sides.append(
                Detections(torch.zeros(n, 4), torch.ones(n), torch.zeros(n, dtype=torch.int64), embeddings=embeddings)
            )
        terms = model.evidence(frame_pair_graph(*sides))
        whole = torch.stack(list(terms.values())).sum(dim=0)
        for scores, values in zip(rows.values(), (terms["embedding"], whole - terms["rivals"], whole), strict=True):
            scores.append(values.reshape(group.same.shape))
    return rows


@dataclass(frozen=True)
class Measured:
    """Top-1 accuracy in %, AUC, and the scores and truth of all known pairs."""

    top1: float
    auc: float
    queries: int
    chance: float
    scores: Tensor
    truth: Tensor


def measure(groups: Sequence[Group], scores: Sequence[Tensor]) -> Measured:
    """Measure scores (M, N) of each group. A query is a previous object that is still there and has a rival."""
    hits, queries, chance = 0, 0, 0.0
    for group, values in zip(groups, scores, strict=True):
        for row in range(len(values)):
            candidates = int(group.known[row].sum())
            if group.same[row].sum() == 1 and candidates > 1:
                best = torch.where(group.known[row], values[row], -torch.inf).argmax()
                hits, queries, chance = hits + int(group.same[row, best]), queries + 1, chance + 1 / candidates
    joined = torch.cat([values[group.known] for group, values in zip(groups, scores, strict=True)]).double()
    truth = torch.cat([group.same[group.known] for group in groups])
    return Measured(
        100 * hits / max(1, queries), area_under_curve(joined, truth), queries, 100 * chance / max(1, queries),
        joined, truth,
    )  # fmt: skip


def area_under_curve(scores: Tensor, truth: Tensor) -> float:
    """Probability that a match scores higher than another pair; ties count half."""
    positive, negative = scores[truth].numpy(), np.sort(scores[~truth].numpy())
    below = np.searchsorted(negative, positive, "left") + np.searchsorted(negative, positive, "right")
    return float(below.mean() / 2 / max(1, len(negative))) if len(positive) and len(negative) else float("nan")


def table(groups: dict[str, list[Group]], models: Sequence[AppearanceEvidence]) -> None:
    """Print top-1 accuracy and AUC of each cue, and the calibration of the models."""
    rows: dict[str, dict[str, list[Measured]]] = {}
    for column, of in groups.items():
        if not of:
            continue
        cues = {
            "IoU with the last box": [box_iou(g.previous.boxes, g.current.boxes) for g in of],
            "mean-pooled neck": _cosine("neck", of),
            "mean-pooled stem, stage and neck, standardised": _cosine("pooled", of),
            "plain histogram 8³ of the box": _cosine("plain", of),
            "equalised histogram 8³ of the box": _cosine("equalised", of),
        }
        if column in COLUMNS[:2]:
            del cues["IoU with the last box"]
        for name, scores in cues.items():
            rows.setdefault(name, {})[column] = [measure(of, scores)]
        scored = [_model_scores(model, of) for model in models]
        for name in scored[0] if scored else ():
            rows.setdefault(name, {})[column] = [measure(of, scores[name]) for scores in scored]
    columns = [column for column in groups if groups[column]]
    one = rows["mean-pooled neck"]
    print("\n| top-1 in %, AUC | " + " | ".join(columns) + " |\n|---|" + "--:|" * len(columns))
    print("| queries | " + " | ".join(str(one[column][0].queries) for column in columns) + " |")
    print("| chance | " + " | ".join(f"{one[column][0].chance:.0f}" for column in columns) + " |")
    for name, cells in rows.items():
        print(f"| {name} | " + " | ".join(_cell(cells.get(column, [])) for column in columns) + " |")
    if not models:
        return
    print("\n| whole model | " + " | ".join(columns) + " |\n|---|" + "--:|" * len(columns))
    whole = rows["whole model"]
    for name, value in (("calibration error", _calibration), ("precision at 0", _precision), ("recall at 0", _recall)):
        cells = [f"{np.mean([value(m) for m in whole[column]]):.3f}" for column in columns]
        print(f"| {name} | " + " | ".join(cells) + " |")


def _cell(measured: Sequence[Measured]) -> str:
    if not measured:
        return "–"
    top1 = [m.top1 for m in measured]
    spread = f" ({min(top1):.1f}–{max(top1):.1f})" if len(top1) > 1 else ""
    return f"{np.mean(top1):.1f}{spread}, {np.mean([m.auc for m in measured]):.3f}"


def _calibration(measured: Measured) -> float:
    return calibration_error(measured.scores, measured.truth.double())


def _precision(measured: Measured) -> float:
    return float(measured.truth[measured.scores > 0].double().mean())


def _recall(measured: Measured) -> float:
    return float((measured.scores[measured.truth] > 0).double().mean())


if __name__ == "__main__":
    cv2.setNumThreads(1)
    main()
