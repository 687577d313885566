import math
from collections.abc import Iterable

import numpy as np
import pytest
import torch

from benchmarks.association_corruption import corrupted, missing_in_bursts, missing_singly
from benchmarks.association_groups import load_group
from tests.metrics.official_data import DATA, needs_shared
from tltm_graph.formats.youtube_vis import read_youtube_vis
from tltm_graph.ops import decode_rle, encode_rle, masks_to_boxes
from tltm_graph.structures import Observation, Tracks

SIZE = (90, 160)


def boxes(num_frames: int = 60, num_objects: int = 5) -> Tracks:
    """Objects of different size that move a little; the frames 7 to 9 are empty."""
    rows = [
        (frame, Observation(3 * i + 1, (20.0 * i, 10.0 + frame / 10, 20.0 * i + 15 + i, 60.0)))
        for frame in range(num_frames)
        for i in range(num_objects)
        if not 7 <= frame <= 9
    ]
    return Tracks.from_observations(rows, SIZE, num_frames)


def nothing_missing(truth: Tracks, random: np.random.Generator) -> set[tuple[int, int]]:
    return set()


def test_boxes_against_the_recipe_written_out_number_by_number():
    truth = boxes()
    random = np.random.default_rng(3)
    gone = set()
    for i in sorted(truth):
        frames, lost, j = truth[i].frames, random.random() < 0.2, 0
        while j < len(frames):
            n = int(random.integers(1, 16)) if lost else int(random.geometric(1 / 32))
            for k in range(j, min(j + n, len(frames))):
                if lost:
                    gone.add((frames[k], i))
            j += n
            lost = not lost
    expected = []
    for frame, rows in truth.observations():
        kept = [row for row in rows if (frame, row.id) not in gone]
        noise = random.normal(size=(len(kept), 4)).tolist()
        made = []
        for row, z in zip(kept, noise, strict=True):
            x0, y0, x1, y1 = row.box
            w, h = x1 - x0, y1 - y0
            x, y = (x0 + x1) / 2 + 0.05 * w * z[0], (y0 + y1) / 2 + 0.05 * h * z[1]
            w, h = w * math.exp(0.05 * z[2]), h * math.exp(0.05 * z[3])
            made.append((x - w / 2, y - h / 2, x + w / 2, y + h / 2))
        k = random.binomial(len(rows), 0.05)
        source = random.integers(0, max(len(rows), 1), size=k)
        z, u = random.normal(size=(k, 2)), random.random((k, 2))
        for number in range(k):
            x0, y0, x1, y1 = rows[source[number]].box
            w, h = (x1 - x0) * math.exp(0.05 * z[number, 0]), (y1 - y0) * math.exp(0.05 * z[number, 1])
            x, y = u[number, 0] * SIZE[1], u[number, 1] * SIZE[0]
            made.append((x - w / 2, y - h / 2, x + w / 2, y + h / 2))
        expected.append([made[i] for i in random.permutation(len(made))])
    found = list(corrupted(truth, missing_in_bursts, seed=3))
    assert sum(map(len, found)) > 150
    assert [len(rows) for rows in found] == [len(rows) for rows in expected]
    for rows, others in zip(found, expected, strict=True):
        assert [row.id for row in rows] == list(range(len(rows)))
        assert all(row.score == 1 and row.label == 0 and row.mask is None for row in rows)
        for row, other in zip(rows, others, strict=True):
            assert row.box == pytest.approx(other)


def test_missing_singly_takes_a_tenth_frame_by_frame():
    truth = boxes(2000)
    missing = missing_singly(truth, np.random.default_rng(0))
    random = np.random.default_rng(0)
    assert missing == {(f, row.id) for f, rows in truth.observations() for row in rows if random.random() < 0.1}
    assert len(missing) / sum(map(len, truth.values())) == pytest.approx(0.1, abs=0.01)


