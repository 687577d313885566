"""Track the objects of a video, like ``tltm-graph track``: ``python experiments/run_vis.py --help``."""

import sys

from tltm_graph.cli import main

if __name__ == "__main__":
    sys.exit(main(["track", *sys.argv[1:]]))
