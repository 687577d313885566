from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

import cv2
import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torchvision.ops import clip_boxes_to_image, roi_align

from tltm_graph.detectors.centermask.backbone import PyramidBackbone
from tltm_graph.detectors.centermask.esnet import ShuffleBackbone
from tltm_graph.detectors.centermask.fcos import Decoder, DenseOutput, FCOSHead
from tltm_graph.detectors.centermask.flow_alignment import FlowAlignment
from tltm_graph.detectors.centermask.mask_head import MaskHead, fold_pixels
from tltm_graph.detectors.centermask.pico_head import PicoHead
from tltm_graph.detectors.detector import Detector
from tltm_graph.nn import GatedFuser, ResFuser
from tltm_graph.ops import paste_masks, ratio_roi_align
from tltm_graph.structures import Detections, Frame

Pyramid = Sequence[Tensor]
"""Feature maps (B, C, H, W) of the levels, finest first."""


@dataclass(frozen=True, eq=False)
class PreviousFrame:
    """Previous frame of a video, as the fusion of the next frame needs it.

    Args:
        pyramid: Its levels, finest first: before fusion as published, fused if the detector is ``recurrent``.
        grey: Its grey values, of :meth:`FlowAlignment.grey`; None if the detector does not align pyramids.
    """

    pyramid: Pyramid
    grey: Tensor | None = None


@dataclass(frozen=True, eq=False)
class DetectedFrame:
    """Objects of a frame, and what they were computed from.

    Args:
        objects: The objects, highest score first.
        context: Context of the next frame.
        image: Input of the network, RGB (3, H, W), uint8.
        pyramid: Feature maps that the objects were pooled from.
        boxes: Boxes in pixels of this input (N, 4).
        shapes: Mask probabilities in the boxes (N, 28, 28); None if masks are drawn on demand.
    """

    objects: Detections
    context: PreviousFrame
    image: Tensor
    pyramid: Pyramid
    boxes: Tensor
    shapes: Tensor | None


CLEAN_GATE = 0.1
"""Largest mean gate of a clean frame, for :meth:`CenterMask.restore`; chosen on three clips."""


class Backend(Protocol):
    """Implementation of the network of a :class:`CenterMask`, with the same methods."""

    def dense(self, images: Tensor, previous: Pyramid | None = None) -> tuple[Pyramid, list[DenseOutput]]:
        """Compute :meth:`CenterMask.dense`."""
        ...

    def mask_logits(self, features: Tensor, labels: Tensor) -> Tensor:
        """Compute :meth:`CenterMask.mask_logits`."""
        ...


