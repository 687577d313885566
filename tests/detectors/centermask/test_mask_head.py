import pytest
import torch
import torch.nn.functional as F
from torchvision.ops import roi_align

from tltm_graph.detectors.centermask.mask_head import (
    MaskHead,
    SpatialAttention,
    fold_pixels,
    mask_targets,
    unfold_pixels,
)


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


@pytest.mark.parametrize("n", [0, 3])
def test_finer_features_are_added_after_upsampling(n):
    torch.manual_seed(0)
    head = MaskHead(1, channels=8, num_convs=2, fine_channels=3, hidden_channels=6)
    x, fine = torch.randn(n, 8, 14, 14), torch.randn(n, 3, 28, 28)
    logits = head(torch.cat([x, fold_pixels(fine)], dim=1), torch.zeros(n, dtype=torch.int64))
    for conv in head.convs:
        x = conv(x).relu()
    coarse = head.deconv(head.attention(x))
    first, second = head.refine
    expected = head.predictor(second(first((coarse + head.fine(fine)).relu()).relu()).relu())
    assert logits.shape == (n, 28, 28)
    torch.testing.assert_close(logits, expected[:, 0])


def test_an_embedding_tells_classes_apart():
    torch.manual_seed(0)
    head = MaskHead(1, channels=4, num_convs=2, num_embeddings=3)
    x, labels = torch.randn(2, 4, 14, 14), torch.tensor([2, 0])
    plain = MaskHead(1, channels=4, num_convs=2)
    plain.load_state_dict({name: v for name, v in head.state_dict().items() if not name.startswith("embedding")})
    assert torch.equal(head(x, labels), plain(x, labels)), "it starts at zero"
    torch.nn.init.normal_(head.embedding.weight)
    shifted = (head.convs[0](x) + head.embedding.weight[labels][:, :, None, None]).relu()
    features = head.attention(head.convs[1](shifted).relu())
    torch.testing.assert_close(head(x, labels), head.predictor(head.deconv(features).relu())[:, 0])


@pytest.mark.parametrize("n", [1, 3])
def test_folding(n):
    x = torch.randn(n, 5, 6, 6)
    assert torch.equal(fold_pixels(x), F.pixel_unshuffle(x, 2))
    assert torch.equal(unfold_pixels(fold_pixels(x)), x)


def test_one_mask_of_any_class():
    head = MaskHead(1, channels=4, num_convs=1)
    x = torch.randn(2, 4, 14, 14)
    assert torch.equal(head(x, torch.tensor([0, 5])), head(x)[:, 0])


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
