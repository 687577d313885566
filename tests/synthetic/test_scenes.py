import pickle
from dataclasses import replace
from itertools import combinations, pairwise

import pytest
import torch

from tltm_graph.synthetic import EASY, HARD, STANDARD, TEST, TRAIN, VAL, MovingShapes, moving_shapes
from tltm_graph.synthetic.camera import Shake
from tltm_graph.synthetic.difficulty import DIFFICULTIES
from tltm_graph.synthetic.scenes import SPLITS

PLAIN = replace(STANDARD, exposure=0.0, bursts=0.0, grain=0.0, zoom=0.0, pan=0.0)
"""Still camera with a perfect lens: pictures can be compared pixel by pixel."""


@pytest.mark.parametrize("difficulty", DIFFICULTIES.values(), ids=DIFFICULTIES)
def test_frames_depend_on_seed_and_index_only(difficulty):
    scene, again = (MovingShapes(n, (96, 128), seed=5, difficulty=difficulty) for n in (30, 60))
    for t in (29, 0, 13):
        assert torch.equal(scene.frame(t).image, again.frame(t).image), "in any order and any length"
        assert torch.equal(scene.truth(t).masks, again.truth(t).masks)
        assert scene.frame(t).time == again.frame(t).time
    other = MovingShapes(30, (96, 128), seed=6, difficulty=difficulty)
    assert not torch.equal(scene.frame(0).image, other.frame(0).image)
    assert [frame.index for frame in scene] == list(range(30))


def test_scenes_are_the_same_at_any_size():
    small, large = (MovingShapes(40, size, seed=3, min_area=0, difficulty=STANDARD) for size in ((96, 160), (288, 480)))
    for t in range(0, 40, 5):
        seen = small.truth(t).masks.any(dim=0)
        same = large.truth(t).masks.any(dim=0)[1::3, 1::3]
        assert (seen & same).sum() > 0.9 * (seen | same).sum()
        assert small.degraded(t) == large.degraded(t)


def test_masks_are_exact():
    """The picture differs from the background exactly at the masks."""
    scene, bare = (MovingShapes(9, (96, 128), n, seed=1, min_area=0, difficulty=PLAIN) for n in (6, 0))
    for t in range(0, 9, 2):
        masks = scene.truth(t).masks
        changed = (scene.frame(t).image != bare.frame(t).image).any(dim=0)
        covered = masks.any(dim=0)
        near = torch.nn.functional.max_pool2d(covered[None].float(), 3, stride=1, padding=1)[0].bool()
        assert not (changed & ~near).any(), "except pixels that a shape covers by less than half"
        assert (changed & covered).sum() / covered.sum() > 0.97
        assert masks.sum(dim=0).max() == 1, "visible masks do not overlap"


def test_boxes_are_tight():
    scene = MovingShapes(60, (96, 160), num_objects=8, seed=2, min_area=1, difficulty=STANDARD)
    for t in range(0, 60, 7):
        truth = scene.truth(t)
        for box, mask in zip(truth.boxes, truth.masks, strict=True):
            y, x = mask.nonzero(as_tuple=True)
            assert box.tolist() == [x.min(), y.min(), x.max() + 1, y.max() + 1]


def observations(scene: MovingShapes, every: int = 1) -> dict[int, dict[int, torch.Tensor]]:
    """Collect the boxes of each object by frame."""
    seen: dict[int, dict[int, torch.Tensor]] = {}
    for t in range(0, len(scene), every):
        truth = scene.truth(t)
        for i, box in zip(truth.ids.tolist(), truth.boxes, strict=True):
            seen.setdefault(i, {})[t] = box
    return seen


@pytest.mark.parametrize("difficulty", [STANDARD, HARD], ids=("standard", "hard"))
def test_objects_leave_and_come_back_at_another_position(difficulty):
    absences, elsewhere = [], 0
    for boxes in observations(MovingShapes(300, (48, 80), num_objects=8, seed=0, difficulty=difficulty)).values():
        for before, after in pairwise(boxes):
            if after - before > 4:
                absences.append(after - before)
                elsewhere += int((boxes[before] - boxes[after]).abs().max() > 24)
    assert len(absences) > 15
    assert min(absences) < 12
    assert max(absences) > 20
    assert elsewhere > len(absences) / 3


