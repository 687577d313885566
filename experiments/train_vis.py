"""Train a model for video instance segmentation, as a configuration describes it.

    python experiments/train_vis.py --config experiments/configs/tiny_moving_shapes.yaml
    python experiments/train_vis.py --config out/train/tiny_moving_shapes/config.yaml --resume
    tensorboard --logdir out/train

Options on the command line change any value: --steps 1000 --module.optimizer.lr 0.01 --data.batch_size 4
"""

import argparse
import json
import logging
import platform
import signal
import sys
import time
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

if __name__ == "__main__":
    warnings.filterwarnings("ignore", message="`torch.jit", category=FutureWarning)  # from PyTorch Geometric

import torch
import torch.distributed as dist
import yaml
from torchvision.io import decode_image
from tqdm import tqdm

try:
    from jsonargparse import ArgumentParser, DefaultHelpFormatter
    from lightning.pytorch import Callback, LightningModule, Trainer
    from lightning.pytorch.loggers import TensorBoardLogger
except ImportError as error:
    message = (
        f"Expected the packages of the extra 'train', got no '{error.name}': pip install 'tltm-graph[train,viz]', or "
        "'.[train,viz]' in a checkout"
    )
    if __name__ == "__main__":
        sys.exit(f"error: {message}")
    raise ImportError(message) from error

from tltm_graph.cli.running import print_in_handler
from tltm_graph.io.output import output_folder, output_rules, write_atomically
from tltm_graph.metrics.evaluation import Scores
from tltm_graph.training.checkpoints import checkpoint_step, newest_checkpoint
from tltm_graph.training.module import EXPORTS, AtomicCheckpointIO, Checkpoints, TrainingModule
from tltm_graph.training.sources import LabelledVideo
from tltm_graph.training.start_from import start_from as load_start
from tltm_graph.training.training_data import TrainingData
from tltm_graph.training.validation import TrackingValidation, ValidationResult
from tltm_graph.visualization import draw_association_graph


@dataclass(frozen=True)
class RunOptions:
    """Options of a run.

    Args:
        resume: Resume from the newest checkpoint in the folder; start from the beginning if there is none.
        seed: Seed of initial weights, order of the data and all random numbers.
        checkpoint_every: Steps between two checkpoints.
        keep_checkpoints: Number of checkpoints to keep.
        validate_every: Steps between two validations.
        log_every: Steps between two entries of the log.
        accelerator: "cpu", "gpu", or "auto".
        devices: Number of processes on each machine.
        num_nodes: Number of machines.
        precision: "bf16-mixed" and "16-mixed" use half precision where that is safe.
    """

    resume: bool = False
    seed: int = 0
    checkpoint_every: int = 500
    keep_checkpoints: int = 3
    validate_every: int = 1000
    log_every: int = 20
    accelerator: str = "auto"
    devices: int = 1
    num_nodes: int = 1
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "32-true"


