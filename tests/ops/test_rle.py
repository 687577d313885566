import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tltm_graph.ops.rle import (
    check_rles,
    decode_rle,
    encode_rle,
    merge_rles,
    rle_areas,
    rle_intervals,
    rle_to_box,
    rles_from_tensors,
    rles_to_tensors,
    runs_to_rle,
    to_coco,
)


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


def test_whatever_reaches_pycocotools_is_valid():
    """Each of these crashed the process, or returned memory that is not its own."""
    whole = encode_rle(torch.ones(1, 5, 5, dtype=torch.bool))[0]
    damaged = [
        {**whole, "size": [2**30, 960]},
        {**whole, "size": [4_800_000, 6_400_000]},
        {**whole, "size": [0, 5]},
        {**whole, "size": [-5, -5]},
        {**whole, "size": [5, 5, 1]},
        {**whole, "size": [5.0, 5]},
        {**whole, "size": [True, 25]},
        {**whole, "size": ["5", "5"]},
        {**whole, "size": "55"},
        {**whole, "size": None},
        {"counts": whole["counts"]},
        {"size": [5, 5]},
        {**whole, "counts": whole["counts"].encode()},
        {**whole, "counts": [0, 25]},
        *(
            {**whole, "counts": counts}
            for counts in ("", "0", "0i", "0PP", "0Q0", whole["counts"] + "\0", "0i0\x7f", "0i0é")
        ),
    ]
    for rle in damaged:
        size = rle.get("size")
        frame = (size[0], size[1]) if isinstance(size, list) and len(size) == 2 else (5, 5)
        calls = [
            lambda r=rle: rle_areas([r]),
            lambda r=rle: rle_to_box(r),
            lambda r=rle: rle_intervals([r]),
            lambda r=rle, f=frame: decode_rle([r], f),
            lambda r=rle, f=frame: check_rles([r], f, str),
        ]
        for call in calls:
            with pytest.raises(ValueError, match="Expected"):
                call()
    for rle in damaged[2:10]:
        with pytest.raises(ValueError, match="Expected masks with a height and width"):
            to_coco([rle])
    for rle in (damaged[0], {**whole, "counts": "0i"}, {**whole, "counts": "0Q0"}):
        with pytest.raises(ValueError, match="Expected"):
            merge_rles([rle, rle])


@pytest.mark.parametrize("groups", [7, 8, 11, 12, 13, 14, 40])
@pytest.mark.parametrize("last", ["0", "1", "?", "O"])
def test_long_numbers_do_not_overflow(groups, last):
    """pycocotools shifts 32-bit numbers, NumPy 64-bit ones: a run of many groups can mean anything."""
    for filling in "Po":
        rle = {"size": [5, 5], "counts": filling * (groups - 1) + last + "i0"}
        with pytest.raises(ValueError, match="Expected runs that cover"):
            decode_rle([rle], (5, 5))


@given(st.text(alphabet=[chr(code) for code in range(45, 115)], max_size=12), st.integers(1, 9), st.integers(1, 9))
def test_what_the_check_accepts_decodes_exactly(counts, height, width):
    """A slow, obvious parser decides which random strings are masks."""
    runs, number, place = [], 0, 0
    valid = all("0" <= character <= "o" for character in counts)
    for character in counts if valid else "":
        code = ord(character) - 48
        number += (code & 31) << 5 * place
        place += 1
        if not code & 32:
            number -= (1 << 5 * place) if code & 16 else 0
            runs.append(number + (runs[-2] if len(runs) > 2 else 0))
            valid, number, place = valid and place <= 6, 0, 0
    valid = valid and not place and min(runs, default=0) >= 0 and sum(runs) == height * width
    rle = {"size": [height, width], "counts": counts}
    if not valid:
        with pytest.raises(ValueError, match="Expected runs that cover"):
            check_rles([rle], (height, width), str)
        return
    pixels = [index % 2 for index, run in enumerate(runs) for _ in range(run)]
    assert decode_rle([rle], (height, width))[0].T.reshape(-1).int().tolist() == pixels


def test_packed_masks_that_are_damaged():
    packed = rles_to_tensors(encode_rle(torch.ones(2, 5, 5, dtype=torch.bool)))
    assert rles_from_tensors(packed) == encode_rle(torch.ones(2, 5, 5, dtype=torch.bool))
    changes = [
        {"size": torch.tensor([5.0, 5.0])},
        {"size": torch.tensor([0, 5])},
        {"size": torch.tensor(5)},
        {"length": torch.tensor([-3, 3])},
        {"length": torch.tensor([2**62, 2**62])},
        {"length": torch.tensor([99])},
        {"length": torch.tensor([[1]])},
        {"length": torch.tensor([1.0])},
        {"text": torch.tensor([200], dtype=torch.uint8), "length": torch.tensor([1])},
        {"text": torch.tensor([50])},
    ]
    for change in changes:
        with pytest.raises(ValueError, match="Expected packed masks"):
            rles_from_tensors({**packed, **change})
    with pytest.raises(ValueError, match="Expected packed masks"):
        rles_from_tensors({"size": packed["size"]})


def test_many_masks_of_a_large_frame():
    rles = [
        {"size": [3000, 3000], "counts": encode_rle(torch.zeros(1, 3000, 3000, dtype=torch.bool))[0]["counts"]}
    ] * 200
    with pytest.raises(ValueError, match=r"at most 1431655760 pixels .* 200 masks of 3000×3000 .*--max-pixels"):
        decode_rle(rles, (3000, 3000))


def test_empty_runs_are_merged():
    """pycocotools stops comparing two masks where both have an empty run."""
    rle = runs_to_rle([2, 1, 0, 3, 0, 0, 4], (2, 5), "here")
    assert rle == encode_rle(torch.tensor([0, 0, 1, 1, 1, 1, 0, 0, 0, 0], dtype=torch.bool).reshape(1, 5, 2).mT)[0]
    assert runs_to_rle([0, 0, 10], (2, 5), "here") == runs_to_rle([10], (2, 5), "here")
