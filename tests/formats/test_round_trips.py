import pytest

from benchmarks.round_trips import measure

LOST = {
    "youtube_vis": {"scores"},
    "youtube_vis_results": set(),
    "davis": {"boxes", "classes", "overlap", "scores"},
    "mots": {"boxes", "overlap", "scores"},
    "kitti_mots": {"boxes", "overlap", "scores"},
    "mots_png": {"boxes", "ids", "overlap", "scores"},
    "mot": {"classes", "masks"},
    "mot_truth": {"masks"},
    "bdd100k": set(),
    "coco_results": set(),
    "tltm": {"scores"},
    "csv": set(),
}
"""Properties of tracks that a format lacks, as in the table of docs/formats.md."""

MASKS_NEEDED = {"davis", "mots", "kitti_mots", "mots_png"}
CLASSES_NEEDED = {"mot_truth", "mots", "kitti_mots", "mots_png", "bdd100k"}


@pytest.fixture(scope="module")
def cells():
    return measure()


@pytest.mark.slow
def test_every_pair_is_there(cells):
    assert {name for pair in cells for name in pair} == set(LOST)
    assert len(cells) == len(LOST) ** 2


@pytest.mark.slow
@pytest.mark.parametrize("second", LOST)
@pytest.mark.parametrize("first", LOST)
def test_only_what_the_format_lacks_is_lost(cells, first, second):
    expected = LOST[first] | LOST[second]
    if "masks" in LOST[first] and second in MASKS_NEEDED:
        expected = {"refused: it needs masks"}
    elif "classes" in LOST[first] and second in CLASSES_NEEDED and first == "davis":
        expected = {"refused: it needs classes"}
    elif "masks" in expected:
        expected -= {"overlap"}
    assert cells[first, second] == expected
