"""The command line, ``tltm-graph``. Everything heavy is imported after the arguments are known to be good."""

import argparse
import os
import sys
import traceback
import warnings
from collections.abc import Sequence
from typing import Any

from tltm_graph import __version__


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit status: 0, 1 after an error, 130 after Ctrl-C."""
    parser = argparse.ArgumentParser(prog="tltm-graph", description="Online video instance segmentation.")
    parser.add_argument("--version", action="version", version=f"tltm-graph {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    add_track_arguments(
        commands.add_parser(
            "track",
            help="follow the objects of a video",
            description=TRACK_DESCRIPTION,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
    )
    options = vars(parser.parse_args(arguments))
    options.pop("command")
    return run_track(options)


TRACK_DESCRIPTION = """\
Finds, segments and follows the objects of a video, frame by frame.

Writes to the output folder:
  tracks.json   every object's track, in the YouTube-VIS results format
  overlay.mp4   the video with masks, ids and trails drawn in
  run.json      all settings, versions and the time each stage took
  graph.json    with --save-graph: the association graph, node-link JSON for networkx
  graph.png     with --save-graph: its picture

Without --source a scene is rendered whose truth is known, and scores are printed."""


def add_track_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``tltm-graph track``."""
    add = parser.add_argument
    add(
        "--source",
        metavar="SOURCE",
        help="video file, image, folder or pattern of images, webcam number, or rtsp:// or http:// address; "
        "default: a rendered scene",
    )
    add(
        "--detector",
        metavar="NAME[:ARGUMENT][?OPTION=VALUE&...]",
        help="torchvision:MODEL, transformers:MODEL, tltm:WEIGHTS, precomputed:FILE, oracle[:TRACKS.json], "
        "or the dotted path of a class of your own; "
        "options are the keyword arguments of the detector, as in 'torchvision:maskrcnn_resnet50_fpn_v2"
        "?score_threshold=0.5'; default: torchvision:maskrcnn_resnet50_fpn_v2, or a noisy oracle for the scene",
    )
    add(
        "--solver",
        choices=("hungarian", "greedy", "argmax"),
        default="hungarian",
        help="how transitions are chosen: the best assignment, the best first, or the rule of the published code; "
        "default: %(default)s",
    )
    add("--output", metavar="DIR", default="out/track", help="folder to write to; default: %(default)s")
    add("--max-frames", metavar="N", type=int, help="stop after N frames")
    add("--device", default="auto", help="cpu, cuda, ...; default: a GPU if there is one")
    add("--seed", type=int, default=0, help="of the scene, the oracle and random weights; default: %(default)s")
    add("--save-graph", action="store_true", help="also write graph.json and graph.png")
    add("--traceback", action="store_true", help="after an unexpected error, show where it comes from")
    add("--no-overlay", dest="overlay", action="store_false", help="do not write overlay.mp4")


def run_track(options: dict[str, Any]) -> int:
    """Runs ``tltm-graph track`` with parsed options and reports in plain words."""
    show_traceback = options.pop("traceback")
    sys.path.append(os.getcwd())  # where a detector of one's own is looked for last
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            warnings.simplefilter("ignore")  # other libraries' advice to their developers
            warnings.simplefilter("always", UserWarning)
            from tltm_graph.commands import track

            run = track(**options)
    except (ValueError, OSError, ImportError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except Exception as error:  # a detector of the user's own may raise anything
        where = traceback.extract_tb(error.__traceback__)[-1]
        print(
            f"error: {type(error).__name__}: {error} (in {where.filename}, line {where.lineno}; "
            "--traceback shows how it came to it)",
            file=sys.stderr,
        )
        if show_traceback:
            traceback.print_exception(error)
        return 1
    except KeyboardInterrupt:
        print("error: interrupted", file=sys.stderr)
        return 130
    _report(run)
    return 130 if run["interrupted"] else 0


def _report(run: dict[str, Any]) -> None:
    print(f"{run['frames']} frames, {run['tracks']} tracks, {run['frames_per_second']} frames/s")
    scores = run["scores"]
    if scores:
        print(
            f"objects followed by one id  {scores['whole']} of {scores['objects']} ({scores['whole_share']:.0%})\n"
            f"sightings found             {scores['found']} of {scores['sightings']} ({scores['recall']:.0%})\n"
            f"id switches                 {scores['switches']}\n"
            f"fragments                   {scores['fragments']}"
        )
    print("written:")
    for name in run["files"]:
        print(f"  {run['settings']['output']}/{name}")


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    print(f"\nwarning: {message}", file=sys.stderr)  # on a line of its own beside a progress bar


if __name__ == "__main__":
    sys.exit(main())
