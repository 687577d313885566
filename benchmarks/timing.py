"""Timing of several functions in turns, so that noise of the machine affects all of them."""

import platform
import statistics
import time
from collections.abc import Callable, Mapping

import torch


def side_by_side(functions: Mapping[str, Callable[[], object]], repeats: int, warm_up: int = 5) -> dict[str, float]:
    """Median milliseconds of functions called in turns."""
    for function in functions.values():
        for _ in range(warm_up):
            function()
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(repeats):
        for name, function in functions.items():
            start = time.perf_counter()
            function()
            seconds[name].append(time.perf_counter() - start)
    return {name: 1000 * statistics.median(values) for name, values in seconds.items()}


def machine() -> str:
    """Describe the machine of a measurement."""
    return f"{platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}"
