import subprocess
import sys
from itertools import repeat

import pytest
import torch
from torch import nn

pytest.importorskip("lightning")
from lightning.pytorch import Trainer

from tests.cases import names_in
from tltm_graph.models import load_model, tltm_tiny
from tltm_graph.training import CosineSchedule, StepSchedule
from tltm_graph.training.checkpoints import checkpoint_path
from tltm_graph.training.module import AtomicCheckpointIO, Checkpoints, TrainingModule
from tltm_graph.training.objectives import paper_objective

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning")


class Toy(nn.Module):
    class_names = ("thing",)

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Linear(2, 1)


def distance(model, batch):
    """Two losses, the second of which is random."""
    x = torch.tensor(batch)
    noise = torch.randn(())
    return {"far": model.layer(x).square().mean(), "noise": (model.layer.weight * noise).square().mean()}


def fit(module, steps, folder, *, every=100, keep=3, **options):
    trainer = Trainer(
        max_steps=steps,
        accelerator="cpu",
        logger=False,
        callbacks=[Checkpoints(folder, every, keep)],
        plugins=[AtomicCheckpointIO()],
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(module, torch.utils.data.DataLoader(Endless(), batch_size=None), **options)
    return trainer


class Endless(torch.utils.data.IterableDataset):
    def __iter__(self):
        return repeat([[1.0, 2.0], [3.0, -1.0]])


def module(**options):
    options = {"optimizer": lambda groups: torch.optim.AdamW(groups, lr=0.1, weight_decay=0.1)} | options
    return TrainingModule(Toy(), distance, schedule=CosineSchedule(warm_up=3), **options)


def test_a_step_is_what_a_loop_would_do(tmp_path):
    """The oracle: the same by hand."""
    made = module(clip_norm=0.5, ema_decay=0.9)
    made.seed = 7
    fit(made, 6, tmp_path)
    from tltm_graph.frame_pairs.sampling import hash_integers

    toy, schedule = Toy(), CosineSchedule(warm_up=3)
    average = {name: p.detach().clone() for name, p in toy.named_parameters()}
    optimizer = torch.optim.AdamW(
        [{"params": [toy.layer.weight]}, {"params": [toy.layer.bias], "weight_decay": 0.0}], lr=0.1, weight_decay=0.1
    )
    for step in range(6):
        torch.manual_seed(hash_integers(7, step, 0))
        for group in optimizer.param_groups:
            group["lr"] = 0.1 * schedule(step, 6)
        losses = distance(toy, [[1.0, 2.0], [3.0, -1.0]])
        optimizer.zero_grad()
        sum(losses.values()).backward()
        nn.utils.clip_grad_norm_(toy.parameters(), 0.5)
        optimizer.step()
        decay = 0 if step == 0 else min(0.9, (1 + step) / (10 + step))
        average = {name: decay * average[name] + (1 - decay) * p.detach() for name, p in toy.named_parameters()}
    for name, p in toy.named_parameters():
        torch.testing.assert_close(made.model.get_parameter(name), p)
        torch.testing.assert_close(made.averaged.get_parameter(name), average[name])


@pytest.mark.parametrize("stopped", [4, 6])
def test_resumed_it_ends_bit_for_bit_where_it_would_have(stopped, tmp_path):
    whole = module()
    fit(whole, 8, tmp_path / "whole")
    fit(module(), 8, tmp_path / "part", every=2)
    again = module()
    fit(again, 8, tmp_path / "again", ckpt_path=checkpoint_path(tmp_path / "part", stopped))
    assert all(a.equal(b) for a, b in zip(whole.state_dict().values(), again.state_dict().values(), strict=True))


def test_options_of_the_configuration_win_over_those_of_the_checkpoint(tmp_path):
    fit(module(), 2, tmp_path)
    other = module(optimizer=lambda groups: torch.optim.AdamW(groups, lr=0.2, weight_decay=0.3))
    trainer = fit(other, 4, tmp_path, ckpt_path=checkpoint_path(tmp_path, 2))
    decayed, others = trainer.optimizers[0].param_groups
    assert decayed["lr"] == others["lr"] == pytest.approx(0.2 * CosineSchedule(warm_up=3)(3, 4))
    assert (decayed["weight_decay"], others["weight_decay"]) == (0.3, 0.0)


def test_checkpoints_come_and_go(tmp_path):
    fit(module(), 7, tmp_path, every=2, keep=2)
    assert names_in(tmp_path) == ["step_00000006.ckpt", "step_00000007.ckpt"]
    with pytest.raises(ValueError, match="Expected at least 1 step .*got 0 and 1"):
        Checkpoints(tmp_path, 0, 1)


@pytest.mark.parametrize("what", ["loss", "gradient"])
def test_what_is_not_finite_stops_before_the_step(what, tmp_path):
    def objective(model, batch):
        losses = distance(model, batch)
        if made.trainer.global_step == 3:
            zero = model.layer.weight.sum() * 0
            losses["far"] = losses["far"] + zero.sqrt() if what == "gradient" else losses["far"] * float("nan")
        return losses

    made = TrainingModule(Toy(), objective)
    with pytest.raises(
        FloatingPointError, match=r"got in step 4: far [\d.nan]+, noise .*norm of the gradient (nan|inf)"
    ) as info:
        fit(made, 9, tmp_path / "checkpoints", every=2)
    state = tmp_path / "diverged_after_step_00000003.ckpt"
    assert info.value.__notes__ == [
        f"The state before that step is in '{state}'.",
        f"The last checkpoint is '{checkpoint_path(tmp_path / 'checkpoints', 2)}'.",
    ]
    assert torch.load(state, weights_only=True)["global_step"] == 3
    assert made.model.layer.weight.isfinite().all()


def test_other_classes_than_the_checkpoint(tmp_path):
    fit(module(), 2, tmp_path)
    other = module()
    other.model.class_names = ("cat",)
    with pytest.raises(ValueError, match=r"Expected a checkpoint of the classes \['cat'\], got one of \['thing'\]"):
        fit(other, 3, tmp_path, ckpt_path=checkpoint_path(tmp_path, 2))


def test_a_model_without_class_names():
    toy = Toy()
    toy.class_names = None
    with pytest.raises(ValueError, match="Expected a model that names its classes"):
        _ = TrainingModule(toy, distance).class_names
    with pytest.raises(ValueError, match="Expected clip_norm above 0, got 0"):
        TrainingModule(Toy(), distance, clip_norm=0)


@pytest.mark.slow
def test_the_relation_is_trained_once_it_was(tmp_path):
    from tests.training.test_objectives import SITUATIONS
    from tltm_graph.training import DetectorObjective

    class Pairs(torch.utils.data.IterableDataset):
        def __iter__(self):
            return repeat([SITUATIONS["two objects"]])

    for objective, trained in ((DetectorObjective(), False), (paper_objective(), True)):
        made = TrainingModule(tltm_tiny(("thing", "other")), objective, schedule=StepSchedule((), warm_up=0))
        trainer = Trainer(
            max_steps=1,
            accelerator="cpu",
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(made, torch.utils.data.DataLoader(Pairs(), batch_size=None))
        made.export(tmp_path)
        for name in ("model", "model_ema"):
            assert bool(load_model(tmp_path / f"{name}.safetensors").is_trained) == trained


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tltm_graph", "tltm_graph.training"])
def test_lightning_is_not_imported_before_it_is_needed(name):
    """It costs seconds."""
    heavy = ("lightning", "torchmetrics", "matplotlib", "supervision")
    code = f"import sys, {name}; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
