import numpy as np
import pytest
import torch

from tests.metrics.identity_cases import drawn, frame
from tests.metrics.official_data import BDD_CLASSES, bdd100k, expected, mots, needs_shared
from tltm_graph.metrics.benchmark_rules import (
    MOT17_DISTRACTORS,
    MOT20_DISTRACTORS,
    bdd100k_frames,
    mot_challenge_frames,
    mots_frames,
    summarise_bdd100k,
)
from tltm_graph.metrics.clear import ClearBdd100k, ClearBdd100kScores
from tltm_graph.metrics.identity import IdentityF1, IdentityF1Scores
from tltm_graph.metrics.metric import update_together
from tltm_graph.metrics.overlap import FrameOverlap, On, frame_overlaps
from tltm_graph.ops import decode_rle, encode_rle
from tltm_graph.structures import Observation, Tracks

CAR, STATIC, NON_MOTORISED, REFLECTION = 2, 6, 5, 11  # labels of MOTChallenge
AT = (0.0, 0.0, 10.0, 10.0)
FAR = (50.0, 50.0, 60.0, 60.0)


def tracks(*observations: Observation, num_frames: int = 1) -> Tracks:
    """Tracks with all observations in frame 0."""
    return Tracks.from_observations([(0, observation) for observation in observations], (100, 100), num_frames)


def masked(number: int, box: tuple[int, int, int, int], label: int = 0, crowd: bool = False) -> Observation:
    """A rectangle, as box and as mask."""
    x0, y0, x1, y1 = box
    pixels = torch.zeros(1, 100, 100, dtype=torch.bool)
    pixels[0, y0:y1, x0:x1] = True
    (mask,) = encode_rle(pixels)
    return Observation(number, tuple(map(float, box)), label=label, mask=mask, crowd=crowd)


def only(frames: object) -> FrameOverlap:
    (frame,) = frames
    return frame


def left(frames: object) -> tuple[list[int], list[int]]:
    """The ids that are left on both sides of the only frame."""
    frame = only(frames)
    return frame.truth_ids.tolist(), frame.predicted_ids.tolist()


def test_labels_are_the_classes_of_the_file_minus_one():
    names = [
        *("pedestrian", "person on vehicle", "car", "bicycle", "motorbike", "non-motorised vehicle", "static person"),
        *("distractor", "occluder", "occluder on ground", "occluder full", "reflection", "crowd"),
    ]
    assert {names[i] for i in MOT17_DISTRACTORS} == {"person on vehicle", "static person", "distractor", "reflection"}
    assert {names[i] for i in MOT20_DISTRACTORS - MOT17_DISTRACTORS} == {"non-motorised vehicle"}


@pytest.mark.parametrize("label", range(13))
@pytest.mark.parametrize("distractors", [MOT17_DISTRACTORS, MOT20_DISTRACTORS])
@pytest.mark.parametrize("flag", [0.0, 1.0])
def test_a_prediction_on_a_true_box_of_each_class(label: int, distractors: frozenset[int], flag: float):
    truth, predicted = tracks(Observation(1, AT, flag, label)), tracks(Observation(5, AT))
    scored = [1] if label == 0 and flag == 1 else []
    assert left(mot_challenge_frames(truth, predicted, distractors)) == (scored, [] if label in distractors else [5])


def test_a_pedestrian_in_front_of_a_reflection_keeps_its_prediction():
    truth = tracks(Observation(1, AT), Observation(2, (0, 0, 10, 8), 0, REFLECTION))
    assert left(mot_challenge_frames(truth, tracks(Observation(5, AT)))) == ([1], [5])
    assert left(mot_challenge_frames(truth, tracks(Observation(5, AT), Observation(6, (0, 0, 10, 9))))) == ([1], [5])


def test_a_distractor_needs_half_an_overlap():
    truth = tracks(Observation(1, AT, 0, STATIC))
    assert left(mot_challenge_frames(truth, tracks(Observation(5, (0, 0, 10, 5))))) == ([], [])
    assert left(mot_challenge_frames(truth, tracks(Observation(5, (0, 0, 10, 4.99))))) == ([], [5])


def test_the_overlaps_that_stay_are_those_of_the_objects_that_stay():
    truth = tracks(
        Observation(1, AT, 0, CAR),
        Observation(2, (0, 0, 10, 8)),
        Observation(3, FAR, 0, STATIC),
        Observation(4, (0, 4, 10, 10)),
    )
    predicted = tracks(Observation(7, FAR), Observation(8, (0, 0, 10, 6)), Observation(9, (0, 5, 10, 10)))
    frame = only(mot_challenge_frames(truth, predicted))
    assert (frame.truth_ids.tolist(), frame.predicted_ids.tolist()) == ([2, 4], [8, 9])
    np.testing.assert_allclose(frame.iou, [[60 / 80, 30 / 100], [20 / 100, 50 / 60]])


