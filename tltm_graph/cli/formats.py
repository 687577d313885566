"""What the commands that read data sets have in common."""

import argparse

FORMATS = {
    "youtube_vis": "rw  YouTube-VIS 2019 and 2021 and OVIS annotations (JSON)",
    "youtube_vis_results": "rw  YouTube-VIS and OVIS results (JSON; .zip to submit)",
    "runs": "r   output folders of tltm-graph track",
    "davis": "rw  DAVIS 2016, 2017 and 2019 folders (palette PNG)",
    "label_maps": "r   folders of label maps (PNG)",
    "mots": "rw  MOTSChallenge text, frames from 1",
    "kitti_mots": "rw  KITTI-MOTS text, frames from 0",
    "mots_png": "rw  MOTS and KITTI-MOTS label maps (16-bit PNG)",
    "mot": "rw  MOTChallenge boxes (written as results)",
    "mot_truth": "rw  MOTChallenge boxes (written as ground truth)",
    "bdd100k": "rw  BDD100K segmentation tracks (Scalabel JSON)",
    "coco": "rw  COCO annotations of still images (JSON)",
    "coco_results": "rw  COCO results, frame by frame (JSON)",
    "yolo": "r   still images with YOLO polygons or boxes (folder)",
    "open_images": "r   Open Images masks (folder with its tables)",
    "tltm": "rw  the TLTM authors' JSON",
    "csv": "rw  one row an object and frame (CSV)",
}
"""Every format: whether it is read or written, and what it is. Here, so that --help does not have to import readers."""


def formats() -> str:
    """The formats, a line each, for --help."""
    width = max(map(len, FORMATS))
    return "Formats (r: read, w: written):\n" + "\n".join(f"  {n:<{width}} {what}" for n, what in FORMATS.items())


def add_format_arguments(parser: argparse.ArgumentParser) -> None:
    """How the source is read."""
    add = parser.add_argument
    add("--format", dest="source_format", metavar="FORMAT", help="of the source; default: what it looks like")
    add("--images", metavar="DIR", help="folder of the pictures, where the format keeps them elsewhere")
    add(
        "--class-names",
        nargs="+",
        metavar="NAME",
        help="for formats that only number the classes: their names, or coco, or youtube_vis_2019",
    )
    add_image_set(parser)
    add("--every", metavar="N", type=int, default=1, help="label maps with --images: each N-th picture has a map")


def add_image_set(parser: argparse.ArgumentParser) -> None:
    """Which videos of DAVIS."""
    parser.add_argument("--image-set", metavar="LIST", help="only the videos of this list of DAVIS: val, 2017/val, …")
