import pytest
import torch

from tltm_graph import Detections
from tltm_graph.training import GroundTruthRegions, ProposalRegions
from tltm_graph.training.regions import match_regions


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
    (regions,) = ProposalRegions()(lambda decoder: [PROPOSED], [TRUTH])
    assert regions.boxes.tolist() == [*PROPOSED.boxes[[0, 2]].tolist(), *TRUTH.boxes.tolist()]
    assert regions.rows.tolist() == [0, 1, 0, 1]


def test_proposals_are_made_with_the_decoder_of_training():
    seen = []
    ProposalRegions()(lambda decoder: [seen.append(decoder) or PROPOSED], [TRUTH])
    assert (seen[0].max_objects, seen[0].score_threshold) == (100, 0.05)


@pytest.mark.parametrize("sampler", [GroundTruthRegions(), ProposalRegions()])
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
