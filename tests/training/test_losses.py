import pytest
import torch
import torch.distributed as dist

from tltm_graph.detectors.centermask.fcos import DenseOutput, DenseTargets
from tltm_graph.training.losses import edge_loss, fcos_losses, mask_loss, smoothed_giou, transition_loss


def giou_of_corners(a, b):
    """From the corners of two boxes, with the ones that FCOS adds."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    intersection = max(0, width) * max(0, height)
    area_a, area_b = (a[2] - a[0]) * (a[3] - a[1]), (b[2] - b[0]) * (b[3] - b[1])
    hull = (max(a[2], b[2]) - min(a[0], b[0])) * (max(a[3], b[3]) - min(a[1], b[1]))
    union = area_a + area_b - intersection
    return (intersection + 1) / (union + 1) - (hull - union) / hull


def test_giou():
    torch.manual_seed(0)
    a, b = torch.rand(20, 4) * 9, torch.rand(20, 4) * 9
    corners = [[(-d[0], -d[1], d[2], d[3]) for d in boxes.tolist()] for boxes in (a, b)]
    expected = [giou_of_corners(*pair) for pair in zip(*corners, strict=True)]
    torch.testing.assert_close(smoothed_giou(a, b), torch.tensor(expected), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(smoothed_giou(a, a), torch.ones(20))


def output(batch=2, num_classes=3):
    torch.manual_seed(0)
    shapes = (num_classes, 4, 1)
    logits, distances, centerness = (torch.randn(batch, channels, 2, 3) for channels in shapes)
    return DenseOutput(logits.requires_grad_(), distances.abs().requires_grad_(), centerness.requires_grad_())


def test_fcos_cell_by_cell():
    level = output()
    labels = torch.full((2, 6), -1)
    labels[0, 1], labels[1, 4] = 2, 0
    distances = torch.rand(2, 6, 4) + 0.1
    losses = fcos_losses([level], DenseTargets(labels, distances))
    focal = ctr = loc = weight = 0.0
    for image in range(2):
        for cell in range(6):
            i, j = divmod(cell, 3)
            for c in range(3):
                p = level.logits[image, c, i, j].sigmoid().item()
                positive = int(labels[image, cell]) == c
                focal += (
                    -0.25 * (1 - p) ** 2 * torch.tensor(p).log()
                    if positive
                    else -0.75 * p**2 * torch.tensor(1 - p).log()
                )
            if labels[image, cell] >= 0:
                left, top, right, bottom = distances[image, cell].tolist()
                c = (min(left, right) / max(left, right) * min(top, bottom) / max(top, bottom)) ** 0.5
                q = level.centerness[image, 0, i, j].sigmoid()
                ctr += -(c * q.log() + (1 - c) * (1 - q).log())
                ours = level.distances[image, :, i, j].tolist()
                boxes = [(-d[0], -d[1], d[2], d[3]) for d in (ours, (left, top, right, bottom))]
                loc += c * (1 - giou_of_corners(*boxes))
                weight += c
    assert float(losses["fcos_cls"]) == pytest.approx(float(focal) / 2, rel=1e-4)
    assert float(losses["fcos_ctr"]) == pytest.approx(float(ctr) / 2, rel=1e-4)
    assert float(losses["fcos_loc"]) == pytest.approx(loc / weight, rel=1e-4)


def test_fcos_of_empty_images():
    level = output()
    losses = fcos_losses([level], DenseTargets(torch.full((2, 6), -1), torch.zeros(2, 6, 4)))
    assert losses["fcos_cls"] > 0
    assert losses["fcos_loc"] == losses["fcos_ctr"] == 0
    sum(losses.values()).backward()
    assert torch.isfinite(level.logits.grad).all()
    assert (level.distances.grad == 0).all()


@pytest.mark.parametrize("loss", [mask_loss, edge_loss])
def test_cross_entropies(loss):
    shape = (3, 4, 4) if loss is mask_loss else (5,)
    logits, labels = torch.randn(shape), (torch.rand(shape) > 0.5).float()
    p = logits.sigmoid()
    torch.testing.assert_close(loss(logits, labels), -(labels * p.log() + (1 - labels) * (1 - p).log()).mean())
    nothing = torch.zeros((0, *shape[1:]), requires_grad=True)
    value = loss(nothing, nothing.detach())
    value.backward()
    assert value == 0


def test_transition():
    a, b = torch.randn(4, 8), torch.randn(4, 8)
    torch.testing.assert_close(transition_loss(a, b), ((a - b) ** 2).mean())
    assert transition_loss(a[:0], b[:0]) == 0


def test_denominators_are_averaged_over_processes(tmp_path, monkeypatch):
    labels = torch.full((2, 6), -1)
    labels[0, :4] = 0
    targets = DenseTargets(labels, torch.ones(2, 6, 4))
    alone = fcos_losses([output()], targets)["fcos_cls"]
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/group", rank=0, world_size=1)
    try:
        torch.testing.assert_close(fcos_losses([output()], targets)["fcos_cls"], alone)
        monkeypatch.setattr(dist, "get_world_size", lambda: 2)  # as if another process had found nothing: 4 / 2 objects
        torch.testing.assert_close(fcos_losses([output()], targets)["fcos_cls"], 2 * alone)
    finally:
        monkeypatch.undo()
        dist.destroy_process_group()
