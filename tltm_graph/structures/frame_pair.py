from dataclasses import dataclass

import torch
from torch import Tensor

from tltm_graph.structures.detections import Detections


@dataclass(frozen=True, eq=False)
class FramePair:
    """Two frames of one video with their true objects: what there is to learn from.

    Args:
        previous_image: RGB pixels of the earlier frame (3, H, W), uint8.
        current_image: RGB pixels of the later frame (3, H, W).
        previous: Its true objects, with ``masks (N, H, W)`` and ``ids (N,)``; equal ids are one object.
        current: Those of the later frame.

    Raises:
        ValueError: If the images differ in size or are no images, or masks or ids are missing.
    """

    previous_image: Tensor
    current_image: Tensor
    previous: Detections
    current: Detections

    def __post_init__(self) -> None:
        for name in ("previous_image", "current_image"):
            image: Tensor = getattr(self, name)
            if image.ndim != 3 or image.shape[0] != 3 or 0 in image.shape or image.dtype != torch.uint8:
                raise ValueError(
                    f"Expected '{name}' of shape (3, H, W) and type uint8, got {tuple(image.shape)} and {image.dtype}"
                )
        if self.previous_image.shape != self.current_image.shape:
            raise ValueError(
                f"Expected two images of one size, got {tuple(self.previous_image.shape)} and "
                f"{tuple(self.current_image.shape)}"
            )
        size = tuple(self.current_image.shape[1:])
        for name in ("previous", "current"):
            truth: Detections = getattr(self, name)
            if len(truth) and (truth.masks is None or truth.ids is None):
                raise ValueError(f"Expected the objects of the {name} frame with masks and ids, got {truth!r}")
            if truth.masks is not None and truth.masks.shape[1:] != size:
                raise ValueError(f"Expected masks of the image's size {size}, got {tuple(truth.masks.shape[1:])}")