def train(
    module: TrainingModule,
    data: TrainingData,
    output: Path,
    steps: int,
    validation: TrackingValidation | None = None,
    start_from: str | None = None,
    options: RunOptions = RunOptions(),
    configuration: str = "",
) -> dict[str, Any]:
    """Train a model and write the results to a folder.

    The folder ``output`` gets ``config.yaml``, the whole configuration; ``checkpoints/``, to resume from; ``logs/``,
    for TensorBoard; and ``pictures/``, association graphs. At the end it gets ``model.safetensors``,
    ``model_ema.safetensors`` (the average of the weights, usually better) and ``results.json``.

    Args:
        module: Model, objective and optimiser.
        data: Training data.
        output: Folder of the run.
        steps: Number of steps of the whole run.
        validation: Validation of the average of the weights; None for no validation.
        start_from: Weights to start from, a file or a known name; see tltm_graph.training.start_from.
        options: Options of the run.
        configuration: Text of ``config.yaml``.

    Returns:
        The contents of ``results.json``, or, if a signal stopped the run, the step and the signal.

    Raises:
        ValueError: If the parts do not fit together, or the folder has a run already.
        FloatingPointError: If a loss is not finite; notes name the file of the state before that step.
        OSError: If a file cannot be read or written.
    """
    checkpoints = output / "checkpoints"
    newest = newest_checkpoint(checkpoints)
    if newest is not None and not options.resume:
        raise ValueError(
            f"Expected a folder without a run, got '{output}' with {checkpoint_step(newest)} steps done: --resume "
            "continues them, --output names another folder"
        )
    first = 0 if newest is None else checkpoint_step(newest)
    if first > steps:
        raise ValueError(f"Expected at least the {first} steps of '{newest}', got {steps}: increase --steps")
    stream = data.open(module.class_names, options.seed)
    videos = [] if validation is None else validation.open(module.class_names)
    started = load_start(start_from, module.model) if start_from and newest is None else None
    module.seed = options.seed

    with (
        output_rules(options.resume, protect_inputs=not options.resume),
        output_folder(output),
        _restored_signal_handlers() as signals,
    ):
        validate = _Validate(validation, videos, options.validate_every, output)
        trainer = Trainer(
            max_steps=steps,
            accelerator=options.accelerator,
            devices=options.devices,
            num_nodes=options.num_nodes,
            strategy="ddp_find_unused_parameters_true" if options.devices * options.num_nodes > 1 else "auto",
            precision=options.precision,
            logger=TensorBoardLogger(output, "", "logs", purge_step=first + 1 if first else None),
            callbacks=[
                _Stop(signals),
                validate,
                Checkpoints(checkpoints, options.checkpoint_every, options.keep_checkpoints),
                _Progress(stream.batch_size, options.log_every),
            ],
            plugins=[AtomicCheckpointIO()],
            log_every_n_steps=options.log_every,
            use_distributed_sampler=False,  # the stream shares the samples among the processes
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
        )
        if trainer.is_global_zero:
            _print_and_save_setup(
                output, module, (*stream.report, *([str(started)] if started else [])), newest, configuration
            )
        loader = stream.loader(first, trainer.global_rank, trainer.world_size)
        started_at = time.perf_counter()
        trainer.fit(module, loader, ckpt_path=newest)
        if trainer.global_step < steps:
            if trainer.is_global_zero:
                print(f"stopped after step {trainer.global_step}; to resume: --config {output}/config.yaml --resume")
            return {"step": trainer.global_step, "signal": signals[0] if signals else signal.SIGTERM}
        if not validate.scores:  # a resumed run whose last step was saved
            validate(trainer, module)
        results = {
            "steps": steps,
            "scores": validate.scores,
            "losses": {name: float(loss) for name, loss in module.losses.items()},
            "seconds": round(time.perf_counter() - started_at, 1),
            "steps_of_these_seconds": steps - first,
            "device": str(trainer.strategy.root_device),
            "versions": _versions(),
            "files": ["config.yaml", *EXPORTS, "results.json"],
        }
        if trainer.is_global_zero:
            module.export(output)
            _write(output / "results.json", json.dumps(results, indent=2) + "\n")
    return results


class _Progress(Callback):
    """Progress bar with the sum of the losses, samples per second and the remaining time."""

    def __init__(self, batch_size: int, every: int) -> None:
        self.batch_size, self.every = batch_size, every

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._bar = tqdm(
            total=trainer.max_steps,
            initial=trainer.global_step,
            desc="training",
            unit=" steps",
            file=sys.stderr,
            disable=not trainer.is_global_zero,
        )

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        self._bar.update()
        if trainer.global_step % self.every == 0 and isinstance(pl_module, TrainingModule):
            rate = self.batch_size * (self._bar.format_dict["rate"] or 0.0)
            self._bar.set_postfix_str(f"loss {float(pl_module.losses['total']):.3f}, {rate:.1f} samples/s")

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if hasattr(self, "_bar"):
            self._bar.close()


class _Stop(Callback):
    """Ends training after the current step once any process has received a signal."""

    def __init__(self, signals: list[int]) -> None:
        self.signals = signals

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        _handle_signals(self.signals)  # only now, to replace Lightning's own handlers, which stop at once

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        if trainer.strategy.reduce_boolean_decision(bool(self.signals), all=False):
            trainer.should_stop = True


