from itertools import islice
from pathlib import Path

import pytest
import torch

from tests.models.test_appearance import objects
from tltm_graph.graph import TRANSITION, frame_pair_graph
from tltm_graph.io import read_frames
from tltm_graph.models import load_model
from tltm_graph.models.appearance import AppearanceEvidence
from tltm_graph.training.appearance_training import _SHRINKAGE, calibrate_evidence, identity_graphs
from tltm_graph.training.calibration import calibration_error


def graphs(model, noise, count=12):
    """Graphs of objects that look the same but for noise."""
    torch.manual_seed(0)
    made = []
    for _ in range(count):
        x = torch.randn(4, model.encoder.in_channels)
        x[:, -192:] = torch.rand(4, 192)
        graph = frame_pair_graph(objects(x), objects(x + noise * torch.randn(x.shape)))
        row, column = graph[TRANSITION].edge_index
        graph[TRANSITION].y = (row == column).float()
        graph[TRANSITION].known = torch.ones(16, dtype=torch.bool)
        made.append(graph)
    return made


def logits(model, made):
    scores = []
    for graph in made:
        graph = graph.clone()
        for side in ("previous", "current"):
            graph[side].x = model.encoder(graph[side].x)
        scores.append(model.score(graph))
    return torch.cat(scores)


@torch.no_grad()
def test_calibration_is_the_best_of_a_grid():
    model = AppearanceEvidence().eval()
    made = graphs(model, noise=0.6)
    truth = torch.cat([graph[TRANSITION].y for graph in made])
    report = calibrate_evidence(model, made)
    assert report["matches"] == 48
    assert report["edges"] == 192
    assert report["error_after"] == pytest.approx(calibration_error(logits(model, made), truth), abs=1e-5)

    def loss():
        error = torch.nn.functional.binary_cross_entropy_with_logits(logits(model, made), truth)
        return float(error + _SHRINKAGE * (model.temperature.log() ** 2 + model.bias**2))

    found = loss()
    temperature, bias = model.temperature.item(), model.bias.item()
    for factor in (0.8, 1.0, 1.25):
        for shift in (-0.3, 0.0, 0.3):
            model.temperature.fill_(temperature * factor)
            model.bias.fill_(bias + shift)
            assert found <= loss() + 1e-5
    again = calibrate_evidence(model, made)
    assert again["temperature"] == pytest.approx(report["temperature"], rel=0.02), "it starts from no calibration"


def test_unknown_edges_do_not_count():
    model = AppearanceEvidence().eval()
    made = graphs(model, noise=0.6)
    report = calibrate_evidence(model, made)
    for graph in made:
        graph[TRANSITION].known[:8] = False
    assert calibrate_evidence(model, made)["edges"] == report["edges"] // 2
    for graph in made:
        graph[TRANSITION].known = graph[TRANSITION].y > 0
    with pytest.raises(ValueError, match="Expected matches and other edges .* 48 matches among 48 edges: give longer"):
        calibrate_evidence(model, made)


@pytest.mark.slow
def test_identities_of_a_clip():
    clip = Path(__file__).parents[2] / "docs" / "clips" / "dog_person.mp4"
    frames = [frame.image.permute(1, 2, 0).numpy() for frame in islice(read_frames(clip), 12)]
    detector = load_model("centermask-pico").eval()
    threshold = detector.decoder.score_threshold
    found = identity_graphs(detector, frames)
    assert detector.decoder.score_threshold == threshold
    assert len(found) == 3, "frames 0, 5 and 10"
    for graph in found:
        store = graph[TRANSITION]
        row, column = store.edge_index
        assert torch.equal(store.y > 0, graph["previous"].ids[row] == graph["current"].ids[column])
        assert (store.y > 0).any(), "the dog and the person stay"
        assert store.known[store.y > 0].all()
        assert graph["previous"].x.shape[1] == AppearanceEvidence().encoder.in_channels
