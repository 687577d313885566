"""Small runs of experiments/train_vis.py, each in a separate process that can be killed.

The processes fork from a server that has imported everything, so that they start fast.
"""

import multiprocessing
import os
import socket
import sys
from multiprocessing.process import BaseProcess
from pathlib import Path

from safetensors.torch import load_file
from torch import Tensor

ROOT = Path(__file__).parents[2]
CONFIGS = ROOT / "experiments" / "configs"
SCENES = "{class_path: tltm_graph.training.RenderedVideos, init_args: {size: [64, 96], num_frames: 8, num_scenes: 4}}"
SMALL = {
    "config": str(CONFIGS / "tiny_moving_shapes.yaml"),
    "data.sources": f"[{SCENES}]",
    "data.batch_size": "2",
    "data.num_workers": "0",
    "validation": "null",
    "log_every": "1",
    "accelerator": "cpu",
}
"""Options of a run of which a step takes a tenth of a second."""

_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload(["experiments.train_vis"])


def start(output: Path, *flags: str, rank: int = 0, world_size: int = 1, port: int = 0, **changes: str) -> BaseProcess:
    """Start a run that writes to ``output`` and prints to ``output.log``.

    The last weights of each process are saved to ``output.log.weights``.

    Args:
        output: Folder of the run.
        flags: Options without a value.
        rank: Number of the process, as torchrun numbers them.
        world_size: Number of processes.
        port: Port at which the processes meet.
        changes: Options by name, with ``__`` for a point, on top of those of ``SMALL``.
    """
    options = SMALL | {"output": str(output)} | {name.replace("__", "."): value for name, value in changes.items()}
    arguments = [part for name, value in options.items() for part in (f"--{name}", value)]
    variables = {
        "RANK": rank,
        "LOCAL_RANK": rank,
        "GROUP_RANK": 0,
        "WORLD_SIZE": world_size,
        "LOCAL_WORLD_SIZE": world_size,
    }
    variables |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "TORCHELASTIC_RUN_ID": "test"}
    environment = {name: str(value) for name, value in variables.items()} if world_size > 1 else {}
    log = f"{output}.{rank}.log" if world_size > 1 else f"{output}.log"
    process = _SERVER.Process(target=_run, args=([*arguments, *flags], environment, log))
    process.start()
    return process


def finish(process: BaseProcess, seconds: float = 120) -> int | None:
    """Wait for the end of a run and return its exit status."""
    process.join(seconds)
    if process.is_alive():
        process.kill()
        process.join()
    return process.exitcode


def weights(output: Path) -> dict[str, Tensor]:
    """Read all weights of a run."""
    files = ("model.safetensors", "model_ema.safetensors")
    return {f"{file}: {name}": value for file in files for name, value in load_file(output / file).items()}


def free_port() -> int:
    """A free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _run(arguments: list[str], environment: dict[str, str], log: str) -> None:
    os.setsid()  # a group of its own, which signals can be sent to
    os.environ.update(environment)
    with open(log, "a", buffering=1, encoding="utf-8") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
        sys.stdout = sys.stderr = file
        import torch

        torch.set_num_threads(1)
        from experiments import train_vis

        fit = train_vis.Trainer.fit

        def fit_and_save(trainer, module, *rest, **options):
            fit(trainer, module, *rest, **options)
            torch.save(module.state_dict(), f"{log}.weights")

        train_vis.Trainer.fit = fit_and_save
        sys.exit(train_vis.main(arguments))
