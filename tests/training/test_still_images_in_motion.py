import json
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.training.datasets import SHARED as LABELS
from tests.training.datasets import write_stills
from tltm_graph.association.motion_features import NUM_CURRENT, NUM_EDGE, NUM_PREVIOUS
from tltm_graph.formats import COCO
from tltm_graph.frame_pairs import HallucinatedMotion
from tltm_graph.nn import TransitionHead
from tltm_graph.training import AssociationData, StillImagesInMotion
from tltm_graph.training.association_steps import association_losses
from tltm_graph.training.still_images_in_motion import (
    DIRECTIONS,
    Animation,
    animate,
    draw_camera_motion,
    draw_occluders,
    move_objects,
    outline_of_box,
    outline_of_mask,
    smooth_curve,
)

SHARED = Path(__file__).parents[3] / "shared/data"
SIZE = (200, 300)
STILL = HallucinatedMotion(translation=0.0, rotation=0.0)


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stills")
    write_stills(folder / "coco.json", folder / "images", COCO, LABELS)
    return folder / "coco.json"


def test_a_seed_is_a_video(images):
    source, later = (StillImagesInMotion(str(images), num_videos=4, first_seed=seed) for seed in (3, 4))
    assert len(source) == 4
    for index in range(4):
        sequence, again = source[index], source[index]
        assert sequence.size == (48, 80)
        assert 30 <= len(sequence) <= 60
        assert sequence.times == again.times
        for seen, same, objects in zip(sequence.frames, again.frames, sequence.objects, strict=True):
            assert torch.equal(seen.boxes, same.boxes)
            assert torch.equal(seen.ids, same.ids)
            assert objects.shape == seen.ids.shape
    different = StillImagesInMotion(str(images), num_videos=4, first_seed=30)[0]
    assert different.times != source[0].times or len(different.frames[0]) != len(source[0].frames[0])
    assert later[0].size == source[1].size
    assert repr(source) == f"StillImagesInMotion(4 videos of 3 images in '{images}')"


def test_pictures_are_not_needed(images):
    for file in (images.parent / "images").iterdir():
        file.rename(file.with_suffix(".away"))
    try:
        assert len(StillImagesInMotion(str(images))[0]) >= 30
    finally:
        for file in (images.parent / "images").iterdir():
            file.rename(file.with_suffix(".jpg"))


def test_objects_of_the_image_and_of_no_other(images):
    content = json.loads(images.read_text())
    number = content["images"][0]["id"]
    count = sum(a["image_id"] == number for a in content["annotations"])
    for seed in range(5):
        sequence = StillImagesInMotion(str(images), first_seed=seed, animation=Animation(alone=1.0))[0]
        real = {i for seen, o in zip(sequence.frames, sequence.objects, strict=True) for i in seen.ids[o == 1].tolist()}
        assert real <= set(range(count))
    crowded = [
        StillImagesInMotion(str(images), first_seed=seed, animation=Animation(alone=0.0))[0] for seed in range(5)
    ]
    frames = [pair for sequence in crowded for pair in zip(sequence.frames, sequence.objects, strict=True)]
    assert max(int(i) for seen, o in frames for i in seen.ids[o == 1]) >= count


def yolo(folder: Path, texts: dict[str, str]) -> str:
    for name in ("images", "labels"):
        (folder / name).mkdir()
    for name, text in texts.items():
        Image.new("RGB", (80, 60)).save(folder / "images" / f"{name}.png")
        (folder / "labels" / f"{name}.txt").write_text(text)
    (folder / "classes.txt").write_text("cat\ndog\n")
    return str(folder)


def test_yolo_with_boxes_and_images_without_objects(tmp_path):
    path = yolo(tmp_path, {"one": "0 0.5 0.5 0.2 0.2\n1 0.2 0.2 0.1 0.1\n", "none": ""})
    source = StillImagesInMotion(path, animation=Animation((12, 12), alone=1.0))
    names = [image.name for image in source.images]
    full = [source[2 * k + names.index("one")] for k in range(6)]
    assert any(len(seen) for sequence in full for seen in sequence.frames)
    empty = source[names.index("none")]
    assert len(empty) == 12
    assert all(len(seen) == 0 for seen in empty.frames)


def test_objects_without_area_are_none(tmp_path):
    path = yolo(tmp_path, {"one": "0 0.5 0.5 0 0.2\n"})
    assert all(len(seen) == 0 for seen in StillImagesInMotion(path, animation=Animation(alone=1.0))[0].frames)


