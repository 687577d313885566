import pytest
import torch

from tests.frame_pairs.cases import picture
from tltm_graph.frame_pairs.hallucinated_motion import motion_blur, motion_kernel


@pytest.mark.parametrize("length", [3, 7, 9])
@pytest.mark.parametrize("angle", [0.0, 33.0, 90.0, 250.0])
@pytest.mark.parametrize("lean", [-1.0, 0.0, 0.4])
def test_kernels_are_weights(length, angle, lean):
    kernel = motion_kernel(length, angle, lean)
    assert kernel.shape == (length, length)
    assert kernel.min() >= 0
    torch.testing.assert_close(kernel.sum(), torch.tensor(1.0))


def test_directions():
    upright, lying = motion_kernel(7, 0.0), motion_kernel(7, 90.0)
    assert upright[:, 3].tolist() == pytest.approx([1 / 7] * 7)
    torch.testing.assert_close(lying, upright.T, atol=1e-6, rtol=0)
    leaning = motion_kernel(7, 0.0, lean=1.0)[:, 3]
    assert leaning.tolist() == pytest.approx([n / 21 for n in (6, 5, 4, 3, 2, 1, 0)])
    turned = motion_kernel(9, 30.0)
    y, x = torch.meshgrid(torch.arange(-4.0, 5), torch.arange(-4.0, 5), indexing="ij")
    assert -(turned * x * y).sum() / (turned * y * y).sum() == pytest.approx(-(3**-0.5), abs=0.05)


def test_pixel_by_pixel():
    image, kernel = picture(0, (12, 14)), motion_kernel(7, 40.0, 0.3)
    blurred = motion_blur(image, kernel)
    for y, x in ((0, 0), (5, 6), (11, 13), (2, 13)):
        total = torch.zeros(3)
        for i in range(7):
            for j in range(7):
                total += kernel[i, j] * image[:, min(11, max(0, y + i - 3)), min(13, max(0, x + j - 3))]
        torch.testing.assert_close(blurred[:, y, x].float(), total, atol=0.501, rtol=0)


def test_what_is_plain_stays_plain():
    image = torch.full((3, 2, 3), 200, dtype=torch.uint8)  # smaller than the kernel
    assert torch.equal(motion_blur(image, motion_kernel(9, 77.0)), image)
