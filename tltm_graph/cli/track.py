"""``tltm-graph track``."""

import argparse
import os
import sys
from typing import Any

from tltm_graph.cli.running import running

DESCRIPTION = """\
Finds, segments and follows the objects of a video, frame by frame.

Writes to the output folder:
  tracks.json   every object's track, in the YouTube-VIS results format
  overlay.mp4   the video with masks, ids and trails drawn in
  run.json      all settings, versions and the time each stage took
  graph.zip     with --save-graph: the association graph, for tltm-graph explain, diff and solve
  graph.png     with --save-graph: its picture

Without --source a scene is rendered whose truth is known, and scores are printed. Without --detector either, it is an
easy one of the world that the small model that comes with the package has learned; else a larger and plainer one."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
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
        help="torchvision:MODEL, transformers:MODEL, tltm:WEIGHTS, precomputed:FILE, oracle[:TRACKS], "
        "or the dotted path of a class of your own; "
        "options are the keyword arguments of the detector, as in 'torchvision:maskrcnn_resnet50_fpn_v2"
        "?score_threshold=0.5'; default: torchvision:maskrcnn_resnet50_fpn_v2, without a source "
        "tltm:tltm-tiny-moving-shapes",
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
    add("--save-graph", action="store_true", help="also write graph.zip and graph.png")
    add("--no-overlay", dest="overlay", action="store_false", help="do not write overlay.mp4")


def run(options: dict[str, Any]) -> int:
    """Runs ``tltm-graph track`` with parsed options and reports in plain words."""
    show_traceback = options.pop("traceback")
    sys.path.append(os.getcwd())  # where a detector of one's own is looked for last

    def work() -> int:
        from tltm_graph.commands.track import track

        run = track(**options)
        _report(run)
        return 130 if run["interrupted"] else 0

    return running(work, show_traceback)


def _report(run: dict[str, Any]) -> None:
    print(f"{run['frames']} frames, {run['tracks']} tracks, {run['frames_per_second']} frames/s")
    scores = run["scores"]
    if scores:
        print(
            f"objects followed by one id  {scores['whole']} of {scores['objects']} ({scores['whole_share']:.0%})\n"
            f"observations found             {scores['found']} of {scores['observations']} ({scores['recall']:.0%})\n"
            f"id switches                 {scores['switches']}\n"
            f"fragments                   {scores['fragments']}"
        )
    print("written:")
    for name in run["files"]:
        print(f"  {run['settings']['output']}/{name}")
