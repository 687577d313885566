import pytest
import torch

from tests.training.test_objective import SITUATIONS, TWO, pair, tiny
from tltm_graph.structures import FramePair
from tltm_graph.training import DetectorObjective, GroundTruthRegions, released_objective


@pytest.mark.parametrize("situation", SITUATIONS)
@pytest.mark.parametrize("part", ["TLTM", "detector"])
def test_every_situation_has_finite_losses_and_gradients(situation, part):
    model = tiny() if part == "TLTM" else tiny().detector
    losses = DetectorObjective()(model, [SITUATIONS[situation]])
    assert losses.keys() == {"fcos_cls", "fcos_loc", "fcos_ctr", "mask"}
    sum(losses.values()).backward()
    assert all(torch.isfinite(loss) for loss in losses.values())
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)
    if situation == "two objects":
        assert all(loss > 0 for loss in losses.values())
    if part == "TLTM":
        untouched = [*model.relation.parameters(), *model.detector.fusers.parameters()]
        assert all(p.grad is None for p in untouched)


def test_it_is_the_pair_objective_without_fusion_and_relation():
    """Of a pair of one image twice, with fusers that add nothing, the detector's losses are the same."""
    model = tiny()
    for fuser in model.detector.fusers:
        torch.nn.init.zeros_(fuser.cn2.weight)
        torch.nn.init.zeros_(fuser.cn2.bias)
    image = pair(TWO, TWO).previous_image
    twice = FramePair(image, image, TWO, TWO)
    mine = DetectorObjective(GroundTruthRegions())(model, [twice])
    theirs = released_objective()(model, [twice])
    for name in mine:
        torch.testing.assert_close(mine[name], theirs[name])


def test_each_frame_is_an_image_by_itself():
    model = tiny()
    first, second = SITUATIONS["two objects"], pair(TWO, TWO, seed=3)
    swapped = FramePair(first.current_image, first.previous_image, first.current, first.previous)
    objective = DetectorObjective(GroundTruthRegions())
    losses, others = objective(model, [first, second]), objective(model, [second, swapped])
    for name in losses:
        torch.testing.assert_close(losses[name], others[name])


def test_losses_fall():
    model, objective = tiny().detector, DetectorObjective()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    totals = []
    for _ in range(12):
        total = sum(objective(model, [SITUATIONS["two objects"]]).values())
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        totals.append(total.item())
    assert totals[-1] < 0.9 * totals[0]


def test_errors():
    with pytest.raises(ValueError, match="Expected at least one pair of frames, got none"):
        DetectorObjective()(tiny(), [])
    wrong = pair(TWO, TWO.replace(labels=torch.tensor([0, 7])))
    with pytest.raises(ValueError, match="Expected labels below 2, the number of classes, got 7"):
        DetectorObjective()(tiny(), [wrong])
