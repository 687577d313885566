import pytest
import torch

from tests.cases import drawn
from tltm_graph import Detections, MovingShapes
from tltm_graph.metrics import IdentityMeter, IdentityScores


def scores(truth: list[Detections], output: list[Detections]) -> IdentityScores:
    meter = IdentityMeter()
    for true, out in zip(truth, output, strict=True):
        meter.update(true, out)
    return meter.compute()


def compare(truth: str, output: str) -> IdentityScores:
    return scores(drawn(truth), drawn(output))


def test_perfect():
    result = compare("a..b\na..b\n.a.b", "c..a\nc..a\n.c.a")
    assert result == IdentityScores(objects=2, observations=6, found=6, switches=0, fragments=0, whole=2, tracks=2)
    assert (result.recall, result.whole_share) == (1, 1)


def test_a_switch_and_a_fragment():
    result = compare("a..\na..\na..\na..", "a..\na..\n...\nb..")
    assert (result.switches, result.fragments, result.found, result.whole) == (1, 1, 3, 0)


def test_an_object_that_was_away_is_not_fragmented():
    assert compare("a..\n...\na..", "a..\n...\na..").fragments == 0
    assert compare("a..\na..\na..", "a..\n...\na..").fragments == 1


def test_two_objects_that_swap():
    result = compare("a...b\na...b", "a...b\nb...a")
    assert (result.switches, result.whole) == (2, 0)


def test_one_track_for_two_objects_is_whole_for_neither():
    result = compare("a...b\n....b", "a....\n....a")
    assert (result.switches, result.whole, result.tracks) == (0, 0, 1)


def test_pairs_of_the_frame_before_stay_together():
    (true,) = drawn("a")
    near = true.replace(boxes=true.boxes + torch.tensor([4.0, 0, 4, 0]))
    both = Detections.cat([near, true.replace(ids=torch.tensor([1]))])
    assert scores([true, true], [near, both]).switches == 0, "a better overlap does not win it back"
    away = Detections.empty().replace(ids=torch.zeros(0, dtype=torch.int64))
    assert scores([true, true, true], [near, away, both]).switches == 1, "but only the frame before counts"
    assert scores([true], [both]).found == 1


def test_masks_count_where_both_have_them():
    scene = MovingShapes(5, (64, 96), num_objects=3, seed=2)
    truth = [scene.truth(t) for t in range(5)]
    emptied = [d.replace(masks=torch.zeros_like(d.masks)) for d in truth]
    assert scores(truth, truth).found == sum(map(len, truth))
    assert scores(truth, emptied).found == 0
    assert scores(truth, [d.replace(masks=None) for d in emptied]).found == sum(map(len, truth))


def test_empty_frames_and_unknown_ids():
    result = compare("...\na..", "a..\n...")
    assert (result.objects, result.found, result.recall, result.whole_share, result.tracks) == (1, 0, 0, 0, 1)
    assert scores([], []).recall == 1
    (one,) = drawn("a")
    assert scores([one], [one.replace(ids=torch.tensor([-1]))]).found == 0
    with pytest.raises(ValueError, match="Expected ids on both sides"):
        scores([one], [one.replace(ids=None)])
