from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from tltm_graph.detectors.detector import Detector
from tltm_graph.detectors.resize import network_size, resize_image
from tltm_graph.ops.pyramid_pooling import equally_wide, pool_from_pyramid
from tltm_graph.structures import Detections, Frame


class Detectron2Detector(Detector):
    """A model of detectron2, or of a project built on it, with or without masks.

    Anything will do that is called as ``model([{"image", "height", "width"}])`` and answers ``[{"instances": …}]`` with
    the fields ``pred_boxes``, ``scores``, ``pred_classes`` and perhaps ``pred_masks``: ``GeneralizedRCNN``,
    ``RetinaNet``, ``FCOS``, CenterMask2, … Build the model with detectron2 and hand it over; detectron2 itself is never
    imported here. The model is put into evaluation mode.

    The node features of an object are its region of the backbone's maps, pooled to 14×14: the maps are the ones the
    detection was made from, nothing is computed twice. Of the maps that the model's heads read (a pyramid, or the one
    map of a C4 backbone), those as wide as the finest are taken, with the strides that the backbone states
    (``backbone.output_shape()``). Models without such a backbone give no features.

    Args:
        model: The model, built and with its weights loaded.
        class_names: Names of the classes, such as ``MetadataCatalog.get(name).thing_classes``.
        score_threshold: Weaker objects are left out. The model has a threshold of its own before that.
        max_objects: At most so many objects a frame, the most confident ones.
        features: Whether to pool node features. Without a relation model nobody looks at them.
        color_order: Of the channels the model was trained with, ``cfg.INPUT.FORMAT``.
        min_size: Length that the frame's shorter side is resized to, ``cfg.INPUT.MIN_SIZE_TEST``; 0 leaves the size.
        max_size: Length that the longer side does not exceed, ``cfg.INPUT.MAX_SIZE_TEST``.
        device: Where the model is moved to; None leaves it where it is.

    Raises:
        ValueError: If the colour order or a size makes no sense.
    """

    resolution = 14

    def __init__(
        self,
        model: nn.Module,
        class_names: Sequence[str] | None = None,
        score_threshold: float = 0.3,
        max_objects: int = 100,
        features: bool = True,
        color_order: Literal["BGR", "RGB"] = "BGR",
        min_size: int = 800,
        max_size: int = 1333,
        device: str | torch.device | None = None,
    ) -> None:
        if color_order not in ("BGR", "RGB"):
            raise ValueError(f"Expected the colour order 'BGR' or 'RGB', got '{color_order}': see cfg.INPUT.FORMAT")
        if min_size < 0 or max_size < max(min_size, 1):
            raise ValueError(f"Expected 0 <= min_size <= max_size, got min_size={min_size} and max_size={max_size}")
        if device is None:
            device = next((parameter.device for parameter in model.parameters()), torch.device("cpu"))
        self.model = model.eval().to(device)
        self.class_names = tuple(class_names) if class_names is not None else None
        self.score_threshold = score_threshold
        self.max_objects = max_objects
        self.features = features
        self.color_order = color_order
        self.min_size = min_size
        self.max_size = max_size
        self.device = torch.device(device)

    @torch.no_grad()
    def detect(self, frame: Frame, context: Any = None) -> tuple[Detections, None]:
        """See :class:`tltm_graph.detectors.Detector`.

        Raises:
            ValueError: If the model answers something else than ``[{"instances": …}]``.
        """
        height, width = frame.size
        image = self._resized(frame)
        with _BackboneTap(self.model) as tap:
            output = self.model([{"image": image, "height": height, "width": width}])
        instances = _instances(self.model, output)
        scores = instances.scores
        keep = (scores >= self.score_threshold).nonzero().flatten()
        keep = keep[scores[keep].argsort(descending=True, stable=True)][: self.max_objects]
        boxes = instances.pred_boxes.tensor[keep]
        features = None
        if self.features:
            scale = boxes.new_tensor([image.shape[2] / width, image.shape[1] / height]).repeat(2)
            features = tap.pool(boxes * scale, self.resolution)
        detections = Detections(
            boxes=boxes,
            scores=scores[keep],
            labels=instances.pred_classes[keep].long(),
            masks=_masks(instances.pred_masks)[keep] if instances.has("pred_masks") else None,
            features=features,
        )
        return detections, None

    def _resized(self, frame: Frame) -> Tensor:
        """The picture (3, h, w), float in [0, 255], at the scale and in the colour order of the model."""
        image = frame.image
        if self.min_size:
            image = resize_image(image, network_size(frame.size, self.min_size, self.max_size))
        image = image.to(self.device).float()
        return image.flip(0) if self.color_order == "BGR" else image

    def __repr__(self) -> str:
        return f"{type(self).__name__}({type(self.model).__name__}, score_threshold={self.score_threshold})"


class _BackboneTap:
    """Listens in on one forward pass: the maps of the backbone."""

    def __init__(self, model: nn.Module) -> None:
        self._maps: dict[str, Tensor] = {}
        self._model = model
        backbone = getattr(model, "backbone", None)
        known = isinstance(backbone, nn.Module) and hasattr(backbone, "output_shape")
        self._backbone: Any = backbone if known else None
        self._handle: Any = None

    def __enter__(self) -> "_BackboneTap":
        if self._backbone is not None:
            self._handle = self._backbone.register_forward_hook(self._hear)
        return self

    def __exit__(self, *_: object) -> None:
        if self._handle is not None:
            self._handle.remove()

    def pool(self, boxes: Tensor, resolution: int) -> Tensor | None:
        """Features (N, C, r, r) of boxes in pixels of the network's input, or None where nothing was heard."""
        if self._backbone is None or not self._maps:
            return None
        strides = {name: float(shape.stride) for name, shape in self._backbone.output_shape().items()}
        names = sorted(self._read_by_heads(), key=lambda name: strides[name])
        maps = equally_wide(self._maps, names)
        return pool_from_pyramid(maps, strides, boxes, resolution)

    def _read_by_heads(self) -> list[str]:
        """The maps that the boxes are made from; others may serve proposals alone, such as p6 of a Faster R-CNN."""
        model = self._model
        for part in (getattr(model, "roi_heads", None), model, getattr(model, "proposal_generator", None)):
            for attribute in ("box_in_features", "in_features", "head_in_features"):
                names = getattr(part, attribute, None) or ()
                heard = [name for name in names if name in self._maps] if not isinstance(names, str) else []
                if heard:
                    return heard
        return list(self._maps)

    def _hear(self, module: nn.Module, args: Any, output: Any) -> None:
        self._maps = dict(output) if isinstance(output, dict) else {}


def _instances(model: nn.Module, output: Any) -> Any:
    first = output[0] if isinstance(output, list | tuple) and output else None
    if not isinstance(first, dict) or "instances" not in first:
        raise ValueError(
            f'Expected [{{"instances": …}}] from {type(model).__name__}, got a {type(output).__name__}: '
            "is it a detection model of detectron2?"
        )
    return first["instances"]


def _masks(masks: Any) -> Tensor:
    """Bool (N, H, W), of a tensor of bools or probabilities, or of detectron2's BitMasks."""
    masks = getattr(masks, "tensor", masks)
    return masks if masks.dtype == torch.bool else masks >= 0.5