class CenterMask(nn.Module, Detector):
    """Detector and segmenter of objects: FCOS on a feature pyramid and a mask head (CenterMask, arXiv 1911.06667).

    With ``fusers``, the pyramid is fused with that of the previous frame (arXiv 2210.16795, equation 1). As published,
    only boxes are computed from the fused pyramid; features of objects are pooled from the pyramid before fusion, which
    is also passed on to the next frame. With ``recurrent``, the fused pyramid takes its place in both. With
    ``alignment``, the previous pyramid is moved to where its contents are now; after a cut there is no previous frame.
    :meth:`restore` tells what becomes of the first frame, and of clean ones.

    :meth:`detect` computes boxes, :meth:`segment` draws the masks of selected objects, or of all if
    ``masks_on_demand`` is False.

    Args:
        backbone: Computes the pyramid of images, which may begin with a finer map for masks.
        head: Computes classes and boxes from the levels of a pyramid.
        mask_head: Computes masks from pooled features.
        fusers: One fuser for each level; None to process each frame alone.
        alignment: Alignment of the previous pyramid; None to fuse equal positions.
        recurrent: True to pool features of objects from the fused pyramid and pass that on.
        decoder: Selects detections from the output of the head; None for the default one.
        class_names: Names of the classes, None if unknown.
        min_size: Length of the shorter side of the input in pixels. Only :meth:`detect` resizes.
        max_size: Maximum length of the longer side in pixels. It takes precedence over ``min_size``. Not used with
            ``stretch``.
        autocast: Data type of :meth:`detect` and :meth:`segment`, ``torch.bfloat16`` or ``torch.float16``; None for
            float32. Weights are always float32.
        pools_pixels: True to append three channels with the pixels of the image to the features of objects.
        stretch: True to resize every frame to ``min_size`` × ``min_size`` by a bicubic filter, as PicoDet learned;
            False to keep the proportions.
        new_track_threshold: Minimum score, in [0, 1], that should start a track; None for the default of the tracker.
        masks_on_demand: False to draw the masks of all objects at once, so that the tracker can tell duplicates by
            them.
        mask_threshold: Minimum probability of a pixel inside a mask, in [0, 1].

    Raises:
        ValueError: If the number of fusers is not that of levels, the number of names or masks is not that of classes,
            or a size is below 1.
    """

    pixel_mean: Tensor
    config: dict[str, Any] | None = None
    """Arguments to build the model again, for :func:`tltm_graph.models.save_model`."""
    backend: Backend | None = None
    """Other implementation of the network for :meth:`detect` and :meth:`segment`; None for that of torch."""
    num_mask_levels = 3

    def __init__(
        self,
        backbone: PyramidBackbone | ShuffleBackbone,
        head: FCOSHead | PicoHead,
        mask_head: MaskHead,
        fusers: Sequence[ResFuser | GatedFuser] | None = None,
        decoder: Decoder | None = None,
        class_names: Sequence[str] | None = None,
        min_size: int = 800,
        max_size: int = 1333,
        autocast: torch.dtype | None = None,
        pools_pixels: bool = False,
        stretch: bool = False,
        new_track_threshold: float | None = None,
        masks_on_demand: bool = True,
        mask_threshold: float = 0.5,
        alignment: FlowAlignment | None = None,
        recurrent: bool = False,
    ) -> None:
        super().__init__()
        if fusers is not None and len(fusers) != len(backbone.strides):
            raise ValueError(f"Expected {len(backbone.strides)} fusers, one for each level, got {len(fusers)}")
        if class_names is not None and len(class_names) != head.num_classes:
            raise ValueError(f"Expected {head.num_classes} class names, got {len(class_names)}")
        if mask_head.num_classes not in (1, head.num_classes):
            raise ValueError(f"Expected masks of {head.num_classes} classes or of one, got {mask_head.num_classes}")
        fine_channels = getattr(backbone, "fine_channels", 0)
        if mask_head.fine_channels not in (0, fine_channels):
            raise ValueError(
                f"Expected a mask head with fine_channels={fine_channels}, as the backbone has, got "
                f"{mask_head.fine_channels}"
            )
        if mask_head.embedding is not None and mask_head.embedding.num_embeddings != head.num_classes:
            raise ValueError(
                f"Expected embeddings of {head.num_classes} classes in the mask head, got "
                f"{mask_head.embedding.num_embeddings}"
            )
        if min_size < 1 or max_size < 1:
            raise ValueError(f"Expected sizes of at least 1 pixel, got min_size={min_size} and max_size={max_size}")
        self.backbone = backbone
        if recurrent and not all(isinstance(fuser, GatedFuser) for fuser in fusers or ()):
            raise ValueError(f"Expected gated fusers for a recurrent detector, got {fusers}")
        self.fusers = None if fusers is None else nn.ModuleList(fusers)
        self.alignment = alignment
        self.recurrent = recurrent
        self.head = head
        self.mask_head = mask_head
        self.decoder = decoder or Decoder()
        self.class_names = tuple(class_names) if class_names is not None else None
        self.min_size, self.max_size = min_size, max_size
        self.autocast = autocast
        self.pools_pixels = pools_pixels
        self.stretch = stretch
        self.new_track_threshold = new_track_threshold
        self.masks_on_demand = masks_on_demand
        self.mask_threshold = mask_threshold
        self.register_buffer("pixel_mean", torch.tensor([103.53, 116.28, 123.675]), persistent=False)  # BGR

    def prepare(self, images: Sequence[Tensor]) -> Tensor:
        """Batch images and pad their sides to multiples of 32.

        Args:
            images: RGB images (3, H, W) of any sizes, values in [0, 255].

        Returns:
            BGR images minus the mean of the training data (B, 3, H, W), padded with zeros, on the device of the model.
        """
        height, width = (32 * -(-max(image.shape[axis] for image in images) // 32) for axis in (1, 2))
        batch = self.pixel_mean.new_zeros((len(images), 3, height, width))
        for padded, image in zip(batch, images, strict=True):
            centred = image.to(self.pixel_mean.device).flip(0).float() - self.pixel_mean[:, None, None]
            padded[:, : image.shape[1], : image.shape[2]] = centred
        return batch

    def scale(self, size: tuple[int, int]) -> float:
        """Ratio of the network's input size to the size (H, W) of a frame."""
        return self.network_size(size)[0] / size[0]

    def network_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """Height and width of the network's input for a frame of a size (H, W)."""
        if self.stretch:
            return self.min_size, self.min_size
        return network_size(size, self.min_size, self.max_size)

    def dense(self, images: Tensor, previous: Pyramid | None = None) -> tuple[Pyramid, list[DenseOutput]]:
        """Compute all that does not depend on the objects.

        Args:
            images: Batch of images from :meth:`prepare`.
            previous: Pyramid of the previous frames; None if there is none.

        Returns:
            The pyramid from which objects are pooled, which is fused only if the detector is ``recurrent``, and the
            output of the head for each level.
        """
        pyramid = self.backbone(images)
        fused = self.restore(previous, pyramid)
        return fused if self.recurrent else pyramid, self.head(self.head_levels(fused))

    def resize(self, image: Tensor) -> Tensor:
        """Resize an RGB image (3, H, W), uint8, to the network's input size."""
        height, width = image.shape[1:]
        return (stretch_image if self.stretch else resize_image)(image, self.network_size((height, width)))

    def fuse(self, previous: Pyramid, current: Pyramid) -> Pyramid:
        """Fuse each level of the current pyramid with the previous one. Without fusers, return the current pyramid.

        Finer maps before the levels are not fused.
        """
        if self.fusers is None:
            return current
        pairs = zip(self.fusers, self.head_levels(previous), self.head_levels(current), strict=True)
        return [*current[: -len(self.fusers)], *(fuser(*levels) for fuser, *levels in pairs)]

    def restore(self, previous: Pyramid | None, current: Pyramid) -> Pyramid:
        """Fuse a frame as :meth:`dense` does it.

        If the detector is ``recurrent``, a clean frame passes unchanged, and so does one without a previous frame. A
        frame is clean if the gates of the finest level open by at most ``CLEAN_GATE`` on average; up to one and a half
        times that, the fusion fades in. Other detectors fuse every frame, one without a previous frame with itself.
        """
        if not self.recurrent:
            return self.fuse(previous or current, current)
        if previous is None or self.fusers is None:
            return current
        pairs = zip(self.fusers, self.head_levels(previous), self.head_levels(current), strict=True)
        gates, changes = zip(*[fuser.gate(*levels) for fuser, *levels in pairs], strict=True)  # type: ignore[operator]
        opening: Tensor = gates[0].mean(dim=(1, 2, 3), keepdim=True)  # (B, 1, 1, 1)
        share = (2 * (opening / CLEAN_GATE - 1)).clamp(0, 1)
        levels = zip(self.head_levels(current), changes, strict=True)
        return [*current[: -len(self.fusers)], *(level + share * change for level, change in levels)]

    def align(self, previous: PreviousFrame, grey: Tensor | None) -> Pyramid | None:
        """Move the previous pyramid to where its contents are now: :meth:`FlowAlignment.align`.

        Args:
            previous: Previous frame.
            grey: Grey values of the current frame; None if the detector does not align pyramids.

        Returns:
            The aligned pyramid; None if the frames belong to different shots.
        """
        if grey is None or previous.grey is None or self.alignment is None:
            return previous.pyramid
        return self.alignment.align(previous.pyramid, previous.grey, grey)

    def head_levels(self, pyramid: Pyramid) -> Pyramid:
        """Select the levels that the head reads: all but the finer maps of the backbone, if it has some."""
        return pyramid[-len(self.backbone.strides) :]

    def pool(
        self, pyramid: Pyramid, boxes: Sequence[Tensor], sizes: Sequence[tuple[int, int]], images: Tensor
    ) -> Tensor:
        """Pool the features of objects, for the encoder and the mask head.

        Args:
            pyramid: Pyramid of :meth:`dense`.
            boxes: Boxes xyxy of each image in its pixels, (N_b, 4).
            sizes: Height and width of each image without padding.
            images: Batch of images from :meth:`prepare`.

        Returns:
            Features (N, C, 14, 14). If the mask head reads a finer map, features (N, D, 28, 28) of it follow as 4 D
            channels of this size. With ``pools_pixels``, the last three channels are blue, green and red in about
            [-1, 1], which the mask head does not read.
        """
        levels = self.head_levels(pyramid)[: self.num_mask_levels]
        pooled = [ratio_roi_align(levels, self.backbone.strides[: self.num_mask_levels], boxes, sizes)]
        resolution = pooled[0].shape[-1]
        if self.mask_head.fine_channels:
            assert self.backbone.fine_stride is not None
            fine = pyramid[0].to(pooled[0])
            fine = roi_align(fine, list(boxes), 2 * resolution, 1 / self.backbone.fine_stride, aligned=True)
            pooled.append(fold_pixels(fine))
        if self.pools_pixels:
            pixels = images.to(pooled[0]) / 128
            pooled.append(roi_align(pixels, list(boxes), resolution, sampling_ratio=2, aligned=True))
        return torch.cat(pooled, dim=1)

    def mask_logits(self, features: Tensor, labels: Tensor) -> Tensor:
        """Compute mask logits (N, 28, 28) from pooled features (N, C, 14, 14) and labels (N,)."""
        logits: Tensor = self.mask_head(features[:, : self.mask_head.in_channels], labels)
        return logits

    @torch.no_grad()
    def detect(self, frame: Frame, context: PreviousFrame | None = None) -> tuple[Detections, PreviousFrame]:
        """Detect the objects of a frame, without masks if they are drawn on demand.

        Args:
            frame: Frame to process.
            context: Previous frame; None for the first frame.

        Returns:
            The objects, highest score first, with features (N, C, 14, 14) in float32; and the context of the next
            frame. Boxes are clipped to the frame only if masks are not drawn on demand.
        """
        detected = self.look(frame, context)
        return detected.objects, detected.context

    @torch.no_grad()
    def look(self, frame: Frame, context: PreviousFrame | None = None) -> DetectedFrame:
        """Detect the objects of a frame as :meth:`detect` does, and keep what they were computed from."""
        image = self.resize(frame.image)
        grey = None if self.alignment is None else self.alignment.grey(image)
        with self.precision():
            images = self.prepare([image])
            previous = None if context is None else self.align(context, grey)
            pyramid, outputs = (self.backend or self).dense(images, previous)
            objects = self.objects(pyramid, outputs, images, frame.size)
        shapes = None if self.masks_on_demand else self._shapes(objects)
        return DetectedFrame(
            objects if shapes is None else self._pasted(objects, shapes, frame.size),
            PreviousFrame(self.head_levels(pyramid), grey),
            image,
            pyramid,
            objects.boxes * _extent(objects.boxes, image.shape[1:]) / _extent(objects.boxes, frame.size),
            shapes,
        )

    def objects(
        self, pyramid: Pyramid, outputs: Sequence[DenseOutput], images: Tensor, frame_size: tuple[int, int]
    ) -> Detections:
        """Decode the objects of one frame and pool their features.

        Args:
            pyramid: Pyramid of :meth:`dense` for one image.
            outputs: Outputs of the head.
            images: The image, from :meth:`prepare`.
            frame_size: Height and width of the frame in pixels, which boxes are scaled to.

        Returns:
            The objects, highest score first, with features but without masks.
        """
        size = self.network_size(frame_size)
        (objects,) = self.decoder(outputs, self.backbone.strides)
        if not self.masks_on_demand:
            objects = objects.replace(boxes=clip_boxes_to_image(objects.boxes, size))
        features = self.pool(pyramid, [objects.boxes], [size], images).float()
        scale = _extent(objects.boxes, frame_size) / _extent(objects.boxes, size)
        return objects.replace(boxes=objects.boxes * scale, features=features)

    @torch.no_grad()
    def segment(self, detections: Detections, size: tuple[int, int]) -> Detections:
        """Draw the masks of detected objects.

        Args:
            detections: Objects that :meth:`detect` returned, in any order, with their features.
            size: Height and width of the frame in pixels.

        Returns:
            The same objects with masks (N, H, W), and boxes clipped to the frame.

        Raises:
            ValueError: If the objects have no pooled features.
        """
        if detections.features is None or detections.features.ndim != 4:
            raise ValueError(
                f"Expected objects with pooled features (N, C, 14, 14), got {detections!r}: segment those that "
                "detect() returned"
            )
        return self._pasted(detections, self._shapes(detections), size)

    def _shapes(self, detections: Detections) -> Tensor:
        """Compute the probabilities of the masks (N, 28, 28)."""
        assert detections.features is not None
        with self.precision():
            logits = (self.backend or self).mask_logits(detections.features, detections.labels)
        return logits.float().sigmoid()

    def _pasted(self, detections: Detections, shapes: Tensor, size: tuple[int, int]) -> Detections:
        boxes = clip_boxes_to_image(detections.boxes, size)
        return detections.replace(boxes=boxes, masks=paste_masks(shapes, boxes, size, self.mask_threshold))

    def precision(self) -> AbstractContextManager[object]:
        """Return the context manager that computes in the data type of ``autocast``."""
        enabled = self.autocast is not None
        return torch.autocast(self.pixel_mean.device.type, dtype=self.autocast, enabled=enabled)

    def __repr__(self) -> str:
        fused = "" if self.fusers is None else ", with ResFuser"
        return f"{type(self).__name__}({self.head.num_classes} classes, {self.backbone!r}{fused})"


def _extent(boxes: Tensor, size: Sequence[int]) -> Tensor:
    """Width, height, width and height of a picture of a size (H, W), to scale boxes (4,)."""
    return boxes.new_tensor([size[1], size[0], size[1], size[0]])


def network_size(size: tuple[int, int], min_size: int, max_size: int) -> tuple[int, int]:
    """Compute the height and width of a network's input, as detectron2 does.

    Args:
        size: Height and width of the frame in pixels.
        min_size: Length of the shorter side of the input in pixels.
        max_size: Maximum length of the longer side in pixels. It takes precedence.
    """
    scale = min_size / min(size)
    height, width = (min_size if n == min(size) else scale * n for n in size)
    if max(height, width) > max_size:
        shrink = max_size / max(height, width)
        height, width = height * shrink, width * shrink
    return max(1, int(height + 0.5)), max(1, int(width + 0.5))


def resize_image(image: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize an image (3, H, W), uint8, by Pillow's bilinear filter, as detectron2 and projects built on it do.

    The filter of torchvision rounds differently.
    """
    if image.shape[1:] == size:
        return image
    picture = Image.fromarray(image.permute(1, 2, 0).contiguous().cpu().numpy())
    return torch.from_numpy(np.array(picture.resize(size[::-1], Image.Resampling.BILINEAR))).permute(2, 0, 1)


def stretch_image(image: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize an image (3, H, W), uint8, by OpenCV's bicubic filter, as PaddleDetection does."""
    if image.shape[1:] == size:
        return image
    pixels = image.permute(1, 2, 0).contiguous().cpu().numpy()
    return torch.from_numpy(cv2.resize(pixels, size[::-1], interpolation=cv2.INTER_CUBIC)).permute(2, 0, 1)
