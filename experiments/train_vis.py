"""Trains a model that finds, segments and relates objects, from a configuration.

    python experiments/train_vis.py --config experiments/configs/tiny_moving_shapes.yaml
    python experiments/train_vis.py --config out/train/tiny_moving_shapes/config.yaml --resume
    tensorboard --logdir out/train

Any value can be changed on the command line: --steps 1000 --module.optimizer.lr 0.01 --data.batch_size 4
"""

import argparse
import json
import logging
import platform
import signal
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import torch
import torch.distributed as dist
import yaml
from jsonargparse import ArgumentParser, DefaultHelpFormatter
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from torchvision.io import decode_image
from tqdm import tqdm

from tltm_graph.cli.running import print_in_handler
from tltm_graph.io import output_folder, write_atomically
from tltm_graph.metrics import Scores
from tltm_graph.training.checkpoints import checkpoint_step, newest_checkpoint
from tltm_graph.training.module import EXPORTS, Checkpoints, TrainingModule, WholeFiles
from tltm_graph.training.pair_data import PairData
from tltm_graph.training.sources import LabelledVideo
from tltm_graph.training.start_from import start_from as load_start
from tltm_graph.training.validation import TrackingValidation, Validated
from tltm_graph.visualization import draw_association_graph


def train(
    module: TrainingModule,
    data: PairData,
    output: Path,
    steps: int,
    validation: TrackingValidation | None = None,
    start_from: str | None = None,
    resume: bool = False,
    seed: int = 0,
    checkpoint_every: int = 500,
    keep_checkpoints: int = 3,
    validate_every: int = 1000,
    log_every: int = 20,
    accelerator: str = "auto",
    devices: int = 1,
    num_nodes: int = 1,
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "32-true",
    configuration: str = "",
) -> dict[str, Any]:
    """Trains a model and writes all about it to a folder.

    Written to ``output``: ``config.yaml``, the whole configuration; ``checkpoints/``, what a run can go on from;
    ``logs/``, for TensorBoard; ``pictures/``, association graphs; and at the end ``model.safetensors``,
    ``model_ema.safetensors`` (the average of the weights, mostly better) and ``results.json``.

    Args:
        module: What learns: model, objective, optimiser.
        data: What it learns from.
        output: Folder of the run.
        steps: How many steps the whole run has.
        validation: What the average of the weights is scored on; None for nothing.
        start_from: Weights to start from, a file or a known name; see tltm_graph.training.start_from.
        resume: Go on from the newest checkpoint in the folder; from the beginning if there is none.
        seed: Of first weights, order of the data and everything random.
        checkpoint_every: Steps between two checkpoints.
        keep_checkpoints: How many are kept.
        validate_every: Steps between two validations.
        log_every: Steps between two entries of the log.
        accelerator: "cpu", "gpu", or "auto".
        devices: Processes on each machine.
        num_nodes: Machines.
        precision: "bf16-mixed" and "16-mixed" compute in half precision where that is safe.
        configuration: What is written to ``config.yaml``.

    Returns:
        What is in ``results.json``, or, if the run was stopped by a signal, the step and the signal.

    Raises:
        ValueError: If the parts do not go together, or there is a run in the folder already.
        FloatingPointError: If a loss is not finite; notes say where the state before that step is.
        OSError: If a file cannot be read or written.
    """
    checkpoints = output / "checkpoints"
    newest = newest_checkpoint(checkpoints)
    if newest is not None and not resume:
        raise ValueError(
            f"Expected a folder without a run in it, got '{output}' with {checkpoint_step(newest)} steps done: "
            "--resume goes on with them, --output names another folder"
        )
    first = 0 if newest is None else checkpoint_step(newest)
    if first > steps:
        raise ValueError(f"Expected more steps than the {first} that '{newest}' has done, got {steps}")
    opened = data.open(module.class_names, seed)
    videos = [] if validation is None else validation.open(module.class_names)
    started = load_start(start_from, module.model) if start_from and newest is None else None

    module.seed = seed

    with output_folder(output), _stopping_at_signals() as signals:
        validate = _Validate(validation, videos, validate_every, output)
        trainer = Trainer(
            max_steps=steps,
            accelerator=accelerator,
            devices=devices,
            num_nodes=num_nodes,
            strategy="ddp_find_unused_parameters_true" if devices * num_nodes > 1 else "auto",
            precision=precision,
            logger=TensorBoardLogger(output, "", "logs", purge_step=first + 1 if first else None),
            callbacks=[
                _Stop(signals),
                validate,
                Checkpoints(checkpoints, checkpoint_every, keep_checkpoints),
                _Progress(opened.batch_size, log_every),
            ],
            plugins=[WholeFiles()],
            log_every_n_steps=log_every,
            use_distributed_sampler=False,  # the order of the data says which process reads what
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
        )
        if trainer.is_global_zero:
            _introduce(output, module, opened.report, started, newest, configuration)
        loader = opened.loader(first, trainer.global_rank, trainer.world_size)
        began = time.perf_counter()
        trainer.fit(module, loader, ckpt_path=newest)
        if trainer.global_step < steps:
            if trainer.is_global_zero:
                print(f"stopped after step {trainer.global_step}; to go on: --config {output}/config.yaml --resume")
            return {"step": trainer.global_step, "signal": signals[0] if signals else signal.SIGTERM}
        if not validate.scores:  # there was nothing left but this
            validate(trainer, module)
        results = {
            "steps": steps,
            "scores": validate.scores,
            "losses": {name: float(loss) for name, loss in module.losses.items()},
            "seconds": round(time.perf_counter() - began, 1),
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
    """A bar with the sum of the losses, pairs a second and the time left."""

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
    """Ends training after the current step once any process has got a signal."""

    def __init__(self, signals: list[int]) -> None:
        self.signals = signals

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        _take_signals(self.signals)  # Lightning has put its own handlers in place by now, which stop at once

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        if trainer.strategy.reduce_boolean_decision(bool(self.signals), all=False):
            trainer.should_stop = True


class _Validate(Callback):
    """Scores the average of the weights every so many steps and at the end."""

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
        validated = self.validation(pl_module.averaged, self.videos, names, trainer.global_rank, trainer.world_size)
        scores = _of_all_processes(validated).overall
        self.scores = {name: round(value, 4) for name, value in scores.items() if value == value}
        if trainer.is_global_zero:
            self._log(trainer, validated)

    def _log(self, trainer: Trainer, validated: Validated) -> None:
        step, logger = trainer.global_step, trainer.logger
        assert isinstance(logger, TensorBoardLogger)
        logger.log_metrics({f"validation/{name}": value for name, value in self.scores.items()}, step)
        for name, picture in validated.pictures.items():
            logger.experiment.add_image(f"truth above, predictions below/{name}", picture, step)
        graph = self.output / "pictures" / f"association_graph_{step:08d}.png"
        graph.parent.mkdir(exist_ok=True)
        draw_association_graph(validated.graph).save(graph)
        logger.experiment.add_image("association graph", decode_image(str(graph))[:3], step)


def _of_all_processes(validated: Validated) -> Scores:
    if not (dist.is_available() and dist.is_initialized()):
        return validated.evaluation.compute()
    parts: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(parts, validated.evaluation)
    whole = parts[0]
    for part in parts[1:]:
        whole.merge(part)
    scores: Scores = whole.compute()
    return scores


@contextmanager
def _stopping_at_signals() -> Iterator[list[int]]:
    """The signals that came: Ctrl-C, SIGTERM, and SIGUSR1, by which SLURM announces the end of a job."""
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    try:
        yield []
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)


