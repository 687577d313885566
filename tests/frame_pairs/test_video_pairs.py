import pytest
import torch

from tests.frame_pairs.cases import Clip, gaps, generator
from tltm_graph.frame_pairs import VideoPairs


def test_every_frame_but_the_last_starts_pairs():
    source = VideoPairs([Clip(3), Clip(1, 50), Clip(0, 60), Clip(2, 100)], max_gap=1, wide_probability=0)
    assert len(source) == 3
    pairs = [source.pair(start, generator()) for start in range(3)]
    assert [int(p.previous_image[0, 0, 0]) for p in pairs] == [0, 1, 100]
    assert [int(p.current_image[0, 0, 0]) for p in pairs] == [1, 2, 101]
    assert source.num_without_pairs == 2


def test_gaps_are_drawn_evenly_and_forward():
    source, random = VideoPairs([Clip(30)], max_gap=3, wide_probability=0), generator()
    drawn = gaps([source.pair(5, random) for _ in range(600)])
    assert {*drawn} == {1, 2, 3}
    assert all(drawn.count(gap) == pytest.approx(200, abs=45) for gap in (1, 2, 3))


def test_now_and_then_from_farther_away():
    source, random = VideoPairs([Clip(100)], max_gap=1, wide_gap=10, wide_probability=0.5), generator()
    drawn = gaps([source.pair(0, random) for _ in range(1000)])
    assert {*drawn} == set(range(1, 11))
    assert drawn.count(1) == pytest.approx(550, abs=50), "half of the time, and a tenth of the other half"


def test_towards_the_end_there_is_less_to_draw_from():
    source, random = VideoPairs([Clip(5)], max_gap=3, wide_gap=20, wide_probability=0.5), generator()
    assert {*gaps([source.pair(3, random) for _ in range(50)])} == {1}
    assert {*gaps([source.pair(2, random) for _ in range(50)])} == {1, 2}


def test_the_generator_decides():
    source = VideoPairs([Clip(30)])
    assert gaps([source.pair(4, generator(seed)) for seed in range(40)]) == gaps(
        [source.pair(4, generator(seed)) for seed in range(40)]
    )


def test_nothing_to_draw_from():
    for videos in ([], [Clip(1), Clip(0)]):
        with pytest.raises(
            ValueError, match=f"at least two annotated frames to draw pairs from, got none among {len(videos)}"
        ):
            VideoPairs(videos)


@pytest.mark.parametrize(("max_gap", "wide_gap"), [(0, 20), (5, 4)])
def test_gaps_out_of_range(max_gap, wide_gap):
    with pytest.raises(ValueError, match=f"Expected 1 <= max_gap <= wide_gap, got {max_gap} and {wide_gap}"):
        VideoPairs([Clip(3)], max_gap, wide_gap)


def test_what_does_not_fit():
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
