import math
import pickle
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace

import numpy as np
import pytest

from tests.metrics.evaluation_cases import SIZE, disturbed, observation, pairs_of, true_scene
from tltm_graph.formats.davis import label_maps_of
from tltm_graph.metrics import (
    AssociationEdges,
    Clear,
    DavisSemiSupervised,
    DavisUnsupervised,
    Evaluation,
    Hota,
    IdentityF1,
    VideoAP,
)
from tltm_graph.metrics.clear import ClearBdd100k
from tltm_graph.metrics.evaluation import FAMILIES, RULES, Scores
from tltm_graph.metrics.overlap import frame_overlaps
from tltm_graph.metrics.video_ap import class_agnostic
from tltm_graph.structures import Tracks

CLASSES = ("cat", "dog", "bird")
PAIRS = pairs_of(range(4))
IDENTITIES = {"hota": Hota, "clear": Clear, "idf1": IdentityF1, "edges": AssociationEdges}
OF_TRACKS = tuple(family for family in FAMILIES if not family.startswith("jf"))
EMPTY = Tracks({}, SIZE, 0)


def maps_of(truth: Tracks, predicted: Tracks) -> Callable[[], Iterator[tuple[np.ndarray, np.ndarray]]]:
    return lambda: zip(label_maps_of(truth, 254), label_maps_of(predicted, 20), strict=True)


def fed(evaluation: Evaluation, pairs: dict[str, tuple[Tracks, Tracks]]) -> Evaluation:
    for name, (truth, predicted) in pairs.items():
        maps = maps_of(truth, predicted) if evaluation.needs_label_maps else None
        number = 1 + list({**PAIRS, **pairs}).index(name)
        evaluation.update(name, number, truth, predicted, maps)
    return evaluation


def same(scores: Scores, others: Scores) -> None:
    np.testing.assert_equal(asdict(scores), asdict(others))  # to the last bit, NaN equal to NaN
    assert list(scores.per_video) == list(others.per_video)


def floats(scores: object) -> dict[str, float]:
    return {name: value for name, value in vars(scores).items() if isinstance(value, float)}


def test_every_family_equals_its_metric_without_classes():
    scores = fed(Evaluation(FAMILIES, None), PAIRS).compute()
    expected: dict[str, float] = {}
    ap = VideoAP(1)
    for number, (truth, predicted) in enumerate(PAIRS.values(), start=1):
        ap.update(number, class_agnostic(truth), class_agnostic(predicted))
    expected |= floats(ap.compute())
    for kind in IDENTITIES.values():
        metric = kind()
        for name, (truth, predicted) in PAIRS.items():
            metric.update(name, frame_overlaps(truth, predicted, "masks"))
        expected |= metric.compute().named()
    for suffix, davis in (("", DavisUnsupervised()), ("_semi", DavisSemiSupervised())):
        for name, (truth, predicted) in PAIRS.items():
            davis.update(name, maps_of(truth, predicted)())
        expected |= {name + suffix: value for name, value in floats(davis.compute()).items()}
    np.testing.assert_equal(scores.overall, expected)
    assert {"AP", "HOTA", "MOTA", "IDF1", "EdgeF1", "JF_mean", "JF_mean_semi"} <= set(expected)
    assert scores.per_class == {}
    assert 0 < scores.overall["HOTA"] < 1


