import json
import pickle
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tests.metrics import official_davis
from tests.metrics.random_masks import flattened, generators, random_masks
from tltm_graph.metrics.davis import MAX_PROPOSALS, DavisMetric, DavisSemiSupervised, DavisUnsupervised

DATA = Path(__file__).parents[3] / "shared" / "data"
needs_data = pytest.mark.skipif(not DATA.exists(), reason="needs the folder 'shared' beside the project")
EXPECTED = json.loads((DATA / "davis_jf" / "expected.json").read_text()) if DATA.exists() else {"none": {}}

protocols = pytest.mark.parametrize("protocol", [DavisSemiSupervised, DavisUnsupervised])


def clip(rng: np.random.Generator, num_frames: int, ids: list[int], void: bool = False) -> np.ndarray:
    """Random label maps, uint16 (T, H, W)."""
    frames = [flattened(random_masks(rng, len(ids), 20, 30), ids) for _ in range(num_frames)]
    stack = np.array(frames, dtype=np.uint16).reshape(num_frames, 20, 30)
    if void:
        stack[:, :, 25:] = 255
    return stack


def squares(*ids: int) -> np.ndarray:
    """A label map with a square for each id, side by side."""
    pixels = np.zeros((12, 60), dtype=np.uint8)
    for place, object_id in enumerate(ids):
        pixels[3:9, 10 * place + 2 : 10 * place + 8] = object_id
    return pixels


