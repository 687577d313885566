import pickle
from collections import Counter
from itertools import islice
from pathlib import Path

import pytest
import torch
from torch.utils.data import DataLoader

from tests.frame_pairs.cases import Clip, blobs, gaps, generator, pair, picture, same
from tltm_graph import Frame
from tltm_graph.formats import COCO
from tltm_graph.formats.yolo import read_yolo
from tltm_graph.frame_pairs import (
    FlipPair,
    HallucinatedMotion,
    PairReport,
    PairStream,
    ResizePair,
    StillPairs,
    VideoPairs,
    annotated_videos,
)

FOLDER = Path(__file__).parents[3] / "shared/data/coco128-seg"


def test_every_frame_but_the_last_is_a_start_frame():
    source = VideoPairs([Clip(3), Clip(1, 50), Clip(0, 60), Clip(2, 100)], max_gap=1, wide_probability=0)
    assert len(source) == 3
    pairs = [source.pair(start, generator()) for start in range(3)]
    assert [int(p.previous_image[0, 0, 0]) for p in pairs] == [0, 1, 100]
    assert [int(p.current_image[0, 0, 0]) for p in pairs] == [1, 2, 101]
    assert source.num_without_pairs == 2


def test_gaps_are_uniform_and_positive():
    source, random = VideoPairs([Clip(30)], max_gap=3, wide_probability=0), generator()
    drawn = gaps([source.pair(5, random) for _ in range(600)])
    assert {*drawn} == {1, 2, 3}
    assert all(drawn.count(gap) == pytest.approx(200, abs=45) for gap in (1, 2, 3))


def test_gaps_of_the_wide_range():
    source, random = VideoPairs([Clip(100)], max_gap=1, wide_gap=10, wide_probability=0.5), generator()
    drawn = gaps([source.pair(0, random) for _ in range(1000)])
    assert {*drawn} == set(range(1, 11))
    assert drawn.count(1) == pytest.approx(550, abs=50), "half of the time, and a tenth of the other half"


def test_gaps_are_shorter_at_the_end_of_a_video():
    source, random = VideoPairs([Clip(5)], max_gap=3, wide_gap=20, wide_probability=0.5), generator()
    assert {*gaps([source.pair(3, random) for _ in range(50)])} == {1}
    assert {*gaps([source.pair(2, random) for _ in range(50)])} == {1, 2}


def test_pairs_depend_on_the_generator_only():
    source = VideoPairs([Clip(30)])
    assert gaps([source.pair(4, generator(seed)) for seed in range(40)]) == gaps(
        [source.pair(4, generator(seed)) for seed in range(40)]
    )


def test_videos_without_pairs():
    for videos in ([], [Clip(1), Clip(0)]):
        with pytest.raises(
            ValueError, match=f"at least two annotated frames to draw pairs from, got none among {len(videos)}"
        ):
            VideoPairs(videos)


@pytest.mark.parametrize(("max_gap", "wide_gap"), [(0, 20), (5, 4)])
def test_gaps_out_of_range(max_gap, wide_gap):
    with pytest.raises(ValueError, match=f"Expected 1 <= max_gap <= wide_gap, got {max_gap} and {wide_gap}"):
        VideoPairs([Clip(3)], max_gap, wide_gap)


def test_frames_that_do_not_fit():
    with pytest.raises(ValueError, match=r"Expected wide_probability in \[0, 1\], got 2"):
        VideoPairs([Clip(3)], wide_probability=2)
    source = VideoPairs([Clip(3)])
    for start in (-1, 2):
        with pytest.raises(IndexError, match=f"Expected a start frame from 0 to 1, got {start}"):
            source.pair(start, generator())

    class Growing(Clip):
        def frame(self, index):
            self.size = (4 + index, 6)
            return super().frame(index)

    with pytest.raises(ValueError, match=r"Expected all frames of Clip\(2\) of one size \(H, W\), got \(4, 6\)"):
        VideoPairs([Growing(2)]).pair(0, generator())

    class Boxes(Clip):
        def truth(self, index):
            return super().truth(index).replace(masks=None)

    with pytest.raises(ValueError, match=r"Expected objects with masks and ids .* in frame 0 of Clip\(2\)"):
        VideoPairs([Boxes(2)]).pair(0, generator())

    class Other(Clip):
        def truth(self, index):
            return super().truth(index).replace(masks=torch.ones(1, 5, 5, dtype=torch.bool))

    with pytest.raises(ValueError, match=r"Expected masks of 4×6 pixels \(H×W\) like the picture, got \(5, 5\)"):
        VideoPairs([Other(2)]).pair(0, generator())


