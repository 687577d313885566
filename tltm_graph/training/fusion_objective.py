"""Losses of the fusers of a detector, which learn to restore degraded frames from the previous ones."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.func import functional_call
from torchvision.transforms.v2.functional import resized_crop

from tltm_graph.detectors.centermask import CenterMask
from tltm_graph.detectors.centermask.fcos import DenseOutput
from tltm_graph.detectors.centermask.flow_alignment import NUM_CUES
from tltm_graph.detectors.centermask.model import PreviousFrame, Pyramid
from tltm_graph.frame_pairs.degradation import degrade
from tltm_graph.frame_pairs.sampling import chance, integer, uniform
from tltm_graph.models import TLTM
from tltm_graph.models.tltm import detector_of
from tltm_graph.structures import FramePair

_CROP = 0.08  # maximum share of the sides that a crop takes off


class FusionObjective:
    """Losses of the fusers alone, taught by the same detector on clean frames. No labels are needed.

    From each pair a sequence of three frames is made: the previous frame and two different crops of the current one.
    Some of them are degraded (:mod:`tltm_graph.frame_pairs.degradation`). The detector runs over the sequence as it
    does at test time, from each frame to the next. Backbone and head are frozen. Fused maps and outputs of the head
    should equal those of the clean frame without fusion.

    Args:
        clean_share: Share of sequences without a degraded frame, in [0, 1].
        alike_share: Share of the others whose last two frames are degraded in the same way, in [0, 1].
        cut_share: Share of sequences that begin with a frame of another pair, in [0, 1].
    """

    def __init__(self, clean_share: float = 0.3, alike_share: float = 0.3, cut_share: float = 0.1) -> None:
        self.clean_share, self.alike_share, self.cut_share = clean_share, alike_share, cut_share

    def __call__(self, model: TLTM | CenterMask, pairs: Sequence[FramePair]) -> dict[str, Tensor]:
        """Compute the losses of a batch.

        Args:
            model: Model with fusers.
            pairs: At least one pair, all images of one size. Their objects are not used.

        Returns:
            ``"maps"``, the difference of fused maps in units of their deviation; ``"classes"`` and ``"boxes"``, those
            of the head's outputs.

        Raises:
            ValueError: If there is no pair, or the model has no fusers.
        """
        detector = detector_of(model)
        if detector.fusers is None:
            raise ValueError(f"Expected a model with fusers, got {detector!r}: build it with fused=True")
        if not pairs:
            raise ValueError("Expected at least one pair of frames, got none")
        generator = torch.Generator().manual_seed(int(torch.randint(2**62, ())))
        sequences = [self._sequence(pairs, index, generator) for index in range(len(pairs))]
        clean, degraded = ([[both[k][t] for both in sequences] for t in range(3)] for k in (0, 1))
        with torch.no_grad():
            inputs = [detector.backbone(detector.prepare(images)) for images in degraded]
            truth = [detector.backbone(detector.prepare(images)) for images in clean[1:]]
            outputs = [detector.head(detector.head_levels(pyramid)) for pyramid in truth]
        state = _passed_on(detector, detector.fuse(inputs[0], inputs[0]), inputs[0])
        losses: dict[str, Tensor] = {}
        for t in (1, 2):
            previous = _aligned(detector, state, inputs[t], degraded[t - 1], degraded[t])
            fused = detector.fuse(previous, inputs[t])
            for name, loss in _distances(detector, fused, truth[t - 1], outputs[t - 1]).items():
                losses[name] = losses.get(name, 0) + loss / 2
            state = _passed_on(detector, fused, inputs[t])
        return losses

    def _sequence(
        self, pairs: Sequence[FramePair], index: int, generator: torch.Generator
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Three clean images, and what the detector sees of them."""
        pair = pairs[index]
        first = pairs[index - 1].current_image if chance(generator, self.cut_share) else pair.previous_image
        clean = [first, *(_crop(pair.current_image, generator) for _ in range(2))]
        if chance(generator, self.clean_share):
            return clean, clean
        seen = [
            degrade(image, generator) if chance(generator, p) else image
            for image, p in zip(clean, (0.2, 0.5, 0.8), strict=True)
        ]
        if chance(generator, self.alike_share):
            seed = integer(generator, 0, 2**62)
            seen[1:] = [degrade(image, torch.Generator().manual_seed(seed)) for image in clean[1:]]
        return clean, seen

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(clean_share={self.clean_share}, alike_share={self.alike_share}, "
            f"cut_share={self.cut_share})"
        )


def _passed_on(detector: CenterMask, fused: Pyramid, pyramid: Pyramid) -> Pyramid:
    """Levels that the next frame is fused with."""
    return detector.head_levels(fused if detector.recurrent else pyramid)


def _crop(image: Tensor, generator: torch.Generator) -> Tensor:
    height, width = image.shape[1:]
    share = 1 - uniform(generator, 0, _CROP)
    sides = max(1, int(share * height)), max(1, int(share * width))
    top, left = integer(generator, 0, height - sides[0]), integer(generator, 0, width - sides[1])
    return resized_crop(image, top, left, *sides, [height, width], antialias=True)


def _aligned(
    detector: CenterMask, previous: Pyramid, current: Pyramid, images: Sequence[Tensor], next_images: Sequence[Tensor]
) -> Pyramid:
    """Previous pyramids of a batch, each aligned as :meth:`CenterMask.detect` does it."""
    if detector.alignment is None:
        return previous
    rows = []
    for k, (image, next_image) in enumerate(zip(images, next_images, strict=True)):
        own = PreviousFrame([level[k : k + 1] for level in previous], detector.alignment.grey(image))
        aligned = detector.align(own, detector.alignment.grey(next_image))
        if aligned is None:  # fused with itself, without cues
            aligned = [F.pad(x[k : k + 1], (0, 0, 0, 0, 0, NUM_CUES)) for x in detector.head_levels(current)]
        rows.append(aligned)
    return [torch.cat(levels) for levels in zip(*rows, strict=True)]


def _distances(
    detector: CenterMask, fused: Pyramid, truth: Pyramid, outputs: Sequence[DenseOutput]
) -> dict[str, Tensor]:
    maps = [
        F.smooth_l1_loss(level / true.std(), true / true.std(), beta=0.5)
        for level, true in zip(detector.head_levels(fused), detector.head_levels(truth), strict=True)
    ]
    classes, boxes, total = [], [], fused[-1].new_zeros(())
    frozen = {name: value.detach() for name, value in detector.head.named_parameters()}
    found = functional_call(detector.head, frozen, (detector.head_levels(fused),))
    for output, true in zip(found, outputs, strict=True):
        probability = true.logits.sigmoid()
        error = (output.logits.sigmoid() - probability).abs().detach()
        classes.append((error * F.binary_cross_entropy_with_logits(output.logits, probability, reduction="none")).sum())
        confidence = probability.amax(dim=1, keepdim=True) * (probability.amax(dim=1, keepdim=True) > 0.2)
        boxes.append((confidence * (output.distances - true.distances).abs()).sum() / 4)
        total = total + confidence.sum()
    total = total.clamp(min=1)
    return {
        "maps": 2 * torch.stack(maps).sum(),
        "classes": 0.5 * torch.stack(classes).sum() / total,
        "boxes": 0.2 * torch.stack(boxes).sum() / total,
    }
