import numpy as np
import pytest

from benchmarks.association_groups import Group
from benchmarks.association_scores import BINS, Reentries, reentries, score_group, total, true_objects
from tests.benchmarks.cases import SIZE, box, drawn, sequence
from tltm_graph.structures import Observation, Tracks


def test_true_objects():
    one = sequence([[(4, 0), (5, 100)], [(4, 2)]], [[103, 50, 1], []])
    assert true_objects(one) == [[5, -1, 4], []]


def test_true_objects_of_another_class_are_others():
    rows = [(0, Observation(4, box(0), label=1)), (0, Observation(9, box(60), label=1, crowd=True))]
    truth = Tracks.from_observations(rows, SIZE, 1)
    one = sequence([[]], [[0, 60]], truth=truth)
    assert true_objects(one) == [[4, -1]]
    assert true_objects(sequence([[]], [[0, 60]], truth=truth, by_class=True)) == [[-1, -1]]


def test_a_perfect_tracker_and_one_that_swaps():
    there = [[(1, 0), (2, 100)]] * 4
    group = Group("toy", (sequence(there, [[0, 100]] * 4), sequence(there, [[0, 100]] * 4, name="two")))
    perfect = {s.name: s.tracks([[1, 2]] * 4) for s in group.sequences}
    assert score_group(group, perfect) == {
        "HOTA": 100.0,
        "AssA": 100.0,
        "DetA": 100.0,
        "IDF1": 100.0,
        "MOTA": 100.0,
        "IDSW": 0,
    }
    swapped = perfect | {"two": group.sequences[1].tracks([[1, 2]] * 2 + [[2, 1]] * 2)}
    scores = score_group(group, swapped)
    assert scores["IDSW"] == 2
    assert scores["IDF1"] == 75.0
    assert scores["MOTA"] == 100 * (16 - 2) / 16
    assert scores["AssA"] == pytest.approx(100 * (1 + 1 / 3) / 2)  # a track on two objects shares 2 of 6 observations


def test_classes_are_scored_each_on_its_own():
    truth = Tracks.from_observations([(0, Observation(4, box(0), label=1))], SIZE, 1)
    one = sequence([[]], [[0]], truth=truth)
    tracks = one.tracks([[1]])
    assert score_group(Group("toy", (one,)), {"one": tracks})["DetA"] == 100.0
    by_class = Group("toy", (sequence([[]], [[0]], truth=truth, by_class=True),))
    assert score_group(by_class, {"one": tracks})["DetA"] == 0.0


def test_tracks_of_other_sequences():
    group = Group("toy", (sequence([[]], [[]]),))
    with pytest.raises(ValueError, match=r"Expected tracks of the sequences \['one'\], got those of \['two'\]"):
        score_group(group, {"two": Tracks({}, SIZE, 1)})


def counts(found: Reentries) -> dict[str, list[int]]:
    return {name: values.tolist() for name, values in vars(found).items()}


def test_an_object_that_comes_back_with_its_id():
    seen = counts(reentries(drawn("aa.....aa"), drawn("cc.....cc")))
    assert seen == {"returns": [1, 0, 0], "kept": [1, 0, 0], "links": [1, 0, 0], "right": [1, 0, 0]}


def test_an_object_that_comes_back_with_another_id():
    seen = counts(reentries(drawn("aa.....aa"), drawn("cc.....dd")))
    assert seen == {"returns": [1, 0, 0], "kept": [0, 0, 0], "links": [0, 0, 0], "right": [0, 0, 0]}


def test_an_id_that_joins_two_objects():
    seen = counts(reentries(drawn("aa.....bb"), drawn("cc.....cc")))
    assert seen == {"returns": [0, 0, 0], "kept": [0, 0, 0], "links": [1, 0, 0], "right": [0, 0, 0]}


def test_an_id_that_joins_an_object_and_nothing():
    for objects in ("a.....-", "-.....a", "-.....-"):
        seen = counts(reentries(drawn(objects), drawn("c.....c")))
        assert (seen["links"], seen["right"]) == ([1, 0, 0], [0, 0, 0])


