import pytest
import torch
import torch.nn.functional as F

import tltm_graph.ops.paste as paste
from tltm_graph.ops import paste_masks


def pasted_one_by_one(masks, boxes, size):
    """Every mask sampled at the centre of every pixel."""
    height, width = size
    out = []
    for mask, (x0, y0, x1, y1) in zip(masks, boxes, strict=True):
        y = (torch.arange(height) + 0.5 - y0) / (y1 - y0) * 2 - 1
        x = (torch.arange(width) + 0.5 - x0) / (x1 - x0) * 2 - 1
        grid = torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=2)
        out.append(F.grid_sample(mask[None, None], grid[None], align_corners=False)[0, 0] >= 0.5)
    return torch.stack(out)


@pytest.mark.parametrize("size", [(40, 60), (1, 1), (7, 200)])
def test_same_pixels_as_sampling(size):
    torch.manual_seed(0)
    masks, corner = torch.rand(12, 28, 28), torch.rand(12, 2) * 50 - 10
    boxes = torch.cat([corner, corner + 1 + torch.rand(12, 2) * 40], dim=1)
    assert torch.equal(paste_masks(masks, boxes, size), pasted_one_by_one(masks, boxes, size))


def test_one_huge_box_fills_the_frame():
    masks = paste_masks(torch.ones(1, 28, 28), torch.tensor([[-1e4, -1e4, 1e4, 1e4]]), (9, 11))
    assert masks.all()


def test_boxes_without_area_stay_empty():
    boxes = torch.tensor([[2.5, 2.5, 2.5, 2.5], [3.0, 1.0, 3.0, 8.0]])
    assert not paste_masks(torch.ones(2, 28, 28), boxes, (9, 11)).any()


def test_no_masks():
    assert paste_masks(torch.zeros(0, 28, 28), torch.zeros(0, 4), (9, 11)).shape == (0, 9, 11)


def test_large_frames_are_pasted_in_parts(monkeypatch):
    torch.manual_seed(0)
    masks, boxes = torch.rand(5, 28, 28), torch.tensor([[1.0, 2.0, 9.0, 8.0]]).repeat(5, 1)
    whole = paste_masks(masks, boxes, (10, 12))
    monkeypatch.setattr(paste, "_CANVAS", 240)
    assert torch.equal(paste_masks(masks, boxes, (10, 12)), whole)


def test_shapes_are_checked():
    with pytest.raises(ValueError, match=r"Expected masks \(N, R, R\) and boxes \(N, 4\)"):
        paste_masks(torch.zeros(2, 28, 28), torch.zeros(3, 4), (9, 11))
