import pytest

from benchmarks.tltm_tiny import AS_IS, CONFUSED, METRICS, TRACKERS, Scores, oracle_table, score_table
from experiments.ablation.scoring import ScoredScene, followed, score
from tltm_graph import Tracker
from tltm_graph.detectors import OracleDetector
from tltm_graph.metrics.oracle import ORACLES
from tltm_graph.synthetic import STANDARD, moving_shapes


def test_scores_of_single_scenes_merge_to_those_of_all():
    scenes = list(moving_shapes(STANDARD, range(6_000_000, 6_000_002), num_frames=12, size=(96, 160)))
    scored = [ScoredScene.of(scene) for scene in scenes]
    assert any(scene.degraded for scene in scored)
    trackers = [Tracker(OracleDetector(s.truth, s.class_names, jitter=0.05, class_noise=0.1)) for s in scenes]
    tracks = [followed(tracker, scene, scene.size, 12) for tracker, scene in zip(trackers, scenes, strict=True)]
    total = Scores()
    for number in (1, 0):
        one = Scores()
        one.update(number, scored[number], tracks[number])
        total.merge(one)
    expected = score(scored, tracks, scenes[0].class_names).overall
    computed = total.compute()
    assert list(computed) == list(METRICS)
    assert 0 < computed["AP"] < 100
    assert {name: computed[name] for name in expected} == pytest.approx({name: 100 * v for name, v in expected.items()})


def test_tables():
    ways = {name: dict.fromkeys(METRICS, 10.0 + row) for row, name in enumerate((*TRACKERS, *ORACLES, CONFUSED))}
    assert f"| {AS_IS} | 10.0 | 10.0 |" in score_table(ways)
    ways["mask"]["AP"] = 9.5
    table = oracle_table(ways)
    assert "| nothing | 10.0 |  | 10.0 | 10.0 |" in table
    assert "| mask | 9.5 | -0.5 |" in table