def test_classes_are_scored_one_by_one_and_counts_are_added():
    scores = fed(Evaluation(OF_TRACKS, CLASSES), PAIRS).compute()
    ap = VideoAP(3)
    for number, (truth, predicted) in enumerate(PAIRS.values(), start=1):
        ap.update(number, truth, predicted)
    assert scores.overall["AP"] == ap.compute().AP
    counted = dict.fromkeys(("CLR_TP", "CLR_FN", "CLR_FP", "IDSW", "IDTP", "IDFN", "IDFP", "Edges_predicted"), 0.0)
    for label, name in enumerate(CLASSES):
        assert scores.per_class[name]["AP"] == ap.compute().per_class[label].AP
        for kind in IDENTITIES.values():
            metric = kind()
            for video, (truth, predicted) in PAIRS.items():
                metric.update(video, frame_overlaps(truth, predicted, "masks", label))
            named = metric.compute().named()
            np.testing.assert_equal({key: scores.per_class[name][key] for key in named}, named)
        counted = {key: value + scores.per_class[name][key] for key, value in counted.items()}
    assert {key: scores.overall[key] for key in counted} == counted
    truths = sum(len(track) for truth, _ in PAIRS.values() for track in truth.values())
    assert counted["CLR_TP"] + counted["CLR_FN"] == truths
    expected = (counted["CLR_TP"] - counted["CLR_FP"] - counted["IDSW"]) / truths
    assert scores.overall["MOTA"] == pytest.approx(expected, abs=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize(("families", "class_names"), [(FAMILIES, None), (OF_TRACKS, CLASSES), (("clear",), CLASSES)])
@pytest.mark.parametrize("rules", ["plain", "bdd100k"])
def test_rows_of_videos_and_parts_that_merge(families, class_names, rules):
    def new() -> Evaluation:
        return Evaluation(families, class_names, rules=rules)

    whole = fed(new(), PAIRS).compute()
    for name, pair in PAIRS.items():
        single = fed(new(), {name: pair}).compute()
        only = {key: value for key, value in single.overall.items() if key not in ("mIDF1", "mMOTA", "mMOTP")}
        np.testing.assert_equal(single.per_video[name], only)
        np.testing.assert_equal(whole.per_video[name], only)
    names = list(PAIRS)
    for first in (names[1:3], [], names, names[::-2]):
        part, rest = fed(new(), {n: PAIRS[n] for n in first}), {n: PAIRS[n] for n in reversed(names) if n not in first}
        other = fed(new(), rest)
        other.merge(part)
        same(other.compute(), whole)
        other.reset()
        same(other.compute(), new().compute())
        same(fed(other, PAIRS).compute(), whole)


def test_without_classes_labels_mean_nothing():
    def relabelled(tracks: Tracks, label: int) -> Tracks:
        return replace(tracks, tracks={i: replace(track, labels=(label,) * len(track)) for i, track in tracks.items()})

    others = {name: (relabelled(t, 0), relabelled(p, 7)) for name, (t, p) in PAIRS.items()}
    same(fed(Evaluation(OF_TRACKS, None), others).compute(), fed(Evaluation(OF_TRACKS, None), PAIRS).compute())


def test_all_classes_equal_no_classes_where_there_is_one():
    one = {name: (class_agnostic(truth), class_agnostic(predicted)) for name, (truth, predicted) in PAIRS.items()}
    by_class, without = (fed(Evaluation(OF_TRACKS, names), one).compute() for names in (("thing",), None))
    np.testing.assert_equal(by_class.overall, without.overall)
    np.testing.assert_equal(by_class.per_video, without.per_video)
    of_class = by_class.per_class["thing"]
    np.testing.assert_equal(
        {key: of_class[key] for key in without.overall if key in of_class},
        {key: value for key, value in without.overall.items() if key in of_class},
    )
    assert (of_class["truths"], len(of_class)) == (
        sum(map(len, (truth for truth, _ in one.values()))),
        len(without.overall) - 6 + 2,
    )


def test_only_classes_that_occur_have_a_row():
    rows = [(0, observation(1, 0, 0, 4, 8, label=1)), (1, observation(1, 0, 0, 4, 8, label=1))]
    truth = Tracks.from_observations(rows, SIZE, 2)
    strange = [
        (0, observation(5, 0, 0, 4, 8, label=1)),
        (1, observation(5, 0, 0, 4, 8, label=1)),
        (2, observation(5, 0, 0, 4, 8, label=2)),
    ]
    predicted = Tracks.from_observations(strange, SIZE, 3)
    assert predicted[5].label == 1
    scores = fed(Evaluation(OF_TRACKS, (*CLASSES, "fish")), {"a": (replace(truth, num_frames=3), predicted)}).compute()
    assert list(scores.per_class) == ["dog", "bird"], (
        "one observation of another class is a false positive of that class"
    )
    assert scores.per_class["bird"]["CLR_FP"] == 1
    assert scores.per_class["dog"]["MOTA"] == 1
    assert scores.overall["MOTA"] == 0.5


@pytest.mark.parametrize("class_names", [None, CLASSES, ()])
@pytest.mark.parametrize("rules", ["plain", "bdd100k"])
def test_nothing_at_all(class_names, rules):
    nothing = Evaluation(OF_TRACKS if class_names is not None else FAMILIES, class_names, rules=rules)
    none = nothing.compute()
    assert {key for key, value in none.overall.items() if value > 0} == {"LocA", "LocA(0)"}, "as TrackEval has it"
    assert none.per_video == {}
    assert none.per_class == {}
    assert {"HOTA", "MOTA", "IDF1", "EdgeF1", "AP"} <= set(none.overall)
    assert math.isnan(none.overall["AP"]), "no number stands for nothing to score"
    still = replace(EMPTY, num_frames=5)
    scores = fed(nothing, {"no frames": (EMPTY, EMPTY), "no objects": (still, still)}).compute()
    assert list(scores.per_video) == ["no frames", "no objects"]
    assert math.isnan(scores.overall["AP"])
    assert {key for key, value in scores.overall.items() if value > 0} <= {"CLR_Frames", "LocA", "LocA(0)"}
    assert set(scores.overall) == set(none.overall)
    assert scores.per_class == {}


def test_no_predictions_score_nothing_and_false_alarms_are_counted():
    truth = true_scene(3)
    objects = sum(map(len, truth.values()))
    missed = fed(Evaluation(OF_TRACKS, CLASSES), {"a": (truth, Tracks({}, SIZE, 0))}).compute()
    assert {missed.overall[name] for name in ("AP", "HOTA", "MOTA", "IDF1", "DetRe")} == {0.0}
    assert missed.overall["CLR_FN"] == objects
    nothing = Tracks({}, SIZE, truth.num_frames)
    false = fed(Evaluation(OF_TRACKS, CLASSES), {"a": (nothing, truth)}).compute()
    assert false.overall["CLR_FP"] == objects
    assert false.overall["HOTA"] == 0
    assert math.isnan(false.overall["AP"]), "no class has a true object"


def test_perfect_predictions():
    pairs = {name: (truth, truth) for name, (truth, _) in PAIRS.items()}
    for families, class_names in ((OF_TRACKS, CLASSES), (FAMILIES, None)):
        scores = fed(Evaluation(families, class_names), pairs).compute()
        for name in ("AP", "AP75", "HOTA", "AssA", "LocA", "MOTA", "sMOTA", "IDF1", "EdgeF1"):
            assert scores.overall[name] == pytest.approx(1, abs=1e-9), name


def with_crowd(truth: Tracks, *regions) -> Tracks:
    rows = [(frame, row) for frame, seen in truth.observations() for row in seen]
    return Tracks.from_observations([*rows, *regions], SIZE, truth.num_frames)


@pytest.mark.parametrize("rules", ["plain", "mots", "bdd100k"])
def test_predictions_on_a_crowd_do_not_count(rules):
    truth = Tracks.from_observations([(0, observation(1, 0, 0, 4, 8))], SIZE, 1)
    predicted = Tracks.from_observations([(0, observation(4, 0, 0, 4, 8)), (0, observation(5, 20, 0, 24, 8))], SIZE, 1)
    crowd = (0, observation(9, 19, 0, 30, 20, crowd=True))
    wrong = "FP" if rules == "bdd100k" else "CLR_FP"
    for class_names in (None, ("thing",)):
        before = fed(Evaluation(OF_TRACKS, class_names, rules=rules), {"a": (truth, predicted)}).compute().overall
        after = fed(Evaluation(OF_TRACKS, class_names, rules=rules), {"a": (with_crowd(truth, crowd), predicted)})
        scores = after.compute().overall
        assert (before[wrong], scores[wrong]) == (1, 0)
        assert (before["MOTA"], scores["MOTA"]) == (0, 1)
        assert before["HOTA"] < scores["HOTA"] == 1
        half = with_crowd(truth, (0, observation(9, 22, 0, 30, 20, crowd=True)))  # exactly half of it
        on_half = fed(Evaluation(OF_TRACKS, class_names, rules=rules), {"a": (half, predicted)}).compute()
        assert on_half.overall[wrong] == 1


def test_rules_of_mot():
    def boxes(*rows) -> Tracks:
        return Tracks.from_observations([(0, row._replace(mask=None)) for row in rows], SIZE, 1)

    truth = boxes(
        observation(1, 0, 0, 4, 8), observation(2, 10, 0, 14, 8, label=6), observation(3, 20, 0, 24, 8, score=0.0)
    )
    predicted = boxes(observation(1, 0, 0, 4, 8), observation(2, 10, 0, 14, 8), observation(3, 20, 0, 24, 8))
    assert "mot17" in RULES
    scores = {
        rules: fed(Evaluation(["clear"], None, "boxes", rules), {"a": (truth, predicted)}).compute().overall
        for rules in ("plain", "mot17", "mot20")
    }
    assert (scores["plain"]["CLR_TP"], scores["plain"]["CLR_FP"]) == (3, 0)
    for rules in ("mot17", "mot20"):  # the distractor (static person) takes its prediction away, the box of 0 does not
        assert (scores[rules]["CLR_TP"], scores[rules]["CLR_FN"], scores[rules]["CLR_FP"]) == (1, 0, 1)


def test_rules_of_bdd100k_add_the_means_over_classes():
    scores = fed(Evaluation(OF_TRACKS, CLASSES, rules="bdd100k"), PAIRS).compute()
    assert {"mIDF1", "mMOTA", "mMOTP"} <= set(scores.overall)
    single = ClearBdd100k()
    for name, (truth, predicted) in PAIRS.items():
        single.update(name, frame_overlaps(truth, predicted, "masks", 0))
    assert scores.per_class["cat"]["MOTA"] == single.compute().named()["MOTA"]
    assert scores.overall["mMOTA"] == pytest.approx(np.mean([scores.per_class[name]["MOTA"] for name in CLASSES]))
    assert "mMOTA" not in fed(Evaluation(["hota", "clear"], CLASSES, rules="bdd100k"), PAIRS).compute().overall


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((["ap", "map"], None), r"got \['map'\] and 'plain'"),
        ((["ap"], None, "masks", "kitti"), "got .. and 'kitti'"),
        ((["hota"], None, "masks", "mot17"), "the rules 'mot17' on boxes.* got masks"),
        ((["hota"], None, "boxes", "mots"), "the rules 'mots' on masks.* got boxes"),
        ((["hota"], CLASSES, "boxes", "mot20"), "Expected no classes with the rules 'mot20', which score pedestrians"),
    ],
)
def test_settings_that_exclude_each_other(arguments, message):
    with pytest.raises(ValueError, match=message):
        Evaluation(*arguments)


