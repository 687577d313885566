import os

if "PYTEST_XDIST_WORKER" in os.environ:  # workers share the cores: more threads would only wait for each other
    os.environ.setdefault("OMP_NUM_THREADS", "1")