def test_boxes_of_flag_0_are_not_scored_and_predictions_there_are():
    truth = tracks(Observation(1, AT, 1), Observation(2, FAR, 0))
    assert left(mot_challenge_frames(truth, tracks(Observation(5, AT), Observation(6, FAR)))) == ([1], [5, 6])


def test_only_pedestrians_are_scored():
    rule = mot_challenge_frames
    with pytest.raises(ValueError, match=r"Expected pedestrians \(label 0\) only, got label 2 of track 5 in frame 0"):
        list(rule(tracks(), tracks(Observation(5, AT, label=CAR))))
    assert left(rule(tracks(), tracks(Observation(5, AT, label=-2)))) == ([], [5]), "a class of -1 in the file is none"


def test_true_classes_are_those_of_the_benchmark():
    with pytest.raises(ValueError, match=r"Expected true labels from 0 to 12, got -2 of object 1 in frame 0"):
        list(mot_challenge_frames(tracks(Observation(1, AT, label=-2)), tracks()))


RULES = {
    "mot17": mot_challenge_frames,
    "mots": mots_frames,
    "bdd masks": lambda truth, predicted: bdd100k_frames(truth, predicted, "masks"),
    "bdd boxes": lambda truth, predicted: bdd100k_frames(truth, predicted, "boxes"),
}
each_rule = pytest.mark.parametrize("rule", RULES.values(), ids=RULES)


@each_rule
def test_videos_without_objects(rule):
    assert list(rule(tracks(num_frames=0), tracks(num_frames=0))) == []
    frames = list(rule(tracks(num_frames=3), tracks(num_frames=0)))
    assert [frame.iou.shape for frame in frames] == [(0, 0)] * 3, "frames without objects are included"


@each_rule
def test_one_side_only(rule):
    something, nothing = tracks(masked(3, (0, 0, 10, 10))), tracks()
    assert left(rule(something, nothing)) == ([3], [])
    assert left(rule(nothing, something)) == ([], [3])


@each_rule
def test_predictions_after_the_end(rule):
    late = Tracks.from_observations([(3, masked(0, (0, 0, 10, 10)))], (100, 100))
    with pytest.raises(ValueError, match="Expected predictions for the 3 frames of the true video, got some for frame"):
        list(rule(tracks(num_frames=3), late))


REGION_RULES = {name: rule for name, rule in RULES.items() if not name.startswith("mot1")}
each_region_rule = pytest.mark.parametrize("rule", REGION_RULES.values(), ids=REGION_RULES)


@each_region_rule
def test_a_prediction_on_an_ignore_region(rule):
    truth = tracks(masked(1, (0, 0, 10, 10)), masked(2, (50, 0, 90, 40), crowd=True))
    within, half, out = masked(5, (85, 0, 94, 9)), masked(6, (85, 10, 95, 20)), masked(7, (20, 20, 30, 30))
    assert left(rule(truth, tracks(within, half, out))) == ([1], [6, 7]), "more than half of it, not half"


@each_region_rule
def test_a_matched_prediction_on_an_ignore_region_stays(rule):
    truth = tracks(masked(1, (50, 0, 60, 10)), masked(2, (50, 0, 90, 40), crowd=True))
    assert left(rule(truth, tracks(masked(5, (50, 0, 60, 9)), masked(6, (50, 0, 60, 5))))) == ([1], [5])


def test_mots_takes_the_regions_together_and_bdd100k_one_by_one():
    truth = tracks(masked(1, (0, 0, 5, 40), crowd=True), masked(2, (5, 0, 10, 40), crowd=True))
    predicted = tracks(masked(5, (1, 0, 9, 10)))
    assert left(mots_frames(truth, predicted)) == ([], [])
    assert left(bdd100k_frames(truth, predicted, "masks")) == ([], [5])
    assert left(bdd100k_frames(truth, predicted, "boxes")) == ([], [5])


