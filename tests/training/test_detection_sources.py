from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.cases import CROSSING, drawn, names_in
from tests.training.test_memory_data import SHAPES, weights  # noqa: F401  a fixture
from tltm_graph import Detections, Tracks
from tltm_graph.detectors import cache_detections
from tltm_graph.formats import Video
from tltm_graph.formats.mot import MotTruthWriter
from tltm_graph.formats.video import is_held_out
from tltm_graph.graph import TRANSITION
from tltm_graph.models import centermask_r50, for_inference, load_model, save_model
from tltm_graph.synthetic.simulated_motion import DetectionSequence
from tltm_graph.training import DetectionFiles, ModelDetections, RenderedVideos
from tltm_graph.training.association_steps import association_steps

SIZE = (40, 200)
VIDEOS = RenderedVideos(num_scenes=3, num_frames=4, size=(64, 96))
APPEARANCE, HAS_APPEARANCE = -2, -1
SHARED = Path(__file__).parents[3] / "shared/data"


def write_truth(folder: Path, names=("a", "b")) -> Path:
    """The crossing objects, as MOT has them, in each video."""
    frames = [seen.replace(scores=torch.ones(len(seen))) for seen in drawn(CROSSING)]
    tracks = Tracks.from_stream(enumerate(frames), SIZE)
    with MotTruthWriter(folder / "truth", ("pedestrian",), (1,)) as writer:
        for number, name in enumerate(names, start=1):
            writer.begin(Video(name, len(frames), SIZE, id=number))
            for frame, rows in tracks.observations():
                writer.write(frame, rows)
    return folder / "truth"


def write_detections(folder: Path, name: str, dx: float) -> None:
    """The same boxes a bit to the right, and one that shows nothing."""
    lines = []
    for frame, seen in enumerate(drawn(CROSSING), start=1):
        boxes = [[x0 + dx, y0, x1 - x0, y1 - y0] for x0, y0, x1, y1 in seen.boxes.tolist()]
        lines += [f"{frame},-1,{x},{y},{w},{h},0.8" for x, y, w, h in [*boxes, [5, 0, 8, 8]]]
    (folder / f"{name}.txt").write_text("\n".join(lines))


def test_detections_of_many_videos_get_the_true_ids(tmp_path):
    truth = write_truth(tmp_path)
    for name, dx in (("a", 2.0), ("b", -3.0)):
        write_detections(tmp_path, name, dx)
    source = DetectionFiles(f"precomputed:{tmp_path}/{{video}}.txt", str(truth))
    assert len(source) == 2
    for index, dx in enumerate((2.0, -3.0)):
        sequence = source[index]
        assert sequence.size == SIZE
        for seen, objects, true in zip(sequence.frames, sequence.objects, drawn(CROSSING), strict=True):
            real = seen[objects == 1]
            assert sorted(real.ids.tolist()) == sorted(true.ids.tolist())
            assert torch.allclose(
                real.boxes[real.ids.argsort()], true.boxes[true.ids.argsort()] + torch.tensor([dx, 0, dx, 0])
            )
            assert (objects == 0).sum() == 1
        false = {int(seen.ids[objects == 0]) for seen, objects in zip(sequence.frames, sequence.objects, strict=True)}
        assert len(false) == 1, "it stays: one thing"
        assert len(list(association_steps(sequence))) == len(sequence)
    assert repr(source).endswith(f"2 videos of '{truth}')")


def test_a_part_of_the_videos(tmp_path):
    names = [f"video{n}" for n in range(12)]
    truth = write_truth(tmp_path, names)
    for part in ("train", "val"):
        source = DetectionFiles(f"precomputed:{tmp_path}/{{video}}.txt", str(truth), part=part)
        assert {v.name for v in source.videos} == {name for name in names if is_held_out(name) == (part == "val")}


def test_the_truth_itself_spoilt(tmp_path):
    source = DetectionFiles("oracle?miss_rate=0.3&jitter=0.05", str(write_truth(tmp_path)), fps=10.0)
    sequence = source[1]
    assert sequence.times[:2] == (0.0, 0.1)
    counts = [len(seen) for seen in sequence.frames]
    assert sum(counts) < sum(len(seen) for seen in drawn(CROSSING))
    assert (torch.cat(sequence.objects) == 1).all()


def test_tracks_in_a_file_are_detections_too(tmp_path):
    truth = write_truth(tmp_path, ["a"])
    sequence = DetectionFiles(f"oracle:{truth}", str(truth))[0]
    assert [sorted(f.ids.tolist()) for f in sequence.frames] == [sorted(f.ids.tolist()) for f in drawn(CROSSING)]