def test_items_are_pairs_seeded_by_their_number():
    source = VideoPairs([Clip(9), Clip(4, 100)])
    loader = DataLoader(source, batch_size=4, shuffle=True, collate_fn=list, generator=generator())
    starts = sorted(int(pair.previous_image[0, 0, 0]) for batch in loader for pair in batch)
    assert starts == [*range(8), 100, 101, 102]
    assert all(same(source[k], source[k]) for k in range(len(source)))
    assert len(list(source)) == len(source) == 11


def test_pair_of_a_still_image():
    class Photo:
        def __len__(self):
            return 1

        def frame(self, index):
            return Frame(picture(3), 0, 0.0)

        def truth(self, index):
            return blobs(3)

    source = StillPairs([Photo()])
    pair = source.pair(0, generator(5))
    image, truth = HallucinatedMotion()(picture(3), blobs(3), generator(5))
    assert torch.equal(pair.previous_image, picture(3))
    assert torch.equal(pair.previous.masks, blobs(3).masks)
    assert torch.equal(pair.current_image, image)
    assert torch.equal(pair.current.masks, truth.masks)
    assert repr(source).startswith("StillPairs(1 images, HallucinatedMotion(brightness=20.0")
    for start in (-1, 1):
        with pytest.raises(IndexError, match=f"Expected a start frame from 0 to 0, got {start}"):
            source.pair(start, generator())


def test_no_images():
    with pytest.raises(ValueError, match="Expected still images to make pairs of, got none in 0 videos"):
        StillPairs([])


def test_every_frame_of_a_video_is_a_still_image():
    source = StillPairs([Clip(2), Clip(1, 9)], HallucinatedMotion(brightness=0, hue_saturation=0, blur_probability=0))
    assert len(source) == 3
    assert [int(source.pair(i, generator()).previous_image[0, 0, 0]) for i in range(3)] == [0, 1, 9]


class Numbers:
    """Source that gives the same pair for every start frame."""

    def __init__(self, length: int) -> None:
        self.length = length

    def __len__(self) -> int:
        return self.length

    def pair(self, start, generator):
        return pair()


def places(stream: PairStream, first: int, last: int) -> list[tuple[int, int]]:
    return [stream.place(k) for k in range(first, last)]


def test_epoch_repeats_every_start_frame_by_its_factor():
    stream = PairStream([Numbers(7), Numbers(30)], repeat=[8, 1])
    assert len(stream) == 86
    for epoch in range(3):
        counts = Counter(places(stream, 86 * epoch, 86 * (epoch + 1)))
        assert counts == {**{(0, i): 8 for i in range(7)}, **{(1, i): 1 for i in range(30)}}


def test_fractional_factors_even_out():
    stream = PairStream([Numbers(10), Numbers(3)], repeat=[0.25, 1.5])
    assert len(stream) == 2 + 4
    counts = Counter(places(stream, 0, 6 * 5))
    assert [counts[0, i] for i in range(10)] == [1] * 10, "five epochs of two"
    counts = Counter(places(stream, 0, 6 * 2))
    assert {counts[1, i] for i in range(3)} == {2, 3}


def test_orders_differ_between_epochs_and_seeds_and_mix_sources():
    def order(seed, epoch):
        return tuple(places(PairStream([Numbers(40), Numbers(40)], seed=seed), 80 * epoch, 80 * epoch + 80))

    assert len({order(seed, epoch) for seed in range(3) for epoch in range(3)}) == 9
    sources = [source for source, _ in order(0, 0)]
    assert 10 < sum(sources[:40]) < 30
    assert order(0, 0) != tuple(sorted(order(0, 0)))


def test_source_with_factor_zero():
    assert {source for source, _ in places(PairStream([Numbers(5), Numbers(5)], repeat=[0, 1]), 0, 20)} == {1}