@pytest.mark.slow
def test_look_alikes_cross():
    """Look-alikes cover each other by half or more, more often in harder scenes."""
    crossed = dict.fromkeys(DIFFICULTIES, 0)
    for name, difficulty in DIFFICULTIES.items():
        for seed in range(6):
            scene = MovingShapes(90, (48, 80), num_objects=6, seed=seed, difficulty=difficulty)
            groups, seen = scene.look_alike_groups, observations(scene, every=3)
            for a, b in combinations(seen, 2):
                if groups[a] == groups[b]:
                    pairs = [(seen[a][t], seen[b][t]) for t in seen[a].keys() & seen[b].keys()]
                    crossed[name] += any(overlap(*pair) > 0.5 for pair in pairs)
    assert 0 < crossed["easy"] < crossed["standard"] < crossed["hard"]


def overlap(one: torch.Tensor, other: torch.Tensor) -> float:
    """Compute the fraction of the smaller box inside the other one."""
    shared = (torch.minimum(one[2:], other[2:]) - torch.maximum(one[:2], other[:2])).clamp(min=0).prod()
    return float(shared / min((box[2:] - box[:2]).prod() for box in (one, other)))


def test_frames_are_dropped():
    scene = MovingShapes(200, (32, 48), seed=1, difficulty=STANDARD)
    ticks = [round(scene.frame(t).time * 25) for t in range(200)]
    gaps = [after - before for before, after in pairwise(ticks)]
    assert ticks[0] == 0
    assert min(gaps) == 1
    assert 1 < max(gaps) <= STANDARD.longest_drop + 1
    assert 0.02 < sum(gap > 1 for gap in gaps) / 200 < 0.15
    calm = MovingShapes(60, (32, 48), seed=1, difficulty=EASY)
    assert [calm.frame(t).time for t in range(60)] == [t / 25 for t in range(60)]


@pytest.mark.parametrize("difficulty", DIFFICULTIES.values(), ids=DIFFICULTIES)
def test_bursts_are_short_and_come_after_clean_frames(difficulty):
    calm = replace(difficulty, whips=0.0, pan=0.0)  # without motion blur of the camera
    scene = MovingShapes(600, (32, 48), seed=2, difficulty=calm)
    text = "".join("x" if scene.degraded(t) else "." for t in range(600))
    bursts = [part for part in text.split(".") if part]
    assert set(map(len, bursts)) == {1, 2, 3}
    assert min(len(part) for part in text.rstrip(".").split("x") if part) >= 3
    assert not scene.degraded(0)


def test_only_degraded_frames_differ_from_a_clean_scene():
    """Compare with a scene whose bursts have no effect."""
    loud = replace(STANDARD, whips=0.0, pan=0.0, shake=0.0)
    quiet = replace(loud, noise=0.0, lighting=0.0, defocus=0.0)
    scene, same = (MovingShapes(80, (96, 160), seed=4, difficulty=difficulty) for difficulty in (loud, quiet))
    degraded = [t for t in range(80) if scene.degraded(t)]
    changed = [t for t in range(80) if not torch.equal(scene.frame(t).image, same.frame(t).image)]
    assert len(degraded) > len(changed) > 5
    assert set(changed) == {t for t in degraded if not isinstance(scene._timeline.at(t).burst, Shake)}
    for t in changed:
        assert (scene.frame(t).image.float() - same.frame(t).image.float()).abs().mean() > 0.5


def test_motion_blur_does_not_change_masks():
    quick = replace(PLAIN, stride=(6, 8), spin=0.0)
    sharp, smeared = (
        MovingShapes(12, (96, 160), seed=1, difficulty=replace(quick, exposure=exposure)) for exposure in (0.0, 1.0)
    )
    detail = [0.0, 0.0]
    for t in range(12):
        assert torch.equal(sharp.truth(t).masks, smeared.truth(t).masks)
        for k, scene in enumerate((sharp, smeared)):
            covered = scene.truth(t).masks.any(dim=0)
            detail[k] += float(scene.frame(t).image.float()[:, covered].std()) if covered.any() else 0.0
    assert detail[1] < 0.9 * detail[0]


