"""Boxes and masks of the shipped model on still images of COCO, beside the ONNX file that its detector comes from.

    python benchmarks/still_images.py --images ../shared/data/coco_subset [--onnx picodet_s_416_coco.onnx]

The test images are the complete ones of val2017. "Mask IoU" is that of masks drawn into the true boxes.
"""

import argparse
import contextlib
import io
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import torch
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from tqdm import tqdm

from tltm_graph import Detections, Frame
from tltm_graph.detectors.centermask import CenterMask, Decoder
from tltm_graph.detectors.centermask.fcos import DenseOutput
from tltm_graph.io import read_frames
from tltm_graph.models import model_for_tracking
from tltm_graph.models.tltm import detector_of
from tltm_graph.ops import mask_iou

EVALUATED = Decoder(score_threshold=0.025, nms_iou=0.6, max_objects=100)
"""Settings of PaddleDetection's evaluation."""


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, default=Path("../shared/data/coco_subset"))
    parser.add_argument("--onnx", type=Path, help="file that the detector was converted from")
    parser.add_argument("--model", default="centermask-pico", help="weights or name of a model")
    parser.add_argument("--backend", default="torch", help="torch or openvino")
    parser.add_argument("--precision", default="float32", help="float32 or bfloat16")
    parser.add_argument("--max-images", type=int, help="use the first images only")
    arguments = parser.parse_args()

    torch.manual_seed(0)
    truth, image_ids = _test_images(arguments.images / "instances.json", arguments.max_images)
    options = {"backend": arguments.backend, "precision": arguments.precision}
    detector = detector_of(model_for_tracking(arguments.model, **options))
    detector.decoder = EVALUATED
    print(f"{len(image_ids)} images, {len(truth.getAnnIds(imgIds=image_ids))} objects")
    print(f"{'':34}  AP   AP50  AP75    s     m     l")
    detectors: list[tuple[str, Callable[[Frame], Detections]]] = [("this model", lambda f: _detect(detector, f))]
    if arguments.onnx:
        detectors.append(("the ONNX file", OnnxPico(arguments.onnx)))
    for name, detect in detectors:
        rows = []
        for image_id in tqdm(image_ids, desc=name, unit=" images"):
            rows += _rows(detect(_frame(arguments.images, truth, image_id)), image_id, truth)
        if not rows:
            print(f"{name}: nothing detected")
            continue
        for kind in ("bbox", "segm") if "segmentation" in rows[0] else ("bbox",):
            scores = _average_precision(truth, rows, image_ids, kind)
            print(f"{name + ', ' + kind:34}" + "".join(f"{score:6.3f}" for score in scores))
    print("mask IoU in true boxes, and objects: " + _true_box_ious(detector, arguments.images, truth, image_ids))


def _test_images(path: Path, max_images: int | None) -> tuple[COCO, list[int]]:
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(path))
    return truth, [
        image["id"] for image in truth.dataset["images"] if image["split"] == "val2017" and image["complete"]
    ][:max_images]


def _frame(folder: Path, truth: COCO, image_id: int) -> Frame:
    return next(iter(read_frames(folder / "images" / truth.imgs[image_id]["file_name"])))


def _detect(detector: CenterMask, frame: Frame) -> Detections:
    objects, _ = detector.detect(frame)
    return objects if objects.masks is not None else detector.segment(objects, frame.size)


class OnnxPico:
    """The ONNX file of PicoDet-S, run by ONNX Runtime."""

    def __init__(self, path: Path) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        self.session = onnxruntime.InferenceSession(str(path), options)

    def __call__(self, frame: Frame) -> Detections:
        """Detect the objects of a frame, without masks."""
        pixels = cv2.resize(frame.image.permute(1, 2, 0).numpy(), (416, 416), interpolation=cv2.INTER_CUBIC)
        normalised = (pixels / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
        outputs = self.session.run(None, {"image": normalised.transpose(2, 0, 1)[None].astype(np.float32)})
        dense = []
        for probability, sides in zip(outputs[:4], outputs[4:], strict=True):
            side = round(probability.shape[1] ** 0.5)
            logits = torch.from_numpy(probability).logit(eps=1e-7).reshape(1, side, side, -1).permute(0, 3, 1, 2)
            bins = torch.from_numpy(sides).reshape(1, side, side, 4, 8).softmax(dim=4) @ torch.arange(8.0)
            dense.append(DenseOutput(logits, bins.permute(0, 3, 1, 2)))
        (objects,) = EVALUATED(dense, (8, 16, 32, 64))
        height, width = frame.size
        return objects.replace(boxes=objects.boxes * torch.tensor([width, height, width, height]) / 416)


def _rows(objects: Detections, image_id: int, truth: COCO) -> Iterator[dict]:
    categories = sorted(truth.cats)
    for i in range(len(objects)):
        x0, y0, x1, y1 = objects.boxes[i].tolist()
        row = {
            "image_id": image_id,
            "category_id": categories[int(objects.labels[i])],
            "bbox": [x0, y0, x1 - x0, y1 - y0],
            "score": float(objects.scores[i]),
        }
        if objects.masks is not None:
            row["segmentation"] = coco_mask.encode(np.asfortranarray(objects.masks[i].numpy().astype(np.uint8)))
        yield row


def _average_precision(truth: COCO, rows: list[dict], image_ids: list[int], kind: str) -> list[float]:
    with contextlib.redirect_stdout(io.StringIO()):
        results = truth.loadRes([{k: v for k, v in row.items() if kind == "bbox" or k != "bbox"} for row in rows])
        evaluation = COCOeval(truth, results, kind)
        evaluation.params.imgIds = image_ids
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return [float(score) for score in evaluation.stats[:6]]


def _true_box_ious(detector: CenterMask, folder: Path, truth: COCO, image_ids: list[int]) -> str:
    """Mean IoU by size of the object."""
    ious: dict[str, list[float]] = {"small": [], "medium": [], "large": []}
    categories = sorted(truth.cats)
    for image_id in image_ids:
        rows = truth.loadAnns(truth.getAnnIds(imgIds=image_id, iscrowd=False))
        if not rows:
            continue
        frame = _frame(folder, truth, image_id)
        boxes = torch.tensor([row["bbox"] for row in rows])
        boxes[:, 2:] += boxes[:, :2]
        labels = torch.tensor([categories.index(row["category_id"]) for row in rows])
        drawn = _masks_in(detector, frame, boxes, labels)
        true = torch.from_numpy(np.stack([truth.annToMask(row) for row in rows])).bool()
        for row, iou in zip(rows, mask_iou(drawn, true).diagonal().tolist(), strict=True):
            size = "small" if row["area"] < 32**2 else "medium" if row["area"] < 96**2 else "large"
            ious[size].append(iou)
    return ", ".join(f"{size} {np.mean(values):.3f} ({len(values)})" for size, values in ious.items() if values)


@torch.no_grad()
def _masks_in(detector: CenterMask, frame: Frame, boxes: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Draw masks into given boxes."""
    size = detector.network_size(frame.size)
    images = detector.prepare([detector.resize(frame.image)])
    scale = torch.tensor([size[1] / frame.size[1], size[0] / frame.size[0]]).repeat(2)
    features = detector.pool(detector.backbone(images), [boxes * scale], [size], images)
    objects = Detections(boxes, torch.ones(len(boxes)), labels, features=features)
    masks = detector.segment(objects, frame.size).masks
    assert masks is not None
    return masks


if __name__ == "__main__":
    main()