def real_stream(seed=0):
    sources = [VideoPairs([Clip(9, size=(40, 60)), Clip(5, 100, size=(40, 60))]), StillPairs([Clip(4, 200, (40, 60))])]
    return PairStream(sources, [2, 1], [FlipPair(), ResizePair((30, 36), 60)], seed)


def test_items_depend_on_seed_and_number_only():
    stream, again = real_stream(), real_stream()
    for k in (70, 3, 1000, 3):
        assert same(stream[k], again[k])
    assert any(not same(stream[k], real_stream(1)[k]) for k in range(3))
    torch.manual_seed(0)
    before = torch.get_rng_state()
    assert stream[5] is not None
    assert torch.equal(torch.get_rng_state(), before), "the global state is not used"


@pytest.mark.parametrize("num_workers", [0, 2])
def test_workers_and_resuming_change_nothing(num_workers):
    stream = real_stream()

    def load(first, last, step=1):
        loader = DataLoader(
            stream, batch_size=2, sampler=range(first, last, step), collate_fn=list, num_workers=num_workers
        )
        return [p for batch in loader for p in batch]

    expected = [stream[k] for k in range(28, 36)]
    assert all(same(*both) for both in zip(load(28, 36), expected, strict=True))
    assert all(same(*both) for both in zip(load(32, 36), expected[4:], strict=True)), "resumed"
    assert all(same(*both) for both in zip(load(29, 36, 2), expected[1::2], strict=True)), "the second of two processes"


def test_transforms_run_in_order_with_one_generator():
    calls = []

    def note(name):
        def transform(pair, generator):
            calls.append((name, float(torch.rand((), generator=generator))))
            return pair

        return transform

    stream = PairStream([Numbers(3)], transforms=[note("a"), note("b")])
    stream[4], stream[4], stream[5]
    names, numbers = zip(*calls, strict=True)
    assert names == ("a", "b") * 3
    assert numbers[:2] == numbers[2:4]
    assert len({*numbers}) == 4


def test_stream_is_endless():
    assert len(list(islice(iter(PairStream([Numbers(2)])), 7))) == 7
    assert PairStream([Numbers(2)])[10**12] is not None


def test_streams_without_pairs_and_bad_factors():
    with pytest.raises(ValueError, match="Expected pairs to learn from, got none in 0 sources"):
        PairStream([])
    with pytest.raises(ValueError, match="Expected pairs to learn from, got none in 1 sources"):
        PairStream([Numbers(5)], repeat=[0])
    for repeat in ([1], [1, -1], [1, float("inf")]):
        with pytest.raises(ValueError, match="Expected a factor of at least 0 for each of 2 sources"):
            PairStream([Numbers(5), Numbers(5)], repeat)
    with pytest.raises(IndexError, match="Expected items counted from 0, got -1"):
        PairStream([Numbers(5)])[-1]


def test_repr():
    stream = PairStream([VideoPairs([Clip(3)])], [8], [FlipPair()], seed=3)
    assert repr(stream) == (
        "PairStream([8 × VideoPairs(1 videos, 2 start frames, max_gap=3, wide_gap=20, wide_probability=0.1)], "
        "transforms=[FlipPair(probability=0.5)], seed=3)"
    )


@pytest.mark.slow
@pytest.mark.skipif(not FOLDER.exists(), reason="needs the folder 'shared' beside the project")
@pytest.mark.filterwarnings("ignore:left out of")
def test_pairs_of_coco():
    source = StillPairs(annotated_videos(read_yolo(FOLDER, COCO)))
    assert len(source) == 128
    report = PairReport.of(source, 20)
    assert 3 < report.objects < 12
    assert report.without_common < 0.3
    source = pickle.loads(pickle.dumps(source))  # as in a worker process
    stream = PairStream([source], transforms=[FlipPair(), ResizePair((240, 320), 640)])
    for k in range(4):
        pair = stream[k]
        assert min(pair.current_image.shape[1:]) in (240, 320)
        assert set(pair.current.ids.tolist()) <= set(pair.previous.ids.tolist()), "no new objects appear"
        assert pair.current.masks is None or pair.current.masks.flatten(1).any(dim=1).all()
        assert same(pair, stream[k])
        assert pair.current_image.float().std() > 5
        assert not torch.equal(pair.previous_image, pair.current_image)
