import numpy as np
import pytest

from tltm_graph.synthetic.detector_noise import ConstantScores, InformativeScores


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_constant_scores_are_one():
    assert ConstantScores().of_objects(rng(), np.array([-3.0, 5.0])).tolist() == [1, 1]
    assert ConstantScores().of_nothing(rng(), 3).tolist() == [1, 1, 1]


def test_informative_scores_are_higher_for_what_is_easy():
    scoring = InformativeScores(slope=0.8, offset=0.5)
    easy, hard = (scoring.of_objects(rng(), np.full(4000, logit)) for logit in (3.0, -1.0))
    for scores, logit in ((easy, 3.0), (hard, -1.0)):
        assert ((scores >= 0) & (scores <= 1)).all()
        assert np.median(np.log(scores / (1 - scores))) == pytest.approx(0.8 * logit - 0.5, abs=0.05)
    nothing = scoring.of_nothing(rng(), 4000)
    assert np.log(nothing / (1 - nothing)).std() == pytest.approx(1.2, rel=0.05)
    assert len(scoring.of_objects(rng(), np.zeros(0))) == len(scoring.of_nothing(rng(), 0)) == 0
