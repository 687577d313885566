import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tltm_graph.ops.rle import check_rles, decode_rle, encode_rle, rle_areas, rle_to_box


@given(n=st.integers(0, 4), height=st.integers(1, 12), width=st.integers(1, 12), seed=st.integers(0, 99))
def test_round_trip(n, height, width, seed):
    masks = torch.rand((n, height, width), generator=torch.Generator().manual_seed(seed)) < 0.4
    assert torch.equal(decode_rle(encode_rle(masks), (height, width)), masks)


def test_known_encoding():
    # Columns first, runs of 0s and 1s in turn: 1 zero, 2 ones, 3 zeros.
    mask = torch.tensor([[[0, 0], [1, 0], [1, 0]]], dtype=torch.bool)
    assert encode_rle(mask) == [{"size": [3, 2], "counts": "123"}]
    assert rle_to_box(encode_rle(mask)[0]) == [0, 1, 1, 2]


def test_another_size_is_an_error():
    with pytest.raises(ValueError, match="Expected a mask of 4×4 pixels"):
        decode_rle(encode_rle(torch.ones(1, 3, 2, dtype=torch.bool)), (4, 4))


def random_rles(seed: int, count: int = 40, size: tuple[int, int] = (37, 53)):
    random = torch.Generator().manual_seed(seed)
    smooth = torch.nn.functional.avg_pool2d(torch.rand(count, *size, generator=random), 5, 1, 2)
    masks = smooth > torch.rand(count, 1, 1, generator=random) * 0.4 + 0.3
    masks[0], masks[1] = False, True
    return encode_rle(masks), masks


@pytest.mark.parametrize("seed", range(5))
def test_areas_are_pixels(seed):
    rles, masks = random_rles(seed)
    assert rle_areas(rles).tolist() == masks.flatten(1).sum(dim=1).tolist()
    check_rles(rles, (37, 53), str)
    assert rle_areas([]).tolist() == []
    check_rles([], (37, 53), str)


@pytest.mark.parametrize("cut", [1, 2, 5, 1000])
def test_a_truncated_encoding_is_reported(cut):
    rles, _ = random_rles(0)
    rles[7] = {**rles[7], "counts": rles[7]["counts"][:-cut]}
    with pytest.raises(ValueError, match=r"Expected runs that cover the 37×53 pixels .* in object 7"):
        check_rles(rles, (37, 53), lambda i: f"object {i}")


def test_encodings_of_another_kind_are_refused():
    rles, _ = random_rles(0)
    with pytest.raises(ValueError, match=r"mask of 37×54 pixels .*got one of size \[37, 53\] in 0"):
        check_rles(rles, (37, 54), str)
    with pytest.raises(ValueError, match="cover 1961 pixels"):
        check_rles([{**rles[1], "size": [37, 54]}], (37, 54), str)
    with pytest.raises(ValueError, match="a string of counts"):
        check_rles([{"size": [37, 53], "counts": [1, 2]}], (37, 53), str)
