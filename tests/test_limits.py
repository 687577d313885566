import pytest

from tltm_graph.limits import Limits, check_length, check_pixels, check_size, current_limits, limits


def test_limits_hold_in_their_context_alone():
    before = current_limits()
    with limits(Limits(max_pixels=4, max_length=2, max_size=1)):
        check_pixels(2, 2, "a mask")
        check_length(2, "'a.csv'")
        check_size(2**20, "'a.gz'")
        with pytest.raises(ValueError, match=r"at most 4 pixels in a mask, got 1×5 .*--max-pixels"):
            check_pixels(1, 5, "a mask")
        with pytest.raises(ValueError, match=r"at most 2 frames in 'a.csv', got 3: .*--max-length"):
            check_length(3, "'a.csv'")
        with pytest.raises(ValueError, match=r"at most 1 MiB after decompression in 'a.gz', .*--max-size"):
            check_size(2**20 + 1, "'a.gz'")
    assert current_limits() is before
    check_pixels(4320, 7680, "a frame of 8K")


@pytest.mark.parametrize("size", [(0, 5), (5, -1)])
def test_sizes_are_positive(size):
    with pytest.raises(ValueError, match="at least 1 pixel in a mask"):
        check_pixels(*size, "a mask")


@pytest.mark.parametrize("name", ["max_size", "max_pixels", "max_length"])
def test_a_limit_is_positive(name):
    with pytest.raises(ValueError, match=f"limit {name} of at least 1"):
        Limits(**{name: 0})
