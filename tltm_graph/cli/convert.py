"""``tltm-graph convert``."""

import argparse
from typing import Any

from tltm_graph.cli.formats import add_format_arguments, formats
from tltm_graph.cli.running import running

DESCRIPTION = f"""\
Reads tracks, true or predicted, in one format and writes them in another.

What a format has no place for is lost, and docs/formats.md says what that is; everything else comes out as it went in.
A result file appears when it is complete, and nothing half-written is left after an error.

{formats()}"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``tltm-graph convert``."""
    add = parser.add_argument
    add("source", metavar="SOURCE", help="file or folder to read")
    add("target", metavar="TARGET", help="file or folder to write")
    add("--to", dest="target_format", metavar="FORMAT", required=True, help="format to write")
    add_format_arguments(parser)
    add("--part", choices=("train", "val"), help="only this part of the local split (by a hash of the video's name)")
    add(
        "--like",
        metavar="PATH",
        help="the data set that the tracks are for: it says how long and large videos are, and what the classes are",
    )
    add(
        "--class-map",
        metavar="NAME",
        help="map classes: coco_to_youtube_vis_2019, coco_to_mot, coco_to_mots, coco_to_bdd100k, "
        'open_images_to_youtube_vis_2019, a JSON file {"classes": {"from": "to"}}, or "same" for those of one name '
        "(what --like does by itself); other classes are left out",
    )
    add(
        "--target-classes",
        metavar="NAME",
        nargs="+",
        help="classes to map to, in the order of their numbers; default: those of --like, or of YouTube-VIS 2019 for "
        "the maps to it, else those that the map names",
    )


def run(options: dict[str, Any]) -> int:
    """Runs ``tltm-graph convert`` with parsed options."""
    show_traceback = options.pop("traceback")

    def work() -> int:
        from tltm_graph.commands.convert import convert

        counts = convert(**options)
        print(f"{counts['videos']} videos, {counts['tracks']} tracks, {counts['observations']} observations")
        if counts["classes_left_out"]:
            print(f"classes left out: {', '.join(counts['classes_left_out'])}")
        print(f"written:\n  {options['target']}")
        return 0

    return running(work, show_traceback)
