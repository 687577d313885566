"""Fusion with the previous frame on real pixels: what the fusers of centermask_pico restore in degraded frames.

    python -m benchmarks.fusion [--data FOLDER] [--short FILE ...] [--unaligned FILE ...] [--residual FILE ...]

Each form of fusion runs over the same frames:

alone               each frame for itself
itself              gated fusers, but each frame is fused with itself
residual            ResFuser as published, trained in the same way; boxes only
gated               gated fusers without alignment
gated, aligned      gated fusers, previous pyramid moved by optical flow: the model in the package
mean                untrained: mean of the aligned previous pyramid and the current one
moved boxes         untrained: previous detections moved by the flow, with 0.9 of their score, merged by NMS

Several files of one form are trainings with different seeds. Differences are to "alone", mean over videos and seeds ±
the standard error over videos. The truth of a degraded frame is the detector's own output, of score 0.4 or more, on the
clean frame.
"""

import argparse
import contextlib
import io
import json
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from torch import Tensor
from torchvision.ops import nms
from tqdm import tqdm

from benchmarks.timing import machine
from tltm_graph import Detections, Frame, read_frames
from tltm_graph.detectors.centermask import CenterMask
from tltm_graph.detectors.centermask.flow_alignment import correlation, warp
from tltm_graph.detectors.centermask.model import PreviousFrame, Pyramid
from tltm_graph.formats import COCO as COCO_NAMES
from tltm_graph.frame_pairs import HallucinatedMotion
from tltm_graph.frame_pairs.degradation import DEGRADATIONS
from tltm_graph.frame_pairs.sampling import seeded_generator
from tltm_graph.models import centermask_pico, for_inference, load_model
from tltm_graph.models.pretrained import load_weights
from tltm_graph.models.tltm import detector_of
from tltm_graph.nn import ResFuser
from tltm_graph.ops import mask_iou

STRENGTHS = (0.15, 0.5)
MODES = ("previous clean", "degraded otherwise", "degraded alike")


def residual_pico() -> CenterMask:
    """Build centermask_pico with the published fusers."""
    return centermask_pico(fusers=[ResFuser(96, 96) for _ in range(4)])


def unaligned_pico() -> CenterMask:
    """Build centermask_pico with gated fusers of equal positions."""
    return centermask_pico(fused=True, alignment=None)


@dataclass(frozen=True, eq=False)
class Seen:
    """A frame as the detector sees it: its input, its maps before fusion, and its grey values."""

    frame: Frame
    images: Tensor
    maps: Pyramid
    grey: Tensor


@dataclass(frozen=True, eq=False)
class State:
    """What a form of fusion passes on to the next frame."""

    previous: PreviousFrame
    detections: Detections


class Form:
    """A form of fusion: computes the detections of a frame from its maps and the state.

    Args:
        detector: Detector with the fusers of the form.
        fuse: Function of the detector, the state (None at the first frame) and the frame: the pyramid of the boxes.
        pools_fused: False to pool masks from the maps before fusion, and pass those on, as published.
    """

    def __init__(
        self,
        detector: CenterMask,
        fuse: Callable[[CenterMask, State | None, Seen], Pyramid],
        pools_fused: bool = True,
        moves_boxes: bool = False,
    ) -> None:
        self.detector, self.fuse, self.pools_fused, self.moves_boxes = detector, fuse, pools_fused, moves_boxes

    @torch.no_grad()
    def __call__(self, state: State | None, seen: Seen) -> tuple[State, Detections]:
        """Process one frame."""
        detector = self.detector
        fused = self.fuse(detector, state, seen)
        outputs = detector.head(detector.head_levels(fused))
        pyramid = fused if self.pools_fused else seen.maps
        objects = detector.objects(pyramid, outputs, seen.images, seen.frame.size)
        objects = detector.segment(objects, seen.frame.size).replace(features=None)
        if self.moves_boxes and state is not None:
            objects = _with_moved(detector, state, seen, objects)
        return State(PreviousFrame(detector.head_levels(pyramid), seen.grey), objects), objects


def _alone(detector: CenterMask, state: State | None, seen: Seen) -> Pyramid:
    return seen.maps


def _itself(detector: CenterMask, state: State | None, seen: Seen) -> Pyramid:
    return detector.fuse(seen.maps, seen.maps)


