import pytest
import torch

from tltm_graph import MovingShapes


def test_the_same_seed_gives_the_same_video_in_any_order():
    scene, again, other = (MovingShapes(30, (96, 128), seed=seed) for seed in (5, 5, 6))
    for t in (29, 0, 13):
        assert torch.equal(scene.frame(t).image, again.frame(t).image)
        assert torch.equal(scene.truth(t).masks, again.truth(t).masks)
    assert not torch.equal(scene.frame(0).image, other.frame(0).image)
    assert [frame.index for frame in scene] == list(range(30))
    assert scene.frame(25).time == 1.0


def test_masks_are_exact():
    """Where no shape is, the picture is the background; every mask is where the picture differs from it."""
    scene, bare = MovingShapes(3, (96, 128), seed=1, min_area=0), MovingShapes(3, (96, 128), num_objects=0, seed=1)
    for t in range(3):
        covered = scene.truth(t).masks.any(dim=0)
        changed = (scene.frame(t).image != bare.frame(t).image).any(dim=0)
        assert not (changed & ~covered).any()
        assert (changed & covered).sum() / covered.sum() > 0.97
        assert scene.truth(t).masks.sum(dim=0).max() == 1, "visible masks do not overlap"


def test_it_is_hard_for_the_right_reasons():
    scene = MovingShapes(seed=0)
    seen: dict[int, list[int]] = {}
    partly = 0
    for t in range(0, 150, 3):
        truth = scene.truth(t)
        full = dict(zip(truth.ids.tolist(), truth.masks.flatten(1).sum(1).tolist(), strict=True))
        for i, area in full.items():
            seen.setdefault(i, []).append(area)
        boxes = truth.boxes
        partly += sum(
            bool((boxes[a, :2] < boxes[b, 2:]).all() and (boxes[b, :2] < boxes[a, 2:]).all())
            for a in range(len(boxes))
            for b in range(a)
        )
    assert partly > 20, "objects cross"
    assert any(len(areas) < 45 for areas in seen.values()), "some leave"
    labels = {}
    for t in (0, 60, 120):
        labels.update(zip(scene.truth(t).ids.tolist(), scene.truth(t).labels.tolist(), strict=True))
    assert all(labels[i] == labels[i + 1] for i in (0, 2, 4) if {i, i + 1} <= labels.keys()), (
        "look-alikes come in pairs"
    )


def test_hidden_objects_are_not_part_of_the_truth():
    scene = MovingShapes(150, (64, 96), num_objects=8, seed=0, min_area=50)
    assert all((scene.truth(t).masks.flatten(1).sum(1) >= 50).all() for t in range(0, 150, 10))


def test_empty_and_bad():
    assert list(MovingShapes(0)) == []
    assert len(MovingShapes(1, (32, 32), num_objects=0).truth(0)) == 0
    assert str(MovingShapes(9)) == "MovingShapes(num_frames=9, size=(360, 640), num_objects=6)"
    with pytest.raises(IndexError, match="a frame from 0 to 8, got 9"):
        MovingShapes(9, (32, 32)).frame(9)
    with pytest.raises(ValueError, match="at least 16×16 pixels"):
        MovingShapes(9, (8, 32))
