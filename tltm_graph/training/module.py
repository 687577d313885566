"""Training with Lightning, from the extra ``train``."""

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from tltm_graph.association import save_head
from tltm_graph.extras import missing_extra
from tltm_graph.frame_pairs.sampling import hash_integers
from tltm_graph.io.output import write_atomically
from tltm_graph.models import save_model
from tltm_graph.nn import TransitionHead
from tltm_graph.training.association_steps import association_losses, association_steps
from tltm_graph.training.calibration import Calibration, calibrate
from tltm_graph.training.checkpoints import (
    checkpoint_path,
    newest_checkpoint,
    remove_old_checkpoints,
    write_checkpoint,
)
from tltm_graph.training.detection_sources import DetectionSource
from tltm_graph.training.optimization import CosineSchedule, decayed_groups, weight_average

try:
    from lightning.pytorch import Callback, LightningModule, Trainer
    from lightning.pytorch.plugins import TorchCheckpointIO
except ImportError as error:
    raise missing_extra("lightning", "for training", extra="train") from error

EXPORTS = ("model.safetensors", "model_ema.safetensors")
"""Files of :meth:`TrainingModule.export`: the last weights and their average."""


class TrainingModule(LightningModule):
    """A model with an objective, an optimiser and an average of the weights.

    A resumed run ends with the same weights, bit for bit, as an uninterrupted one. For this the learning rate is a
    function of the step, and random numbers are seeded by (seed, step, process). Only weights, step, optimiser state
    and average pass from one step to the next.

    Args:
        model: The model. Its filters are converted to channels last, which is faster.
        objective: Function ``objective(model, batch)`` of the losses by name, to be added.
        optimizer: Function that makes the optimiser of parameter groups, such as a class of :mod:`torch.optim` with
            its options set. Biases and norms do not decay.
        schedule: Function ``schedule(step, steps)`` of the learning rate's factor; by default :class:`CosineSchedule`.
        clip_norm: Maximum norm of the gradient.
        ema_decay: Decay of the average, see :func:`tltm_graph.training.optimization.weight_average`.
    """

    seed: int = 0
    """Seed of all random numbers in the objective."""

    def __init__(
        self,
        model: nn.Module,
        objective: Callable[[Any, Any], dict[str, Tensor]],
        optimizer: Callable[[Iterable[Any]], Optimizer] = torch.optim.AdamW,
        schedule: Callable[[int, int], float] | None = None,
        clip_norm: float = float("inf"),
        ema_decay: float = 0.999,
    ) -> None:
        super().__init__()
        if not clip_norm > 0:
            raise ValueError(f"Expected clip_norm above 0, got {clip_norm}")
        self.model: Any = model.to(memory_format=torch.channels_last)
        self.average = weight_average(self.model, ema_decay)
        self.objective = objective
        self.optimizer = optimizer
        self.schedule = CosineSchedule() if schedule is None else schedule
        self.clip_norm = clip_norm
        self.losses: dict[str, Tensor] = {}
        self._options: list[dict[str, Any]] = []

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the model's classes.

        Raises:
            ValueError: If the model has no class names.
        """
        names = getattr(self.model, "class_names", None)
        if not names:
            raise ValueError(f"Expected a model that names its classes, got {self.model!r}: give it class_names")
        return tuple(names)

    @property
    def averaged(self) -> Any:
        """Model with the average of the weights."""
        return self.average.module

    def configure_optimizers(self) -> Optimizer:
        """Make the optimiser; :meth:`on_train_batch_start` sets its learning rate."""
        optimizer = self.optimizer(decayed_groups(self.model))
        self._options = [{k: v for k, v in group.items() if k != "params"} for group in optimizer.param_groups]
        return optimizer

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """Return the batch unchanged: objectives move what they need, and pairs are immutable."""
        return batch

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Set everything that depends on the step."""
        step = self.trainer.global_step
        torch.manual_seed(hash_integers(self.seed, step, self.global_rank))
        factor = self.schedule(step, self.trainer.max_steps)
        for group, options in zip(self.trainer.optimizers[0].param_groups, self._options, strict=True):
            # Options of the configuration replace those of a checkpoint.
            group.update(options | {"lr": options["lr"] * factor})

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """Compute the sum of the losses."""
        losses = self.objective(self.model, batch)
        total = torch.stack(list(losses.values())).sum()
        self.losses = {name: loss.detach() for name, loss in losses.items()} | {"total": total.detach()}
        rate = self.trainer.optimizers[0].param_groups[0]["lr"]
        logged = {f"loss/{name}": loss for name, loss in self.losses.items()} | {"learning_rate": rate}
        self.log_dict(logged, batch_size=len(batch))
        return total

    def configure_gradient_clipping(self, optimizer: Optimizer, *_: Any, **__: Any) -> None:
        """Clip the gradient, after a check that losses and gradient are finite.

        Raises:
            FloatingPointError: If a loss or the gradient is not finite. The weights are those before the step.
        """
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        norm = nn.utils.clip_grad_norm_(parameters, self.clip_norm)
        self.log("gradient_norm", norm)
        scaled = getattr(self.trainer.precision_plugin, "scaler", None) is not None  # the scaler skips such gradients
        finite = self.losses["total"].isfinite() & (norm.isfinite() | scaled)
        if self.trainer.strategy.reduce_boolean_decision(not finite, all=False):
            values = ", ".join(f"{name} {float(loss):g}" for name, loss in self.losses.items())
            raise FloatingPointError(
                f"Expected finite losses and gradients, got in step {self.trainer.global_step + 1}: {values}, norm of "
                f"the gradient {float(norm):g}. A smaller learning rate, longer warm-up or smaller clip_norm may help"
            )

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        """Update the weights and their average."""
        super().optimizer_step(*args, **kwargs)
        relation = getattr(self.model, "relation", None)
        if relation is not None and any(p.grad is not None for p in relation.parameters()):
            relation.is_trained.fill_(True)
        self.average.update_parameters(self.model)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the class names to the checkpoint."""
        checkpoint["class_names"] = list(self.class_names)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Check the classes of the checkpoint.

        Raises:
            ValueError: If it is of other classes.
        """
        if tuple(checkpoint["class_names"]) != self.class_names:
            raise ValueError(
                f"Expected a checkpoint of the classes {list(self.class_names)}, got one of "
                f"{checkpoint['class_names']}: start a new run from its weights"
            )

    def export(self, folder: Path) -> None:
        """Write the last weights and their average, :data:`EXPORTS`, for :func:`tltm_graph.models.load_model`."""
        for model, name in zip((self.model, self.averaged), EXPORTS, strict=True):
            save_model(model, folder / name)


