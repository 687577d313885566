"""``tltm-graph render``."""

import argparse
from typing import Any

from tltm_graph.cli.running import running

DESCRIPTION = """\
Renders a split of the benchmark world of moving shapes, with its truth, as a data set in the format of YouTube-VIS.

Writes to the output folder:
  JPEGImages/      the frames, a folder for each video
  instances.json   masks, boxes, classes and tracks
  frames.json      when each frame was taken, and which ones are degraded

The folder appears when it is complete. Ctrl-C ends it after the current video."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``tltm-graph render``."""
    add = parser.add_argument
    add("--difficulty", choices=("easy", "standard", "hard"), default="standard", help="default: %(default)s")
    add("--split", choices=("train", "val", "test"), default="val", help="2000, 20 or 30 videos; default: %(default)s")
    add("--output", metavar="DIR", required=True, help="folder to write, new or empty")
    add("--videos", metavar="N", type=int, help="only the first N videos")
    add("--frames", metavar="N", type=int, default=60, help="frames of each video; default: %(default)s")
    add(
        "--size",
        metavar=("H", "W"),
        nargs=2,
        type=int,
        default=(192, 320),
        help="height and width in pixels; default: 192 320",
    )


def run(options: dict[str, Any]) -> int:
    """Runs ``tltm-graph render`` with parsed options."""
    show_traceback = options.pop("traceback")

    def work() -> int:
        from tltm_graph.commands.render import render

        counts = render(**{**options, "size": tuple(options["size"])})
        print(f"{counts['videos']} videos, {counts['frames']} frames, {counts['tracks']} tracks")
        print(f"written:\n  {options['output']}/instances.json\n  {options['output']}/JPEGImages")
        return 130 if counts["interrupted"] else 0

    return running(work, show_traceback)
