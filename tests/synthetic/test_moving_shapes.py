from dataclasses import replace
from itertools import combinations, pairwise

import pytest
import torch

from tltm_graph import MovingShapes
from tltm_graph.synthetic import DIFFICULTIES, EASY, HARD, STANDARD
from tltm_graph.synthetic.bursts import Shake

PLAIN = replace(STANDARD, exposure=0.0, bursts=0.0, grain=0.0, zoom=0.0, pan=0.0)
"""A steady camera with a perfect lens: pictures that can be compared pixel by pixel."""


@pytest.mark.parametrize("difficulty", DIFFICULTIES.values(), ids=DIFFICULTIES)
def test_a_frame_is_a_function_of_seed_and_index_alone(difficulty):
    scene, again = (MovingShapes(n, (96, 128), seed=5, difficulty=difficulty) for n in (30, 60))
    for t in (29, 0, 13):
        assert torch.equal(scene.frame(t).image, again.frame(t).image), "asked for in whatever order, in any length"
        assert torch.equal(scene.truth(t).masks, again.truth(t).masks)
        assert scene.frame(t).time == again.frame(t).time
    other = MovingShapes(30, (96, 128), seed=6, difficulty=difficulty)
    assert not torch.equal(scene.frame(0).image, other.frame(0).image)
    assert [frame.index for frame in scene] == list(range(30))


def test_a_scene_is_the_same_at_any_size():
    small, large = (MovingShapes(40, size, seed=3, min_area=0, difficulty=STANDARD) for size in ((96, 160), (288, 480)))
    for t in range(0, 40, 5):
        seen = small.truth(t).masks.any(dim=0)
        same = large.truth(t).masks.any(dim=0)[1::3, 1::3]
        assert (seen & same).sum() > 0.9 * (seen | same).sum()
        assert small.degraded(t) == large.degraded(t)


def test_masks_are_exact():
    """Where no shape is, the picture is the background; every mask is where the picture differs from it."""
    scene, bare = (MovingShapes(9, (96, 128), n, seed=1, min_area=0, difficulty=PLAIN) for n in (6, 0))
    for t in range(0, 9, 2):
        masks = scene.truth(t).masks
        changed = (scene.frame(t).image != bare.frame(t).image).any(dim=0)
        covered = masks.any(dim=0)
        near = torch.nn.functional.max_pool2d(covered[None].float(), 3, stride=1, padding=1)[0].bool()
        assert not (changed & ~near).any(), "but for a pixel that a shape covers by less than half"
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
    """Box of each object at each frame at which it is seen."""
    seen: dict[int, dict[int, torch.Tensor]] = {}
    for t in range(0, len(scene), every):
        truth = scene.truth(t)
        for i, box in zip(truth.ids.tolist(), truth.boxes, strict=True):
            seen.setdefault(i, {})[t] = box
    return seen


@pytest.mark.parametrize("difficulty", [STANDARD, HARD], ids=("standard", "hard"))
def test_objects_leave_and_come_in_again_elsewhere(difficulty):
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


def test_look_alikes_cross():
    """Objects of one class and texture cover each other by half or more, the more of them the harder the scene is."""
    crossed = dict.fromkeys(DIFFICULTIES, 0)
    for name, difficulty in DIFFICULTIES.items():
        for seed in range(6):
            scene = MovingShapes(90, (48, 80), num_objects=6, seed=seed, difficulty=difficulty)
            looks, seen = [shape.look for shape in scene._objects], observations(scene, every=3)
            for a, b in combinations(seen, 2):
                if looks[a] is looks[b]:
                    pairs = [(seen[a][t], seen[b][t]) for t in seen[a].keys() & seen[b].keys()]
                    crossed[name] += any(overlap(*pair) > 0.5 for pair in pairs)
    assert 0 < crossed["easy"] < crossed["standard"] < crossed["hard"]


def overlap(one: torch.Tensor, other: torch.Tensor) -> float:
    """Share of the smaller box that lies in the other one."""
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
    calm = replace(difficulty, whips=0.0, pan=0.0)  # the camera smears nothing by itself
    scene = MovingShapes(600, (32, 48), seed=2, difficulty=calm)
    text = "".join("x" if scene.degraded(t) else "." for t in range(600))
    bursts = [part for part in text.split(".") if part]
    assert set(map(len, bursts)) == {1, 2, 3}
    assert min(len(part) for part in text.rstrip(".").split("x") if part) >= 3
    assert not scene.degraded(0)


def test_degraded_frames_look_it():
    """Their pictures differ from those of a scene whose bursts do nothing; those of clean frames are the same."""
    loud = replace(STANDARD, whips=0.0, pan=0.0, shake=0.0)
    quiet = replace(loud, noise=0.0, lighting=0.0, defocus=0.0)
    scene, same = (MovingShapes(80, (96, 160), seed=4, difficulty=difficulty) for difficulty in (loud, quiet))
    degraded = [t for t in range(80) if scene.degraded(t)]
    changed = [t for t in range(80) if not torch.equal(scene.frame(t).image, same.frame(t).image)]
    assert len(degraded) > len(changed) > 5
    assert set(changed) == {t for t in degraded if not isinstance(scene._timeline.at(t).burst, Shake)}
    for t in changed:
        assert (scene.frame(t).image.float() - same.frame(t).image.float()).abs().mean() > 0.5


def test_motion_smears_the_picture_and_not_the_truth():
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


def test_hidden_objects_are_not_part_of_the_truth():
    scene = MovingShapes(150, (64, 96), num_objects=8, seed=0, min_area=50, difficulty=STANDARD)
    assert all((scene.truth(t).masks.flatten(1).sum(1) >= 50).all() for t in range(0, 150, 10))


def test_every_class_occurs_in_every_texture_and_colour():
    """A class cannot be told by colour: its looks differ more from each other than its mean from other classes."""
    looks = [
        shape.look
        for seed in range(60)
        for shape in MovingShapes(1, (32, 48), seed=seed, difficulty=replace(STANDARD, look_alikes=0.0))._objects
    ]
    means = torch.tensor([look.surface.resize((1, 1)).getpixel((0, 0)) for look in looks]).float()
    labels = torch.tensor([look.label for look in looks])
    of_class = torch.stack([means[labels == label].mean(dim=0) for label in range(len(MovingShapes.class_names))])
    assert set(labels.tolist()) == set(range(len(MovingShapes.class_names)))
    assert of_class.std(dim=0).max() < 0.5 * means.std(dim=0).min()


def test_empty_and_bad():
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
