from collections.abc import Callable

import torch
from torch import Tensor

from tltm_graph.data.pairs.visible import visible_objects
from tltm_graph.structures import Detections, FramePair


def change_both(
    pair: FramePair, images: Callable[[Tensor], Tensor], masks: Callable[[Tensor], Tensor] | None = None
) -> FramePair:
    """The same change of both frames of a pair; boxes are made anew from the masks.

    Args:
        pair: The pair.
        images: Makes pixels (2, 3, H, W) of the previous and the current frame new ones, uint8.
        masks: Makes masks (N, H, W) of either frame new ones, bool; None if nothing moves.

    Returns:
        The pair with the objects that are still to be seen.
    """

    def changed(truth: Detections) -> Detections:
        if masks is None or truth.masks is None:
            return truth
        return visible_objects(truth, masks(truth.masks))

    previous_image, current_image = images(torch.stack([pair.previous_image, pair.current_image]))
    return FramePair(previous_image, current_image, changed(pair.previous), changed(pair.current))
