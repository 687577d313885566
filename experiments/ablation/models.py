"""The two detectors of the ablation, with and without ResFuser, trained alike."""

from functools import partial
from pathlib import Path

import torch

from tltm_graph.detectors.centermask import Decoder
from tltm_graph.frame_pairs import FlipPair
from tltm_graph.models import TLTM, load_model, load_weights, tltm_tiny
from tltm_graph.structures import Detections, Frame
from tltm_graph.synthetic import MovingShapes
from tltm_graph.training import CosineSchedule, PairData, PairObjective, ProposalRegions, RenderedVideos

ARMS = ("plain", "fused")
"""Without and with ResFuser."""


class WithoutPrevious:
    """A model that meets every frame as if it were the first of a video: fused with itself.

    Args:
        model: The model.
    """

    def __init__(self, model: TLTM) -> None:
        self.detector = model.detector
        self.encode, self.score, self.affinity = model.encode, model.score, model.affinity

    def detect(self, frame: Frame, context: object = None) -> tuple[Detections, None]:
        """What :meth:`TLTM.detect` finds without a previous frame."""
        return self.detector.detect(frame)[0], None


def proposals() -> ProposalRegions:
    """The regions that mask heads and relation models learn from: few, as each costs a tenth of an image."""
    return ProposalRegions(Decoder(candidates=200, max_objects=40), max_regions=16)


def start_model(weights: str | Path | None, seed: int, size: tuple[int, int]) -> TLTM:
    """The model that both detectors start from.

    Args:
        weights: Of :func:`tltm_graph.models.save_model`; None for random ones.
        seed: Of random ones.
        size: Height and width of the frames, which a new model sees as they are.

    Raises:
        ValueError: If the weights are of a model without ResFuser or GNN, or of other classes.
    """
    if weights is None:
        torch.manual_seed(seed)
        return tltm_tiny(MovingShapes.class_names, min_size=min(size), max_size=max(size))
    model = load_model(weights)
    if not isinstance(model, TLTM) or model.class_names != MovingShapes.class_names:
        raise ValueError(
            f"Expected the weights of a TLTM of the classes {list(MovingShapes.class_names)} in '{weights}', got "
            f"{type(model).__name__} of {list(model.class_names or ())}"
        )
    return model


def detector_of(arm: str, start: TLTM, steps: int, folder: Path, seed: int, size: tuple[int, int], lr: float) -> TLTM:
    """One of the two detectors, with its relation, after its training; goes on where a run before was stopped.

    Args:
        arm: One of :data:`ARMS`.
        start: What it starts from; changed in place.
        steps: How many steps it is trained; 0 takes it as it is.
        folder: Of its training.
        seed: Of the order of the data.
        size: Height and width of the training scenes.
        lr: Highest learning rate.

    Raises:
        KeyboardInterrupt: If training was stopped by a signal; it is saved by then.
    """
    if arm == "plain":
        start.detector.fusers = None
    if steps:
        path = folder / "model_ema.safetensors"
        if not path.is_file():
            _train(start, steps, folder, seed, size, lr)
        load_weights(path, start)
    return start


def _train(model: TLTM, steps: int, folder: Path, seed: int, size: tuple[int, int], lr: float) -> None:
    from experiments.train_vis import RunOptions, train  # needs the extra 'train', which finished models do not
    from tltm_graph.training.module import TrainingModule

    module = TrainingModule(
        model,
        PairObjective(sampler=proposals()),
        optimizer=partial(torch.optim.AdamW, lr=lr, weight_decay=0.05),
        schedule=CosineSchedule(warm_up=min(300, steps // 10), end=0.01),
        clip_norm=10.0,
        ema_decay=0.999,
    )
    data = PairData([RenderedVideos(size=size)], [FlipPair()], batch_size=8, num_workers=1)
    finished = train(module, data, folder, steps, options=RunOptions(resume=True, seed=seed, checkpoint_every=100))
    if "signal" in finished:
        raise KeyboardInterrupt
