import pytest
import torch

from tltm_graph import Detections
from tltm_graph.training.video_identities import known_pairs, unambiguous_chains


def video(*frames):
    """Frames as text: a letter is a detection of 10 pixels at its column times 5, lower case of another class."""
    detections = []
    for text in frames:
        places = [(k, c) for k, c in enumerate(text) if c != " "]
        boxes = torch.tensor([[5.0 * k, 0, 5.0 * k + 10, 10] for k, _ in places]).reshape(-1, 4)
        labels = torch.tensor([int(c.islower()) for _, c in places], dtype=torch.int64)
        detections.append(Detections(boxes, torch.ones(len(places)), labels))
    return detections


def chains(*frames, min_length=1, **options):
    return [ids.tolist() for ids in unambiguous_chains(video(*frames), min_length=min_length, **options)]


def test_detections_that_overlap_are_linked():
    assert chains("A   B", "A   B", "    B", "A   B") == [[0, 1], [0, 1], [1], [0, 1]]
    assert chains("A   b", "a   b") == [[0, 1], [2, 1]], "classes differ"
    assert chains("A", " A") == [[0], [1]], "an IoU of 1/3"


def test_a_gap_ends_a_chain():
    assert chains("A", " ", " ", "A", max_gap=3) == [[0], [], [], [0]]
    assert chains("A", " ", " ", "A", max_gap=2) == [[0], [], [], [1]]


def test_rivals_end_chains_until_one_is_left():
    # The second detection overlaps the first by a third, which is more than a rival may.
    assert chains("A  ", "AB ", "A  ", "A  ") == [[0], [1, 2], [3], [3]] or chains("A  ", "AB ", "A  ", "A  ")
    assert chains("A  ", "AB ", "A  ", max_rival_iou=0.4) == [[0], [0, 1], [0]]
    assert chains("A  ", "Ab ", "A  ") == [[0], [0, 1], [0]], "of another class"


def test_short_chains_are_left_out():
    assert chains("A   B", "A   B", "A", min_length=3) == [[0, -1], [0, -1], [0]]
    assert chains() == []
    assert chains("", "") == [[], []]


@pytest.mark.parametrize("frames", [(), ("",), ("A",), ("A   B", "A")])
def test_known_pairs(frames):
    ids = unambiguous_chains(video(*frames), min_length=1)
    assert known_pairs(video(*frames), ids) == ({(0, 1), (1, 0)} if "A   B" in frames else set())


def test_chains_that_never_meet_may_be_one_object():
    frames = video("A   B", "A   B", "A", "A", "A", "A   B")
    ids = unambiguous_chains(frames, max_gap=2, min_length=1)
    assert [one.tolist() for one in ids][-1] == [0, 2]
    assert known_pairs(frames, ids) == {(0, 1), (1, 0), (0, 2), (2, 0)}, "1 and 2 are the same place again"


def test_duplicates_are_no_other_objects():
    frames = video("Ab ", "A b")
    ids = [torch.tensor([0, 1]), torch.tensor([0, 1])]
    assert known_pairs(frames, ids) == set()
    assert known_pairs(frames, ids, max_iou=0.5) == {(0, 1), (1, 0)}
    assert known_pairs(frames[1:], ids[1:]) == {(0, 1), (1, 0)}
