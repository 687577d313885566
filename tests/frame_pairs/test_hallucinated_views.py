import pytest
import torch

from tltm_graph import Detections
from tltm_graph.frame_pairs.hallucinated_views import HallucinatedView

STILL = HallucinatedView(0, 0, (1, 1), 0, degraded=0)


def scene(n=2, side=64):
    torch.manual_seed(0)
    image = torch.randint(0, 256, (3, side, side)).to(torch.uint8)
    masks = torch.zeros(n, side, side, dtype=torch.bool)
    for k in range(n):
        masks[k, 10:30, 5 + 25 * k : 25 + 25 * k] = True
    boxes = torch.tensor([[5.0 + 25 * k, 10, 25 + 25 * k, 30] for k in range(n)]).reshape(n, 4)
    labels = torch.zeros(n, dtype=torch.int64)
    return image, Detections(boxes, torch.ones(n), labels, masks=masks, ids=7 + torch.arange(n))


def test_without_changes_a_view_is_the_image():
    image, objects = scene()
    view, shown = STILL(image, objects, torch.Generator().manual_seed(0))
    assert (view.float() - image.float()).abs().max() <= 1
    assert torch.equal(shown.masks, objects.masks)
    assert torch.equal(shown.boxes, objects.boxes)
    assert shown.ids.tolist() == [7, 8]


def test_another_background_keeps_the_objects():
    image, objects = scene()
    view, shown = STILL(image, objects, torch.Generator().manual_seed(0), torch.zeros_like(image))
    inside = objects.masks.any(dim=0)
    inner = torch.nn.functional.max_pool2d(1 - inside.float()[None], 3, 1, 1)[0] == 0
    outer = torch.nn.functional.max_pool2d(inside.float()[None], 3, 1, 1)[0] == 0
    assert (view[:, inner].float() - image[:, inner].float()).abs().max() <= 1
    assert (view[:, outer] == 0).all()
    assert len(shown) == 2


def test_other_light_is_monotone_per_channel():
    pixels = torch.arange(256.0).expand(3, 1, 256)
    for seed in range(5):
        relit = HallucinatedView().relight(pixels, torch.Generator().manual_seed(seed))
        assert (relit.diff(dim=2) >= 0).all()
        assert 0 <= relit.min() <= relit.max() <= 255
        assert relit[:, 0, 0].tolist() == [0, 0, 0]


@pytest.mark.parametrize("n", [0, 1, 2])
def test_views_are_reproducible_and_valid(n):
    image, objects = scene(n)
    for seed in range(8):
        views = [
            HallucinatedView(degraded=0.5)(image, objects, torch.Generator().manual_seed(seed), relit=True)
            for _ in range(2)
        ]
        (view, shown), (again, _) = views
        assert torch.equal(view, again)
        assert view.dtype == torch.uint8
        assert view.shape == image.shape
        assert set(shown.ids.tolist()) <= {7, 8}
        for box, mask in zip(shown.boxes, shown.masks, strict=True):
            rows, columns = mask.any(dim=1).nonzero().flatten(), mask.any(dim=0).nonzero().flatten()
            assert box.tolist() == [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
            assert mask.sum() >= 40


def test_small_objects_are_in_front_and_tiny_ones_are_dropped():
    image, objects = scene()
    masks = objects.masks.clone()
    masks[0] = True  # behind the other
    masks[1] = False
    masks[1, 0:10, 0:10] = True
    _, shown = STILL(image, objects.replace(masks=masks), torch.Generator())
    assert [int(mask.sum()) for mask in shown.masks] == [64 * 64 - 100, 100]
    masks[1, 5:] = False
    masks[1, :, 5:] = False
    _, shown = STILL(image, objects.replace(masks=masks), torch.Generator())
    assert shown.ids.tolist() == [7]
