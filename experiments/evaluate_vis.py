"""Score tracks against ground truth, like ``tltm-graph eval``: ``python experiments/evaluate_vis.py --help``."""

import sys

from tltm_graph.cli import main

if __name__ == "__main__":
    sys.exit(main(["eval", *sys.argv[1:]]))
