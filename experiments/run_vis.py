"""Follows the objects of a video: the same as ``tltm-graph track``. See ``python experiments/run_vis.py --help``."""

import sys

from tltm_graph.cli import main

if __name__ == "__main__":
    sys.exit(main(["track", *sys.argv[1:]]))
