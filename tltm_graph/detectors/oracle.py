from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torchvision.transforms.v2.functional import InterpolationMode, affine

from tltm_graph.detectors.detector import Detector
from tltm_graph.ops import masks_to_boxes
from tltm_graph.structures import Detections, Frame


class OracleDetector(Detector):
    """Detector that returns the ground truth with simulated errors: to measure association alone, or to try a tracker.

    The errors of a frame depend only on the seed and the frame's index: the same frame always gives the same
    detections, in any order of frames.

    Args:
        truth: Function that returns the true objects of a frame, given its index:
            :meth:`tltm_graph.synthetic.MovingShapes.truth` or :meth:`tltm_graph.structures.Tracks.at`. Ids are removed.
        class_names: Names of the classes, None if unknown.
        miss_rate: Probability of missing an object, in [0, 1].
        jitter: Standard deviation of the centre and of the logarithm of the size, as a fraction of the size. Masks are
            shifted and scaled with their boxes.
        false_positives: Mean number of false positives per frame: copies of true objects at random places, with scores
            in [0.2, 0.5].
        class_noise: Probability of a wrong class, in [0, 1].
        seed: Seed of the random errors.

    Raises:
        ValueError: If a probability is out of range, or wrong classes are to be drawn from fewer than two names.
    """

    def __init__(
        self,
        truth: Callable[[int], Detections],
        class_names: tuple[str, ...] | None = None,
        miss_rate: float = 0.0,
        jitter: float = 0.0,
        false_positives: float = 0.0,
        class_noise: float = 0.0,
        seed: int = 0,
    ) -> None:
        for name, rate in (("miss_rate", miss_rate), ("class_noise", class_noise)):
            if not 0 <= rate <= 1:
                raise ValueError(f"Expected '{name}' in [0, 1], got {rate}")
        if class_noise > 0 and (class_names is None or len(class_names) < 2):
            raise ValueError(f"Expected at least two class names to draw wrong classes from, got {class_names}")
        self.truth = truth
        self.class_names = class_names
        self.miss_rate = miss_rate
        self.jitter = jitter
        self.false_positives = false_positives
        self.class_noise = class_noise
        self.seed = seed

    def detect(self, frame: Frame, context: Any = None) -> tuple[Detections, None]:
        """Return the ground truth of a frame with errors, highest score first."""
        truth = self.truth(frame.index).replace(ids=None)
        random = torch.Generator().manual_seed(self.seed * 1_000_003 + frame.index)
        objects = truth[torch.rand(len(truth), generator=random) >= self.miss_rate]
        if self.jitter > 0:
            objects = _jittered(objects, self.jitter, frame.size, random)
        wrong = torch.rand(len(objects), generator=random) < self.class_noise
        if wrong.any():
            assert self.class_names is not None
            num_classes = len(self.class_names)
            steps = torch.randint(1, num_classes, (len(objects),), generator=random)  # never 0: another class
            objects = objects.replace(labels=torch.where(wrong, (objects.labels + steps) % num_classes, objects.labels))
        if self.jitter > 0 or self.miss_rate > 0:
            # The score of ground truth is 1: an imperfect detector is less certain.
            objects = objects.replace(scores=0.6 + 0.4 * torch.rand(len(objects), generator=random))
        if self.false_positives > 0 and len(truth) > 0:
            objects = Detections.cat([objects, _moved_copies(truth, self.false_positives, frame.size, random)])
        return objects[objects.scores.argsort(descending=True, stable=True)], None

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(miss_rate={self.miss_rate}, jitter={self.jitter}, "
            f"false_positives={self.false_positives}, class_noise={self.class_noise}, seed={self.seed})"
        )


def _jittered(objects: Detections, jitter: float, size: tuple[int, int], random: torch.Generator) -> Detections:
    if len(objects) == 0:
        return objects
    noise = jitter * torch.randn((len(objects), 4), generator=random)
    extent = objects.boxes[:, 2:] - objects.boxes[:, :2]
    centre = objects.boxes[:, :2] + extent / 2
    new_centre, scale = centre + noise[:, :2] * extent, noise[:, 2:].exp()
    boxes = torch.cat([new_centre - scale * extent / 2, new_centre + scale * extent / 2], dim=1)
    if objects.masks is None:
        objects = objects.replace(boxes=boxes)
        return objects[~objects.outside(size)]
    return _with_masks(objects, objects.masks, centre, new_centre - centre, scale.mean(dim=1))


def _moved_copies(objects: Detections, mean: float, size: tuple[int, int], random: torch.Generator) -> Detections:
    count = int(torch.poisson(torch.tensor(mean), generator=random))
    copies = objects[torch.randint(0, len(objects), (count,), generator=random)]
    new_centre = torch.rand((count, 2), generator=random) * torch.tensor([size[1], size[0]])
    centre = (copies.boxes[:, :2] + copies.boxes[:, 2:]) / 2
    copies = copies.replace(scores=0.2 + 0.3 * torch.rand(count, generator=random))
    if count == 0 or copies.masks is None:
        return copies.replace(boxes=copies.boxes + (new_centre - centre).repeat(1, 2))
    return _with_masks(copies, copies.masks, centre, new_centre - centre, torch.ones(count))


def _with_masks(objects: Detections, masks: Tensor, centre: Tensor, shift: Tensor, scale: Tensor) -> Detections:
    """Shift masks and scale them about their centres, fit boxes tightly, and remove empty masks."""
    height, width = masks.shape[1:]
    middle = torch.tensor([width / 2, height / 2])
    moved = []
    for mask, c, s, factor in zip(masks, centre, shift, scale.tolist(), strict=True):
        # affine() scales about the middle of the image, which moves the centre: the offset compensates for it.
        offset = s + (c - middle) * (1 - factor)
        warped = affine(mask[None].to(torch.uint8), 0.0, offset.tolist(), factor, [0.0, 0.0], InterpolationMode.NEAREST)
        moved.append(warped[0].bool())
    new_masks = torch.stack(moved)
    visible = new_masks.flatten(1).any(dim=1)
    return objects.replace(masks=new_masks, boxes=masks_to_boxes(new_masks))[visible]
