"""``tltm-graph eval``."""

import argparse
from typing import Any

from tltm_graph.cli.formats import add_image_set, formats
from tltm_graph.cli.running import running

FAMILIES = ("ap", "hota", "clear", "idf1", "edges", "jf", "jf-semi")
RULES = ("plain", "mot17", "mot20", "mots", "bdd100k")
ORACLES = ("detection", "association", "class", "mask")

DESCRIPTION = f"""\
Scores predicted tracks against the truth, each in any format.

Metrics:
  ap       YouTube-VIS average precision and recall
  hota     HOTA, with DetA, AssA, LocA
  clear    MOTA, MOTP, sMOTA (sMOTSA on masks), id switches, fragments
  idf1     IDF1, IDP, IDR
  edges    precision and recall of the association alone
  jf       J and F as in the DAVIS unsupervised challenge
  jf-semi  J and F as in the DAVIS semi-supervised challenge

Writes to the output folder:
  scores.json  every number: over all videos, by class, by video
  scores.md    the tables

{formats()}"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``tltm-graph eval``."""
    add = parser.add_argument
    add("--truth", metavar="PATH", required=True, help="file or folder with the truth")
    add("--predictions", metavar="PATH", required=True, help="file or folder with the tracks to score")
    add("--output", metavar="DIR", default="out/eval", help="folder to write to; default: %(default)s")
    add("--truth-format", metavar="FORMAT", help="default: what it looks like")
    add("--predictions-format", metavar="FORMAT", help="default: what it looks like")
    add(
        "--metrics",
        nargs="+",
        choices=FAMILIES,
        metavar="METRIC",
        help="default: jf hota clear idf1 edges for DAVIS, hota clear idf1 edges for MOT and MOTS, else ap hota clear "
        "idf1 edges",
    )
    add("--on", choices=("masks", "boxes"), help="what to compare; default: masks if both sides have them")
    add("--rules", choices=RULES, help="what does not count; default: the rules of the truth's benchmark")
    add("--class-map", metavar="NAME", help="from the predictions' classes to the truth's; default: the same names")
    add("--class-agnostic", action="store_true", help="look at no classes")
    add("--part", choices=("train", "val"), help="only this part of the local split (by a hash of the video's name)")
    add_image_set(parser)
    add(
        "--missing",
        choices=("error", "empty", "skip"),
        default="error",
        help="videos without predictions: stop, count as empty, or leave out of the score; default: %(default)s",
    )
    add("--union", action="store_true", help="J and F of all objects as one, as in DAVIS 2016")
    add(
        "--oracle",
        dest="oracles",
        nargs="+",
        choices=(*ORACLES, "all"),
        default=(),
        metavar="PART",
        help="score also with one part made perfect, to see what it costs: detection, association, class, mask, or all",
    )


def run(options: dict[str, Any]) -> int:
    """Runs ``tltm-graph eval`` with parsed options and prints the tables."""
    show_traceback = options.pop("traceback")
    if "all" in options["oracles"]:
        options["oracles"] = ORACLES

    def work() -> int:
        from tltm_graph.commands.evaluate import evaluate
        from tltm_graph.commands.report import markdown_report

        report = evaluate(**options)
        print(markdown_report(report, longest=40))
        print(f"written:\n  {options['output']}/scores.json\n  {options['output']}/scores.md")
        return 0

    return running(work, show_traceback)
