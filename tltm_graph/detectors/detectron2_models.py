from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from tltm_graph.detectors.centermask.model import network_size, resize_image
from tltm_graph.detectors.detector import Detector
from tltm_graph.ops.pyramid_pooling import equally_wide, pool_from_pyramid
from tltm_graph.structures import Detections, Frame


class Detectron2Detector(Detector):
    """Detector that wraps a model of detectron2 or of a project built on it, with or without masks.

    The model must be callable as ``model([{"image", "height", "width"}])`` and return ``[{"instances": …}]`` with the
    fields ``pred_boxes``, ``scores``, ``pred_classes`` and optionally ``pred_masks``: ``GeneralizedRCNN``,
    ``RetinaNet``, ``FCOS``, CenterMask2, … Build it with detectron2, which this module never imports.

    The features of an object are its region of the backbone's maps, pooled to 14×14. The maps are read from the forward
    pass of the detection, not computed again. They are those that the model's heads read (a pyramid, or the single map
    of a C4 backbone) and that have as many channels as the finest. Strides are those of ``backbone.output_shape()``; a
    model without this method gives no features.

    Args:
        model: Model with loaded weights. It is put into evaluation mode.
        class_names: Names of the classes, such as ``MetadataCatalog.get(name).thing_classes``; None if unknown.
        score_threshold: Minimum score of a detection, in [0, 1]. The model applies its own threshold first.
        max_objects: Maximum number of detections per frame; those with the highest scores are kept.
        features: True to pool features. Only an appearance model needs them.
        color_order: Order of the channels that the model was trained with, ``cfg.INPUT.FORMAT``.
        min_size: Length of the shorter side of the input in pixels, ``cfg.INPUT.MIN_SIZE_TEST``; 0 for no resizing.
        max_size: Maximum length of the longer side in pixels, ``cfg.INPUT.MAX_SIZE_TEST``.
        device: Device to move the model to, None to leave it where it is.

    Raises:
        ValueError: If the colour order or a size is not valid.
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
        """Detect the objects of a frame, with features (N, C, 14, 14) and masks if the model has them.

        Raises:
            ValueError: If the model does not return ``[{"instances": …}]``.
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
        """Return the image (3, h, w), float in [0, 255], at the scale and in the colour order of the model."""
        image = frame.image
        if self.min_size:
            image = resize_image(image, network_size(frame.size, self.min_size, self.max_size))
        image = image.to(self.device).float()
        return image.flip(0) if self.color_order == "BGR" else image

    def __repr__(self) -> str:
        return f"{type(self).__name__}({type(self.model).__name__}, score_threshold={self.score_threshold})"


class _BackboneTap:
    """Forward hook of one detection that keeps the maps of the backbone."""

    def __init__(self, model: nn.Module) -> None:
        self._maps: dict[str, Tensor] = {}
        self._model = model
        backbone = getattr(model, "backbone", None)
        has_strides = isinstance(backbone, nn.Module) and hasattr(backbone, "output_shape")
        self._backbone: Any = backbone if has_strides else None
        self._handle: Any = None

    def __enter__(self) -> "_BackboneTap":
        if self._backbone is not None:
            self._handle = self._backbone.register_forward_hook(self._keep_maps)
        return self

    def __exit__(self, *_: object) -> None:
        if self._handle is not None:
            self._handle.remove()

    def pool(self, boxes: Tensor, resolution: int) -> Tensor | None:
        """Pool the features (N, C, r, r) of boxes in pixels of the network's input; None without maps."""
        if self._backbone is None or not self._maps:
            return None
        strides = {name: float(shape.stride) for name, shape in self._backbone.output_shape().items()}
        names = sorted(self._read_by_heads(), key=lambda name: strides[name])
        maps = equally_wide(self._maps, names)
        return pool_from_pyramid(maps, strides, boxes, resolution)

    def _read_by_heads(self) -> list[str]:
        """Return the names of the maps that boxes are computed from: p6 of a Faster R-CNN serves proposals alone."""
        model = self._model
        for part in (getattr(model, "roi_heads", None), model, getattr(model, "proposal_generator", None)):
            for attribute in ("box_in_features", "in_features", "head_in_features"):
                names = getattr(part, attribute, None) or ()
                available = [name for name in names if name in self._maps] if not isinstance(names, str) else []
                if available:
                    return available
        return list(self._maps)

    def _keep_maps(self, module: nn.Module, args: Any, output: Any) -> None:
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
    """Convert masks to bool (N, H, W), from a tensor of bools or probabilities, or from detectron2's BitMasks."""
    masks = getattr(masks, "tensor", masks)
    return masks if masks.dtype == torch.bool else masks >= 0.5