def stored(video: str, step: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Every frame number 1, 1 + step, …, between the first and the last, of DAVIS 2016 and OSVOS."""
    files = sorted((DATA / "davis2016" / "Annotations" / "480p" / video).glob("*.png"))
    for file in (files[0], *files[1:-1:step], files[-1]):
        result = DATA / "davis_jf" / "osvos_results" / video / file.name
        yield np.asarray(Image.open(file)) > 0, np.asarray(Image.open(result)) > 0


@needs_data
@pytest.mark.parametrize("video", EXPECTED)
def test_published_results(video: str):
    expected = EXPECTED[video]
    metric = DavisSemiSupervised()
    metric.update(video, stored(video, step=3))
    scores = metric.compute().per_object[video, 1]
    assert np.allclose(scores.J, expected["J_per_frame"][1:-1:3], rtol=0, atol=1e-6)
    assert np.allclose(scores.F, expected["F_per_frame"][1:-1:3], rtol=0, atol=1e-6)


@needs_data
def test_published_mean_of_a_whole_video():
    metric = DavisSemiSupervised()
    metric.update("libby", stored("libby", step=1))
    scores = metric.compute()
    assert scores.J_mean == pytest.approx(EXPECTED["libby"]["J_semisup"], abs=1e-12)
    assert scores.F_mean == pytest.approx(EXPECTED["libby"]["F_semisup"], abs=1e-12)


@given(generators(), st.integers(3, 9), st.booleans())
def test_semi_supervised_like_the_official_code(rng: np.random.Generator, num_frames: int, void: bool):
    truth, predicted = clip(rng, num_frames, [2, 3, 1], void), clip(rng, num_frames, [1, 2, 3])
    truth[0, 0, 0] = 3  # the first frame says that there are three
    region, edge = official_davis.semi_supervised(truth.astype(float), predicted[1:-1].astype(float))
    metric = DavisSemiSupervised()
    metric.update("a", zip(truth, predicted, strict=True))
    scores = metric.compute()
    assert np.array_equal([scores.per_object["a", i].J for i in (1, 2, 3)], region)
    assert np.array_equal([scores.per_object["a", i].F for i in (1, 2, 3)], edge)
    numbers = [
        (*official_davis.statistics(j), *official_davis.statistics(f)) for j, f in zip(region, edge, strict=True)
    ]
    got = (scores.J_mean, scores.J_recall, scores.J_decay, scores.F_mean, scores.F_recall, scores.F_decay)
    assert got == pytest.approx(np.mean(numbers, axis=0), abs=1e-14)
    assert scores.JF_mean == pytest.approx((np.mean(region) + np.mean(edge)) / 2)


@given(generators(), st.integers(1, 6), st.integers(1, 5), st.booleans())
def test_unsupervised_like_the_official_code(rng: np.random.Generator, num_frames: int, num_proposals: int, void: bool):
    truth, predicted = clip(rng, num_frames, [2, 3, 1], void), clip(rng, num_frames, [*range(1, num_proposals + 1)])
    truth[0, 0, 0], predicted[0, 0, :num_proposals] = 3, range(1, num_proposals + 1)
    region, edge, order = official_davis.unsupervised(truth.astype(float), predicted.astype(float))
    metric = DavisUnsupervised()
    metric.update("a", zip(truth, predicted, strict=True))
    scores = metric.compute()
    assert np.array_equal([scores.per_object["a", i + 1].J for i in order], region)
    assert np.array_equal([scores.per_object["a", i + 1].F for i in order], edge)
    assert scores.J_mean == pytest.approx(region.mean())


def test_objects_stand_under_their_own_ids():
    first, second = squares(1, 2), squares(9, 5)  # id 9 covers object 1 exactly,
    second[8] = np.where(second[8] == 5, 0, second[8])  # id 5 most of object 2
    truth, predicted = np.stack([first] * 2), np.stack([second] * 2)
    dense = np.where(predicted == 5, 1, np.where(predicted == 9, 2, 0))
    official, _, _ = official_davis.unsupervised(truth.astype(float), dense.astype(float))
    assert official.mean(axis=1) == pytest.approx([5 / 6, 1]), "wrong there: in the order of the predictions"
    metric = DavisUnsupervised()
    metric.update("a", zip(truth, predicted, strict=True))
    objects = metric.compute().per_object
    assert [(o.J_mean, o.predicted_id) for o in objects.values()] == [(1, 9), (pytest.approx(5 / 6), 5)]


def test_any_ids_of_a_tracker():
    truth = squares(1, 2)
    predicted = np.where(truth == 1, 40_000, np.where(truth == 2, 255, 0))  # 255 is void in the truth alone
    metric = DavisUnsupervised()
    metric.update("a", [(truth, predicted), (truth, predicted)])
    scores = metric.compute()
    assert (scores.J_mean, scores.F_mean) == (1, 1)
    assert [o.predicted_id for o in scores.per_object.values()] == [40_000, 255]


def test_too_few_proposals():
    metric = DavisUnsupervised()
    metric.update("a", [(squares(1, 2), squares(0, 6)), (squares(0, 2), squares(0, 6))])
    objects = metric.compute().per_object
    assert objects["a", 1].J.tolist() == [0, 1], (
        "an empty prediction is wrong where the object is shown, right elsewhere"
    )
    assert (objects["a", 1].predicted_id, objects["a", 1].num_shown) == (None, 1)
    assert (objects["a", 2].J_mean, objects["a", 2].predicted_id, objects["a", 2].num_shown) == (1, 6, 2)


def test_void_pixels():
    truth, predicted = squares(1, 255, 255), squares(1, 1, 2)
    unsupervised, semi_supervised = DavisUnsupervised(), DavisSemiSupervised()
    unsupervised.update("a", [(truth, predicted)] * 3)
    semi_supervised.update("a", [(truth, np.minimum(predicted, 1))] * 3)
    assert unsupervised.compute().J_mean == 1
    assert semi_supervised.compute().J_mean == pytest.approx(1 / 3), "void is background there"


def test_first_and_last_prediction_are_not_read():
    truth, wrong = squares(1), np.full((2, 2), 99)
    metric = DavisSemiSupervised()
    metric.update("a", [(truth, wrong), (truth, truth), (truth, wrong)])
    metric.update("b", [(truth, None), (truth, truth), (truth, None)])
    scores = metric.compute()
    assert scores.JF_mean == 1
    assert scores.per_object["a", 1].J.shape == scores.per_object["a", 1].F.shape == (1,)


@protocols
def test_objects_that_do_not_count(protocol: type[DavisMetric]):
    later = squares(1, 0, 3, 4)
    metric = protocol()
    metric.update("a", [(squares(1, 0, 3), squares(1)), (later, squares(1)), (later, squares(1)), (later, squares(1))])
    scores = metric.compute()
    assert [i for _, i in scores.per_object] == [1, 2, 3]
    assert scores.left_out == {"a": (4,)}
    assert scores.never_shown == (("a", 2),), "scored 1, therefore named"
    assert [o.J_mean for o in scores.per_object.values()] == [1, 1, 0]


@protocols
def test_videos_without_scored_objects(protocol: type[DavisMetric]):
    metric = protocol()
    assert np.isnan(metric.compute().JF_mean)
    metric.update("no frames", [])
    metric.update("no objects", [(squares(), squares())] * 4)
    metric.update("later", [(squares(), squares()), *[(squares(1), squares())] * 3])
    scores = metric.compute()
    assert np.isnan(scores.JF_mean)
    assert (scores.per_object, scores.per_video()) == ({}, {})
    assert scores.not_scored == ("later", "no frames", "no objects")
    assert scores.left_out == {"later": (1,)}
    metric.update("one", [(squares(1), squares(1))] * 3)
    assert metric.compute().JF_mean == 1, "videos without objects are part of no mean"


def test_two_frames_leave_none_to_score():
    metric = DavisSemiSupervised()
    metric.update("short", [(squares(1), squares(1))] * 2)
    assert metric.compute().not_scored == ("short",)


@protocols
def test_every_object_counts_the_same(protocol: type[DavisMetric]):
    metric = protocol()
    metric.update("two", [(squares(1, 2), squares(1, 2))] * 3)
    metric.update("one", [(squares(1), squares())] * 9)
    scores = metric.compute()
    assert scores.J_mean == pytest.approx(2 / 3)
    assert {video: s.JF_mean for video, s in scores.per_video().items()} == {"one": 0, "two": 1}


@protocols
def test_merging(protocol: type[DavisMetric]):
    rng = np.random.default_rng(0)
    frames = {name: list(zip(clip(rng, 5, [1, 2]), clip(rng, 5, [1, 2]), strict=True)) for name in "abc"}
    for truth, _ in (pairs[0] for pairs in frames.values()):
        truth[0, 0] = 2
    whole, one, other = protocol(), protocol(), protocol()
    for name, pairs in frames.items():
        whole.update(name, pairs)
        (one if name == "b" else other).update(name, pairs)
    one.merge(pickle.loads(pickle.dumps(other)))
    assert list(one.compute().per_object) == list(whole.compute().per_object)
    assert one.compute().JF_mean == whole.compute().JF_mean
    with pytest.raises(ValueError, match="each video once.* got 'a' twice"):
        one.merge(other)
    one.reset()
    assert one.compute().per_object == {}


@protocols
def test_errors(protocol: type[DavisMetric]):
    square, metric = squares(1), protocol()
    metric.update("a", [(square, square)] * 3)
    with pytest.raises(ValueError, match="each video once.* got 'a' twice"):
        metric.update("a", [(square, square)] * 3)
    good = (square, square)
    with pytest.raises(ValueError, match=r"12×60 pixels \(H×W\), got 6×60 in frame 1 of video 'b'"):
        metric.update("b", [good, (square, square[:6]), good])
    with pytest.raises(ValueError, match="Expected a predicted label map, got none for frame 2 of video 'b'"):
        metric.update("b", zip_longest([square] * 4, [square] * 2))
    with pytest.raises(ValueError, match="Expected a true label map, got none for frame 4 of video 'b'"):
        metric.update("b", zip_longest([square] * 4, [square] * 5))
    with pytest.raises(ValueError, match="got float64 of shape .* the predicted one of frame 1 of video 'b'"):
        metric.update("b", [good, (square, square * 1.0), good])
    with pytest.raises(ValueError, match="true ids below 255, got 256 in frame 0 of video 'b'"):
        metric.update("b", [(square * np.uint16(256), square)] * 3)
    assert {video for video, _ in metric.compute().per_object} == {"a"}, "nothing of a failed video is kept"


def test_predicted_ids_above_those_of_the_truth():
    metric = DavisSemiSupervised()
    with pytest.raises(ValueError, match="predicted ids up to 1, .* got 2 in frame 1 of video 'b'"):
        metric.update("b", [(squares(1), squares(1, 2))] * 3)
    with pytest.raises(ValueError, match="up to 0, .* got 255 in frame 1 .* only the truth has void"):
        metric.update("b", [(squares(), squares(255))] * 3)


def test_too_many_proposals():
    row = np.arange(MAX_PROPOSALS + 1, dtype=np.uint8)[None]
    metric = DavisUnsupervised()
    metric.update("a", [(np.minimum(row, 1), row)] * 2)
    with pytest.raises(
        ValueError, match="at most 20 predicted objects in a video, got more up to frame 1 of video 'b'"
    ):
        metric.update("b", [(np.minimum(row, 1), row), (np.minimum(row, 1), row + 1)])
