import numpy as np
import pytest

from benchmarks.association_reentry import BINS, Reentries, reentries, total
from tests.benchmarks.cases import drawn


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
