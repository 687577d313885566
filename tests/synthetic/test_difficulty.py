from dataclasses import fields

import pytest

from tltm_graph.synthetic import EASY, HARD, STANDARD
from tltm_graph.synthetic.difficulty import DIFFICULTIES, Difficulty

RANGES = ("objects", "stride", "absence")


def test_presets_by_name():
    assert DIFFICULTIES == {"easy": EASY, "standard": STANDARD, "hard": HARD}
    assert all(low <= high for preset in DIFFICULTIES.values() for low, high in (getattr(preset, f) for f in RANGES))


@pytest.mark.parametrize("name", sorted({field.name for field in fields(Difficulty)} - {*RANGES, "leaves"}))
def test_presets_increase_in_difficulty(name):
    assert getattr(EASY, name) < getattr(STANDARD, name) < getattr(HARD, name)
