"""Functions on boxes, masks and feature pyramids that torchvision lacks."""

from tltm_graph.ops.masks import mask_iou, masks_to_boxes
from tltm_graph.ops.paste import paste_masks
from tltm_graph.ops.pyramid_pooling import pool_from_pyramid
from tltm_graph.ops.ratio_roi_align import ratio_roi_align
from tltm_graph.ops.rle import decode_rle, encode_rle

__all__ = [
    "decode_rle",
    "encode_rle",
    "mask_iou",
    "masks_to_boxes",
    "paste_masks",
    "pool_from_pyramid",
    "ratio_roi_align",
]
