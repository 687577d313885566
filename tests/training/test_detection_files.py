from pathlib import Path

import pytest
import torch

from tests.cases import CROSSING, drawn
from tltm_graph import Tracks
from tltm_graph.formats import Video
from tltm_graph.formats.mot import MotTruthWriter
from tltm_graph.formats.video import is_held_out
from tltm_graph.training import DetectionFiles, association_steps

SIZE = (40, 200)
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


def test_messages(tmp_path):
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
        f"precomputed:{folder}/detections/{{video}}.json.gz", str(SHARED / "davis2016_instances"), false=0.0
    )
    sequence = source[[video.name for video in source.videos].index("horsejump-high")]
    ids, objects = torch.cat([f.ids for f in sequence.frames]), torch.cat(sequence.objects)
    assert len(sequence) == 50
    assert set(ids.tolist()) == {-1, 1, 2}
    assert set(objects.tolist()) == {-1, 1}
    assert (objects == 1).sum() > 60, "horse and rider, most of the time"
