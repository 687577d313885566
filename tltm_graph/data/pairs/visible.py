from torch import Tensor

from tltm_graph.ops import masks_to_boxes
from tltm_graph.structures import Detections


def visible_objects(truth: Detections, masks: Tensor) -> Detections:
    """The objects that are still to be seen after their masks have changed, with boxes tight around what is left.

    Args:
        truth: The true objects of a frame.
        masks: What is to be seen of each of them now, bool (N, H, W).

    Returns:
        Those with at least one pixel.
    """
    boxes = masks_to_boxes(masks)
    seen = boxes[:, 2] > boxes[:, 0]
    return truth.replace(boxes=boxes, masks=masks)[seen]
