import pytest
import torch
from tltm_graph.models.recorded import RecordedModel, Recording, record

from tests.cases import blank
from tltm_graph import Detections, Frame, MovingShapes, Tracker
from tltm_graph.models import for_inference, tltm_tiny

SCENE = MovingShapes(6, (48, 80), num_objects=3, seed=1)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    model = tltm_tiny(MovingShapes.class_names, min_size=48, max_size=80)
    torch.nn.init.constant_(model.detector.head.cls_logits.bias, 0.5)  # random weights that see something
    model.relation.is_trained.fill_(True)
    return for_inference(model)


@pytest.fixture(scope="module")
def recording(model):
    return record(model, SCENE)


def test_tracks_are_those_of_the_model_itself(model, recording):
    recorded = RecordedModel(recording, model.score)
    live = list(Tracker(model, model, max_shown=5).track(SCENE))
    replayed = list(Tracker(recorded, recorded, max_shown=5).track(recording.frames()))
    assert len(live) == len(replayed) == 6
    assert sum(int((seen.ids >= 0).sum()) for _, seen in live) > 6
    for (frame, seen), (black, again) in zip(live, replayed, strict=True):
        assert (black.index, black.time, black.size) == (frame.index, frame.time, frame.size)
        assert seen.ids.equal(again.ids)
        torch.testing.assert_close(again.boxes, seen.boxes)
        assert (seen.masks != again.masks).float().mean() < 1e-4, "the mask head saw other objects beside these"


def test_a_file_gives_it_back(recording, tmp_path):
    recording.save(tmp_path / "scene.safetensors")
    again = Recording.load(tmp_path / "scene.safetensors")
    assert (again.times, again.size, again.num_channels, again.class_names) == (
        recording.times,
        recording.size,
        recording.num_channels,
        recording.class_names,
    )
    for one, other in zip(recording.objects, again.objects, strict=True):
        assert all(getattr(one, name).equal(getattr(other, name)) for name in ("boxes", "scores", "labels", "features"))
    assert [path.name for path in tmp_path.iterdir()] == ["scene.safetensors"]


def test_frames_without_objects(model, tmp_path):
    nothing = Detections.empty().replace(features=torch.zeros(0, 128 + 28 * 28))
    empty = Recording((nothing,) * 2, (0.0, 0.1), (48, 80), 128, ("thing",))
    empty.save(tmp_path / "scene.safetensors")
    recorded = RecordedModel(Recording.load(tmp_path / "scene.safetensors"), model.score)
    outputs = [seen for _, seen in Tracker(recorded, recorded).track(empty.frames())]
    assert [len(seen) for seen in outputs] == [0, 0]
    assert recorded.segment(nothing, (48, 80)).masks.shape == (0, 48, 80)


def test_errors(model, recording, tmp_path):
    recorded = RecordedModel(recording, model.score)
    with pytest.raises(ValueError, match=r"Expected one of 6 frames of \(48, 80\) pixels \(H, W\), got frame 6"):
        recorded.detect(blank(6, (48, 80)))
    with pytest.raises(ValueError, match="another video"):
        recorded.detect(blank(0))
    with pytest.raises(ValueError, match="Expected objects of the recording with their features"):
        recorded.encode(Detections.empty())
    with pytest.raises(ValueError, match="at least one frame"):
        record(model, [])
    with pytest.raises(ValueError, match="Expected frame 0, got 3"):
        record(model, [Frame(torch.zeros(3, 48, 80, dtype=torch.uint8), 3, 0.0)])
    with pytest.raises(ValueError, match="a time for each of 6 frames, got 0"):
        Recording(recording.objects, (), (48, 80), 64, None)
    with pytest.raises(FileNotFoundError, match="Expected a recording, found no file"):
        Recording.load(tmp_path / "none")
    (tmp_path / "other").write_bytes(b"something else")
    with pytest.raises(ValueError, match="Expected a recording in"):
        Recording.load(tmp_path / "other")


def test_repr(model, recording):
    assert repr(RecordedModel(recording, model.score)) == "RecordedModel(6 frames)"
