"""Sources of videos with truth, and the classes of public datasets."""

from tltm_graph.data.class_names import COCO, COCO_OF_YOUTUBE_VIS, YOUTUBE_VIS_2019
from tltm_graph.data.moving_shapes import MovingShapes

__all__ = ["COCO", "COCO_OF_YOUTUBE_VIS", "YOUTUBE_VIS_2019", "MovingShapes"]
