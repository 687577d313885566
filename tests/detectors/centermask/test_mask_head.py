import pytest
import torch
from torchvision.ops import roi_align

from tltm_graph.detectors.centermask.mask_head import MaskHead, SpatialAttention, mask_targets


def test_attention_from_mean_and_maximum():
    attention = SpatialAttention()
    x = torch.randn(2, 5, 4, 3)
    weight = attention.conv.weight[0]  # (2, 3, 3)
    out = attention(x)
    padded = torch.nn.functional.pad(torch.stack([x.mean(1), x.amax(1)], dim=1), (1, 1, 1, 1))
    for i in range(4):
        for j in range(3):
            gate = (padded[:, :, i : i + 3, j : j + 3] * weight).sum(dim=(1, 2, 3)).sigmoid()
            torch.testing.assert_close(out[:, :, i, j], x[:, :, i, j] * gate[:, None])


@pytest.mark.parametrize("n", [0, 1, 5])
def test_masks_of_labels_are_those_of_all_classes(n):
    head = MaskHead(7, channels=8, num_convs=2)
    torch.nn.init.normal_(head.predictor.bias)
    x, labels = torch.randn(n, 8, 14, 14), torch.randint(0, 7, (n,))
    every = head(x)
    assert every.shape == (n, 7, 28, 28)
    torch.testing.assert_close(head(x, labels), every[torch.arange(n), labels])


def test_mask_targets():
    torch.manual_seed(0)
    masks = torch.rand(2, 30, 40) > 0.4
    boxes = torch.tensor([[0.0, 0.0, 40.0, 30.0], [5.0, 5.0, 20.0, 25.0], [-5.0, 5.0, 20.0, 45.0]])
    rows = torch.tensor([1, 0, 1])
    expected = [
        roi_align(masks[row][None, None].float(), [box[None]], 28, aligned=True)[0, 0] >= 0.5
        for row, box in zip(rows, boxes, strict=True)
    ]
    targets = mask_targets(masks, boxes, rows)
    assert torch.equal(targets.bool(), torch.stack(expected))
    assert mask_targets(masks, boxes[:0], rows[:0]).shape == (0, 28, 28)