def test_detections_of_images(images, tmp_path):
    content = json.loads(images.read_text())
    results = [
        {"image_id": a["image_id"], "category_id": a["category_id"], "bbox": a["bbox"], "score": score}
        for a, score in zip(content["annotations"], np.linspace(0.1, 0.9, len(content["annotations"])), strict=True)
    ]
    path = tmp_path / "results.json"
    path.write_text(json.dumps(results))
    source = StillImagesInMotion(str(path), like=str(images))
    weak = StillImagesInMotion(str(path), like=str(images), score_threshold=0.95)
    assert any(len(seen) for seen in source[0].frames)
    assert not any(len(seen) for seen in weak[0].frames)


def test_messages(images, tmp_path):
    for options, message in (
        ({"num_frames": (0, 5)}, r"Expected num_frames as \(smallest, largest\) above 0, got \(0, 5\)"),
        ({"num_frames": (9, 5)}, r"got \(9, 5\)"),
        ({"alone": 1.5}, r"Expected alone in \[0, 1\], got 1.5"),
    ):
        with pytest.raises(ValueError, match=message):
            Animation(**options)
    with pytest.raises(IndexError, match=r"Expected a video from 0 to 4, got 5"):
        StillImagesInMotion(str(images), num_videos=5)[5]
    path = yolo(tmp_path, {"image": ""})
    with pytest.raises(ValueError, match=r"Expected still images in '.*', part val, got none"):
        StillImagesInMotion(path, part="val")


@pytest.mark.slow
@pytest.mark.skipif(not SHARED.exists(), reason="needs the folder 'shared' beside the project")
def test_a_head_learns_from_still_images_and_knows_videos_it_has_not_seen():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # two texts are without an image
        source = StillImagesInMotion(str(SHARED / "coco128-seg"), num_videos=5, class_names=COCO)
        held_out = StillImagesInMotion(str(SHARED / "coco128-seg"), num_videos=2, first_seed=0, class_names=COCO)
    opened, other = (
        AssociationData([s], hard_share=0.4, appearance_share=0.0, num_workers=0).open((), 0)
        for s in (source, held_out)
    )
    torch.manual_seed(0)
    head = TransitionHead(NUM_PREVIOUS, NUM_CURRENT, NUM_EDGE, channels=8, hidden_channels=16)
    optimizer = torch.optim.Adam(head.parameters(), lr=0.01)
    unseen = [other.samples[k] for k in range(len(other.samples))]

    def loss() -> float:
        with torch.no_grad():
            return float(association_losses(head.eval(), unseen)["edge"])

    before = loss()
    head.train()
    for step in range(40):
        losses = association_losses(head, [opened.samples[8 * step + k] for k in range(8)])
        optimizer.zero_grad()
        torch.stack(list(losses.values())).sum().backward()
        optimizer.step()
    assert loss() < 0.4 * before


def box_of(outline):
    return [*outline.min(axis=-2), *outline.max(axis=-2)]


def some_outlines(count=5, seed=0):
    rng = np.random.default_rng(seed)
    corners = rng.uniform(20, 120, (count, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(10, 50, (count, 2))], axis=1)
    return np.array([outline_of_box(box) for box in boxes]).reshape(-1, DIRECTIONS.shape[1], 2)


def test_outlines_have_the_size_of_their_objects():
    box = np.array([10.0, 20, 50, 90])
    assert box_of(outline_of_box(box)) == pytest.approx(box)
    mask = np.zeros((60, 80), dtype=bool)
    mask[11:30, 5:9] = mask[29, 5:70] = True
    assert box_of(outline_of_mask(mask)) == [5, 11, 70, 30]
    mask[:] = False
    mask[3, 4] = True
    assert box_of(outline_of_mask(mask)) == [4, 3, 5, 4]


@pytest.mark.parametrize("seed", range(4))
def test_an_outline_has_the_outermost_corner_of_all_pixels_in_each_direction(seed):
    mask = np.random.default_rng(seed).random((9, 12)) < 0.1
    corners = [(x + dx, y + dy) for y, x in zip(*mask.nonzero(), strict=True) for dx in (0, 1) for dy in (0, 1)]
    outline = outline_of_mask(mask)
    for point, direction in zip(outline, DIRECTIONS.T, strict=True):
        assert point @ direction == pytest.approx(max(np.dot(corner, direction) for corner in corners))