def _fused(detector: CenterMask, state: State | None, seen: Seen) -> Pyramid:
    return detector.restore(None if state is None else detector.align(state.previous, seen.grey), seen.maps)


def _unaligned(detector: CenterMask, state: State | None, seen: Seen) -> Pyramid:
    return detector.fuse(seen.maps if state is None else state.previous.pyramid, seen.maps)


def _mean(detector: CenterMask, state: State | None, seen: Seen) -> Pyramid:
    previous = None if state is None else detector.align(state.previous, seen.grey)
    if previous is None:
        return seen.maps
    levels = [(p[:, : c.shape[1]] + c) / 2 for p, c in zip(previous, detector.head_levels(seen.maps), strict=True)]
    return [*seen.maps[: -len(levels)], *levels]


def _with_moved(detector: CenterMask, state: State, seen: Seen, objects: Detections) -> Detections:
    """Add the previous detections, moved by the flow."""
    before = state.detections
    assert detector.alignment is not None
    assert state.previous.grey is not None
    flow = detector.alignment.flow(seen.grey, state.previous.grey)  # of each previous pixel: where it is now
    aligned = warp(seen.grey[None, None].float(), flow)[0, 0]
    if not len(before) or correlation(aligned, state.previous.grey.float()) < detector.alignment.min_correlation:
        return objects
    height, width = seen.frame.size
    scale = torch.tensor([flow.shape[2] / width, flow.shape[1] / height])
    moved, masks = [], []
    for box, mask in zip(before.boxes, before.masks, strict=True):
        x0, y0, x1, y1 = (box * scale.repeat(2)).round().long().tolist()
        window = flow[:, max(0, y0) : max(1, y1), max(0, x0) : max(1, x1)].flatten(1)
        shift = (window.median(dim=1).values if window.numel() else torch.zeros(2)) / scale
        moved.append(box + shift.repeat(2))
        masks.append(torch.roll(mask, (round(float(shift[1])), round(float(shift[0]))), (0, 1)))
    added = before.replace(boxes=torch.stack(moved), masks=torch.stack(masks), scores=0.9 * before.scores)
    both = Detections.cat([objects, added])
    kept = nms(both.boxes + 4000 * both.labels[:, None].float(), both.scores, 0.6)
    return both[kept]


def look(detector: CenterMask, frame: Frame) -> Seen:
    """Compute the maps of a frame."""
    image = detector.resize(frame.image)
    images = detector.prepare([image])
    with torch.no_grad():
        return Seen(frame, images, detector.backbone(images), detector.alignment.grey(image))


def degraded(frame: Frame, kind: str, strength: float, *seed: int) -> Frame:
    """Degrade a frame; the same seed gives the same blur or occlusion."""
    return replace(frame, image=DEGRADATIONS[kind](frame.image, strength, seeded_generator(*seed)))


class Rows:
    """Detections and true objects of many frames. For pycocotools, each class of a frame is an image."""

    def __init__(self) -> None:
        self.truth: list[dict] = []
        self.found: list[dict] = []
        self.images: dict[Any, int] = {}

    def add(self, key: Any, truth: Detections, found: Detections) -> None:
        """Add a frame."""
        for label in truth.labels.unique().tolist():
            image = self.images.setdefault((key, label), len(self.images) + 1)
            for rows, objects in ((self.truth, truth), (self.found, found)):
                rows += [_row(objects, row, image, len(rows) + 1 + i) for i, row in _of_class(objects, label)]
        for label in set(found.labels.tolist()) - set(truth.labels.tolist()):
            image = self.images.setdefault((key, label), len(self.images) + 1)
            self.found += [_row(found, row, image, 0) for _, row in _of_class(found, label)]

    def scores(self, kind: str) -> tuple[float, float, float]:
        """AP, AP50 and recall at an IoU of 0.5 in percent."""
        truth = COCO()
        truth.dataset = {
            "images": [{"id": image, "height": 1, "width": 1} for image in self.images.values()],  # masks are encoded
            "annotations": self.truth,
            "categories": [{"id": 1}],
        }
        with contextlib.redirect_stdout(io.StringIO()):
            truth.createIndex()
            if not self.found:
                return 0.0, 0.0, 0.0
            found = [{k: v for k, v in row.items() if kind == "segm" or k != "segmentation"} for row in self.found]
            evaluation = COCOeval(truth, truth.loadRes(found), kind)
            evaluation.evaluate()
            evaluation.accumulate()
            evaluation.summarize()
        recall = evaluation.eval["recall"][0, 0, 0, -1]
        return 100 * evaluation.stats[0], 100 * evaluation.stats[1], 100 * float(recall)