def _take_signals(signals: list[int]) -> None:
    def take(number: int, _: Any) -> None:
        signals.append(number)
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
        print_in_handler(f"{signal.Signals(number).name}: finishing this step and saving")

    for number in _SIGNALS:
        signal.signal(number, take)


def _introduce(
    output: Path,
    module: TrainingModule,
    found: tuple[str, ...],
    started: object,
    newest: Path | None,
    configuration: str,
) -> None:
    """Says what is going to happen, and keeps the configuration."""
    sizes = [p.numel() for p in module.model.parameters() if p.requires_grad]
    print(f"{type(module.model).__name__}: {sum(sizes):,} weights to train, {len(module.class_names)} classes")
    print("\n".join(found))
    if started is not None:
        print(started)
    before = output / "config.yaml"
    if newest is not None:
        print(f"going on from '{newest}'")
        if before.is_file():
            for change in differences(
                yaml.safe_load(before.read_text(encoding="utf-8")), yaml.safe_load(configuration)
            ):
                print(f"  not as before: {change}")
    _write(before, configuration)


def differences(before: Any, now: Any, name: str = "") -> list[str]:
    """What differs between two configurations, value by value."""
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
    """Leaves the commands of the description on lines of their own."""


def main(arguments: list[str] | None = None) -> int:
    """Reads configuration and command line, and trains."""
    parser = ArgumentParser(prog="train_vis.py", description=__doc__, formatter_class=_Help)
    parser.add_argument("--config", action="config", help="a YAML file; more than one is read in order")
    parser.add_function_arguments(train, skip={"configuration", "resume"})
    parser.add_argument("--resume", action="store_true", help="go on from the newest checkpoint in the output folder")
    config = parser.parse_args(arguments)
    configuration = parser.dump(config)
    warnings.filterwarnings("ignore", module="lightning")  # advice to those who wrote this
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    torch.manual_seed(config.seed)  # of the first weights
    try:
        instances = parser.instantiate(config)
        del instances["config"]
        results = train(**instances, configuration=configuration)
    except (ValueError, OSError, ImportError, FloatingPointError) as error:
        print("\n".join([f"error: {error}", *getattr(error, "__notes__", [])]), file=sys.stderr)
        return 1
    return 128 + results["signal"] if "signal" in results else 0


if __name__ == "__main__":
    sys.exit(main())
