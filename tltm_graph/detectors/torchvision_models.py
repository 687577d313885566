import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self
from urllib.error import URLError

import torch
from torch import Tensor, nn
from torchvision.models import detection, get_model, get_model_weights, list_models

from tltm_graph.detectors.detector import Detector
from tltm_graph.ops.pyramid_pooling import equally_wide, pool_from_pyramid
from tltm_graph.structures import Detections, Frame


class TorchvisionDetector(Detector):
    """Detector that wraps any detection model of torchvision, with or without masks.

    The features of an object are its region of the model's feature pyramid, pooled to 14×14. The pyramid is read from
    the forward pass of the detection, not computed again. If levels differ in their number of channels (SSD), only
    those with as many as the finest are read. A model without a backbone gives no features.

    Class 0 of a torchvision model is the background. It is removed, and labels count from the first class after it.

    Args:
        model: Model of :mod:`torchvision.models.detection`, or one with the same inputs and outputs. It is put into
            evaluation mode.
        class_names: Names of the classes without the background, None if unknown.
        score_threshold: Minimum score of a detection, in [0, 1].
        max_objects: Maximum number of detections per frame; those with the highest scores are kept.
        features: True to pool features. Only an appearance model needs them.
        device: Device of the model.
    """

    resolution = 14

    def __init__(
        self,
        model: nn.Module,
        class_names: Sequence[str] | None = None,
        score_threshold: float = 0.3,
        max_objects: int = 100,
        features: bool = True,
        device: str | torch.device = "cpu",
    ) -> None:
        self.model = model.eval().to(device)
        self.class_names = tuple(class_names) if class_names is not None else None
        self.score_threshold = score_threshold
        self.max_objects = max_objects
        self.features = features
        self.device = torch.device(device)

    @classmethod
    def from_name(
        cls,
        name: str,
        weights: str = "DEFAULT",
        score_threshold: float = 0.3,
        max_objects: int = 100,
        features: bool = True,
        device: str | torch.device = "cpu",
        **model_options: Any,
    ) -> Self:
        """Build a model by its torchvision name.

        Args:
            name: Name of a detection model, such as ``"maskrcnn_resnet50_fpn_v2"``.
            weights: Name of torchvision's weights, ``"none"`` for random ones, or path of a ``state_dict``.
            score_threshold: Minimum score of a detection, in [0, 1].
            max_objects: Maximum number of detections per frame.
            features: True to pool features.
            device: Device of the model.
            **model_options: Keyword arguments of the model.

        Raises:
            ValueError: If torchvision has no such detection model or weights, or the file does not fit the model.
            ConnectionError: If the weights cannot be downloaded.
        """
        names = list_models(module=detection)
        if name not in names:
            raise ValueError(f"Expected one of torchvision's detection models {names}, got '{name}'")
        options: dict[str, Any] = {
            "score_threshold": score_threshold,
            "max_objects": max_objects,
            "features": features,
            "device": device,
        }
        if weights.lower() == "none":
            return cls(get_model(name, weights=None, weights_backbone=None, **model_options), **options)
        choices = get_model_weights(name)
        if weights in choices.__members__ or weights == "DEFAULT":
            choice = choices[weights]
            try:
                model = get_model(name, weights=choice, **model_options)
            except (URLError, OSError) as error:
                raise ConnectionError(
                    f"Expected to download the weights {choice} from {choice.url}, got: {error}. Download them "
                    f"on another machine and name the file (weights=PATH), or use random ones (weights=none)"
                ) from error
            categories = choice.meta["categories"]
            return cls(model, categories[1:], **options)  # torchvision's class 0 is the background
        if not Path(weights).is_file():
            raise ValueError(f"Expected weights 'none', a file, or one of {list(choices.__members__)}, got '{weights}'")
        model = get_model(name, weights=None, weights_backbone=None, **model_options)
        try:
            model.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
        except Exception as error:  # torch.load and load_state_dict raise many types of errors
            reason = str(error).splitlines()[0]
            raise ValueError(f"Expected a state_dict of {name} in '{weights}', got: {reason}") from error
        return cls(model, **options)

    @torch.no_grad()
    def detect(self, frame: Frame, context: Any = None) -> tuple[Detections, None]:
        """Detect the objects of a frame, with features (N, C, 14, 14) and masks if the model has them."""
        image = frame.image.to(self.device).float() / 255
        with _Taps(self.model) as taps:
            (output,) = self.model([image])
        keep = ((output["scores"] >= self.score_threshold) & (output["labels"] > 0)).nonzero().flatten()
        keep = keep[output["scores"][keep].argsort(descending=True, stable=True)][: self.max_objects]
        boxes = output["boxes"][keep]
        masks = output["masks"][keep, 0] >= 0.5 if "masks" in output else None  # (N, H, W)
        detections = Detections(
            boxes=boxes,
            scores=output["scores"][keep],
            labels=output["labels"][keep] - 1,
            masks=masks,
            features=self._pool(taps, boxes, frame.size) if self.features else None,
        )
        return detections, None

    def _pool(self, taps: "_Taps", boxes: Tensor, size: tuple[int, int]) -> Tensor | None:
        """Pool the features (N, C, 14, 14) of boxes in pixels of the frame; None if the model has no pyramid."""
        maps, strides = taps.pyramid()
        if not maps or taps.image_size is None:
            return None
        scale = boxes.new_tensor([taps.image_size[1] / size[1], taps.image_size[0] / size[0]]).repeat(2)
        # The heads of these models pool with cell centres at whole pixels, too.
        return pool_from_pyramid(maps, strides, boxes * scale, self.resolution, aligned=False)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({type(self.model).__name__}, score_threshold={self.score_threshold})"


class _Taps:
    """Forward hooks of one detection: feature maps of the backbone, sizes of the resized and of the padded image."""

    def __init__(self, model: nn.Module) -> None:
        self.maps: dict[str, Tensor] = {}
        self.image_size: tuple[int, int] | None = None
        self.padded_size: tuple[int, int] | None = None
        self._model = model
        self._handles: list[Any] = []

    def __enter__(self) -> "_Taps":
        for name, hook in (("backbone", self._keep_maps), ("transform", self._keep_sizes)):
            module = getattr(self._model, name, None)
            if isinstance(module, nn.Module):
                self._handles.append(module.register_forward_hook(hook))
        return self

    def __exit__(self, *_: object) -> None:
        for handle in self._handles:
            handle.remove()

    def pyramid(self) -> tuple[dict[str, Tensor], dict[str, float]]:
        """Return the maps of the feature pyramid, finest first, without the pooled one, and the stride of each."""
        maps = equally_wide(self.maps, [name for name in self.maps if name != "pool"])
        if self.padded_size is None:
            return maps, {}
        # Strides are powers of two, but sizes of maps are rounded: the longer side has the smaller relative error.
        longest = max(self.padded_size)
        return maps, {name: 2.0 ** round(math.log2(longest / max(m.shape[-2:]))) for name, m in maps.items()}

    def _keep_maps(self, module: nn.Module, args: Any, output: Any) -> None:
        self.maps = dict(output) if isinstance(output, dict) else {"0": output}

    def _keep_sizes(self, module: nn.Module, args: Any, output: Any) -> None:
        images = output[0]
        height, width = images.image_sizes[0]
        self.image_size = int(height), int(width)
        self.padded_size = int(images.tensors.shape[-2]), int(images.tensors.shape[-1])
