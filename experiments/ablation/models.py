"""The two models of the ablation, with and without ResFuser, trained on the same pairs in the same order."""

from functools import partial
from pathlib import Path
from typing import Any

import torch

from tltm_graph.detectors import Detector
from tltm_graph.detectors.centermask import Decoder
from tltm_graph.frame_pairs import FlipPair
from tltm_graph.models import TLTM, load_model, tltm_tiny
from tltm_graph.models.pretrained import load_weights
from tltm_graph.models.tltm import expect_tltm
from tltm_graph.structures import Detections, Frame
from tltm_graph.synthetic import MovingShapes
from tltm_graph.training import CosineSchedule, PairData, PairObjective, ProposalRegions, RenderedVideos


class WithoutPrevious(Detector):
    """Model that detects every frame as the first of a video: fused with itself.

    Args:
        model: The model.
    """

    masks_on_demand = True

    def __init__(self, model: TLTM) -> None:
        self.model = model
        self.class_names = model.class_names

    def detect(self, frame: Frame, context: Any = None) -> tuple[Detections, None]:
        """Detect the objects of a frame without the previous one."""
        return self.model.detect(frame)[0], None

    def segment(self, detections: Detections, size: tuple[int, int]) -> Detections:
        """Draw masks: :meth:`TLTM.segment`."""
        return self.model.segment(detections, size)

    def scale(self, size: tuple[int, int]) -> float:
        """Ratio of the network's input size to the size (H, W) of a frame."""
        return self.model.scale(size)


def start_model(weights: Path | None, seed: int, size: tuple[int, int]) -> TLTM:
    """Load or build the model that training starts from.

    Args:
        weights: File of :func:`tltm_graph.models.save_model`; None for random weights.
        seed: Seed of random weights.
        size: Height and width of the frames, the input size of a new model.

    Raises:
        ValueError: If the weights are of a model without ResFuser and GNN, or of other classes.
    """
    if weights is None:
        torch.manual_seed(seed)
        return tltm_tiny(MovingShapes.class_names, min_size=min(size), max_size=max(size))
    model = expect_tltm(load_model(weights))
    if model.class_names != MovingShapes.class_names:
        raise ValueError(
            f"Expected a model of the classes {list(MovingShapes.class_names)} in '{weights}', got classes "
            f"{list(model.class_names or ())}: train one on moving shapes"
        )
    return model


def train_model(model: TLTM, steps: int, folder: Path, seed: int, size: tuple[int, int], lr: float) -> None:
    """Train a model in place, or load its weights if that is done. A stopped training resumes from its checkpoint.

    Args:
        model: Model with or without ResFuser.
        steps: Number of training steps.
        folder: Folder of the training run.
        seed: Seed of the order of the data.
        size: Height and width of the training scenes.
        lr: Highest learning rate.

    Raises:
        KeyboardInterrupt: If a signal stopped the training. Its checkpoint is written by then.
    """
    path = folder / "model_ema.safetensors"
    if not path.is_file():
        _train(model, steps, folder, seed, size, lr)
    load_weights(path, model)


def _train(model: TLTM, steps: int, folder: Path, seed: int, size: tuple[int, int], lr: float) -> None:
    # Imported here, because finished models do not need the extra 'train'.
    from experiments.train_vis import RunOptions, train
    from tltm_graph.training.module import TrainingModule

    # Few regions, because each costs a tenth of an image.
    regions = ProposalRegions(Decoder(candidates=200, max_objects=40), max_regions=16)
    module = TrainingModule(
        model,
        PairObjective(sampler=regions),
        optimizer=partial(torch.optim.AdamW, lr=lr, weight_decay=0.05),
        schedule=CosineSchedule(warm_up=min(300, steps // 10), end=0.01),
        clip_norm=10.0,
        ema_decay=0.999,
    )
    data = PairData([RenderedVideos(size=size)], [FlipPair()], batch_size=8, num_workers=1)
    outcome = train(module, data, folder, steps, options=RunOptions(resume=True, seed=seed, checkpoint_every=100))
    if "signal" in outcome:
        raise KeyboardInterrupt
