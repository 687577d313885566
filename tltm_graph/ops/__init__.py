"""Pure functions on boxes and masks that torchvision does not have."""

from tltm_graph.ops.masks import mask_iou, masks_to_boxes
from tltm_graph.ops.paste import paste_masks
from tltm_graph.ops.ratio_roi_align import ratio_levels, ratio_roi_align
from tltm_graph.ops.rle import Rle, check_rles, decode_rle, encode_rle, rle_areas, rle_to_box, to_coco

__all__ = [
    "Rle",
    "check_rles",
    "decode_rle",
    "encode_rle",
    "mask_iou",
    "masks_to_boxes",
    "paste_masks",
    "ratio_levels",
    "ratio_roi_align",
    "rle_areas",
    "rle_to_box",
    "to_coco",
]
