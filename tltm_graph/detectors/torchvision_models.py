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
    """Any detection model of torchvision, with or without masks.

    The node features of an object are its region of the model's feature pyramid, pooled to 14×14: the pyramid is the
    one the detection was made from, nothing is computed twice. Where the backbone's maps are not of one width (SSD),
    those as wide as the finest are taken; models without a backbone give no features.

    Class 0 of a torchvision model is the background: labels are one less, and what was found to be background (models
    without a softmax can say so) is left out.

    Args:
        model: A model of :mod:`torchvision.models.detection`, or one that is called and answers the same way.
        class_names: Names of the classes, background left out.
        score_threshold: Weaker objects are left out.
        max_objects: At most so many objects a frame, the most confident ones.
        features: Whether to pool node features. Without a relation model nobody looks at them.
        device: Where the model runs.
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
        """Builds a model by its torchvision name.

        Args:
            name: Such as ``"maskrcnn_resnet50_fpn_v2"``.
            weights: A name of its weights, ``"none"`` for random ones, or the path of a ``state_dict`` to load.
            score_threshold: As in the class.
            max_objects: As in the class.
            features: As in the class.
            device: As in the class.
            **model_options: Passed on to the model.

        Raises:
            ValueError: If torchvision has no such detection model or weights.
            ConnectionError: If the weights are to be downloaded and cannot be.
        """
        known = list_models(module=detection)
        if name not in known:
            raise ValueError(f"Expected one of torchvision's detection models {known}, got '{name}'")
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
                    f"elsewhere and name the file (weights=PATH), or take random ones (weights=none)"
                ) from error
            categories = choice.meta["categories"]
            return cls(model, categories[1:], **options)  # torchvision's class 0 is the background
        if not Path(weights).is_file():
            raise ValueError(f"Expected weights 'none', a file, or one of {list(choices.__members__)}, got '{weights}'")
        model = get_model(name, weights=None, weights_backbone=None, **model_options)
        try:
            model.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
        except Exception as error:  # torch.load and load_state_dict raise a dozen kinds for files that do not fit
            reason = str(error).splitlines()[0]
            raise ValueError(f"Expected a state_dict of {name} in '{weights}', got: {reason}") from error
        return cls(model, **options)

    @torch.no_grad()
    def detect(self, frame: Frame, context: Any = None) -> tuple[Detections, None]:
        """See :class:`tltm_graph.detectors.Detector`."""
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
        """The pyramid's features of each box (N, C, 14, 14), or None where there is no pyramid."""
        maps, strides = taps.pyramid()
        if not maps or taps.image_size is None:
            return None
        scale = boxes.new_tensor([taps.image_size[1] / size[1], taps.image_size[0] / size[0]]).repeat(2)
        # Like the heads of these models: cell centres at whole pixels.
        return pool_from_pyramid(maps, strides, boxes * scale, self.resolution, aligned=False)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({type(self.model).__name__}, score_threshold={self.score_threshold})"


class _Taps:
    """Listens in on one forward pass: the feature maps of the backbone, the sizes of the resized and padded image."""

    def __init__(self, model: nn.Module) -> None:
        self.maps: dict[str, Tensor] = {}
        self.image_size: tuple[int, int] | None = None
        self.padded_size: tuple[int, int] | None = None
        self._model = model
        self._handles: list[Any] = []

    def __enter__(self) -> "_Taps":
        for name, hook in (("backbone", self._hear_backbone), ("transform", self._hear_transform)):
            module = getattr(self._model, name, None)
            if isinstance(module, nn.Module):
                self._handles.append(module.register_forward_hook(hook))
        return self

    def __exit__(self, *_: object) -> None:
        for handle in self._handles:
            handle.remove()

    def pyramid(self) -> tuple[dict[str, Tensor], dict[str, float]]:
        """The maps of a feature pyramid, finest first, without the pooled one; and the stride of each."""
        maps = equally_wide(self.maps, [name for name in self.maps if name != "pool"])
        if self.padded_size is None:
            return maps, {}
        # Maps are rounded up or down to whole cells; strides are powers of two. The longer side says it more exactly.
        longest = max(self.padded_size)
        return maps, {name: 2.0 ** round(math.log2(longest / max(m.shape[-2:]))) for name, m in maps.items()}

    def _hear_backbone(self, module: nn.Module, args: Any, output: Any) -> None:
        self.maps = dict(output) if isinstance(output, dict) else {"0": output}

    def _hear_transform(self, module: nn.Module, args: Any, output: Any) -> None:
        images = output[0]
        height, width = images.image_sizes[0]
        self.image_size = int(height), int(width)
        self.padded_size = int(images.tensors.shape[-2]), int(images.tensors.shape[-1])
