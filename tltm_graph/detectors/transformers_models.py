from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tltm_graph.detectors.detector import Detector
from tltm_graph.extras import missing_extra
from tltm_graph.ops import masks_to_boxes
from tltm_graph.structures import Detections, Frame

_SCORE_GRIDS = {"mask2former": (384, 384)}
"""Where masks are averaged for their score: the library does it at this size for Mask2Former, whatever its input."""


class TransformersDetector(Detector):
    """Mask2Former and MaskFormer of Hugging Face's transformers, trained for instance segmentation.

    The objects, their labels and scores are those of the library's ``post_process_instance_segmentation``. Masks are
    smoother: the model's logits are brought to the size of the frame before they are cut at zero, not after. Boxes are
    the extent of the masks. Models for panoptic segmentation work too, and report stuff (sky, grass) as objects.

    The node features of an object are the embedding of its query (N, C), from which the model derives class and mask.

    Args:
        model: A ``Mask2FormerForUniversalSegmentation`` or ``MaskFormerForInstanceSegmentation``.
        image_processor: Its image processor, such as ``AutoImageProcessor.from_pretrained(…)``.
        score_threshold: Weaker objects are left out. Below 0.5 one object can come out under several names.
        max_objects: At most so many objects a frame, the most confident ones.
        features: Whether to hand on the embeddings. Without a relation model nobody looks at them.
        device: Where the model runs.
    """

    def __init__(
        self,
        model: nn.Module,
        image_processor: Any,
        score_threshold: float = 0.5,
        max_objects: int = 100,
        features: bool = True,
        device: str | torch.device = "cpu",
    ) -> None:
        self.model = model.eval().to(device)
        self.image_processor = image_processor
        self.score_threshold = score_threshold
        self.max_objects = max_objects
        self.features = features
        self.device = torch.device(device)
        config: Any = model.config
        self.class_names: tuple[str, ...] | None = tuple(config.id2label[index] for index in sorted(config.id2label))
        self._score_grid = _SCORE_GRIDS.get(config.model_type)

    @classmethod
    def from_name(
        cls,
        name_or_path: str,
        score_threshold: float = 0.5,
        max_objects: int = 100,
        features: bool = True,
        device: str | torch.device = "cpu",
    ) -> Self:
        """Loads a model and its image processor.

        Args:
            name_or_path: A name on the Hugging Face hub such as ``"facebook/mask2former-swin-tiny-coco-instance"``, or
                a folder that ``save_pretrained`` wrote both to.
            score_threshold: As in the class.
            max_objects: As in the class.
            features: As in the class.
            device: As in the class.

        Raises:
            ImportError: If transformers is not installed.
            ValueError: If there is a folder of that name without such a model in it, or the model is of another kind.
            ConnectionError: If the model cannot be fetched from the hub.
        """
        try:
            from transformers import AutoImageProcessor, AutoModelForUniversalSegmentation
        except ImportError as error:
            raise missing_extra("transformers", "for this model", extra="transformers") from error
        try:
            model = AutoModelForUniversalSegmentation.from_pretrained(name_or_path)
            image_processor = AutoImageProcessor.from_pretrained(name_or_path)
        except OSError as error:
            reason = str(error).splitlines()[0]
            if Path(name_or_path).is_dir():
                raise ValueError(
                    f"Expected a folder with a model and its image processor at '{name_or_path}', got: {reason}; "
                    "write both with save_pretrained"
                ) from error
            raise ConnectionError(
                f"Expected to find the folder '{name_or_path}' or to download the model of that name, got: {reason} "
                "Check the name, or save model and image processor elsewhere with save_pretrained and name the folder"
            ) from error
        except ValueError as error:
            reason = str(error).splitlines()[0]
            raise ValueError(f"Expected a Mask2Former or MaskFormer in '{name_or_path}', got: {reason}") from error
        return cls(model, image_processor, score_threshold, max_objects, features, device)

    @torch.no_grad()
    def detect(self, frame: Frame, context: Any = None) -> tuple[Detections, None]:
        """See :class:`tltm_graph.detectors.Detector`.

        Raises:
            ValueError: If the model has no queries with a class and a mask each.
        """
        inputs = self.image_processor(images=frame.image, return_tensors="pt", input_data_format="channels_first")
        pixels = inputs["pixel_values"].to(self.device, next(self.model.parameters()).dtype)
        output = self.model(pixel_values=pixels, pixel_mask=inputs["pixel_mask"].to(self.device))
        classes, logits = (getattr(output, name, None) for name in ("class_queries_logits", "masks_queries_logits"))
        if classes is None or logits is None:
            raise ValueError(f"Expected a Mask2Former or MaskFormer, got a {type(self.model).__name__}")
        logits = _without_padding(logits[0].float(), inputs["pixel_mask"][0])  # (Q, h, w)
        queries, labels, scores = _ranked(classes[0].float(), logits, self._score_grid)
        keep = (scores >= self.score_threshold).nonzero().flatten()[: self.max_objects]
        masks = _resized(logits[queries[keep]], frame.size) > 0  # (N, H, W)
        seen = masks.flatten(1).any(dim=1)
        keep, masks = keep[seen], masks[seen]
        features = None
        if self.features:
            features = output.transformer_decoder_last_hidden_state[0].float()[queries[keep]]  # (N, C)
        detections = Detections(
            boxes=masks_to_boxes(masks), scores=scores[keep], labels=labels[keep], masks=masks, features=features
        )
        return detections, None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({type(self.model).__name__}, score_threshold={self.score_threshold})"


def _without_padding(logits: Tensor, pixel_mask: Tensor) -> Tensor:
    """The part of the masks (Q, h, w) that shows the picture; processors may pad it to the right and below."""
    shown = [int(pixel_mask.any(dim=1).sum()), int(pixel_mask.any(dim=0).sum())]
    height, width = (
        max(1, round(cells * part / whole))
        for cells, part, whole in zip(logits.shape[1:], shown, pixel_mask.shape, strict=True)
    )
    return logits[:, :height, :width]


def _ranked(classes: Tensor, logits: Tensor, grid: tuple[int, int] | None) -> tuple[Tensor, Tensor, Tensor]:
    """As many pairs of a query and a label as there are queries, the best first.

    Args:
        classes: Logits of the classes and, last, of no object (Q, K + 1).
        logits: Logits of the masks (Q, h, w).
        grid: Size at which a mask's confidence is averaged, None for its own.

    Returns:
        Queries, labels and scores of the pairs, each (Q,). A score is the class's probability times the mean
        probability of the mask's pixels; zero for a mask without pixels.
    """
    chances, pairs = classes.softmax(dim=-1)[:, :-1].flatten().topk(len(classes))
    queries, labels = pairs // (classes.shape[1] - 1), pairs % (classes.shape[1] - 1)
    logits = (logits if grid is None else _resized(logits, grid)).flatten(1)
    inside = logits > 0
    sure = (logits.sigmoid() * inside).sum(dim=1) / (inside.sum(dim=1) + 1e-6)  # (Q,)
    scores, order = (chances * sure[queries]).sort(descending=True, stable=True)
    return queries[order], labels[order], scores


def _resized(logits: Tensor, size: tuple[int, int]) -> Tensor:
    """Masks (N, h, w) at another size, also for no masks at all."""
    if len(logits) == 0:
        return logits.new_zeros((0, *size))
    return F.interpolate(logits[None], size, mode="bilinear", align_corners=False)[0]
