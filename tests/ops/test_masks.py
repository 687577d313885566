import pytest
import torch

from tltm_graph.ops import mask_iou, masks_to_boxes


def random_masks(n: int, seed: int = 0) -> torch.Tensor:
    return torch.rand((n, 9, 7), generator=torch.Generator().manual_seed(seed)) < 0.3


@pytest.mark.parametrize(("n", "m"), [(0, 0), (0, 2), (3, 0), (4, 5)])
def test_mask_iou_counts_pixels(n, m):
    masks, others = random_masks(n), random_masks(m, 1)
    if n:
        masks[0] = False
    expected = torch.tensor([[_iou(a, b) for b in others] for a in masks]).reshape(n, m)
    torch.testing.assert_close(mask_iou(masks, others), expected)


def _iou(a: torch.Tensor, b: torch.Tensor) -> float:
    union = int((a | b).sum())
    return int((a & b).sum()) / union if union else 0.0


def test_mask_iou_of_two_frames_is_an_error():
    with pytest.raises(ValueError, match="of one frame"):
        mask_iou(torch.zeros(1, 4, 4, dtype=torch.bool), torch.zeros(1, 4, 5, dtype=torch.bool))


@pytest.mark.parametrize("n", [0, 1, 6])
def test_boxes_are_tight(n):
    masks = random_masks(n) & random_masks(n, 1)
    if n:
        masks[0] = False
    boxes = masks_to_boxes(masks)
    assert boxes.shape == (n, 4)
    for mask, box in zip(masks, boxes.tolist(), strict=True):
        y, x = mask.nonzero(as_tuple=True)
        expected = [x.min(), y.min(), x.max() + 1, y.max() + 1] if mask.any() else [0, 0, 0, 0]
        assert box == [float(value) for value in expected]
