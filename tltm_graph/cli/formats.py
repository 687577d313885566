"""Options and checks of the commands that read data sets in any format."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from tltm_graph.cli.arguments import Folder, Option

if TYPE_CHECKING:
    from tqdm import tqdm

    from tltm_graph.formats import Video, VideoSet

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
    "csv": "rw  one row per object and frame (CSV)",
}
"""Read (r) or written (w), and description of each format. The table of the readers would import torch for --help."""

FORMAT_TABLE = "Formats (r: read, w: written):\n" + "\n".join(
    f"  {name:<{max(map(len, FORMATS))}} {text}" for name, text in FORMATS.items()
)

Format = Annotated[str, Option(metavar="FORMAT")]
Names = Annotated[Sequence[str], Option(metavar="NAME")]
ImageSet = Annotated[str, Option(metavar="LIST")]
Part = Literal["train", "val"]


@dataclass(frozen=True, kw_only=True)
class ReadingOptions:
    """Format of a data set, and what it does not say itself.

    Args:
        source_format: Format of the source. Default: recognized from its content.
        images: Folder of the pictures, for formats that keep them elsewhere.
        class_names: Class names, for formats that only number the classes: names, coco, or youtube_vis_2019.
        image_set: Read only the videos of this list of DAVIS: val, 2017/val, …
        every: Distance between annotated pictures, for label maps with --images: one picture in N has a label map.
    """

    source_format: Annotated[str | None, Option("format", "FORMAT")] = None
    images: Folder | None = None
    class_names: Names | None = None
    image_set: ImageSet | None = None
    every: int = 1

    def open(self, source: str | Path, like: "VideoSet | None" = None) -> "VideoSet":
        """Open the videos of a file or folder.

        Args:
            source: File or folder.
            like: Data set that the tracks belong to, for results that do not describe their videos.

        Raises:
            ValueError: If the format is unknown or the source is not valid.
            OSError: If a file cannot be read.
        """
        from tltm_graph.formats import COCO, YOUTUBE_VIS_2019, open_videos

        data_sets: dict[tuple[str, ...], tuple[str, ...]] = {
            ("coco",): COCO,
            ("youtube_vis_2019",): YOUTUBE_VIS_2019,
        }
        class_names = self.class_names and data_sets.get(tuple(self.class_names), self.class_names)
        return open_videos(source, self.source_format, self.images, like, class_names, self.image_set, self.every)


def progress_bar(videos: "VideoSet", label: str) -> "tqdm[Video]":
    """Iterate over videos with a progress bar on standard error."""
    from tqdm import tqdm

    return tqdm(videos, desc=label, unit=" videos", file=sys.stderr)
