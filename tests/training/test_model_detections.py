from dataclasses import replace

import pytest
import torch

from tests.training.test_memory_graphs import SHAPES, weights  # noqa: F401  a fixture
from tltm_graph import Detections
from tltm_graph.detectors import cache_detections
from tltm_graph.graph import TRANSITION
from tltm_graph.models import centermask_r50, for_inference, load_model, save_model
from tltm_graph.synthetic import DetectionSequence
from tltm_graph.training import ModelDetections, RenderedVideos, association_steps

VIDEOS = RenderedVideos(num_scenes=3, num_frames=4, size=(64, 96))
EVIDENCE, IS_THERE = -2, -1


def test_what_the_model_finds_and_says(weights):  # noqa: F811
    source = ModelDetections(VIDEOS, weights, first=1, num_videos=5)
    assert len(source) == 2
    assert repr(source) == f"ModelDetections('{weights}', 2 videos)"
    video = source[0]
    assert isinstance(video, DetectionSequence)
    model, context = for_inference(load_model(weights)), None
    for frame, found in zip(VIDEOS.scenes[1], video.frames, strict=True):
        seen, context = model.detect(frame, context)
        assert found.boxes.equal(seen.boxes)
        torch.testing.assert_close(found.embeddings, model.encode(seen))
    steps = list(association_steps(video))
    assert steps
    for step in steps:
        assert (step.edges[:, IS_THERE] == 1).all()
    plain = list(association_steps(DetectionSequence(video.size, video.times, video.frames, video.objects)))
    assert all((step.edges[:, IS_THERE] == 0).all() for step in plain), "without its relation"


def test_other_settings_of_its_detector(weights, monkeypatch):  # noqa: F811
    decoders = []

    def watched(model, frames, affinity, masks):
        decoders.append(model.detector.decoder)
        return cache_detections(model, frames, affinity, masks)

    monkeypatch.setattr("tltm_graph.training.model_detections.cache_detections", watched)
    own = load_model(weights).detector.decoder
    for settings in ({}, {"nms_iou_across": 0.1}, {"nms_iou_across": 0.2, "score_threshold": 0.99}):
        found = ModelDetections(VIDEOS, weights, num_videos=1, **settings)[0].frames
        assert decoders.pop() == replace(own, **settings)
    assert not any(map(len, found)), "nothing is so sure"


def test_what_was_found_is_kept(weights, tmp_path, monkeypatch):  # noqa: F811
    folder = str(tmp_path / "kept")
    plain = ModelDetections(VIDEOS, weights)[2]
    first = ModelDetections(VIDEOS, weights, keep=folder)[2]
    (of_model,) = (tmp_path / "kept").iterdir()
    (file,) = of_model.iterdir()
    assert file.stat().st_size < 100_000
    monkeypatch.setattr("tltm_graph.training.model_detections.cache_detections", None)  # nothing is looked at any more
    for video in (first, ModelDetections(VIDEOS, weights, keep=folder)[2]):
        assert (video.size, video.times) == (plain.size, plain.times)
        for found, expected in zip(video.frames, plain.frames, strict=True):
            assert found.boxes.equal(expected.boxes)
            assert found.ids.equal(expected.ids)
            torch.testing.assert_close(found.embeddings, expected.embeddings)
        assert video.relation is not None
    with pytest.raises(TypeError, match="not callable"):
        ModelDetections(VIDEOS, weights, score_threshold=0.3, keep=folder)[2]
    for other in (
        RenderedVideos(num_scenes=3, num_frames=4, size=(96, 64)),
        RenderedVideos(num_scenes=3, num_frames=5, size=(64, 96)),
    ):
        with pytest.raises(ValueError, match="Expected . frames of .* got 4 of .*: name another folder to keep these"):
            ModelDetections(other, weights, keep=folder)[2]


def test_evidence_is_the_logits():
    boxes = torch.tensor([[0.0, 0, 10, 10], [30.0, 0, 40, 10]])
    frames = tuple(
        Detections(boxes, torch.ones(2), torch.zeros(2).long(), embeddings=torch.eye(2) + t, ids=torch.arange(2))
        for t in range(2)
    )

    def relation(graph):
        row, column = graph[TRANSITION].edge_index
        return graph["previous"].x[row, 0] - 2 * graph["current"].x[column, 0]

    _, step = association_steps(DetectionSequence((50, 50), (0.0, 0.1), frames, relation=relation))
    x = frames[0].embeddings[:, 0], frames[1].embeddings[:, 0]
    told = torch.stack([x[0][i] - 2 * x[1][j] for i, j in step.edge_index.T.tolist()])
    torch.testing.assert_close(step.edges[:, EVIDENCE], (told + torch.tensor(2.0).log()) / 3)


def test_a_model_without_a_relation(tmp_path):
    save_model(centermask_r50(SHAPES), tmp_path / "plain.safetensors")
    with pytest.raises(ValueError, match="Expected a TLTM, a model with a relation"):
        len(ModelDetections(VIDEOS, str(tmp_path / "plain.safetensors")))
