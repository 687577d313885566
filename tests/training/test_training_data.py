from itertools import islice

import pytest
import torch

from tltm_graph import MovingShapes
from tltm_graph.frame_pairs import FlipPair
from tltm_graph.training import PairData, RenderedVideos
from tltm_graph.training.training_data import TrainingStream

NAMES = MovingShapes.class_names


class Counting:
    def __getitem__(self, k):
        return k


def batches(step, count, *, batch_size=4, workers=0, **of):
    return list(islice(TrainingStream(Counting(), batch_size, workers).loader(step, **of), count))


def test_a_step_is_a_slice_of_the_stream():
    assert batches(0, 3) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]
    assert batches(1_000_000, 1) == [[4_000_000, 4_000_001, 4_000_002, 4_000_003]]
    assert batches(5, 2) == batches(0, 7)[5:]
    assert batches(2, 3, workers=2) == batches(2, 3)


@pytest.mark.parametrize("world_size", [1, 2, 4])
def test_however_many_processes_share_it(world_size):
    parts = [batches(3, 2, rank=rank, world_size=world_size) for rank in range(world_size)]
    together = [sorted(k for part in parts for k in part[step]) for step in range(2)]
    assert together == batches(3, 2)
    assert all(len(batch) == 4 // world_size for part in parts for batch in part)


def test_a_batch_that_cannot_be_shared():
    with pytest.raises(ValueError, match="Expected a batch_size that 3 processes can share, a multiple of it, got 4"):
        batches(0, 1, world_size=3)
    with pytest.raises(ValueError, match="got 0"):
        batches(0, 1, batch_size=0)


def test_sources_are_mixed_by_their_factors():
    sources = [
        RenderedVideos(num_scenes=2, num_frames=4, size=(48, 80), repeat=3),
        RenderedVideos(split="val", num_scenes=1, num_frames=3, size=(32, 48)),
    ]
    data = PairData(sources, [FlipPair()], batch_size=2, num_workers=0).open(NAMES, seed=3)
    assert data.report == (
        "rendered scenes (standard, train): 2 videos, 6 pairs, × 3",
        "rendered scenes (standard, val): 1 videos, 2 pairs",
    )
    sizes = [tuple(data.samples[k].current_image.shape[1:]) for k in range(20)]
    assert (sizes.count((48, 80)), sizes.count((32, 48))) == (18, 2)
    again = PairData(sources, [FlipPair()], batch_size=2).open(NAMES, seed=3)
    assert again.samples[11].current_image.equal(data.samples[11].current_image)
    other = PairData(sources, [FlipPair()], batch_size=2).open(NAMES, seed=4)
    assert any(not torch.equal(other.samples[k].current_image, data.samples[k].current_image) for k in range(3))


def test_no_sources():
    with pytest.raises(ValueError, match="Expected at least one source of pairs, got none"):
        PairData([]).open(NAMES)