@pytest.mark.parametrize("families", [FAMILIES, ("ap",), ("hota",), ("jf",)])
def test_a_video_counts_once_by_name_and_by_number(families):
    truth, predicted = PAIRS["video 0"]
    maps = maps_of(truth, predicted)
    evaluation = fed(Evaluation(families, None), {"video 0": PAIRS["video 0"]})
    before = evaluation.compute()
    for name, number in (("video 0", 1), ("video 0", 2), ("other", 1)):
        with pytest.raises(ValueError, match=f"Expected each video once, got video {number} '{name}' twice"):
            evaluation.update(name, number, truth, predicted, maps)
        other = Evaluation(families, None)
        other.update(name, number, truth, predicted, maps)
        with pytest.raises(ValueError, match="Expected each video once"):
            evaluation.merge(other)
    same(evaluation.compute(), before)


def test_only_equal_settings_merge():
    for other in (Evaluation(["ap"], None), Evaluation(["hota"], CLASSES), Evaluation(["hota"], None, "boxes")):
        with pytest.raises(ValueError, match=r"merge with another Evaluation\(\['hota'\], None, 'masks', 'plain'\)"):
            Evaluation(["hota"], None).merge(other)


@pytest.mark.parametrize("families", [OF_TRACKS, ("edges", "hota"), FAMILIES])
def test_after_an_error_nothing_of_the_video_is_kept(families):
    truth, predicted = PAIRS["video 1"]
    evaluation = fed(Evaluation(families, None), {"video 0": PAIRS["video 0"]})
    before = evaluation.compute()
    longer = replace(
        predicted,
        num_frames=99,
        tracks={
            1: replace(
                next(iter(predicted.values())), frames=tuple(range(90, 90 + len(next(iter(predicted.values())))))
            )
        },
    )
    boxes = replace(predicted, tracks={i: replace(track, masks=None) for i, track in predicted.items()})

    def broken() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        yield from ()
        raise ValueError("the file ends here")

    wrong = [(truth, longer, maps_of(truth, truth)), (truth, boxes, maps_of(truth, truth))]
    if "jf" in families:
        wrong.append((truth, predicted, broken))
    for case in wrong:
        with pytest.raises(ValueError, match=r"Expected|ends here"):
            evaluation.update("video 1", 2, *case)
        same(evaluation.compute(), before)
    fed(evaluation, {"video 1": PAIRS["video 1"]})
    same(evaluation.compute(), fed(Evaluation(families, None), {n: PAIRS[n] for n in ("video 0", "video 1")}).compute())


