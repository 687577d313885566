import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tltm_graph.ops import decode_rle, encode_rle, rle_to_box


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
    with pytest.raises(ValueError, match="Expected masks of 4×4 pixels"):
        decode_rle(encode_rle(torch.ones(1, 3, 2, dtype=torch.bool)), (4, 4))
