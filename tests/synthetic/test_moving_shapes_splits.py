import pickle

import pytest
import torch

from tltm_graph.synthetic import (
    DIFFICULTIES,
    EASY,
    HARD,
    SPLITS,
    STANDARD,
    TEST,
    TRAIN,
    VAL,
    Split,
    moving_shapes,
)

# Preset, split, tick of frame 30 of scene 7, then the truth there and the mean of the picture.
FROZEN = [
    (EASY, TRAIN, 30, [0, 1, 2], [4, 4, 6], [[142, 106, 202, 165], [121, 30, 180, 94], [180, 158, 231, 192]], 116.2),
    (
        EASY,
        VAL,
        30,
        [0, 1, 2, 3, 4],
        [6, 6, 7, 3, 7],
        [[0, 107, 51, 161], [227, 25, 278, 71], [233, 20, 270, 37], [73, 36, 116, 83], [113, 62, 143, 102]],
        130.0,
    ),
    (EASY, TEST, 30, [0, 1], [7, 7], [[218, 122, 270, 183], [127, 50, 193, 96]], 93.0),
    (STANDARD, TRAIN, 36, [1, 3], [4, 4], [[0, 17, 40, 73], [240, 86, 320, 177]], 99.3),
    (
        STANDARD,
        VAL,
        45,
        [0, 1, 4, 6, 7],
        [6, 6, 7, 5, 6],
        [[18, 94, 42, 112], [39, 0, 121, 69], [179, 131, 213, 166], [0, 99, 79, 179], [89, 124, 152, 191]],
        122.8,
    ),
    (STANDARD, TEST, 35, [1, 2], [7, 6], [[181, 28, 246, 103], [246, 93, 282, 124]], 86.3),
    (HARD, TRAIN, 43, [3, 4], [4, 5], [[75, 57, 138, 111], [77, 0, 154, 50]], 84.3),
    (
        HARD,
        VAL,
        61,
        [0, 3, 5, 6, 7],
        [6, 6, 6, 5, 6],
        [[43, 71, 114, 158], [115, 114, 164, 162], [0, 50, 20, 82], [0, 69, 103, 163], [96, 76, 133, 142]],
        110.3,
    ),
    (
        HARD,
        TEST,
        41,
        [0, 1, 2, 3],
        [7, 7, 7, 5],
        [[128, 100, 225, 190], [141, 153, 207, 190], [153, 91, 238, 192], [180, 167, 223, 192]],
        76.0,
    ),
]


@pytest.mark.parametrize(("difficulty", "split", "tick", "ids", "labels", "boxes", "brightness"), FROZEN)
def test_the_splits_never_change(difficulty, split, tick, ids, labels, boxes, brightness):
    """If this fails, scores that were published no longer mean what they did: mend the renderer, not the numbers."""
    scene = moving_shapes(difficulty, split)[7]
    truth, frame = scene.truth(30), scene.frame(30)
    assert round(frame.time * scene.fps) == tick
    assert truth.ids.tolist() == ids
    assert truth.labels.tolist() == labels
    assert (truth.boxes - torch.tensor(boxes).reshape(-1, 4)).abs().max() <= 1
    assert float(frame.image.float().mean()) == pytest.approx(brightness, abs=0.2)


def test_splits_share_no_seed():
    seeds = {name: set(range(s.first_seed, s.first_seed + s.num_scenes)) for name, s in SPLITS.items()}
    assert {name: len(of) for name, of in seeds.items()} == {"train": 2000, "val": 20, "test": 30}
    assert len(set.union(*seeds.values())) == 2050


@pytest.mark.parametrize("difficulty", DIFFICULTIES.values(), ids=DIFFICULTIES)
def test_scenes_are_made_when_they_are_asked_for(difficulty):
    scenes = moving_shapes(difficulty, TRAIN)
    assert len(scenes) == 2000
    assert len(pickle.dumps(scenes)) < 2000, "nothing is kept"
    first, again = scenes[3], scenes[3]
    assert first is not again
    assert torch.equal(first.frame(2).image, again.frame(2).image)
    assert first.size == (192, 320)
    assert len(first) == 60
    counts = {scenes[i].num_objects for i in range(80)}
    assert counts == set(range(difficulty.objects[0], difficulty.objects[1] + 1))


def test_a_sequence_of_scenes():
    scenes = moving_shapes(STANDARD, VAL, num_frames=5, size=(48, 80))
    assert [scene.seed for scene in scenes] == list(range(VAL.first_seed, VAL.first_seed + 20))
    assert scenes[-1].seed == scenes[19].seed
    assert [scene.seed for scene in scenes[4:7]] == [scenes[i].seed for i in (4, 5, 6)]
    assert [scene.seed for scene in scenes[::9]] == [scenes[i].seed for i in (0, 9, 18)]
    assert len(scenes[20:]) == 0
    assert str(scenes[:3]) == "Scenes(3 scenes of 5 frames, 48×80)"
    assert len(scenes[0]) == 5
    assert len(moving_shapes(STANDARD, Split(0, 0))) == 0
    with pytest.raises(IndexError):
        scenes[20]


def test_a_scene_can_be_pickled():
    """As workers of a data loader need it, whatever was asked of it before."""
    scene = moving_shapes(HARD, TEST, size=(48, 80))[0]
    scene.frame(5)
    again = pickle.loads(pickle.dumps(scene))
    assert torch.equal(again.frame(20).image, scene.frame(20).image)
    assert torch.equal(again.truth(50).masks, scene.truth(50).masks)