def test_missing_inputs_are_an_error():
    truth, predicted = PAIRS["video 0"]
    with pytest.raises(ValueError, match=r"metrics \['ap'\], got for video 'a' no tracks"):
        Evaluation(["ap"], None).update("a", 1, None, None)
    with pytest.raises(ValueError, match="both tracks and no label maps"):
        Evaluation(["jf"], None).update("a", 1, truth, predicted)
    only = Evaluation(["jf"], None)
    only.update("a", 1, None, None, maps_of(truth, predicted))
    assert set(only.compute().per_video) == {"a"}
    assert not only.needs_tracks
    assert Evaluation(FAMILIES, None).needs_label_maps


def test_labels_outside_the_classes_are_an_error():
    truth, predicted = PAIRS["video 0"]
    for pair, side in (((truth, predicted), "true"), ((EMPTY, predicted), "predicted")):
        for family in ("ap", "hota"):
            with pytest.raises(ValueError, match=rf"labels of the 1 classes, got \d in a {side} track of video 'a'"):
                Evaluation([family], ("cat",)).update("a", 1, *pair)


def test_boxes_need_no_masks():
    def stripped(tracks: Tracks) -> Tracks:
        return replace(tracks, tracks={i: replace(track, masks=None) for i, track in tracks.items()})

    bare = {name: (stripped(truth), stripped(predicted)) for name, (truth, predicted) in PAIRS.items()}
    same(
        fed(Evaluation(OF_TRACKS, CLASSES, "boxes"), bare).compute(),
        fed(Evaluation(OF_TRACKS, CLASSES, "boxes"), PAIRS).compute(),
    )
    with pytest.raises(ValueError, match="Expected masks"):
        fed(Evaluation(["hota"], None, "masks"), bare)