def test_objects_below_min_area_are_not_in_the_truth():
    scene = MovingShapes(150, (64, 96), num_objects=8, seed=0, min_area=50, difficulty=STANDARD)
    assert all((scene.truth(t).masks.flatten(1).sum(1) >= 50).all() for t in range(0, 150, 10))


def test_empty_videos_and_errors():
    assert list(MovingShapes(0)) == []
    assert len(MovingShapes(1, (32, 32), num_objects=0).truth(0)) == 0
    assert MovingShapes(1, (32, 32), num_objects=0).truth(0).masks.shape == (0, 32, 32)
    assert str(MovingShapes(9)) == "MovingShapes(num_frames=9, size=(360, 640), num_objects=6)"
    with pytest.raises(IndexError, match="a frame from 0 to 8, got 9"):
        MovingShapes(9, (32, 32)).frame(9)
    with pytest.raises(IndexError, match="a frame from 0 to 8, got -1"):
        MovingShapes(9, (32, 32)).degraded(-1)
    with pytest.raises(ValueError, match="at least 16×16 pixels"):
        MovingShapes(9, (8, 32))
    with pytest.raises(ValueError, match="a seed of at least 0"):
        MovingShapes(9, seed=-1)


# Preset, split, tick of frame 30 of scene 7, ids, labels and boxes in that frame, and its mean grey level.
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
    """If this fails, published scores are no longer comparable: fix the renderer, not the numbers."""
    scene = moving_shapes(difficulty, split)[7]
    truth, frame = scene.truth(30), scene.frame(30)
    assert round(frame.time * scene.fps) == tick
    assert truth.ids.tolist() == ids
    assert truth.labels.tolist() == labels
    assert (truth.boxes - torch.tensor(boxes).reshape(-1, 4)).abs().max() <= 1
    assert float(frame.image.float().mean()) == pytest.approx(brightness, abs=0.2)


def test_splits_share_no_seed():
    assert {name: len(seeds) for name, seeds in SPLITS.items()} == {"train": 2000, "val": 20, "test": 30}
    assert len(set().union(*SPLITS.values())) == 2050


@pytest.mark.parametrize("difficulty", DIFFICULTIES.values(), ids=DIFFICULTIES)
def test_scenes_are_made_on_access(difficulty):
    scenes = moving_shapes(difficulty, TRAIN)
    assert len(scenes) == 2000
    assert len(pickle.dumps(scenes)) < 2000, "no scene is kept"
    first, again = scenes[3], scenes[3]
    assert first is not again
    assert torch.equal(first.frame(2).image, again.frame(2).image)
    assert first.size == (192, 320)
    assert len(first) == 60
    counts = {scenes[i].num_objects for i in range(80)}
    assert counts == set(range(difficulty.objects[0], difficulty.objects[1] + 1))


def test_indexing_scenes():
    scenes = moving_shapes(STANDARD, VAL, num_frames=5, size=(48, 80))
    assert [scene.seed for scene in scenes] == list(VAL)
    assert scenes[-1].seed == scenes[19].seed
    assert [scene.seed for scene in scenes[4:7]] == [scenes[i].seed for i in (4, 5, 6)]
    assert [scene.seed for scene in scenes[::9]] == [scenes[i].seed for i in (0, 9, 18)]
    assert len(scenes[20:]) == 0
    assert str(scenes[:3]) == "Scenes(3 scenes of 5 frames, 48×80)"
    assert len(scenes[0]) == 5
    assert len(moving_shapes(STANDARD, range(0))) == 0
    with pytest.raises(IndexError):
        scenes[20]


def test_scenes_can_be_pickled():
    """Workers of a data loader need this, also after frames were read."""
    scene = moving_shapes(HARD, TEST, size=(48, 80))[0]
    scene.frame(5)
    again = pickle.loads(pickle.dumps(scene))
    assert torch.equal(again.frame(20).image, scene.frame(20).image)
    assert torch.equal(again.truth(50).masks, scene.truth(50).masks)
