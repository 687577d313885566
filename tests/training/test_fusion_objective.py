import pytest
import torch

from tests.parity import seeded
from tltm_graph.models import centermask_pico, tltm_tiny
from tltm_graph.structures import Detections, FramePair
from tltm_graph.training import FusionObjective


def pair(name, size=(64, 64)):
    noise = seeded(name, (1, 3, size[0] // 8, size[1] // 8)).sigmoid()
    image = (255 * torch.nn.functional.interpolate(noise, size, mode="bilinear")).to(torch.uint8)[0]
    return FramePair(image, torch.roll(image, 2, 2), Detections.empty(), Detections.empty())


def pico():
    torch.manual_seed(0)
    return centermask_pico(("cat", "dog"), min_size=64, fused=True)


def losses_of(model, objective, pairs):
    torch.manual_seed(1)
    return objective(model, pairs)


@pytest.mark.parametrize("count", [1, 3])
def test_only_the_fusers_learn(count):
    model = pico()
    losses = losses_of(model, FusionObjective(), [pair(f"pair {i}") for i in range(count)])
    assert list(losses) == ["maps", "classes", "boxes"]
    assert all(loss.isfinite() and loss >= 0 for loss in losses.values())
    sum(losses.values()).backward()
    learning = {name for name, p in model.named_parameters() if p.grad is not None and p.grad.any()}
    assert learning
    assert all(name.startswith("fusers.") for name in learning)


def test_a_frozen_clean_scene_that_is_not_changed_costs_nothing():
    model = pico()
    for fuser in model.fusers:
        torch.nn.init.constant_(fuser.expand.bias[: fuser.channels], -100)  # closed gates
    losses = losses_of(model, FusionObjective(clean_share=1.0), [pair("scene")])
    assert all(float(loss.detach()) < 1e-9 for loss in losses.values())
    losses = losses_of(model, FusionObjective(clean_share=0.0), [pair("scene")])
    assert float(losses["maps"].detach()) > 1e-5


def test_a_cut_begins_with_a_frame_of_another_pair():
    pairs = [pair("one"), pair("two")]
    cut = FusionObjective(clean_share=1.0, cut_share=1.0)
    sequences = [cut._sequence(pairs, k, torch.Generator().manual_seed(0))[0] for k in range(2)]
    assert torch.equal(sequences[0][0], pairs[1].current_image)
    assert torch.equal(sequences[1][0], pairs[0].current_image)


def test_the_same_seed_gives_the_same_losses():
    pairs = [pair("one"), pair("two")]
    first, second = (losses_of(pico(), FusionObjective(), pairs) for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_it_runs_for_the_published_fusers():
    model = tltm_tiny(("cat", "dog"), min_size=64)
    losses = losses_of(model, FusionObjective(), [pair("one")])
    sum(losses.values()).backward()
    learning = {name for name, p in model.named_parameters() if p.grad is not None}
    assert learning
    assert all(name.startswith("detector.fusers.") for name in learning)


def test_errors():
    with pytest.raises(ValueError, match="Expected a model with fusers, got CenterMask"):
        FusionObjective()(centermask_pico(("cat",)), [pair("one")])
    with pytest.raises(ValueError, match="Expected at least one pair of frames, got none"):
        FusionObjective()(pico(), [])
    assert repr(FusionObjective()) == "FusionObjective(clean_share=0.3, alike_share=0.3, cut_share=0.1)"
