import pytest

from tests.cli.cases import CLASSES, boxes_only, scenes, video_set
from tltm_graph.cli.pairing import common_classes, common_kind, name_some, pair_videos, pedestrians_of

TRUTH, FOUND = scenes()


def subset(names: str) -> dict:
    return {name: FOUND[name] for name in names}


def test_names_beyond_the_eighth_are_counted():
    assert name_some("ab") == "a, b"
    assert name_some("abcdefghij") == "a, b, c, d, e, f, g, h and 2 others"


def test_videos_are_paired_by_name():
    pairs = pair_videos(video_set(TRUTH), video_set(dict(reversed(FOUND.items()))), "error", [])
    assert [(true.name, predicted.name) for true, predicted in pairs] == [("a", "a"), ("b", "b"), ("c", "c")]


def test_videos_without_predictions_are_an_error_empty_or_skipped():
    truth, found = video_set(TRUTH), video_set(subset("b"))
    with pytest.raises(ValueError, match=r"none for 2 of them \(a, c\).*--missing empty"):
        pair_videos(truth, found, "error", [])
    notes: list[str] = []
    assert [p is None for _, p in pair_videos(truth, found, "empty", notes)] == [True, False, True]
    assert [true.name for true, _ in pair_videos(truth, found, "skip", notes)] == ["b"]
    assert len(notes) == 2
    assert all("a, c" in note for note in notes)


def test_nothing_to_score_and_unknown_videos_are_errors():
    with pytest.raises(ValueError, match="at least one video to score"):
        pair_videos(video_set({}), video_set(FOUND), "empty", [])
    with pytest.raises(ValueError, match="some for 'c'"):
        pair_videos(video_set({name: TRUTH[name] for name in "ab"}), video_set(FOUND), "empty", [])
    with pytest.raises(ValueError, match="at least one of the 3 videos"):
        pair_videos(video_set(TRUTH), video_set({}), "skip", [])


def test_a_single_video_is_paired_whatever_its_name():
    notes: list[str] = []
    found = video_set({"other": FOUND["a"]})
    ((true, predicted),) = pair_videos(video_set({"a": TRUTH["a"]}), found, "error", notes)
    assert (true.name, predicted.name) == ("a", "other")
    assert "'other'" in notes[0]


def test_classes_are_those_of_the_truth():
    truth, found = video_set(TRUTH), video_set(FOUND, ("dog", "cow", "cat"))
    notes: list[str] = []
    names, mapped = common_classes(truth, found, None, False, notes)
    assert names == mapped.class_names == CLASSES
    assert "cow" in notes[0]
    assert common_classes(truth, found, None, True, [])[0] is None
    assert common_classes(truth, video_set(FOUND, None), None, False, notes)[0] is None
    assert "no classes" in notes[-1]
    with pytest.raises(ValueError, match="cat, dog, bird.*x, y, z"):
        common_classes(truth, video_set(FOUND, ("x", "y", "z")), None, False, [])


def test_a_person_is_a_pedestrian():
    found = pedestrians_of(video_set(FOUND, ("person", "car", "rider")), None, notes := [])
    assert found.class_names == ("pedestrian",)
    assert "car, rider" in notes[0]
    kept = sum(len(track) for track in found[0].tracks().values())
    assert kept == sum(track.labels.count(0) for track in FOUND["a"].values()) > 0
    assert pedestrians_of(video_set(FOUND, ("any",)), None, []).class_names == ("pedestrian",)


def test_masks_are_compared_if_both_sides_have_them():
    truth, found = video_set(TRUTH), video_set(FOUND)
    boxes = video_set({name: boxes_only(tracks) for name, tracks in FOUND.items()})
    assert common_kind(pair_videos(truth, found, "error", [])) == "masks"
    assert common_kind(pair_videos(truth, boxes, "error", [])) == "boxes"
    assert common_kind([]) == "masks"
