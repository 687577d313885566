import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.metrics.video_ap_cases import made_up, track
from tltm_graph.metrics.track_iou import frame_areas, track_iou
from tltm_graph.ops import decode_rle, encode_rle
from tltm_graph.structures import Track


def volumes(tracks: list[Track], num_frames: int) -> np.ndarray:
    """Pixels of each track in each frame, bool (N, T, H, W)."""
    pixels = np.zeros((len(tracks), num_frames, 256, 320), dtype=bool)
    for i, t in enumerate(tracks):
        pixels[i, list(t.frames)] = decode_rle(list(t.masks), (256, 320)).numpy()
    return pixels


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 9999))
def test_iou_is_that_of_all_pixels(seed):
    for _, truth, predicted in made_up(seed, 1):
        tracks, others = list(predicted.values()), list(truth.values())
        pixels, other_pixels = volumes(tracks, 4), volumes(others, 4)
        expected = np.zeros((len(tracks), len(others)))
        for i, p in enumerate(pixels):
            for j, g in enumerate(other_pixels):
                expected[i, j] = (p & g).sum() / max((p | g).sum(), 1)
        assert np.array_equal(track_iou(tracks, others), expected)
        # The boxes of these rectangles have whole corners and may stick out of the frame, where masks are cut off.
        inside = [[b[2] <= 320 and b[3] <= 256 for t in side for b in t.boxes] for side in (tracks, others)]
        if all(map(all, inside)):
            assert np.array_equal(track_iou(tracks, others, on="boxes"), expected)


def test_a_frame_with_one_of_the_two_adds_to_the_union():
    long, short = track({0: (0, 0, 8, 8), 1: (0, 0, 8, 8), 3: (0, 0, 8, 8)}), track({1: (0, 0, 8, 8)})
    for on in ("masks", "boxes"):
        assert track_iou([long, short], [long, short], on).tolist() == [[1, 1 / 3], [1 / 3, 1]]
    # 1/2 of the pixels in one frame and all in a larger one: not the mean of the frames.
    mixed = track({0: (0, 0, 4, 8), 1: (0, 0, 32, 32)}), track({0: (0, 0, 8, 8), 1: (0, 0, 32, 32)})
    assert track_iou([mixed[0]], [mixed[1]]).item() == (32 + 1024) / (64 + 1024)


def test_nothing():
    one, empty = track({0: (0, 0, 8, 8)}), track({0: (0, 0, 0, 0)})
    for on in ("masks", "boxes"):
        assert track_iou([], [], on).shape == (0, 0)
        assert track_iou([one], [], on).shape == (1, 0)
        assert track_iou([], [one, one], on).shape == (0, 2)
        assert track_iou([empty, one], [empty], on).tolist() == [[0], [0]]
        assert track_iou([track({1: (0, 0, 8, 8)})], [one], on).tolist() == [[0]], "no frame in common"
        assert frame_areas([], on) == []


def test_many_masks_and_random_pixels():
    masks = torch.rand((300, 9, 7), generator=torch.Generator().manual_seed(0)) < 0.5
    masks[7] = False
    rles = encode_rle(masks)
    tracks = [
        Track(tuple(range(100)), ((0.0, 0.0, 7.0, 9.0),) * 100, (1.0,) * 100, (0,) * 100, tuple(rles[i : i + 100]))
        for i in (0, 100, 200)
    ]
    pixels = masks.reshape(3, 100, 9, 7).numpy()
    assert np.array_equal(np.array(frame_areas(tracks, "masks")), pixels.sum(axis=(2, 3)))
    expected = [[(p & g).sum() / (p | g).sum() for g in pixels] for p in pixels]
    assert np.array_equal(track_iou(tracks, tracks), expected)


def test_fractions_of_boxes():
    p = Track((0, 1), ((0.5, 0.0, 2.0, 1.5), (0.0, 0.0, 1.0, 1.0)), (1.0, 1.0), (0, 0))
    g = Track((0,), ((1.0, 0.5, 3.0, 1.5),), (1.0,), (0,))
    assert track_iou([p], [g], on="boxes").item() == pytest.approx(1.0 / (2.25 + 1.0 + 2.0 - 1.0))


def test_what_cannot_be_compared():
    one = track({0: (0, 0, 8, 8), 2: (0, 0, 8, 8)})
    other_size = Track((2,), one.boxes[:1], (1.0,), (0,), tuple(encode_rle(torch.ones(1, 4, 5, dtype=torch.bool))))
    with pytest.raises(ValueError, match=r"Expected masks of 256×320 pixels .* got 4×5 in predicted track 1, frame 2"):
        track_iou([one, other_size], [one])
    with pytest.raises(ValueError, match=r"Expected masks, got none for true track 0"):
        track_iou([one], [Track(one.frames, one.boxes, one.scores, one.labels)])
    for box in ((3.0, 0.0, 1.0, 1.0), (0.0, 0.0, float("nan"), 1.0)):
        with pytest.raises(ValueError, match=r"Expected finite boxes .* in predicted track 0, frame 5"):
            track_iou([Track((5,), (box,), (1.0,), (0,))], [one], on="boxes")
