"""What the rows of the ablation share: scenes, models, and what these see, each made once."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from tltm_graph.models.recorded import RecordedModel, Recording, record
from tqdm import tqdm

from experiments.ablation.models import WithoutPrevious, detector_of, start_model
from experiments.ablation.scoring import ScoredScene, followed
from tltm_graph.association import LearnedAffinity
from tltm_graph.association.learned_affinity import SHIPPED
from tltm_graph.models import TLTM, for_inference
from tltm_graph.models.weights import affinity_path
from tltm_graph.structures import Tracks
from tltm_graph.synthetic import STANDARD, TEST, VAL, MovingShapes, moving_shapes
from tltm_graph.synthetic.scenes import Scenes
from tltm_graph.tracking import Tracker

MAX_SHOWN = 15
"""Objects that every tracker shows in a frame, at most."""


@dataclass(frozen=True)
class Plan:
    """What a run of the ablation is made of.

    Args:
        output: Folder of everything that is written.
        weights: A model of :func:`tltm_graph.models.save_model`, ``{seed}`` in it stands for the seed; None for random
            weights.
        head: Weights of the learned affinity; None for those that are shipped.
        scenes: How many scenes of the test split.
        val_scenes: How many of the validation split, to tune on.
        frames: Length of each.
        size: Height and width of the frames.
        detector_steps: Training of both detectors, from the weights on; 0 for none.
        relation_steps: Training of each GNN in part C.
        relation_scenes: Scenes that it learns from.
    """

    output: Path
    weights: str | None = None
    head: Path | None = None
    scenes: int = len(TEST)
    val_scenes: int = len(VAL)
    frames: int = 60
    size: tuple[int, int] = (192, 320)
    detector_steps: int = 1000
    relation_steps: int = 1000
    relation_scenes: int = 200

    def weights_of(self, seed: int) -> Path | None:
        """The weights that a seed starts from."""
        return None if self.weights is None else Path(self.weights.replace("{seed}", str(seed)))

    @property
    def seeds_are_alike(self) -> bool:
        """Whether all seeds have one and the same detector."""
        return self.weights is not None and "{seed}" not in self.weights and not self.detector_steps

    def settings(self, seeds: tuple[int, ...]) -> dict[str, Any]:
        """All that results depend on.

        Raises:
            FileNotFoundError: If a file of weights is missing.
        """
        names = ("scenes", "val_scenes", "frames", "size", "detector_steps", "relation_steps", "relation_scenes")
        settings = {name: getattr(self, name) for name in names} | {"size": list(self.size)}
        files = {f"weights of seed {seed}": self.weights_of(seed) for seed in seeds}
        own = {seed: affinity_path(path) for seed in seeds if (path := self.weights_of(seed)) is not None}
        files |= {f"affinity of seed {seed}": path for seed, path in own.items() if path.is_file()}
        return settings | {name: _fingerprint(path) for name, path in files.items()}


class Lab:
    """Makes what rows ask for, and keeps what takes long on the disk.

    Args:
        plan: The plan.
    """

    class_names = MovingShapes.class_names

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.model = cache(self._model)

    @cached_property
    def test_scenes(self) -> Scenes:
        """Scenes that rows are scored on."""
        return moving_shapes(STANDARD, TEST, self.plan.frames, self.plan.size)[: self.plan.scenes]

    @cached_property
    def val_scenes(self) -> Scenes:
        """Scenes that baselines are tuned on."""
        return moving_shapes(STANDARD, VAL, self.plan.frames, self.plan.size)[: self.plan.val_scenes]

    @cached_property
    def test_truth(self) -> list[ScoredScene]:
        """Their truth."""
        return _truth(self.test_scenes, "truth of test scenes")

    @cached_property
    def val_truth(self) -> list[ScoredScene]:
        """Their truth."""
        return _truth(self.val_scenes, "truth of val scenes")

    @cached_property
    def learned_affinity(self) -> LearnedAffinity:
        """The affinity with learned births, of ``--head`` or shipped: of any detector.

        Raises:
            FileNotFoundError: If its weights are missing.
        """
        return LearnedAffinity.from_file(self.plan.head)

    def affinity_of(self, model: RecordedModel) -> LearnedAffinity:
        """The affinity with learned births that reads a model's relation: its own, if it has one and ``--head`` names
        no other."""
        return self.learned_affinity if self.plan.head or model.affinity is None else model.affinity

    def _model(self, arm: str, seed: int) -> TLTM:
        """The detector of an arm with its relation, ready to be trained further."""
        plan = self.plan
        start = start_model(plan.weights_of(seed), seed, plan.size)
        lr = 1e-3 if plan.weights is None else 3e-4
        folder = plan.output / "models" / f"{arm}_seed_{seed}"
        return detector_of(arm, start, plan.detector_steps, folder, seed, plan.size, lr)

    def pixel(self, seed: int) -> float:
        """A pixel of the network in pixels of the frames."""
        return 1 / self.model("fused", seed).scale(self.plan.size)

    def recordings(self, arm: str, seed: int, scenes: Scenes) -> Iterator[RecordedModel]:
        """What an arm's model sees in each scene, in place of the model; ``"alone"`` is ``"fused"``, each frame with
        itself."""
        model: TLTM | WithoutPrevious
        if arm == "alone":
            model = WithoutPrevious(for_inference(self.model("fused", seed)))
        else:
            model = for_inference(self.model(arm, seed))
        for number in tqdm(range(len(scenes)), desc=f"{arm}, seed {seed}", unit=" scenes", leave=False):
            scene = scenes[number]
            path = self.plan.output / "recordings" / f"{arm}_seed_{seed}" / f"{scene.seed}.safetensors"
            if not path.is_file():
                path.parent.mkdir(parents=True, exist_ok=True)
                record(model, scene).save(path)
            yield RecordedModel(Recording.load(path), model.score, model.affinity)

    def tracks(
        self, arm: str, seed: int, make: Callable[[RecordedModel], Tracker], scenes: Scenes | None = None
    ) -> list[Tracks]:
        """The tracks of a tracker, of every scene."""
        return [
            followed(make(recorded), recorded.recording.frames(), recorded.recording.size, len(recorded.recording))
            for recorded in self.recordings(arm, seed, self.test_scenes if scenes is None else scenes)
        ]


def head_fingerprint(path: Path | None) -> str | None:
    """Tells one file of the learned affinity's weights from another."""
    return _fingerprint(SHIPPED if path is None else path)


def _fingerprint(path: Path | None) -> str | None:
    if path is None:
        return None
    if not path.is_file():
        raise FileNotFoundError(f"Expected weights, found no file '{path}'")
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def _truth(scenes: Scenes, what: str) -> list[ScoredScene]:
    bar = tqdm(range(len(scenes)), desc=what, unit=" scenes", leave=False)
    return [ScoredScene.of(scenes[number]) for number in bar]