def test_many_videos_are_kept_as_numbers():
    """A metric must not keep the masks of its videos."""
    truth = true_scene(1, num_frames=4)
    one, ten = (Evaluation(OF_TRACKS, CLASSES) for _ in range(2))
    one.update("v", 0, truth, disturbed(truth, 1))
    for number in range(10):
        ten.update(f"v{number}", number, truth, disturbed(truth, number))
    assert len(pickle.dumps(ten)) - len(pickle.dumps(one)) < 9 * 60_000
    counts = truth[next(iter(truth))].masks[0]["counts"].encode()
    assert counts not in pickle.dumps(ten)


def test_predictions_beyond_the_hundredth_are_noted():
    """This is why a perfect result of 178 cells has an AP of 0.56."""
    rows = [(0, observation(i, i % 8, i // 8, i % 8 + 1, i // 8 + 1)._replace(label=0)) for i in range(103)]
    tracks = Tracks.from_observations([(f, row._replace(mask=None)) for f, row in rows], (20, 8), 1)
    evaluation = Evaluation(["ap"], None, on="boxes")
    evaluation.update("v", 1, tracks, tracks)
    scores = evaluation.compute()
    assert scores.notes == (
        "ap: 3 predictions beyond the best 100 of their video and class do not count, as in the official code.",
    )
    assert scores.overall["AP"] < 0.98