def test_errors(tmp_path):
    truth = str(write_truth(tmp_path))
    write_detections(tmp_path, "a", 0.0)
    with pytest.raises(
        ValueError, match=r"Expected '\{video\}' in the name of the detections of 2 videos, got 'precom"
    ):
        DetectionFiles(f"precomputed:{tmp_path}/a.txt", truth)
    with pytest.raises(ValueError, match=r"Expected '\{video\}' .* got 'oracle:a.json\?jitter=1'"):
        DetectionFiles("oracle:a.json?jitter=1", truth)
    with pytest.raises(FileNotFoundError, match=r"found none at '.*b.txt'"):
        DetectionFiles(f"precomputed:{tmp_path}/{{video}}.txt", truth)[1]
    with pytest.raises(ValueError, match=r"Expected videos in '.*truth', part val, got none"):
        DetectionFiles("oracle", truth, part="val")


@pytest.mark.skipif(not SHARED.exists(), reason="needs the folder 'shared' beside the project")
def test_real_detections():
    folder = SHARED / "davis2016"
    source = DetectionFiles(
        f"precomputed:{folder}/detections/{{video}}.json.gz",
        str(SHARED / "davis2016_instances"),
        max_false_positive_iou=0.0,
    )
    sequence = source[[video.name for video in source.videos].index("horsejump-high")]
    ids, objects = torch.cat([f.ids for f in sequence.frames]), torch.cat(sequence.objects)
    assert len(sequence) == 50
    assert set(ids.tolist()) == {-1, 1, 2}
    assert set(objects.tolist()) == {-1, 1}
    assert (objects == 1).sum() > 60, "horse and rider, most of the time"


def test_detections_and_appearance_logits_of_a_model(weights):  # noqa: F811
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
        assert (step.edges[:, HAS_APPEARANCE] == 1).all()
    plain = list(association_steps(DetectionSequence(video.size, video.times, video.frames, video.objects)))
    assert all((step.edges[:, HAS_APPEARANCE] == 0).all() for step in plain), "without the relation model"


def test_other_settings_of_its_detector(weights, monkeypatch):  # noqa: F811
    decoders = []

    def spied(model, frames, affinity, masks):
        decoders.append(model.detector.decoder)
        return cache_detections(model, frames, affinity, masks)

    monkeypatch.setattr("tltm_graph.training.detection_sources.cache_detections", spied)
    own = load_model(weights).detector.decoder
    for settings in ({}, {"nms_iou_across": 0.1}, {"nms_iou_across": 0.2, "score_threshold": 0.99}):
        found = ModelDetections(VIDEOS, weights, num_videos=1, **settings)[0].frames
        assert decoders.pop() == replace(own, **settings)
    assert not any(map(len, found)), "no score is so high"


@pytest.mark.slow
def test_detections_are_cached(weights, tmp_path, monkeypatch):  # noqa: F811
    folder = str(tmp_path / "cache")
    plain = ModelDetections(VIDEOS, weights)[2]
    first = ModelDetections(VIDEOS, weights, cache=folder)[2]
    (of_model,) = (tmp_path / "cache").iterdir()
    (name,) = names_in(of_model)
    assert (of_model / name).stat().st_size < 100_000
    monkeypatch.setattr("tltm_graph.training.detection_sources.cache_detections", None)  # no more detection
    for video in (first, ModelDetections(VIDEOS, weights, cache=folder)[2]):
        assert (video.size, video.times) == (plain.size, plain.times)
        for found, expected in zip(video.frames, plain.frames, strict=True):
            assert found.boxes.equal(expected.boxes)
            assert found.ids.equal(expected.ids)
            torch.testing.assert_close(found.embeddings, expected.embeddings)
        assert video.relation is not None
    with pytest.raises(TypeError, match="not callable"):
        ModelDetections(VIDEOS, weights, score_threshold=0.3, cache=folder)[2]
    for other in (
        RenderedVideos(num_scenes=3, num_frames=4, size=(96, 64)),
        RenderedVideos(num_scenes=3, num_frames=5, size=(64, 96)),
    ):
        with pytest.raises(ValueError, match="Expected . frames of .* got 4 of .*: use another cache folder for these"):
            ModelDetections(other, weights, cache=folder)[2]


def test_appearance_logits_are_those_of_the_relation_model():
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
    logits = torch.stack([x[0][i] - 2 * x[1][j] for i, j in step.edge_index.T.tolist()])
    torch.testing.assert_close(step.edges[:, APPEARANCE], (logits + torch.tensor(2.0).log()) / 3)


def test_a_model_without_a_relation(tmp_path):
    save_model(centermask_r50(SHAPES), tmp_path / "plain.safetensors")
    with pytest.raises(ValueError, match="Expected a TLTM, a model with a relation"):
        len(ModelDetections(VIDEOS, str(tmp_path / "plain.safetensors")))