class _Validate(Callback):
    """Validates the average of the weights every ``every`` steps and at the end."""

    def __init__(
        self, validation: TrackingValidation | None, videos: list[LabelledVideo], every: int, output: Path
    ) -> None:
        self.validation, self.videos, self.every, self.output = validation, videos, every, output
        self.scores: dict[str, float] = {}

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        if trainer.global_step % self.every == 0 or trainer.global_step == trainer.max_steps:
            self(trainer, pl_module)

    def __call__(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.validation is None or not isinstance(pl_module, TrainingModule):
            return
        names = pl_module.class_names
        result = self.validation(pl_module.averaged, self.videos, names, trainer.global_rank, trainer.world_size)
        scores = _scores_of_all_processes(result).overall
        self.scores = {name: round(value, 4) for name, value in scores.items() if value == value}
        if trainer.is_global_zero:
            self._log(trainer, result)

    def _log(self, trainer: Trainer, result: ValidationResult) -> None:
        step, logger = trainer.global_step, trainer.logger
        assert isinstance(logger, TensorBoardLogger)
        logger.log_metrics({f"validation/{name}": value for name, value in self.scores.items()}, step)
        for name, picture in result.pictures.items():
            logger.experiment.add_image(f"truth above, predictions below/{name}", picture, step)
        graph = self.output / "pictures" / f"association_graph_{step:08d}.png"
        graph.parent.mkdir(exist_ok=True)
        draw_association_graph(result.graph).save(graph)
        logger.experiment.add_image("association graph", decode_image(str(graph))[:3], step)


def _scores_of_all_processes(result: ValidationResult) -> Scores:
    if not (dist.is_available() and dist.is_initialized()):
        return result.evaluation.compute()
    parts: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(parts, result.evaluation)
    merged = parts[0]
    for part in parts[1:]:
        merged.merge(part)
    scores: Scores = merged.compute()
    return scores


_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)  # SLURM announces the end of a job with SIGUSR1


@contextmanager
def _restored_signal_handlers() -> Iterator[list[int]]:
    """Yield a list for received signals, and restore the handlers at the end."""
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    try:
        yield []
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _handle_signals(signals: list[int]) -> None:
    def handle(number: int, _: Any) -> None:
        signals.append(number)
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
        print_in_handler(f"{signal.Signals(number).name}: finishing this step and saving")

    for number in _SIGNALS:
        signal.signal(number, handle)


def _print_and_save_setup(
    output: Path, module: TrainingModule, report: Iterable[str], newest: Path | None, configuration: str
) -> None:
    """Print what is trained and on what, and save the configuration."""
    sizes = [p.numel() for p in module.model.parameters() if p.requires_grad]
    print(f"{type(module.model).__name__}: {sum(sizes):,} weights to train, {len(module.class_names)} classes")
    print("\n".join(report))
    path = output / "config.yaml"
    if newest is not None:
        print(f"resuming from '{newest}'")
        if path.is_file():
            previous = yaml.safe_load(path.read_text(encoding="utf-8"))
            for change in differences(previous, yaml.safe_load(configuration)):
                print(f"  changed: {change}")
    _write(path, configuration)


def differences(before: Any, now: Any, name: str = "") -> list[str]:
    """List the differences of two configurations, value by value."""
    if isinstance(before, dict) and isinstance(now, dict):
        keys = [key for key in (*before, *(now.keys() - before.keys())) if (name, key) != ("", "resume")]
        return [
            change
            for key in keys
            for change in differences(before.get(key), now.get(key), f"{name}.{key}" if name else str(key))
        ]
    return [] if before == now else [f"{name}: {before} -> {now}"]


def _write(path: Path, text: str) -> None:
    with write_atomically(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _versions() -> dict[str, str]:
    names = ("tltm-graph", "torch", "torchvision", "torch-geometric", "lightning")
    return {"python": platform.python_version(), **{name: version(name) for name in names}}


class _Help(argparse.RawDescriptionHelpFormatter, DefaultHelpFormatter):
    """Help formatter that keeps the line breaks of the description."""


def main(arguments: list[str] | None = None) -> int:
    """Read the configuration and the command line, and train."""
    parser = ArgumentParser(prog="train_vis.py", description=__doc__, formatter_class=_Help)
    parser.add_argument("--config", action="config", help="a YAML file; more than one is read in order")
    parser.add_function_arguments(train, skip={"configuration", "options"})
    parser.add_class_arguments(RunOptions, skip={"resume"})
    parser.add_argument("--resume", action="store_true", help="resume from the newest checkpoint in the output folder")
    config = parser.parse_args(arguments)
    configuration = parser.dump(config)
    warnings.filterwarnings("ignore", module="lightning")  # advice for developers, not for users
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    torch.manual_seed(config.seed)  # for the initial weights
    try:
        parts = parser.instantiate(config)
        options = RunOptions(**{option.name: parts.pop(option.name) for option in fields(RunOptions)})
        del parts["config"]
        results = train(**parts, options=options, configuration=configuration)
    except (ValueError, OSError, ImportError, FloatingPointError) as error:
        print("\n".join([f"error: {error}", *getattr(error, "__notes__", [])]), file=sys.stderr)
        return 1
    return 128 + results["signal"] if "signal" in results else 0


if __name__ == "__main__":
    sys.exit(main())
