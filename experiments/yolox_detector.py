"""Example of a detector: YOLOX from an ONNX file, run with onnxruntime. See docs/your_own_detector.md."""

from pathlib import Path
from typing import Any

import onnxruntime
import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.ops import batched_nms

from tltm_graph import Detections, Detector, Frame
from tltm_graph.formats import COCO

STRIDES = (8, 16, 32)
"""Cell sizes of the network's three grids, in pixels of its input."""


class YoloxDetector(Detector):
    """YOLOX model, which detects boxes without masks.

    Args:
        path: ONNX file that YOLOX's ``tools/export_onnx.py`` wrote.
        score_threshold: Minimum score of a detection, in [0, 1].
        iou_threshold: Maximum IoU of two detections of one class, in [0, 1].
        labels: Text file with one class name on each line; empty for COCO's 80 classes.
        decoded: True if the model was exported with ``--decode_in_inference``.
        device: ``"cpu"``, or ``"cuda"`` with onnxruntime-gpu installed.

    Raises:
        FileNotFoundError: If there is no file at ``path``.
        ValueError: If the model has another number of classes.
    """

    def __init__(
        self,
        path: str,
        score_threshold: float = 0.3,
        iou_threshold: float = 0.45,
        labels: str = "",
        decoded: bool = False,
        device: str = "cpu",
    ) -> None:
        if not Path(path).is_file():
            raise FileNotFoundError(
                f"Expected an ONNX file, found none at '{path}': download one from YOLOX's releases"
            )
        gpu = ["CUDAExecutionProvider"] if device.startswith("cuda") else []
        self.session = onnxruntime.InferenceSession(path, providers=[*gpu, "CPUExecutionProvider"])
        self.class_names: tuple[str, ...] | None = COCO
        if labels:
            self.class_names = tuple(Path(labels).read_text().splitlines())
        self.score_threshold = score_threshold
        self.iou_threshold = iou_threshold
        self.decoded = decoded
        (network_input,), (output, *_) = self.session.get_inputs(), self.session.get_outputs()
        self.input_name, self.size = network_input.name, tuple(network_input.shape[2:])  # (h, w)
        expected = 5 + len(self.class_names)
        if output.shape[-1] != expected:
            raise ValueError(
                f"Expected rows of {expected} numbers (box, object, {len(self.class_names)} classes) from '{path}', "
                f"got {output.shape}: give the file of its class names (labels=FILE)"
            )

    def detect(self, frame: Frame, context: Any = None) -> tuple[Detections, None]:
        """See :class:`tltm_graph.detectors.Detector`."""
        image, scale = letterbox(frame.image, self.size)
        (rows,) = self.session.run(None, {self.input_name: image[None].numpy()})
        rows = torch.from_numpy(rows[0])  # (cells, 5 + classes)
        centers, sides = (rows[:, :2], rows[:, 2:4]) if self.decoded else decode(rows, self.size)
        boxes = torch.cat([centers - sides / 2, centers + sides / 2], dim=1) / scale  # in pixels of the frame
        scores, labels = (rows[:, 4:5] * rows[:, 5:]).max(dim=1)  # object × class

        sure = scores >= self.score_threshold
        boxes, scores, labels = boxes[sure], scores[sure], labels[sure]
        keep = batched_nms(boxes, scores, labels, self.iou_threshold)  # the most confident first
        return Detections(boxes[keep], scores[keep], labels[keep]), None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.size[0]}×{self.size[1]}, score_threshold={self.score_threshold})"


def letterbox(image: Tensor, size: tuple[int, int]) -> tuple[Tensor, float]:
    """Prepare an image as in YOLOX's training: scaled into the top left corner, BGR, the rest grey (114).

    Args:
        image: RGB image (3, H, W), uint8.
        size: Height and width of the network's input in pixels.

    Returns:
        The input (3, *size), float32 in [0, 255], and its scale: pixels of the input per pixel of the image.
    """
    height, width = image.shape[1:]
    scale = min(size[0] / height, size[1] / width)
    inner = max(1, int(height * scale)), max(1, int(width * scale))
    small = F.interpolate(image[None].cpu().float(), inner, mode="bilinear")[0]
    padding = (0, size[1] - small.shape[2], 0, size[0] - small.shape[1])
    return F.pad(small.flip(0).round(), padding, value=114.0), scale


def decode(rows: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Convert rows relative to the cells of the three grids to pixels of the input.

    Args:
        rows: Output of the network (cells, 5 + classes).
        size: Height and width of the network's input in pixels.

    Returns:
        Centres (x, y) and sides (width, height) of the boxes, each (cells, 2).
    """
    cells, strides = [], []
    for stride in STRIDES:
        y, x = torch.meshgrid(torch.arange(size[0] // stride), torch.arange(size[1] // stride), indexing="ij")
        cells.append(torch.stack([x, y], dim=-1).flatten(0, 1))
        strides.append(torch.full((y.numel(), 1), stride))
    grid, stride_of = torch.cat(cells), torch.cat(strides)
    return (rows[:, :2] + grid) * stride_of, rows[:, 2:4].exp() * stride_of
