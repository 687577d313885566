import pytest
import torch
import torchvision.transforms.v2.functional as F

from tltm_graph.detectors.centermask.flow_alignment import NUM_CUES, FlowAlignment, correlation, cues, warp


def texture(seed=0, size=(120, 160)):
    """Random colours."""
    noise = torch.rand(1, 3, size[0] // 4, size[1] // 4, generator=torch.Generator().manual_seed(seed))
    return (255 * torch.nn.functional.interpolate(noise, size, mode="bicubic").clamp(0, 1))[0].to(torch.uint8)


def shifted(image, x, y):
    """Content moved right by x and down by y pixels."""
    return torch.roll(image, (y, x), (1, 2))


def bilinear(level, x, y):
    """Value of a map (C, H, W) at a place, between the centres of pixels; the border is repeated."""
    height, width = level.shape[1:]
    x, y = min(max(x, 0), width - 1), min(max(y, 0), height - 1)
    left, top = int(x), int(y)
    right, bottom = min(left + 1, width - 1), min(top + 1, height - 1)
    u, v = x - left, y - top
    return (1 - v) * ((1 - u) * level[:, top, left] + u * level[:, top, right]) + v * (
        (1 - u) * level[:, bottom, left] + u * level[:, bottom, right]
    )


def test_a_map_is_sampled_where_the_flow_points_to():
    level = torch.randn(1, 2, 5, 7)
    flow = torch.randn(2, 5, 7)
    warped = warp(level, flow)
    for y in range(5):
        for x in range(7):
            expected = bilinear(level[0], x + float(flow[0, y, x]), y + float(flow[1, y, x]))
            torch.testing.assert_close(warped[0, :, y, x], expected, atol=1e-5, rtol=1e-5)


def test_a_map_of_half_the_size_moves_half_as_many_pixels():
    level = torch.randn(1, 2, 6, 8)
    flow = torch.tensor([4.0, -2.0])[:, None, None].expand(2, 12, 16)
    expected = torch.roll(level, (1, -2), (2, 3))
    torch.testing.assert_close(warp(level, flow)[..., 1:, :-2], expected[..., 1:, :-2], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("change", ["none", "dark", "bright"])
def test_the_flow_points_back_to_the_previous_frame(change):
    alignment = FlowAlignment(size=(120, 160))
    before = texture()
    now = {
        "none": lambda i: i,
        "dark": lambda i: F.adjust_brightness(i, 0.3),
        "bright": lambda i: F.adjust_gamma(i, 0.6),
    }[change](shifted(before, 5, -3))
    flow = alignment.flow(alignment.grey(before), alignment.grey(now))
    inner = flow[:, 20:-20, 20:-20].flatten(1)
    assert inner.median(dim=1).values.tolist() == pytest.approx([-5, 3], abs=0.3)


LEVELS = [torch.randn(1, 3, 26, 26), torch.randn(1, 3, 13, 13)]


def test_maps_are_aligned_with_their_cues():
    alignment = FlowAlignment()
    before, now = alignment.grey(texture()), alignment.grey(shifted(texture(), 4, 0))
    aligned = alignment.align(LEVELS, before, now)
    flow = alignment.flow(before, now)
    for level, original in zip(aligned, LEVELS, strict=True):
        assert level.shape == (1, 3 + NUM_CUES, *original.shape[2:])
        assert torch.equal(level[:, :3], warp(original, flow))
        assert (level[:, -1, 2:-2, 2:-2] > 0.8).all(), "both frames agree"


def test_a_cut_is_not_aligned():
    alignment = FlowAlignment()
    before, after = alignment.grey(texture(0)), alignment.grey(texture(1))
    assert alignment.align(LEVELS, before, before) is not None
    assert alignment.align(LEVELS, before, after) is None


@pytest.mark.parametrize("colour", [0, 128, 255])
def test_a_frame_of_one_colour_is_not_aligned(colour):
    alignment = FlowAlignment()
    plain, other = alignment.grey(torch.full((3, 50, 60), colour, dtype=torch.uint8)), alignment.grey(texture())
    for before, now in ((plain, other), (other, plain), (plain, plain)):
        assert alignment.align(LEVELS, before, now) is None


def window(image, y, x, reach):
    return image[max(0, y - reach) : y + reach + 1, max(0, x - reach) : x + reach + 1].flatten()


def test_cues_equal_their_formula():
    both = torch.rand(2, 16, 20, generator=torch.Generator().manual_seed(0)) * 255
    found = cues(*both[:, None, None])[0]
    assert found.shape == (NUM_CUES, 4, 5)
    smooth, smoother = torch.zeros(2, 16, 20), torch.zeros(2, 16, 20)
    for k in range(2):
        for y in range(16):
            for x in range(20):
                smooth[k, y, x], smoother[k, y, x] = window(both[k], y, x, 1).mean(), window(both[k], y, x, 4).mean()
    cells = both.reshape(2, 4, 4, 5, 4).mean(dim=(2, 4))
    for y in range(4):
        for x in range(5):
            cell = slice(4 * y, 4 * y + 4), slice(4 * x, 4 * x + 4)
            parts = [(both - smooth).abs()[k][cell] for k in range(2)]
            parts += [(smooth - smoother).abs()[k][cell] for k in range(2)]
            parts.append((smooth[0] - smooth[1]).abs()[cell])
            expected = [(1 + part.mean()).log() / 4 for part in parts]
            torch.testing.assert_close(found[:5, y, x], torch.stack(expected), atol=1e-4, rtol=1e-4)
            a, b = (window(cells[k], y, x, 2) for k in range(2))
            covariance = ((a - a.mean()) * (b - b.mean())).mean()
            correlated = covariance / ((a.var(correction=0) + 4) * (b.var(correction=0) + 4)).sqrt()
            torch.testing.assert_close(found[5, y, x], correlated, atol=1e-3, rtol=1e-3)


def test_cues_of_the_same_frame():
    grey = FlowAlignment().grey(texture())[None, None].float()
    first, second = cues(grey, grey)[0, :2]
    assert torch.equal(first, second)
    blurred = torch.nn.functional.avg_pool2d(grey, 5, 1, 2)
    assert (cues(grey, blurred)[0, 1] < first).float().mean() > 0.8, "a blurred frame has less contrast"
    assert not cues(torch.zeros_like(grey), torch.zeros_like(grey)).any()


def test_a_frozen_frame_does_not_move():
    alignment = FlowAlignment(size=(120, 160))
    grey = alignment.grey(texture())
    assert float(alignment.flow(grey, grey).abs().max()) < 0.1


def test_correlation_equals_that_of_each_window():
    first, second = torch.rand(2, 60, 84, generator=torch.Generator().manual_seed(0)) * 255
    half = [image.reshape(30, 2, 42, 2).mean(dim=(1, 3)) for image in (first, second)]
    found = []
    for top in range(0, 30 - 12, 6):
        for left in range(0, 42 - 12, 6):
            x, y = (image[top : top + 13, left : left + 13].flatten() for image in half)
            covariance = ((x - x.mean()) * (y - y.mean())).mean()
            found.append(covariance / ((x.var(correction=0) + 4) * (y.var(correction=0) + 4)).sqrt())
    assert correlation(first, second) == pytest.approx(float(torch.stack(found).median()), abs=1e-4)


def test_a_covered_part_is_no_cut():
    alignment = FlowAlignment()
    before, now = texture(), texture()
    now[:, 30:90, 40:110] = torch.tensor([250, 10, 90])[:, None, None]
    assert alignment.align(LEVELS, alignment.grey(before), alignment.grey(now)) is not None
