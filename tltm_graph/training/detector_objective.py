from collections.abc import Sequence

import torch
from torch import Tensor

from tltm_graph.detectors.centermask import CenterMask
from tltm_graph.detectors.centermask.fcos import assign_targets
from tltm_graph.models.tltm import TLTM, detector_of
from tltm_graph.structures import FramePair
from tltm_graph.training.losses import fcos_losses
from tltm_graph.training.objective import region_mask_loss
from tltm_graph.training.regions import ProposalRegions, Regions, RegionSampler


class DetectorObjective:
    """The losses of CenterMask (arXiv 1911.06667) on single images: how a detector is trained before it sees videos.

    Each frame of a pair is an image by itself. Nothing is fused, nothing is related: ResFuser, encoder and GNN of a
    TLTM get no gradient.

    Args:
        sampler: Chooses the regions that the mask head learns from; by default proposals and true boxes.
    """

    def __init__(self, sampler: RegionSampler | None = None) -> None:
        self.sampler = sampler or ProposalRegions(negative_share=0)

    def __call__(self, model: TLTM | CenterMask, pairs: Sequence[FramePair]) -> dict[str, Tensor]:
        """The losses of all frames of ``pairs``, to be added up.

        Args:
            model: The model.
            pairs: At least one pair; images may differ in size between pairs, and have no objects.

        Returns:
            ``"fcos_cls"``, ``"fcos_loc"``, ``"fcos_ctr"`` and ``"mask"``. Where there is nothing to learn from, a loss
            is 0 and so is its gradient.

        Raises:
            ValueError: If there is no pair, or a label is not one of the model's classes.
        """
        if not pairs:
            raise ValueError("Expected at least one pair of frames, got none")
        detector = detector_of(model)
        truth = [p.previous for p in pairs] + [p.current for p in pairs]
        num_classes = detector.head.num_classes
        highest = max((int(objects.labels.max()) for objects in truth if len(objects)), default=0)
        if highest >= num_classes:
            raise ValueError(f"Expected labels below {num_classes}, the number of classes, got {highest}")
        truth = [objects.to(detector.pixel_mean.device) for objects in truth]
        images = [p.previous_image for p in pairs] + [p.current_image for p in pairs]

        batch = detector.prepare(images)
        pyramid = detector.backbone(batch)
        outputs, strides = detector.head(pyramid), detector.backbone.strides
        losses = fcos_losses(outputs, assign_targets([level.logits.shape[2:] for level in outputs], strides, truth))
        with torch.no_grad():
            regions = self.sampler(lambda decoder: decoder(outputs, strides), truth)
        regions = [Regions(r.boxes[r.rows >= 0], r.rows[r.rows >= 0]) for r in regions]
        sizes = [(image.shape[1], image.shape[2]) for image in images]
        features = detector.pool(pyramid, [r.boxes for r in regions], sizes, batch)  # (N, C, 14, 14)
        losses["mask"] = region_mask_loss(detector, features, regions, truth)
        return losses

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.sampler!r})"
