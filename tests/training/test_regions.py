import pytest
import torch

from tltm_graph import Detections
from tltm_graph.training import GroundTruthRegions, JitteredBoxes, ProposalRegions
from tltm_graph.training.regions import match_regions, negative_boxes


def objects(*boxes):
    boxes = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)
    return Detections(boxes, torch.ones(len(boxes)), torch.arange(len(boxes)))


TRUTH = objects([0, 0, 10, 10], [20, 20, 40, 40])
PROPOSED = objects([0, 0, 10, 6], [0, 0, 10, 4], [21, 21, 40, 40], [90, 90, 99, 99])


def never(decoder):
    raise AssertionError("asked for proposals")


def test_true_boxes_alone_need_no_proposals():
    (regions,) = GroundTruthRegions()(never, [TRUTH])
    assert torch.equal(regions.boxes, TRUTH.boxes)
    assert regions.rows.tolist() == [0, 1]


def test_equal_true_boxes_stay_two_objects():
    (regions,) = GroundTruthRegions()(never, [objects([0, 0, 10, 10], [0, 0, 10, 10], [3, 3, 3, 9])])
    assert regions.rows.tolist() == [0, 1]


def test_proposals_that_overlap_an_object_and_true_boxes():
    (regions,) = ProposalRegions(negative_share=0)(lambda decoder: [PROPOSED], [TRUTH])
    assert regions.boxes.tolist() == [*PROPOSED.boxes[[0, 2]].tolist(), *TRUTH.boxes.tolist()]
    assert regions.rows.tolist() == [0, 1, 0, 1]


def test_proposals_are_made_with_the_decoder_of_training():
    seen = []
    ProposalRegions()(lambda decoder: [seen.append(decoder) or PROPOSED], [TRUTH])
    assert (seen[0].max_objects, seen[0].score_threshold) == (100, 0.05)


@pytest.mark.parametrize("sampler", [GroundTruthRegions(), ProposalRegions(negative_share=0)])
def test_no_objects(sampler):
    regions = sampler(lambda decoder: [PROPOSED, PROPOSED], [objects(), TRUTH])
    assert len(regions[0].boxes) == 0
    assert len(regions[1].rows) > 0


def test_boxes_without_area_are_no_regions():
    regions = match_regions(objects([5, 5, 5, 5], [0, 0, 9, 9]).boxes, objects([5, 5, 5, 5], [0, 0, 9, 9]))
    assert regions.rows.tolist() == [1]


def test_of_equal_objects_the_first_is_shown():
    twice = objects([0, 0, 10, 10], [0, 0, 10, 10])
    assert match_regions(twice.boxes, twice).rows.tolist() == [0, 0]


def test_at_most_so_many():
    many = TRUTH.boxes.repeat(100, 1)
    regions = match_regions(many, TRUTH, max_regions=7)
    assert regions.boxes.shape == (7, 4)
    assert torch.equal(regions.boxes, TRUTH.boxes[regions.rows])


def scored(boxes, scores):
    return objects(*boxes).replace(scores=torch.tensor(scores))


def test_negatives_are_the_most_confident_proposals_that_overlap_nothing():
    apart = [[60 + 10 * i, 60, 68 + 10 * i, 68] for i in range(5)]
    near = [[0, 0, 10, 4], [0, 0, 10, 2]]  # IoU 0.4: neither object nor negative; 0.2: a negative
    proposed = scored([*apart, *near], [0.1, 0.9, 0.3, 0.8, 0.2, 1.0, 0.5])
    assert negative_boxes(proposed, TRUTH, max_boxes=3).tolist() == [apart[1], apart[3], near[1]]
    assert len(negative_boxes(proposed, TRUTH)) == 6
    assert len(negative_boxes(proposed, objects())) == 7, "where there is nothing, all are"
    assert negative_boxes(objects(), TRUTH).shape == (0, 4)


@pytest.mark.parametrize("share", [0.1, 0.25, 0.5])
def test_negatives_are_at_most_a_share(share):
    boxes = [[50 + i, 50, 60 + i, 60] for i in range(40)] + [[0, 0, 10, 9 + i / 20] for i in range(10)]
    (regions,) = ProposalRegions(negative_share=share)(lambda decoder: [objects(*boxes)], [TRUTH])
    negative = regions.rows < 0
    assert int((~negative).sum()) == 12, "ten proposals and two true boxes"
    assert int(negative.sum()) == int(12 * share / (1 - share))
    assert (regions.rows[negative] == -1).all()
    assert len(regions.boxes) == len(regions.rows)


def test_one_negative_where_there_is_no_object():
    (regions,) = ProposalRegions()(lambda decoder: [scored(PROPOSED.boxes.tolist(), [0.1, 0.2, 0.4, 0.3])], [objects()])
    assert regions.boxes.tolist() == [PROPOSED.boxes[2].tolist()]
    assert regions.rows.tolist() == [-1]
    (regions,) = ProposalRegions()(lambda decoder: [objects()], [objects()])
    assert regions.boxes.shape == (0, 4)


def test_share_out_of_range():
    for share in (-0.1, 1.0):
        with pytest.raises(ValueError, match=f"Expected negative_share from 0 to below 1, got {share}"):
            ProposalRegions(negative_share=share)


def test_jittered_boxes():
    torch.manual_seed(0)
    truth = objects(*[[10, 20, 30, 60]] * 4000)
    torch.testing.assert_close(JitteredBoxes(0.0)(truth), truth.boxes)
    boxes = JitteredBoxes(0.1)(truth)
    truth.replace(boxes=boxes)  # corners stay in order
    centre, sides = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
    torch.testing.assert_close(centre.mean(dim=0), torch.tensor([20.0, 40.0]), atol=0.2, rtol=0)
    torch.testing.assert_close(centre.std(dim=0), torch.tensor([2.0, 4.0]), atol=0.15, rtol=0)
    torch.testing.assert_close(
        (sides / torch.tensor([20.0, 40.0])).log().std(dim=0), torch.full((2,), 0.1), atol=0.01, rtol=0
    )
    assert JitteredBoxes()(objects()).shape == (0, 4)
    assert repr(JitteredBoxes()) == "JitteredBoxes(std=0.05)"
    with pytest.raises(ValueError, match="Expected a standard deviation of at least 0, got -1"):
        JitteredBoxes(-1)
