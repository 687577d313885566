from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.ops import clip_boxes_to_image, roi_align

from tltm_graph.detectors.centermask.backbone import PyramidBackbone
from tltm_graph.detectors.centermask.fcos import Decoder, FCOSHead
from tltm_graph.detectors.centermask.mask_head import MaskHead
from tltm_graph.detectors.detector import Detector
from tltm_graph.detectors.resize import network_size, resize_image
from tltm_graph.nn import ResFuser
from tltm_graph.ops import paste_masks, ratio_roi_align
from tltm_graph.structures import Detections, Frame

Pyramid = Sequence[Tensor]
"""Levels (B, C, H, W), finest first."""


class CenterMask(nn.Module, Detector):
    """Detects objects with FCOS on a feature pyramid and segments them (CenterMask, arXiv 1911.06667); with ``fusers``,
    the pyramid is first fused with the one of the previous frame (arXiv 2210.16795, equation 1).

    A detector for :class:`tltm_graph.tracking.Tracker`: :meth:`detect` finds boxes, :meth:`segment` draws the masks of
    those that turn out to be of interest. Only the boxes come from the fused pyramid; features of objects are pooled
    from the plain one, which is also what the next frame is fused with.

    Args:
        backbone: Turns images into a pyramid.
        head: Turns a pyramid into boxes.
        mask_head: Turns pooled features into masks.
        fusers: One for each level, or None for frames that know nothing of each other.
        decoder: Picks objects from the output of the head.
        class_names: Names of the classes.
        min_size: The shorter side of an image is resized to this many pixels …
        max_size: … unless the longer side would then have more than this. :meth:`detect` alone resizes.
        autocast: Precision of :meth:`detect` and :meth:`segment`, ``torch.bfloat16`` or ``torch.float16``; None for
            float32, which weights always have.
        pools_pixels: Features of objects are those of the pyramid and three more channels, what the image shows there.

    Raises:
        ValueError: If there are not as many fusers as levels, or names as classes, or a size is below 1.
    """

    pixel_mean: Tensor
    config: dict[str, Any] | None = None
    """How to build it again, for :func:`tltm_graph.models.save_model`."""
    num_mask_levels = 3
    masks_on_demand = True

    def __init__(
        self,
        backbone: PyramidBackbone,
        head: FCOSHead,
        mask_head: MaskHead,
        fusers: Sequence[ResFuser] | None = None,
        decoder: Decoder | None = None,
        class_names: Sequence[str] | None = None,
        min_size: int = 800,
        max_size: int = 1333,
        autocast: torch.dtype | None = None,
        pools_pixels: bool = False,
    ) -> None:
        super().__init__()
        if fusers is not None and len(fusers) != len(backbone.strides):
            raise ValueError(f"Expected {len(backbone.strides)} fusers, one for each level, got {len(fusers)}")
        if class_names is not None and len(class_names) != head.num_classes:
            raise ValueError(f"Expected {head.num_classes} class names, got {len(class_names)}")
        if mask_head.num_classes != head.num_classes:
            raise ValueError(f"Expected masks of {head.num_classes} classes, got {mask_head.num_classes}")
        if min_size < 1 or max_size < 1:
            raise ValueError(f"Expected sizes of at least 1 pixel, got min_size={min_size} and max_size={max_size}")
        self.backbone = backbone
        self.fusers = None if fusers is None else nn.ModuleList(fusers)
        self.head = head
        self.mask_head = mask_head
        self.decoder = decoder or Decoder()
        self.class_names = tuple(class_names) if class_names is not None else None
        self.min_size, self.max_size = min_size, max_size
        self.autocast = autocast
        self.pools_pixels = pools_pixels
        self.register_buffer("pixel_mean", torch.tensor([103.53, 116.28, 123.675]), persistent=False)  # blue first

    def prepare(self, images: Sequence[Tensor]) -> Tensor:
        """One batch of images, their sides padded to multiples of 32.

        Args:
            images: RGB images (3, H, W) with values 0 to 255, of any sizes.

        Returns:
            BGR images minus their mean (B, 3, H, W), zero where padded, on the device of the model.
        """
        height, width = (32 * -(-max(image.shape[axis] for image in images) // 32) for axis in (1, 2))
        batch = self.pixel_mean.new_zeros((len(images), 3, height, width))
        for padded, image in zip(batch, images, strict=True):
            centred = image.to(self.pixel_mean.device).flip(0).float() - self.pixel_mean[:, None, None]
            padded[:, : image.shape[1], : image.shape[2]] = centred
        return batch

    def scale(self, size: tuple[int, int]) -> float:
        """Pixels of the image that the network sees, for each pixel of a frame of ``size`` (H, W)."""
        return network_size(size, self.min_size, self.max_size)[0] / size[0]

    def fuse(self, previous: Pyramid, current: Pyramid) -> Pyramid:
        """The current pyramid, each level fused with the previous one; unchanged without fusers."""
        if self.fusers is None:
            return current
        return [fuser(*levels) for fuser, *levels in zip(self.fusers, previous, current, strict=True)]

    def pool(
        self, pyramid: Pyramid, boxes: Sequence[Tensor], sizes: Sequence[tuple[int, int]], images: Tensor
    ) -> Tensor:
        """The features of each object (N, C, 14, 14), for encoder and mask head alike.

        Args:
            pyramid: Of the images, not fused.
            boxes: Boxes xyxy in pixels of the images, (N_b, 4) for each of them.
            sizes: Height and width of each image, without padding.
            images: What :meth:`prepare` made of them.

        Returns:
            C channels of the pyramid; if the detector pools pixels, three more follow, blue, green and red from about
            -1 to 1, which the mask head does not read.
        """
        levels = pyramid[: self.num_mask_levels]
        pooled = ratio_roi_align(levels, self.backbone.strides[: self.num_mask_levels], boxes, sizes)
        if not self.pools_pixels:
            return pooled
        pixels = roi_align(images.to(pooled) / 128, list(boxes), pooled.shape[-1], sampling_ratio=2, aligned=True)
        return torch.cat([pooled, pixels], dim=1)

    def mask_logits(self, features: Tensor, labels: Tensor) -> Tensor:
        """Logits (N, 28, 28) of the masks of objects with pooled features (N, C, 14, 14), of their classes."""
        logits: Tensor = self.mask_head(features[:, : self.backbone.channels], labels)
        return logits

    @torch.no_grad()
    def detect(self, frame: Frame, context: Pyramid | None = None) -> tuple[Detections, Pyramid]:
        """Boxes and features of the objects of ``frame``.

        Args:
            frame: The frame.
            context: The pyramid of the previous frame, None for the first one, which is fused with itself.

        Returns:
            The objects, most confident first: boxes not cut at the border, features (N, C, 14, 14) in float32, no
            masks; and the pyramid of this frame.
        """
        size = network_size(frame.size, self.min_size, self.max_size)
        with self.precision():
            images = self.prepare([resize_image(frame.image, size)])
            pyramid = self.backbone(images)
            outputs = self.head(self.fuse(context or pyramid, pyramid))
            (found,) = self.decoder(outputs, self.backbone.strides)
            features = self.pool(pyramid, [found.boxes], [size], images).float()
        scale = found.boxes.new_tensor([frame.size[1] / size[1], frame.size[0] / size[0]]).repeat(2)
        return found.replace(boxes=found.boxes * scale, features=features), pyramid

    @torch.no_grad()
    def segment(self, detections: Detections, size: tuple[int, int]) -> Detections:
        """Draws the masks of objects that :meth:`detect` has found.

        Args:
            detections: Any of its objects, with their features.
            size: Height and width of the frame.

        Returns:
            The same objects with masks (N, H, W), and boxes cut at the border of the frame.

        Raises:
            ValueError: If the objects have no pooled features.
        """
        if detections.features is None or detections.features.ndim != 4:
            raise ValueError("Expected objects with pooled features (N, C, 14, 14): segment what detect() has returned")
        with self.precision():
            probability = self.mask_logits(detections.features, detections.labels).float().sigmoid()  # (N, 28, 28)
        boxes = clip_boxes_to_image(detections.boxes, size)
        return detections.replace(boxes=boxes, masks=paste_masks(probability, boxes, size))

    def precision(self) -> AbstractContextManager[object]:
        """What computes in the precision of ``autocast``."""
        enabled = self.autocast is not None
        return torch.autocast(self.pixel_mean.device.type, dtype=self.autocast, enabled=enabled)

    def __repr__(self) -> str:
        fused = "" if self.fusers is None else ", with ResFuser"
        return f"{type(self).__name__}({self.head.num_classes} classes, {self.backbone!r}{fused})"