@pytest.mark.parametrize("on", ["masks", "boxes"])
def test_regions_are_of_every_class_and_objects_of_one(on: On):
    truth = tracks(masked(1, (0, 0, 10, 10), 3), masked(2, (30, 0, 40, 10), 4), masked(3, (60, 0, 70, 10), 4, True))
    predicted = tracks(*(masked(5 + i, (30 * i, 0, 30 * i + 10, 10), 3) for i in range(3)), masked(9, (0, 0, 9, 9), 4))
    rules = [bdd100k_frames(truth, predicted, on, label=3), bdd100k_frames(truth, predicted, on, label=4)]
    if on == "masks":
        rules += [mots_frames(truth, predicted, label=3), mots_frames(truth, predicted, label=4)]
    assert [left(rule) for rule in rules] == [([1], [5, 6]), ([2], [9])] * (len(rules) // 2)


def test_a_box_without_area_lies_on_nothing():
    truth = tracks(masked(2, (50, 0, 90, 40), crowd=True))
    assert left(bdd100k_frames(truth, tracks(Observation(5, (60, 10, 60, 30))), "boxes")) == ([], [5])


def test_masks_are_needed():
    with pytest.raises(ValueError, match="Expected masks on both sides, got none for object 5"):
        list(mots_frames(tracks(masked(1, (0, 0, 9, 9))), tracks(Observation(5, AT))))


def pixels(row: Observation) -> np.ndarray:
    assert row.mask is not None
    return decode_rle([row.mask], tuple(row.mask["size"]))[0].numpy()


@needs_shared
def test_mots_by_pixels():
    truth, predicted = mots("mots20/MOTS20-05/gt/gt.txt.gz"), mots("mots20/perturbed/tracker_results/MOTS20-05.txt.gz")
    dropped = 0
    frames = zip(truth.observations(), predicted.observations(), mots_frames(truth, predicted, label=1), strict=True)
    for (now, true_rows), (_, rows), kept in frames:
        if now % (150 if len(rows) == len(kept.predicted_ids) else 3):
            continue
        region = np.zeros((480, 640), dtype=bool)
        for row in true_rows:
            if row.crowd:
                region |= pixels(row)
        objects = [pixels(row) for row in true_rows if not row.crowd]
        stay = []
        for row in rows:
            shape = pixels(row)
            found = any((shape & other).sum() > 0.5 * (shape | other).sum() for other in objects)
            if found or (shape & region).sum() <= 0.5 * shape.sum():
                stay.append(row.id)
        assert kept.predicted_ids.tolist() == stay
        dropped += len(rows) - len(stay)
    assert dropped > 0


@needs_shared
def test_bdd100k_drops_predictions():
    truth, predicted = bdd100k("seg_track_sample"), bdd100k("seg_track_preds")
    car = BDD_CLASSES.index("car")
    kept = sum(len(f.predicted_ids) for f in bdd100k_frames(truth, predicted, "masks", car))
    everything = sum(len(f.predicted_ids) for f in frame_overlaps(truth, predicted, "masks", car))
    assert 0 < everything - kept < 50


# --- the summary of BDD100K


def scored(frames: list[FrameOverlap]) -> ClearBdd100kScores:
    metric = ClearBdd100k()
    metric.update("video", frames)
    return metric.compute()


def test_classes_without_a_score_enter_the_mean_as_zero():
    clear = {"cat": scored(drawn("xx", "aB")), "dog": scored([frame([], [1])]), "cow": scored([])}
    identity = {"cat": IdentityF1Scores(1, 1, 1), "dog": IdentityF1Scores(0, 0, 1), "cow": IdentityF1Scores(0, 0, 0)}
    summary = summarise_bdd100k(clear, identity)
    means = {"mIDF1": 0.5 / 3, "mMOTA": 0 / 3, "mMOTP": 1 / 3}
    total = ClearBdd100kScores(1, 1, 2, 0, 0, 1, 0, 0, 3, 1.0)
    assert summary == {"IDF1": IdentityF1Scores(1, 1, 2).idf1, **total.named(), **means}


def test_both_scores_of_every_class_are_needed():
    with pytest.raises(ValueError, match=r"Expected both scores of every class, got classes \['cat'\] and \[\]"):
        summarise_bdd100k({"cat": scored([])}, {})
    with pytest.raises(ValueError, match="Expected both scores of every class"):
        summarise_bdd100k({}, {})


@needs_shared
def test_bdd100k_summary():
    truth, predicted = bdd100k("seg_track_sample"), bdd100k("seg_track_preds")
    clear, identity = {}, {}
    for label, name in enumerate(BDD_CLASSES):
        metrics = ClearBdd100k(), IdentityF1()
        update_together(metrics, "video", bdd100k_frames(truth, predicted, "masks", label))
        clear[name], identity[name] = (metric.compute() for metric in metrics)
    ours = summarise_bdd100k(clear, identity)
    theirs = expected("bdd100k_masks/expected_scores.json")["seg_track"]["summary"]
    assert ours.keys() == theirs.keys()
    for name, value in theirs.items():
        share = isinstance(value, float)
        assert ours[name] * (100 if share else 1) == pytest.approx(value, abs=1e-9), name
