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
"""Size (h, w) at which the library averages a mask for its score, by model type. Other types use the model's own."""


class TransformersDetector(Detector):
    """Detector that wraps Mask2Former or MaskFormer of Hugging Face's transformers.

    Objects, labels and scores are those of the library's ``post_process_instance_segmentation``. Masks are smoother:
    logits are resized to the frame before the threshold, not after. Boxes fit the masks tightly. A model trained for
    panoptic segmentation works too, but returns stuff (sky, grass) as objects.

    The features of an object are the embedding of its query (N, C), from which the model computes class and mask.

    Args:
        model: ``Mask2FormerForUniversalSegmentation`` or ``MaskFormerForInstanceSegmentation``. It is put into
            evaluation mode.
        image_processor: Image processor of the model, such as ``AutoImageProcessor.from_pretrained(…)``.
        score_threshold: Minimum score of a detection, in [0, 1]. Below 0.5 an object may have several classes.
        max_objects: Maximum number of detections per frame; those with the highest scores are kept.
        features: True to return the query embeddings. Only an appearance model needs them.
        device: Device of the model.
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
        """Load a model and its image processor.

        Args:
            name_or_path: Name on the Hugging Face hub, such as ``"facebook/mask2former-swin-tiny-coco-instance"``, or
                folder that ``save_pretrained`` wrote both to.
            score_threshold: Minimum score of a detection, in [0, 1].
            max_objects: Maximum number of detections per frame.
            features: True to return the query embeddings.
            device: Device of the model.

        Raises:
            ImportError: If transformers is not installed.
            ValueError: If the folder has no such model or image processor, or the model is of another type.
            ConnectionError: If the model cannot be downloaded.
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
                "Check the name, or save model and image processor on another machine with save_pretrained and name "
                "the folder"
            ) from error
        except ValueError as error:
            reason = str(error).splitlines()[0]
            raise ValueError(f"Expected a Mask2Former or MaskFormer in '{name_or_path}', got: {reason}") from error
        return cls(model, image_processor, score_threshold, max_objects, features, device)

    @torch.no_grad()
    def detect(self, frame: Frame, context: Any = None) -> tuple[Detections, None]:
        """Detect the objects of a frame, with masks and features (N, C).

        Raises:
            ValueError: If the model does not return classes and masks of queries.
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
        visible = masks.flatten(1).any(dim=1)
        keep, masks = keep[visible], masks[visible]
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
    """Crop mask logits (Q, h, w) to the image: some image processors pad it at the right and at the bottom."""
    image_size = [int(pixel_mask.any(dim=1).sum()), int(pixel_mask.any(dim=0).sum())]
    height, width = (
        max(1, round(cells * part / whole))
        for cells, part, whole in zip(logits.shape[1:], image_size, pixel_mask.shape, strict=True)
    )
    return logits[:, :height, :width]


def _ranked(classes: Tensor, logits: Tensor, grid: tuple[int, int] | None) -> tuple[Tensor, Tensor, Tensor]:
    """Rank the best Q pairs of a query and a class, highest score first.

    Args:
        classes: Class logits (Q, K + 1), the last one for "no object".
        logits: Mask logits (Q, h, w).
        grid: Size at which the pixels of a mask are averaged, None for (h, w).

    Returns:
        Queries, labels and scores of the pairs, each (Q,). A score is the probability of the class times the mean
        probability of the mask's pixels, 0 for an empty mask.
    """
    probabilities, pairs = classes.softmax(dim=-1)[:, :-1].flatten().topk(len(classes))
    queries, labels = pairs // (classes.shape[1] - 1), pairs % (classes.shape[1] - 1)
    logits = (logits if grid is None else _resized(logits, grid)).flatten(1)
    inside = logits > 0
    mask_scores = (logits.sigmoid() * inside).sum(dim=1) / (inside.sum(dim=1) + 1e-6)  # (Q,)
    scores, order = (probabilities * mask_scores[queries]).sort(descending=True, stable=True)
    return queries[order], labels[order], scores


def _resized(logits: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize mask logits (N, h, w) bilinearly."""
    if len(logits) == 0:  # interpolate() refuses empty tensors
        return logits.new_zeros((0, *size))
    return F.interpolate(logits[None], size, mode="bilinear", align_corners=False)[0]
