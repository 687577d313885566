import math

import numpy as np
import pytest

from tltm_graph.tracking.score_curve import UNKNOWN, ScoreCurve


def followed(scores: list[float], lives: list[list[int]], curve: ScoreCurve | None = None) -> ScoreCurve:
    """Curve after tracks that begin at time 0 with ``scores`` and are observed at the times ``lives``."""
    curve = (curve or ScoreCurve.empty()).observe(np.array(scores))
    for t in range(11):
        observed = [i for i, life in enumerate(lives) if t in (0, *life)]
        born = np.arange(len(scores) if t == 0 else 0)
        curve = curve.follow(float(t), np.array(observed), born, np.array(scores[: len(born)]))
    return curve


def slowly(births: list[tuple[float, float]], seen: list[float], score: float) -> float:
    """Probability of a score in [0, 1]: pool adjacent violators, then a line between the corners."""
    points = [((k + 0.5) / 10, 0.9 * (k + 0.5) / 10, 2.0) for k in range(10)]
    points = sorted([*points, *((s, lived, 1.0) for s, lived in births)], key=lambda point: point[0])
    blocks: list[list[float]] = []  # mean, weight, length
    for _, lived, weight in points:
        blocks.append([lived, weight, 1])
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            mean, weight, length = blocks.pop()
            before = blocks[-1]
            total = before[1] + weight
            blocks[-1] = [(before[0] * before[1] + mean * weight) / total, total, before[2] + length]
    heights = [mean for mean, _, length in blocks for _ in range(int(length))]
    xs = [s for s, _, _ in points]

    def at(x):
        return float(np.interp(x, xs, heights))

    best = [at(s) for s in sorted(seen)[len(seen) * 3 // 4 :]]
    lasting = (sum(best) + 2 * 0.9) / (len(best) + 2)
    heights = [min(h / lasting, 1) for h in heights]
    return at(score)


def test_the_curve_equals_a_slow_one():
    random = np.random.default_rng(0)
    scores = random.random(60).tolist()
    lives = [sorted(np.flatnonzero(random.random(10) < s * s) + 1) for s in scores]
    curve = followed(scores, lives)
    births = [(s, len(life) / 10) for s, life in zip(scores, lives, strict=True)]
    assert curve.births.tolist() == [list(pair) for pair in births]
    assert len(curve.pending) == 0
    for score in (0.0, 0.11, 0.3, 0.52, 0.77, 1.0):
        assert curve.probability(np.array([score]))[0] == pytest.approx(slowly(births, scores, score))


def test_without_observations_a_score_is_its_own_estimate():
    curve = ScoreCurve.empty().observe(np.linspace(0.1, 0.9, 9))
    assert curve.probability(np.array([0.2, 0.5, 0.8])) == pytest.approx([0.2, 0.5, 0.8], abs=0.12)
    assert curve.log_odds(np.array([0.5]))[0] == pytest.approx(0, abs=0.2)
    assert ScoreCurve.empty().nominal(np.array([0.3, -1.0])).tolist() == [0.3, 0.8]


def test_what_is_not_detected_again_is_no_object():
    scores = [0.6, 0.9] * 20
    curve = followed(scores, [[], list(range(1, 11))] * 20)
    low, high = curve.probability(np.array([0.6, 0.9]))
    assert low < 0.35
    assert high > 0.9
    both = followed(scores, [list(range(1, 11))] * 40)
    assert both.probability(np.array([0.6]))[0] > 0.9, "this detector is sure of more than it says"


@pytest.mark.parametrize("scale", [lambda s: 20 * s - 7.1, lambda s: s**3 + 5, lambda s: -1 / (s + 1e-3)])
def test_the_scale_of_unbounded_scores_does_not_matter(scale):
    random = np.random.default_rng(1)
    ranks = np.arange(1, 101) / 100
    scores = random.permutation(ranks)
    curve = ScoreCurve.empty().observe(scale(scores))
    assert curve.nominal(scale(ranks)) == pytest.approx(ranks - 0.005)
    assert curve.nominal(np.array([UNKNOWN])).tolist() == [0.8]


def test_equal_scores_say_nothing():
    for score in (0.25, 1.0, 7.0, UNKNOWN):
        curve = ScoreCurve.empty().observe(np.array([score, score]))
        for _ in range(2):
            assert curve.nominal(np.array([score])).tolist() == [0.8]
            assert curve.probability(np.array([score])).tolist() == [0.8]
            curve = followed([score] * 20, [[]] * 20, curve)  # nothing is detected again
    once = ScoreCurve.empty().observe(np.array([0.25]))
    assert once.nominal(np.array([0.25])).tolist() == [0.25], "one score is not yet several equal ones"
    varied = once.observe(np.array([0.26]))
    assert varied.nominal(np.array([0.25])).tolist() == [0.25]


def test_the_type_is_kept():
    curve = ScoreCurve.empty().observe(np.array([0.2, 3.0], dtype=np.float32))
    scores = np.array([0.2, 3.0, -1.0], dtype=np.float32)
    assert curve.nominal(scores).dtype == curve.log_odds(scores).dtype == np.float32
    assert np.isfinite(curve.log_odds(scores)).all()
    assert len(curve.log_odds(scores[:0])) == 0


def test_the_state_is_bounded_and_is_not_modified():
    curve = ScoreCurve.empty()
    for t in range(60):
        scores, ids = np.linspace(0, 1, 50), np.arange(50) + 50 * t
        before = [value.copy() for value in (curve.seen, curve.births, curve.pending)]
        curve.observe(scores).follow(float(t), ids, ids, scores)
        assert all((a == b).all() for a, b in zip(before, (curve.seen, curve.births, curve.pending), strict=True))
        curve = curve.observe(scores).follow(float(t), ids, ids, scores)
    assert len(curve.seen) == 500
    assert len(curve.births) == 300
    assert len(curve.pending) == 500, "those of the last ten frames"


def test_a_curve_is_restored():
    curve = followed([0.3, 0.9], [[1], [1, 2, 3]])
    again = ScoreCurve.from_tensors(curve.tensors())
    scores = np.array([0.1, 0.4, 0.8])
    assert again.probability(scores).tolist() == curve.probability(scores).tolist()
    assert again.tensors().keys() == {"seen", "births", "pending"}
    assert math.isclose(ScoreCurve.from_tensors({}).probability(scores)[1], ScoreCurve.empty().probability(scores)[1])
