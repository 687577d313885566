import os
import sys

if not sys.flags.safe_path and sys.path[:1] == [os.getcwd()]:
    del sys.path[0]  # python -m adds the working folder, where files may have the names of optional packages

from tltm_graph.cli import main

sys.exit(main())
