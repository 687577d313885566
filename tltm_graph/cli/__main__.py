import sys

from tltm_graph.cli import main

sys.exit(main())
