"""Scenes, models and cached detections that the rows of the ablation share."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from tqdm import tqdm

from experiments.ablation.models import WithoutPrevious, start_model, train_model
from experiments.ablation.scoring import ScoredScene, followed
from tltm_graph.association import GeometricAffinity, LearnedAffinity
from tltm_graph.association.learned_affinity import SHIPPED
from tltm_graph.detectors import Detector, ReplayDetector, cache_detections
from tltm_graph.detectors.replay import DetectionCache
from tltm_graph.models import TLTM, for_inference
from tltm_graph.models.weights import affinity_path
from tltm_graph.structures import Tracks
from tltm_graph.synthetic import STANDARD, TEST, VAL, MovingShapes, moving_shapes
from tltm_graph.synthetic.scenes import Scenes
from tltm_graph.tracking import Tracker

MAX_SHOWN = 15
"""Maximum number of objects that every tracker shows in a frame, as in the paper."""


@dataclass(frozen=True)
class Plan:
    """Settings of the ablation.

    Args:
        output: Folder for everything that is written.
        weights: File of :func:`tltm_graph.models.save_model`, in which ``{seed}`` stands for the seed; None for random
            weights.
        head: File of the association head; None for the model's own, else the shipped one.
        scenes: Number of scenes of the test split.
        val_scenes: Number of scenes of the validation split, for tuning.
        frames: Number of frames of each scene.
        size: Height and width of the frames in pixels.
        detector_steps: Training steps of each detector; 0 to use the weights as they are.
    """

    output: Path
    weights: str | None = None
    head: Path | None = None
    scenes: int = len(TEST)
    val_scenes: int = len(VAL)
    frames: int = 60
    size: tuple[int, int] = (192, 320)
    detector_steps: int = 1000

    def weights_of(self, seed: int) -> Path | None:
        """Return the file of weights that a seed starts from, None for random weights."""
        return None if self.weights is None else Path(self.weights.replace("{seed}", str(seed)))

    @property
    def is_same_for_all_seeds(self) -> bool:
        """True if all seeds have the same detector."""
        return self.weights is not None and "{seed}" not in self.weights and not self.detector_steps

    def settings(self, seeds: Sequence[int]) -> dict[str, Any]:
        """List everything that the results depend on, with fingerprints of the weights.

        Raises:
            FileNotFoundError: If a file of weights is missing.
        """
        names = ("scenes", "val_scenes", "frames", "size", "detector_steps")
        settings = {name: getattr(self, name) for name in names} | {"size": list(self.size)}
        settings["head"] = _fingerprint(self.head or SHIPPED)
        for seed in seeds:
            path = self.weights_of(seed)
            settings[f"weights of seed {seed}"] = "random" if path is None else _fingerprint(path)
            if path is not None and affinity_path(path).is_file():
                settings[f"affinity of seed {seed}"] = _fingerprint(affinity_path(path))
        return settings


class Lab:
    """Scenes, models and cached detections of a plan. What takes long is kept on disk.

    Args:
        plan: Settings.
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
        """Scenes that the IoU tracker is tuned on."""
        return moving_shapes(STANDARD, VAL, self.plan.frames, self.plan.size)[: self.plan.val_scenes]

    @cached_property
    def test_truth(self) -> list[ScoredScene]:
        """Ground truth of the test scenes."""
        return [ScoredScene.of(scene) for scene in with_progress(self.test_scenes, "truth of test scenes")]

    @cached_property
    def val_truth(self) -> list[ScoredScene]:
        """Ground truth of the validation scenes."""
        return [ScoredScene.of(scene) for scene in with_progress(self.val_scenes, "truth of val scenes")]

    def _model(self, arm: str, seed: int) -> TLTM:
        """Train or load the model of an arm, ``"plain"`` (without ResFuser) or ``"fused"``, for inference."""
        plan = self.plan
        model = start_model(plan.weights_of(seed), seed, plan.size)
        if arm == "plain":
            model.detector.fusers = None
        if plan.detector_steps:
            lr = 1e-3 if plan.weights is None else 3e-4
            folder = plan.output / "models" / f"{arm}_seed_{seed}"
            train_model(model, plan.detector_steps, folder, seed, plan.size, lr)
        return for_inference(model)

    def association_head(self, seed: int) -> LearnedAffinity:
        """Return the head that ``--head`` names, else that of the model with ResFuser, else the shipped one."""
        own = self.model("fused", seed).association
        return LearnedAffinity.from_file(self.plan.head) if self.plan.head or own is None else own

    def caches(self, arm: str, seed: int, scenes: Scenes) -> Iterator[DetectionCache]:
        """Detect the objects of each scene, or read them from disk.

        Args:
            arm: ``"plain"`` (without ResFuser), ``"fused"``, or ``"alone"``: with ResFuser, each frame fused with
                itself.
            seed: Seed of the model.
            scenes: Scenes.
        """
        model = self.model("fused" if arm == "alone" else arm, seed)
        detector = WithoutPrevious(model) if arm == "alone" else model
        for scene in with_progress(scenes, f"{arm}, seed {seed}"):
            path = self.plan.output / "detections" / f"{arm}_seed_{seed}" / f"{scene.seed}.safetensors"
            if not path.is_file():
                path.parent.mkdir(parents=True, exist_ok=True)
                cache_detections(detector, scene, GeometricAffinity(appearance=model)).save(path)
            yield DetectionCache.load(path)

    def tracks(self, arm: str, seed: int, make_tracker: Callable[[Detector], Tracker]) -> list[Tracks]:
        """Track the objects of every test scene in the detections of an arm; see :meth:`caches`."""
        return [track_cached(cached, make_tracker) for cached in self.caches(arm, seed, self.test_scenes)]


def track_cached(cached: DetectionCache, make_tracker: Callable[[Detector], Tracker]) -> Tracks:
    """Track the objects of a video in its cached detections."""
    return followed(make_tracker(ReplayDetector(cached)), cached.blank_frames(), cached.size, len(cached))


def _fingerprint(path: Path) -> str:
    if not path.is_file():
        raise FileNotFoundError(f"Expected weights, found no file '{path}': --weights and --head name files")
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def with_progress(scenes: Scenes, description: str) -> Iterable[MovingShapes]:
    """Iterate over scenes with a progress bar."""
    return tqdm(scenes, desc=description, unit=" scenes", leave=False)
