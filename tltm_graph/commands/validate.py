import json
from collections.abc import Sequence
from pathlib import Path

from tltm_graph.commands.convert import check_target, named_classes, progress
from tltm_graph.formats import Problem, open_videos, validate
from tltm_graph.io import output_folder, write_atomically


def validate_data(
    source: str | Path,
    source_format: str | None = None,
    images: str | Path | None = None,
    class_names: Sequence[str] | None = None,
    image_set: str | None = None,
    every: int = 1,
    output: str | Path | None = None,
) -> list[Problem]:
    """Looks through a data set for what makes training or scoring fail or lie.

    Args:
        source: File or folder.
        source_format: One of :data:`tltm_graph.formats.FORMATS`; by default the one it looks like.
        class_names: Names of the classes, for formats that only number them; "coco" and "youtube_vis_2019" stand for
            those of these data sets.
        image_set: Only the videos of this list of DAVIS.
        every: Label maps with pictures: only each n-th picture has a map.
        images: Folder of the pictures, if the format keeps them elsewhere: they are looked at too.
        output: JSON file for the problems; None for none.

    Returns:
        The problems, video by video.

    Raises:
        ValueError: If the file as a whole cannot be read, or ``output`` is a file that is read.
        OSError: If a file cannot be read or written.
    """
    if output is not None:
        check_target(output, source, images)
    videos = open_videos(
        source, source_format, images, class_names=named_classes(class_names), image_set=image_set, every=every
    )
    with progress(videos, "looking") as bar:
        problems = list(validate(videos, bar))
    if output is not None:
        text = json.dumps([problem.named() for problem in problems], indent=1, ensure_ascii=False) + "\n"
        with output_folder(Path(output).absolute().parent), write_atomically(output) as temporary:
            temporary.write_text(text, encoding="utf-8")
    return problems
