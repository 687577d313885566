from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torchvision.transforms.v2.functional import InterpolationMode, affine

from tltm_graph.detectors.detector import Detector
from tltm_graph.ops import masks_to_boxes
from tltm_graph.structures import Detections, Frame


class OracleDetector(Detector):
    """Detects the truth, spoilt as asked: to measure association alone, and to try things without a detector.

    Every frame's mistakes are drawn from the seed and the frame's index alone, so the same frame always gives the same
    detections, in any order of frames.

    Args:
        truth: Returns the true objects of a frame, given its index: :meth:`tltm_graph.synthetic.MovingShapes.truth`, or
            :meth:`tltm_graph.structures.Tracks.at`. Their ids are not passed on.
        class_names: Names of the classes.
        miss_rate: Share of objects not detected.
        jitter: Standard deviation of the centre and of the logarithm of the size, in units of the size. Masks move and
            stretch with their box.
        false_positives: Mean number of false objects a frame: copies of a true one, somewhere else, scored low.
        class_noise: Share of objects given another class.
        seed: Of all of the above.
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
            raise ValueError("Expected at least two class names to draw wrong classes from")
        self.truth = truth
        self.class_names = class_names
        self.miss_rate = miss_rate
        self.jitter = jitter
        self.false_positives = false_positives
        self.class_noise = class_noise
        self.seed = seed

    def detect(self, frame: Frame, context: Any = None) -> tuple[Detections, None]:
        """The spoilt truth of ``frame``; see :class:`tltm_graph.detectors.Detector`."""
        truth = self.truth(frame.index).replace(ids=None)
        random = torch.Generator().manual_seed(self.seed * 1_000_003 + frame.index)
        seen = truth[torch.rand(len(truth), generator=random) >= self.miss_rate]
        if self.jitter > 0:
            seen = _jittered(seen, self.jitter, frame.size, random)
        wrong = torch.rand(len(seen), generator=random) < self.class_noise
        if wrong.any():
            assert self.class_names is not None
            others = torch.randint(1, len(self.class_names), (len(seen),), generator=random)
            seen = seen.replace(labels=torch.where(wrong, (seen.labels + others) % len(self.class_names), seen.labels))
        if self.jitter > 0 or self.miss_rate > 0:
            # A truth's score is 1; what a detector found with some doubt has one to show for it.
            seen = seen.replace(scores=0.6 + 0.4 * torch.rand(len(seen), generator=random))
        if self.false_positives > 0 and len(truth) > 0:
            false = _moved_copies(truth, self.false_positives, frame.size, random)
            seen = Detections.cat([seen, false])
        return seen[seen.scores.argsort(descending=True, stable=True)], None

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
        return objects.replace(boxes=boxes)[~objects.replace(boxes=boxes).outside(size)]
    return _with_masks(objects, objects.masks, centre, new_centre - centre, scale.mean(dim=1))


def _moved_copies(objects: Detections, mean: float, size: tuple[int, int], random: torch.Generator) -> Detections:
    count = int(torch.poisson(torch.tensor(mean), generator=random))
    copies = objects[torch.randint(0, len(objects), (count,), generator=random)]
    place = torch.rand((count, 2), generator=random) * torch.tensor([size[1], size[0]])
    centre = (copies.boxes[:, :2] + copies.boxes[:, 2:]) / 2
    copies = copies.replace(scores=0.2 + 0.3 * torch.rand(count, generator=random))
    if count == 0 or copies.masks is None:
        return copies.replace(boxes=copies.boxes + (place - centre).repeat(1, 2))
    return _with_masks(copies, copies.masks, centre, place - centre, torch.ones(count))


def _with_masks(objects: Detections, masks: Tensor, centre: Tensor, shift: Tensor, scale: Tensor) -> Detections:
    """Masks moved by ``shift`` and scaled about their centre, boxes tight around them; empty ones left out."""
    height, width = masks.shape[1:]
    middle = torch.tensor([width / 2, height / 2])
    moved = []
    for mask, c, s, factor in zip(masks, centre, shift, scale.tolist(), strict=True):
        # affine() scales about the middle of the image: what that does to the centre is taken off the shift.
        offset = s + (c - middle) * (1 - factor)
        warped = affine(mask[None].to(torch.uint8), 0.0, offset.tolist(), factor, [0.0, 0.0], InterpolationMode.NEAREST)
        moved.append(warped[0].bool())
    new_masks = torch.stack(moved)
    visible = new_masks.flatten(1).any(dim=1)
    return objects.replace(masks=new_masks, boxes=masks_to_boxes(new_masks))[visible]