def _of_class(objects: Detections, label: int) -> Iterator[tuple[int, int]]:
    return enumerate((objects.labels == label).nonzero().flatten().tolist())


def _row(objects: Detections, row: int, image: int, number: int) -> dict:
    x0, y0, x1, y1 = objects.boxes[row].tolist()
    assert objects.masks is not None
    mask = coco_mask.encode(np.asfortranarray(objects.masks[row].numpy().astype(np.uint8)))
    return {
        "id": number,
        "image_id": image,
        "category_id": 1,
        "bbox": [x0, y0, x1 - x0, y1 - y0],
        "area": max(1.0, float(coco_mask.area(mask))),
        "iscrowd": 0,
        "score": float(objects.scores[row]),
        "segmentation": mask,
    }


Forms = Mapping[str, Sequence[Form]]
"""Forms by name; several trainings of one form."""
Results = dict[tuple[str, int, str, str], Rows]
"""Rows by form, seed, condition and video."""


def build_forms(
    aligned: Sequence[str], short: Sequence[str] = (), unaligned: Sequence[str] = (), residual: Sequence[str] = ()
) -> Forms:
    """Build all forms; those without weights are left out."""

    def loaded(path: str, model: CenterMask | None = None, **changes: Any) -> CenterMask:
        if model is None:
            detector = detector_of(load_model(path))
        else:
            load_weights(path, detector := model)
        detector.decoder = replace(detector.decoder, score_threshold=0.05, max_objects=30)
        for name, value in changes.items():
            setattr(detector, name, value)
        return for_inference(detector)

    gated = [loaded(path) for path in aligned]
    forms = {
        "alone": [Form(gated[0], _alone)],
        "itself": [Form(detector, _itself) for detector in gated],
        "residual": [Form(loaded(path, residual_pico()), _unaligned, pools_fused=False) for path in residual],
        "gated": [Form(loaded(path), _unaligned) for path in unaligned],
        "gated, aligned, short": [Form(loaded(path), _fused) for path in short],
        "gated, aligned": [Form(detector, _fused) for detector in gated],
        "mean": [Form(gated[0], _mean)],
        "moved boxes": [Form(gated[0], _alone, moves_boxes=True)],
    }
    return {name: trainings for name, trainings in forms.items() if trainings}


def _clean_objects(alone: Form, seen: Seen) -> Detections:
    _, objects = alone(None, seen)
    return objects[objects.scores >= 0.4]


def compare_pairs(forms: Forms, videos: Mapping[str, Sequence[Frame]], per_video: int) -> Results:
    """Pairs of frames, 1 to 5 apart, of which the later one is degraded."""
    results: Results = defaultdict(Rows)
    alone = forms["alone"][0]
    for name, frames in tqdm(videos.items(), desc="pairs", unit=" videos", file=sys.stderr):
        for number in range(per_video):
            gap = 1 + number % 5
            first = round((len(frames) - 1 - gap) * (number + 0.5) / per_video)
            before, now = frames[first], frames[first + gap]
            clean, clean_now = look(alone.detector, before), look(alone.detector, now)
            truth = _clean_objects(alone, clean_now)
            states: dict[str, dict] = {"previous clean": _states(forms, clean)}
            _collect(results, forms, states["previous clean"], clean_now, truth, "clean, previous clean", name, number)
            for k, kind in enumerate(DEGRADATIONS):
                strength = STRENGTHS[(number + k) % len(STRENGTHS)]
                other = list(DEGRADATIONS)[(k + 1 + number) % len(DEGRADATIONS)]
                seen = look(alone.detector, degraded(now, kind, strength, number, k))
                for mode in MODES:
                    if mode != "previous clean":
                        of = (other, number, k + 10) if mode == "degraded otherwise" else (kind, number, k)
                        states[mode] = _states(forms, look(alone.detector, degraded(before, of[0], strength, *of[1:])))
                    _collect(results, forms, states[mode], seen, truth, f"{kind}, {mode}", name, number)
                if k == 0:
                    _collect(
                        results,
                        forms,
                        states["degraded alike"],
                        clean_now,
                        truth,
                        "clean, previous degraded",
                        name,
                        number,
                    )
    return results


