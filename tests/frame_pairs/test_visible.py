import torch

from tests.frame_pairs.cases import blobs, objects
from tltm_graph import Detections
from tltm_graph.frame_pairs.annotated_video import visible_objects


def test_what_is_left_has_tight_boxes():
    truth = blobs(0, 4)
    masks = truth.masks.clone()
    masks[1] = False
    masks[2] = False
    masks[2, 7, 9] = True
    left = visible_objects(truth, masks)
    assert left.ids.tolist() == left.labels.tolist() == [0, 2, 3]
    assert left.boxes[1].tolist() == [9, 7, 10, 8]
    assert torch.equal(left.boxes[[0, 2]], truth.boxes[[0, 3]])
    assert torch.equal(left.masks, masks[[0, 2, 3]])


def test_none():
    for truth in (Detections.empty(), objects(torch.zeros(0, 5, 6, dtype=torch.bool))):
        assert len(visible_objects(truth, torch.zeros(0, 5, 6, dtype=torch.bool))) == 0
    assert len(visible_objects(blobs(0), torch.zeros(3, 40, 60, dtype=torch.bool))) == 0