def test_masks_are_stretched_with_nearest_neighbours():
    generator = torch.Generator().manual_seed(0)
    masks = torch.zeros(12, *SIZE, dtype=torch.bool)
    for i, mask in enumerate(masks):  # ragged blobs, some at the border, where stretched ones are cut off
        y, x = 6 * i, min(13 * i, SIZE[1] - 14)
        mask[y : y + 9, x : x + 14] = torch.rand(mask[y : y + 9, x : x + 14].shape, generator=generator) < 0.7
    tight = masks_to_boxes(masks)
    objects = enumerate(zip(tight.tolist(), encode_rle(masks), strict=True))
    rows = [(0, Observation(number, tuple(corners), mask=rle)) for number, (corners, rle) in objects]
    plain = [(frame, row._replace(mask=None)) for frame, row in rows]
    for seed in range(4):
        (placed,) = corrupted(Tracks.from_observations(plain, SIZE), nothing_missing, seed)
        (found,) = corrupted(Tracks.from_observations(rows, SIZE), nothing_missing, seed)
        order = source_of_each(12, seed)
        expected = [stretched(masks[i], tight[i].int().tolist(), row.box) for i, row in zip(order, placed, strict=True)]
        expected = [mask for mask in expected if mask.any()]
        got = decode_rle([row.mask for row in found], SIZE)
        assert torch.equal(got, torch.stack(expected))
        assert torch.equal(torch.tensor([row.box for row in found]), masks_to_boxes(got))


def source_of_each(count: int, seed: int) -> list[int]:
    """Which object each detection of a single frame was made of, when nothing is missing."""
    random = np.random.default_rng(seed)
    random.normal(size=(count, 4))
    k = random.binomial(count, 0.05)
    copied = random.integers(0, count, size=k)
    random.normal(size=(k, 2)), random.random((k, 2))
    return np.concatenate([np.arange(count), copied])[random.permutation(count + k)].tolist()


def stretched(mask: torch.Tensor, tight: list[int], box: tuple[float, ...]) -> torch.Tensor:
    """Pixel by pixel."""
    left, top, right, bottom = tight
    x0, y0, x1, y1 = map(round, box)
    w, h = max(x1 - x0, 1), max(y1 - y0, 1)
    result = torch.zeros_like(mask)
    for i in range(h):
        for j in range(w):
            if 0 <= y0 + i < SIZE[0] and 0 <= x0 + j < SIZE[1]:
                y = top + math.floor((i + 0.5) * (bottom - top) / h)
                x = left + math.floor((j + 0.5) * (right - left) / w)
                result[y0 + i, x0 + j] = mask[y, x]
    return result


def test_nothing_at_all():
    assert list(corrupted(Tracks({}, SIZE, 0), missing_singly, 0)) == []
    assert list(corrupted(Tracks({}, SIZE, 2), missing_in_bursts, 0)) == [[], []]


def test_a_video_of_unknown_size():
    with pytest.raises(ValueError, match="Expected the truth of a video of known size"):
        next(corrupted(Tracks({}, None, 2), missing_singly, 0))


@pytest.mark.slow
@needs_shared
@pytest.mark.parametrize(
    ("group", "expected"),
    [
        ("MOT17c", {"MOT17-02": (15808, 12471639.93), "MOT17-09": (4674, 5675702.56)}),
        ("MOTS20c", {"MOTS20-05": (6191, 1710107)}),
    ],
)
def test_check_values(group, expected):
    sequences = {sequence.name: sequence.detected for sequence in load_group(group, DATA, seed=0).sequences}
    for name, values in expected.items():
        assert count_and_sum(sequences[name]) == pytest.approx(values, abs=0.01)
    if group == "MOT17c":
        x0, y0, x1, y1 = sequences["MOT17-09"][0][0].box
        assert [x0, y0, x1 - x0, y1 - y0] == pytest.approx([1681.086, -92.432, 146.401, 325.848], abs=1e-3)


@needs_shared
def test_check_values_of_cells():
    (video,) = read_youtube_vis(DATA / "cells" / "PhC-C2DH-U373_01.json.gz")
    assert count_and_sum(corrupted(video.tracks(), missing_singly, seed=0)) == (692, 144081)


def count_and_sum(found: Iterable[Iterable[Observation]]) -> tuple[int, float]:
    """Number of detections, and sum of their left edges."""
    left = [row.box[0] for rows in found for row in rows]
    return len(left), sum(left)