def _states(forms: Forms, seen: Seen) -> dict[tuple[str, int], State]:
    return {(name, i): form(None, seen)[0] for name, trainings in forms.items() for i, form in enumerate(trainings)}


def _collect(
    results: Results, forms: Forms, states: Mapping, seen: Seen, truth: Detections, condition: str, video: str, key: Any
) -> None:
    for name, trainings in forms.items():
        for i, form in enumerate(trainings):
            _, found = form(states[name, i], seen)
            results[name, i, condition, video].add((condition, key), truth, found)


def compare_sequences(forms: Forms, videos: Mapping[str, Sequence[Frame]], length: int) -> Results:
    """Whole videos with degraded stretches of 4 to 10 frames, each form fed with its own previous frames."""
    results: Results = defaultdict(Rows)
    alone = forms["alone"][0]
    for number, (name, frames) in enumerate(tqdm(videos.items(), desc="sequences", unit=" videos", file=sys.stderr)):
        states: dict[tuple[str, int], State | None] = {}
        kinds = stretches(min(length, len(frames)), number)
        for frame in frames[:length]:
            clean = look(alone.detector, frame)
            truth = _clean_objects(alone, clean)
            stretch = kinds[frame.index]
            seen = clean if stretch is None else look(alone.detector, degraded(frame, *stretch, frame.index))
            condition = "clean frames" if stretch is None else "degraded frames"
            for form_name, trainings in forms.items():
                for i, form in enumerate(trainings):
                    states[form_name, i], found = form(states.get((form_name, i)), seen)
                    results[form_name, i, condition, name].add(frame.index, truth, found)
    return results


def stretches(length: int, seed: int) -> list[tuple[str, float, int] | None]:
    """Degradation of each frame of a video, None for a clean one."""
    random = np.random.default_rng(seed)
    kinds: list[tuple[str, float, int] | None] = []
    while len(kinds) < length:
        kinds += [None] * int(random.integers(4, 9))
        kind = str(random.choice(list(DEGRADATIONS)))
        kinds += [(kind, float(random.choice(STRENGTHS)), seed)] * int(random.integers(4, 11))
    return kinds[:length]


