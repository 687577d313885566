import pytest
import torch

from benchmarks.fusion import STRENGTHS, Rows, _best_overlap, stretches, table
from tltm_graph import Detections


def objects(*boxes, labels=None, scores=None, size=(40, 60)):
    masks = torch.zeros(len(boxes), *size, dtype=torch.bool)
    for mask, (x0, y0, x1, y1) in zip(masks, boxes, strict=True):
        mask[y0:y1, x0:x1] = True
    return Detections(
        torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        torch.tensor(scores or [0.9] * len(boxes)),
        torch.tensor(labels or [0] * len(boxes), dtype=torch.int64),
        masks=masks,
    )


TRUTH = objects((2, 2, 20, 20), (30, 5, 50, 35), labels=[0, 3])


@pytest.mark.parametrize("kind", ["bbox", "segm"])
def test_scores_of_perfect_half_and_no_detections(kind):
    perfect, half, nothing = Rows(), Rows(), Rows()
    for frame in range(3):
        perfect.add(frame, TRUTH, TRUTH)
        half.add(frame, TRUTH, TRUTH[:1])
        nothing.add(frame, TRUTH, TRUTH[:0])
    assert perfect.scores(kind) == pytest.approx((100, 100, 100))
    assert half.scores(kind)[2] == pytest.approx(50)
    assert nothing.scores(kind) == (0, 0, 0)


def test_another_class_is_false():
    rows = Rows()
    rows.add(0, TRUTH, objects((2, 2, 20, 20), labels=[1]))
    assert rows.scores("bbox")[2] == 0
    both = Rows()
    both.add(0, TRUTH[:1], objects((2, 2, 20, 20), (2, 2, 20, 20), labels=[0, 1], scores=[0.5, 0.9]))
    assert both.scores("bbox")[1] == pytest.approx(50, abs=1), "the false one has the higher score"


def test_stretches_alternate():
    kinds = stretches(200, seed=3)
    assert len(kinds) == 200
    assert kinds == stretches(200, seed=3)
    assert kinds[:4] == [None] * 4
    assert 60 < sum(kind is not None for kind in kinds) < 160
    assert {kind[1] for kind in kinds if kind is not None} == set(STRENGTHS)


def test_a_table_compares_with_alone():
    results = {}
    for video, found in (("a", TRUTH), ("b", TRUTH[:1])):
        for form in ("alone", "fused"):
            results[form, 0, "dark", video] = Rows()
            results[form, 0, "dark", video].add(0, TRUTH, found if form == "alone" else TRUTH)
    lines = table(results, "bbox", 2, {"all": lambda condition: condition == "dark"}).splitlines()
    assert lines[0] == "| bbox recall | all |"
    assert lines[2] == "| alone | 75.0 |"
    assert lines[3] == "| fused | 100.0 (+25.0 ± 25.0) |"


def test_two_parts_may_cover_an_object_together():
    whole = objects((0, 0, 40, 40)).masks
    parts = objects((0, 0, 22, 40), (22, 0, 40, 40), (0, 0, 4, 4)).masks
    assert _best_overlap(parts, whole) == 1
    assert _best_overlap(parts[:1], whole) == pytest.approx(22 / 40)
    assert _best_overlap(parts[:0], whole) == 0
