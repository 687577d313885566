import gzip

import numpy as np
import pytest

from benchmarks.association_mistakes import judged
from benchmarks.association_tracks import DETECTORS, NOISY, load_tracks, shaken, with_slow_errors
from tests.benchmarks.cases import SIZE
from tltm_graph.metrics.overlap import pairwise_iou
from tltm_graph.structures import Observation, Tracks


def write(folder, name, rows):
    text = "\n".join(",".join(str(value) for value in row) for row in rows) + "\n"
    (folder / name).write_bytes(gzip.compress(text.encode()))


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "tracks" / "mot17" / "MOT17-02"
    folder.mkdir(parents=True)
    (folder / "seqinfo.ini").write_text(
        "[Sequence]\nname=MOT17-02\nframeRate=25\nseqLength=4\nimWidth=200\nimHeight=100\nhalfValFrom=3\n"
    )
    boxes = [(frame, 7, 10 * frame, 10, 20, 40, 1, 1, 1) for frame in range(1, 5)]
    distractor = [(frame, 8, 150, 10, 20, 40, 1, 8, 1) for frame in range(1, 5)]
    write(folder, "gt.txt.gz", boxes + distractor)
    for file in ("det", "det_yolox"):
        found = [(frame, -1, 10 * frame, 10, 20, 40, 0.5) for frame in range(1, 5)]
        write(folder, f"{file}.txt.gz", [*found, (3, -1, 150, 10, 20, 40, -1.5)])
    return tmp_path


def test_sequences_of_a_detector(data):
    group = load_tracks("mot17, FRCNN", data)
    (one,) = group.sequences
    assert (group.name, one.name, one.size, one.fps, one.num_frames) == ("mot17, FRCNN", "MOT17-02", SIZE, 25.0, 4)
    assert [[row.score for row in rows] for rows in one.detected] == [[0.5], [0.5], [0.5, -1.5], [0.5]]
    assert judged(one) == [[7], [7], [7, -2], [7]], "who is no pedestrian is an ignore region"
    assert load_tracks("mot17, FRCNN", data, max_frames=2).sequences[0].num_frames == 2


def test_detectors_are_scored_on_frames_that_they_did_not_learn_from(data):
    (one,) = load_tracks("mot17, YOLOX", data).sequences
    assert one.num_frames == 2
    assert one.detected[0][0].box == (30.0, 10.0, 50.0, 50.0)
    assert judged(one) == [[7, -2], [7]]


@pytest.mark.parametrize("name", [*DETECTORS, *NOISY])
def test_a_folder_without_sequences(tmp_path, name):
    with pytest.raises(FileNotFoundError, match="name the data folder with --data"):
        load_tracks(name, tmp_path)


def test_boxes_are_shaken_by_a_hundredth_of_their_size(data):
    group = load_tracks("mot17, FRCNN", data)
    boxes, again, other = (
        np.array([row.box for rows in shaken(group, seed).sequences[0].detected for row in rows]) for seed in (0, 0, 1)
    )
    before = np.array([row.box for rows in group.sequences[0].detected for row in rows])
    assert (boxes == again).all()
    assert (boxes != other).all()
    assert (boxes != before).all()
    moved = np.concatenate(
        [
            np.array([row.box for rows in shaken(group, seed).sequences[0].detected for row in rows]) - before
            for seed in range(100)
        ]
    )
    assert moved.std(axis=0) == pytest.approx([0.2, 0.4, 0.2, 0.4], rel=0.15)
    scores = [[row.score for row in rows] for rows in shaken(group, 0).sequences[0].detected]
    assert scores == [[row.score for row in rows] for rows in group.sequences[0].detected]


def test_slow_errors_have_the_shares_of_real_detectors():
    rows = [(f, Observation(k, (40.0 * k, 20.0, 40.0 * k + 30, 60.0))) for f in range(300) for k in range(5)]
    truth = Tracks.from_observations(rows, SIZE, 300)
    found = [list(frame) for frame in with_slow_errors(truth, 0)]
    assert found == [list(frame) for frame in with_slow_errors(truth, 0)]
    assert found != [list(frame) for frame in with_slow_errors(truth, 1)]
    true = [[pairwise_iou([row], [t for _, t in rows[:5]], "boxes").max() > 0.6 for row in frame] for frame in found]
    assert 0.75 < sum(map(sum, true)) / 1500 < 0.98, "some are missed"
    assert 0 < sum(len(frame) - sum(frame) for frame in true) < 300, "and some false ones added"