def test_box_of_a_turned_ellipse():
    """Half the width of an ellipse with half axes a and b, turned by t: sqrt((a cos t)² + (b sin t)²)."""
    a, b, angle = 10.0, 30.0, np.radians(20)
    outline = outline_of_box(np.array([-a, -b, a, b]))
    x = outline @ [np.cos(angle), -np.sin(angle)]
    assert x.max() == pytest.approx(np.hypot(a * np.cos(angle), b * np.sin(angle)), rel=0.02)


@pytest.mark.parametrize("shape", [(40,), (40, 3, 2), (1, 2), (0, 2), (30, 0)])
def test_paths_stay_within_their_range(shape):
    for seed in range(5):
        path = smooth_curve(np.random.default_rng(seed), shape)
        assert path.shape == shape
        assert (np.abs(path) <= 1).all()


def test_paths_do_not_jump():
    steps, swings = [], []
    for seed in range(50):
        path = smooth_curve(np.random.default_rng(seed), (60, 4))
        steps.append(np.abs(np.diff(path, axis=0)).mean())
        swings.append(np.ptp(path, axis=0).mean())
    assert np.median(steps) < 0.15, "2/3 if each frame was drawn anew"
    assert np.median(swings) > 1


def test_the_camera_keeps_within_the_motion_of_the_paper():
    motion = HallucinatedMotion(translation=0.2, rotation=20.0, scale=(0.8, 1.5))
    turns = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        shift, turn, zoom = draw_camera_motion(rng, 50, SIZE, motion)
        assert (np.abs(shift) < np.array([300, 200]) * 0.2 + 0.05 * SIZE[1]).all(), "shaking comes on top"
        assert (np.abs(turn) <= np.radians(20)).all()
        assert ((zoom >= 0.8) & (zoom <= 1.5)).all()
        turns.append(np.abs(turn).max())
    assert max(turns) > np.radians(10)
    assert min(turns) == 0, "some stand"


def test_the_boxes_of_a_world_are_those_of_the_moved_points_one_by_one():
    rng, again = (np.random.default_rng(5) for _ in "ab")
    outlines = some_outlines()
    motion = HallucinatedMotion(scale=(0.9, 1.2))
    world = animate(rng, outlines, np.arange(5), SIZE, 20, motion)
    own = move_objects(again, outlines, 20, motion.rotation)
    draw_occluders(again, outlines, SIZE)
    shift, turn, zoom = draw_camera_motion(again, 20, SIZE, motion)
    for frame in (0, 7, 19):
        matrix = zoom[frame] * np.array(
            [[np.cos(turn[frame]), -np.sin(turn[frame])], [np.sin(turn[frame]), np.cos(turn[frame])]]
        )
        for number in range(5):
            points = [matrix @ (p - [150, 100]) + [150, 100] + shift[frame] for p in own[frame, number]]
            assert world.boxes[frame, number] == pytest.approx(box_of(np.array(points)))
            assert world.depths[frame, number] == -own[frame, number, :, 1].max(), "lower objects are nearer"


def test_objects_overtake_each_other_leave_and_come_back():
    hidden = left = returned = 0
    for seed in range(30):
        world = animate(np.random.default_rng(seed), some_outlines(6, seed), np.zeros(6, int), SIZE, 60, STILL)
        order = np.argsort(world.boxes[..., 0], axis=1)
        hidden += (order != order[0]).any()
        gone = world.present[:-1] & ~world.present[1:]
        back = ~world.present[:-1] & world.present[1:] & (np.cumsum(world.present, axis=0)[:-1] > 0)
        left, returned = left + gone.sum(), returned + back.sum()
    assert hidden > 20
    assert left > 10
    assert returned > 0


@pytest.mark.parametrize(("count", "num_frames"), [(0, 5), (3, 1), (3, 0), (0, 0)])
def test_nothing_and_no_time(count, num_frames):
    for seed in range(6):
        world = animate(
            np.random.default_rng(seed), some_outlines(count), np.zeros(count, int), SIZE, num_frames, STILL
        )
        assert world.boxes.shape == (num_frames, count, 4)
        assert world.present.shape == world.depths.shape == (num_frames, count)
        assert world.occluders.shape[:2] == world.occluder_depths.shape