def compare_stills(forms: Forms, data: Path, count: int) -> Results:
    """Images of COCO val2017 with all objects labelled, degraded and clean; the previous frame is a moved copy."""
    results: Results = defaultdict(Rows)
    alone = forms["alone"][0]
    folder = data / "coco_subset"
    content = json.loads((folder / "instances.json").read_text(encoding="utf-8"))
    chosen = {image["id"] for image in content["images"] if image["split"] == "val2017" and image["complete"]}
    labels = {category["id"]: COCO_NAMES.index(category["name"]) for category in content["categories"]}
    rows: dict[int, list[dict]] = defaultdict(list)
    for row in content["annotations"]:
        rows[row["image_id"]].append(row)
    images = [image for image in content["images"] if image["id"] in chosen][:count]
    motion = HallucinatedMotion(scale=(0.95, 1.1), translation=0.04, rotation=4, blur_probability=0, brightness=0)
    for number, image in enumerate(tqdm(images, desc="stills", unit=" images", file=sys.stderr)):
        frame = next(iter(read_frames(folder / "images" / image["file_name"])))
        truth = _true_objects(rows[image["id"]], labels, frame.size)
        moved, _ = motion(frame.image, Detections.empty(), seeded_generator(number))
        states = _states(forms, look(alone.detector, replace(frame, image=moved)))
        _collect(results, forms, states, look(alone.detector, frame), truth, "clean", f"fold {number % 10}", number)
        kind = list(DEGRADATIONS)[number % len(DEGRADATIONS)]
        seen = look(alone.detector, degraded(frame, kind, STRENGTHS[number // 5 % 2], number))
        _collect(results, forms, states, seen, truth, "degraded", f"fold {number % 10}", number)
    return results


def _true_objects(rows: Sequence[dict], labels: Mapping[int, int], size: tuple[int, int]) -> Detections:
    masks = [coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects(r["segmentation"], *size))) for r in rows]
    boxes = torch.tensor([row["bbox"] for row in rows]).reshape(-1, 4)
    return Detections(
        boxes=torch.cat([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], dim=1),
        scores=torch.ones(len(rows)),
        labels=torch.tensor([labels[row["category_id"]] for row in rows], dtype=torch.int64),
        masks=torch.from_numpy(np.stack(masks)).bool() if masks else torch.zeros(0, *size, dtype=torch.bool),
    )


FAST = ("bmx-trees", "breakdance", "dance-twirl", "dog", "goat", "horsejump-high", "libby", "parkour", "hockey")
"""Sequences of DAVIS-2016 in which the object or the camera moves fast."""


def compare_natural(forms: Forms, data: Path, videos: Mapping[str, Sequence[Frame]]) -> str:
    """Table for footage as filmed: how well the annotated object of fast sequences is found, frame after frame.

    An object is found where a detection of score 0.3 or more covers it, alone or with a second one (rider and horse),
    with an IoU of at least 0.5.
    """
    shares: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    overlaps: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for name in [name for name in FAST if name in videos]:
        states: dict[tuple[str, int], State | None] = {}
        annotations = sorted((data / "davis2016" / "Annotations" / "480p" / name).iterdir())
        for frame, path in zip(tqdm(videos[name], desc=name, file=sys.stderr), annotations, strict=True):
            picture = Image.open(path).resize(frame.size[::-1], Image.Resampling.NEAREST)
            true = torch.from_numpy(np.array(picture) > 0)[None]
            seen = look(forms["alone"][0].detector, frame)
            for form_name, trainings in forms.items():
                for i, form in enumerate(trainings):
                    states[form_name, i], found = form(states.get((form_name, i)), seen)
                    best = _best_overlap(found[found.scores >= 0.3].masks, true)
                    shares[form_name][name].append(100.0 * (best >= 0.5))
                    overlaps[form_name][name].append(100 * best)
    lines = ["| as filmed | objects found | mean IoU |", "|---|--:|--:|"]
    for form_name in shares:
        cells = []
        for of in (shares, overlaps):
            means = {video: statistics.fmean(values) for video, values in of[form_name].items()}
            gains = [means[video] - statistics.fmean(of["alone"][video]) for video in means]
            error = statistics.stdev(gains) / len(gains) ** 0.5 if len(gains) > 1 else float("nan")
            gain = "" if form_name == "alone" else f" ({statistics.fmean(gains):+.1f} ± {error:.1f})"
            cells.append(f"{statistics.fmean(means.values()):.1f}{gain}")
        lines.append(f"| {form_name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _best_overlap(masks: Tensor | None, true: Tensor) -> float:
    """Highest IoU with one mask or the union of two."""
    if masks is None or not len(masks):
        return 0.0
    first = mask_iou(masks, true)[:, 0]
    both = mask_iou(masks | masks[first.argmax()], true)[:, 0]
    return float(torch.maximum(first.max(), both.max()))


def time_of(form: Form, frames: Sequence[Frame]) -> float:
    """Median milliseconds of a frame, from its pixels to masks."""
    state, seconds = None, []
    for frame in frames:
        start = time.perf_counter()
        state, _ = form(state, look(form.detector, frame))
        seconds.append(time.perf_counter() - start)
    return 1000 * statistics.median(seconds[3:])


def table(results: Results, kind: str, score: int, conditions: Mapping[str, Callable[[str], bool]]) -> str:
    """Markdown table: a row for each form, a column for each group of conditions.

    Args:
        results: Rows of all forms.
        kind: ``"bbox"`` or ``"segm"``.
        score: Index of the score: 0 AP, 1 AP50, 2 recall.
        conditions: Test of a condition by the name of its group.
    """
    names = list(dict.fromkeys(name for name, *_ in results))
    columns = {group: _by_video(results, kind, score, test) for group, test in conditions.items()}
    lines = [
        f"| {kind} {('AP', 'AP50', 'recall')[score]} | " + " | ".join(conditions) + " |",
        "|---|" + "--:|" * len(conditions),
    ]
    for name in names:
        cells = []
        for of in columns.values():
            videos = of[name].keys() & of["alone"].keys()
            gains = [of[name][video] - of["alone"][video] for video in sorted(videos)]
            error = statistics.stdev(gains) / len(gains) ** 0.5 if len(gains) > 1 else float("nan")
            mean = statistics.fmean(of[name].values())
            gain = "" if name == "alone" else f" ({statistics.fmean(gains):+.1f} ± {error:.1f})"
            cells.append(f"{mean:.1f}{gain}")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _by_video(results: Results, kind: str, score: int, test: Callable[[str], bool]) -> dict[str, dict[str, float]]:
    """Score of each form in each video with true objects, mean over conditions and trainings."""
    values: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for (name, _, condition, video), rows in results.items():
        if test(condition) and rows.truth:
            values[name][video].append(rows.scores(kind)[score])
    return {name: {video: statistics.fmean(v) for video, v in of.items()} for name, of in values.items()}


def davis_videos(data: Path, names: Sequence[str] | None = None) -> dict[str, list[Frame]]:
    """Read sequences of DAVIS-2016 at 240p."""
    folder = data / "davis2016" / "JPEGImages" / "240p"
    if not folder.is_dir():
        sys.exit(f"error: Expected sequences of DAVIS-2016 in '{folder}', found none: name their folder with --data")
    chosen = sorted(path.name for path in folder.iterdir()) if names is None else names
    return {name: list(read_frames(folder / name)) for name in chosen}


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--aligned", nargs="+", default=["tltm-pico"], help="weights, one file for each seed")
    parser.add_argument("--short", nargs="*", default=[], help="the same, trained for as long as the following")
    parser.add_argument("--unaligned", nargs="*", default=[])
    parser.add_argument("--residual", nargs="*", default=[])
    parser.add_argument("--videos", nargs="*", help="DAVIS-2016 sequences; default: all")
    parser.add_argument("--pairs", type=int, default=4, help="pairs of each video (default: %(default)s)")
    parser.add_argument("--length", type=int, default=40, help="frames of a sequence (default: %(default)s)")
    parser.add_argument("--stills", type=int, default=176, help="images of COCO val2017 (default: %(default)s)")
    parts = ("pairs", "sequences", "stills", "natural", "time")
    parser.add_argument("--parts", nargs="+", default=parts, choices=parts)
    options = parser.parse_args()
    forms = build_forms(options.aligned, options.short, options.unaligned, options.residual)
    videos = davis_videos(options.data, options.videos)
    print(f"{machine()}, {len(videos)} sequences of DAVIS-2016 at 240p\n")
    if "pairs" in options.parts:
        results = compare_pairs(forms, videos, options.pairs)
        by_mode = {mode: lambda c, mode=mode: c.endswith(mode) and not c.startswith("clean") for mode in MODES}
        groups = {"degraded": lambda c: not c.startswith("clean"), **by_mode}
        groups |= {c: lambda other, c=c: other == c for c in ("clean, previous clean", "clean, previous degraded")}
        print(table(results, "bbox", 1, groups) + "\n")
        print(table(results, "segm", 1, groups) + "\n")
        print(
            table(results, "bbox", 1, {kind: lambda c, kind=kind: c.startswith(kind) for kind in DEGRADATIONS}) + "\n"
        )
    if "sequences" in options.parts:
        results = compare_sequences(forms, videos, options.length)
        groups = {name: lambda c, name=name: c == name for name in ("degraded frames", "clean frames")}
        for kind in ("bbox", "segm"):
            print(table(results, kind, 1, groups) + "\n")
    if "stills" in options.parts:
        results = compare_stills(forms, options.data, options.stills)
        groups = {name: lambda c, name=name: c == name for name in ("degraded", "clean")}
        for kind in ("bbox", "segm"):
            for score in (0, 1):
                print(table(results, kind, score, groups) + "\n")
    if "natural" in options.parts:
        print(compare_natural(forms, options.data, videos) + "\n")
    if "time" in options.parts:
        frames = next(iter(videos.values()))[:33]
        times = {name: time_of(trainings[0], frames) for name, trainings in forms.items()}
        for name, value in times.items():
            print(f"{name}: {value:.1f} ms a frame, {value / times['alone']:.2f} × alone")


if __name__ == "__main__":
    main()
