import pytest

from tests.frame_pairs.cases import Clip
from tltm_graph.frame_pairs import PairStream, VideoPairs, group_by_repeat_factor


def test_rare_classes_are_seen_more_often():
    videos = [Clip(3, 10 * number) for number in range(8)]
    labels = [{0}, {0}, {0}, {0}, {0, 1}, {1}, {2, 0}, set()]  # shares 6/8, 2/8, 1/8
    groups = group_by_repeat_factor(videos, labels, threshold=0.5)
    factors = [1.0, pytest.approx(2**0.5), pytest.approx(2.0)]
    assert list(groups) == factors
    assert list(groups.values()) == [[*videos[:4], videos[7]], [videos[4], videos[5]], [videos[6]]]
    assert group_by_repeat_factor(videos, labels, threshold=0.1) == {1.0: videos}
    stream = PairStream([VideoPairs(group) for group in groups.values()], repeat=list(groups))
    assert len(stream) == 10 + round(4 * 2**0.5) + 4


def test_what_does_not_fit():
    assert group_by_repeat_factor([], [], 0.1) == {}
    with pytest.raises(ValueError, match="Expected labels for each of 1 videos, got 0"):
        group_by_repeat_factor([Clip(3)], [], 0.1)
    with pytest.raises(ValueError, match="Expected a threshold above 0, got 0"):
        group_by_repeat_factor([Clip(3)], [{0}], 0)