class AssociationTraining(TrainingModule):
    """An association head that learns from :class:`tltm_graph.training.AssociationData`.

    Args:
        model: The head.
        objective: Function of the losses, as for :class:`TrainingModule`.
        optimizer: Function that makes the optimiser.
        schedule: Function of the learning rate's factor.
        clip_norm: Maximum norm of the gradient.
        ema_decay: Decay of the average.
        held_out: Videos that are not trained on, to calibrate the logits; without them the temperature is 1.
    """

    class_names = ("object",)

    def __init__(
        self,
        model: TransitionHead,
        objective: Callable[[Any, Any], dict[str, Tensor]] = association_losses,
        optimizer: Callable[[Iterable[Any]], Optimizer] = torch.optim.AdamW,
        schedule: Callable[[int, int], float] | None = None,
        clip_norm: float = 5.0,
        ema_decay: float = 0.999,
        held_out: DetectionSource | None = None,
    ) -> None:
        super().__init__(model, objective, optimizer, schedule, clip_norm, ema_decay)
        self.held_out = held_out

    def export(self, folder: Path) -> None:
        """Write the last weights and their average, for :class:`tltm_graph.association.LearnedAffinity`.

        Both are calibrated on the videos that were held out; ``calibration.json`` has the results.
        """
        videos = [] if self.held_out is None else [self.held_out[i] for i in range(len(self.held_out))]
        steps = [step for video in videos for step in association_steps(video)]
        report = {}
        for model, name in zip((self.model, self.averaged), EXPORTS, strict=True):
            fitted = calibrate(model, steps) if steps else Calibration(1.0, *[float("nan")] * 4)
            save_head(model, folder / name, fitted.temperature)
            report[name] = asdict(fitted)
        with write_atomically(folder / "calibration.json") as temporary:
            temporary.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


class AtomicCheckpointIO(TorchCheckpointIO):
    """Plugin that writes checkpoints with :func:`tltm_graph.training.checkpoints.write_checkpoint`."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write a checkpoint."""
        write_checkpoint(checkpoint, path)


class Checkpoints(Callback):
    """Saves the state of a run at regular steps, at its end, and before a step that is not finite.

    Args:
        folder: Folder of the checkpoints.
        every: Number of steps between two checkpoints.
        keep: Number of checkpoints to keep; older ones are removed.

    Raises:
        ValueError: If a number is below 1.
    """

    def __init__(self, folder: Path, every: int = 1000, keep: int = 3) -> None:
        if every < 1 or keep < 1:
            raise ValueError(f"Expected at least 1 step between checkpoints and 1 to keep, got {every} and {keep}")
        self.folder, self.every, self.keep = folder, every, keep
        self._saved_step = 0  # not read from the files, which processes may not see at the same time

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Remove old checkpoints."""
        self._saved_step = trainer.global_step
        if trainer.is_global_zero:
            remove_old_checkpoints(self.folder, self.keep)

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        """Save every ``every`` steps."""
        if trainer.global_step % self.every == 0:
            self._save(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save the last step."""
        self._save(trainer)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Save the state before a step whose losses are not finite."""
        if isinstance(exception, FloatingPointError):
            path = self.folder.parent / f"diverged_after_step_{trainer.global_step:08d}.ckpt"
            trainer.save_checkpoint(path)
            exception.add_note(f"The state before that step is in '{path}'.")
            newest = newest_checkpoint(self.folder)
            exception.add_note(f"The last checkpoint is '{newest}'." if newest else "No checkpoint was saved before.")

    def _save(self, trainer: Trainer) -> None:
        if self._saved_step == trainer.global_step:
            return
        self._saved_step = trainer.global_step
        for logger in trainer.loggers:
            logger.save()  # a run that resumes here will not log these steps again
        trainer.save_checkpoint(checkpoint_path(self.folder, self._saved_step))
        if trainer.is_global_zero:
            remove_old_checkpoints(self.folder, self.keep)