def test_four_frames_are_no_absence():
    seen = counts(reentries(drawn("aa....aa"), drawn("cc....cc")))
    assert seen == {"returns": [0, 0, 0], "kept": [0, 0, 0], "links": [0, 0, 0], "right": [0, 0, 0]}


def test_an_id_may_be_shown_late_and_need_not_be_shown_to_the_end():
    objects, ids = drawn("aaa.....aaa"), drawn("cc-.....-cc")
    seen = counts(reentries(objects, ids))
    assert (seen["returns"], seen["kept"]) == ([1, 0, 0], [1, 0, 0])
    assert (seen["links"], seen["right"]) == ([1, 0, 0], [1, 0, 0])


def test_an_object_without_an_id_is_not_known_again():
    seen = counts(reentries(drawn("aa.....aa.....aa"), drawn("--.....--.....cc")))
    assert (seen["returns"], seen["kept"]) == ([2, 0, 0], [0, 0, 0])


def test_the_id_of_before_is_that_of_the_stretch_before():
    seen = counts(reentries(drawn("a.....a.....a"), drawn("c.....-.....c")))
    assert seen["kept"] == [0, 0, 0], "two absences ago does not count"


def test_the_bins_and_what_is_longer():
    for gap, bin_ in ((5, 0), (15, 0), (16, 1), (30, 1), (31, 2), (60, 2), (61, None)):
        line = "a" + "." * gap + "a"
        expected = [int(bin_ == number) for number in range(len(BINS))]
        seen = counts(reentries(drawn(line), drawn(line)))
        assert seen == dict.fromkeys(seen, expected)


def test_nothing_at_all():
    assert counts(reentries([], [])) == counts(Reentries.none())
    assert counts(reentries([[], []], [[], []])) == counts(Reentries.none())
    assert counts(total([])) == counts(Reentries.none())


@pytest.mark.parametrize("seed", range(5))
def test_against_a_slow_search(seed):
    random = np.random.default_rng(seed)
    frames = 400
    objects, ids = [], []
    offsets = random.integers(0, 40, 6)
    for frame in range(frames):
        there = [i for i in range(6) if (frame + offsets[i]) % int(20 + 12 * i) < 8 and random.random() < 0.8]
        objects.append([i if random.random() < 0.9 else -1 for i in there])
        guesses = [i + 6 * int(random.random() < 0.3) if random.random() < 0.9 else -1 for i in there]
        ids.append(guesses)
    found, slow = reentries(objects, ids), Reentries.none()
    number_at = [dict(zip(o, i, strict=True)) for o, i in zip(objects, ids, strict=True)]
    object_at = [dict(zip(i, o, strict=True)) for o, i in zip(objects, ids, strict=True)]
    for bin_, (least, most) in enumerate(BINS):
        for gap in range(least, most + 1):
            for before in range(frames - gap - 1):
                after = before + gap + 1
                for i in range(12):
                    if away(number_at, i, before, after):
                        slow.returns[bin_] += 1
                        last = shown(number_at, i, range(before, -1, -1))
                        slow.kept[bin_] += last is not None and last == shown(number_at, i, range(after, frames))
                    if away(object_at, i, before, after):
                        slow.links[bin_] += 1
                        slow.right[bin_] += object_at[before][i] >= 0 and object_at[before][i] == object_at[after][i]
    assert counts(found) == counts(slow)
    assert found.returns.sum() > 10
    assert 0 < found.kept.sum() < found.returns.sum()
    assert 0 < found.right.sum() < found.links.sum()
    assert counts(total([found, found]))["returns"] == (2 * found.returns).tolist()


def away(at: list[dict[int, int]], i: int, before: int, after: int) -> bool:
    return i in at[before] and i in at[after] and all(i not in at[t] for t in range(before + 1, after))


def shown(at: list[dict[int, int]], i: int, frames: range) -> int | None:
    """The first id that is shown in ``frames``, until the object is away for five frames."""
    missed = 0
    for frame in frames:
        if i in at[frame]:
            missed = 0
            if at[frame][i] >= 0:
                return at[frame][i]
        else:
            missed += 1
        if missed == 5:
            return None
    return None
