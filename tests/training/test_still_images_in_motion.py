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
from tltm_graph.nn import TransitionHead
from tltm_graph.training import AssociationData, StillImagesInMotion, association_losses

SHARED = Path(__file__).parents[3] / "shared/data"


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
        sequence = StillImagesInMotion(str(images), first_seed=seed, alone=1.0)[0]
        real = {i for seen, o in zip(sequence.frames, sequence.objects, strict=True) for i in seen.ids[o == 1].tolist()}
        assert real <= set(range(count))
    crowded = [StillImagesInMotion(str(images), first_seed=seed, alone=0.0)[0] for seed in range(5)]
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
    source = StillImagesInMotion(path, num_frames=(12, 12), alone=1.0)
    names = [image.name for image in source.images]
    full = [source[2 * k + names.index("one")] for k in range(6)]
    assert any(len(seen) for sequence in full for seen in sequence.frames)
    empty = source[names.index("none")]
    assert len(empty) == 12
    assert all(len(seen) == 0 for seen in empty.frames)


def test_objects_without_area_are_none(tmp_path):
    path = yolo(tmp_path, {"one": "0 0.5 0.5 0 0.2\n"})
    assert all(len(seen) == 0 for seen in StillImagesInMotion(path, alone=1.0)[0].frames)


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
        ({"num_frames": (0, 5)}, r"Expected num_frames as \(least, greatest\) above 0, got \(0, 5\)"),
        ({"num_frames": (9, 5)}, r"got \(9, 5\)"),
        ({"alone": 1.5}, r"Expected alone in \[0, 1\], got 1.5"),
    ):
        with pytest.raises(ValueError, match=message):
            StillImagesInMotion(str(images), **options)
    with pytest.raises(IndexError, match=r"Expected a video from 0 to 4, got 5"):
        StillImagesInMotion(str(images), num_videos=5)[5]
    path = yolo(tmp_path, {"image": ""})
    with pytest.raises(ValueError, match=r"Expected still images in '.*', part val, got none"):
        StillImagesInMotion(path, part="val")


@pytest.mark.skipif(not SHARED.exists(), reason="needs the folder 'shared' beside the project")
def test_a_head_learns_from_still_images_and_knows_videos_it_has_not_seen():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # two texts are without an image
        source = StillImagesInMotion(str(SHARED / "coco128-seg"), num_videos=5, class_names=COCO)
        held_out = StillImagesInMotion(str(SHARED / "coco128-seg"), num_videos=2, first_seed=0, class_names=COCO)
    opened, other = (
        AssociationData([s], hard_share=0.4, evidence=0.0, num_workers=0).open((), 0) for s in (source, held_out)
    )
    torch.manual_seed(0)
    head = TransitionHead(NUM_PREVIOUS, NUM_CURRENT, NUM_EDGE, channels=8, hidden_channels=16)
    optimizer = torch.optim.Adam(head.parameters(), lr=0.01)
    unseen = [other.stream[k] for k in range(len(other.stream))]

    def loss() -> float:
        with torch.no_grad():
            return float(association_losses(head.eval(), unseen)["edge"])

    before = loss()
    head.train()
    for step in range(40):
        losses = association_losses(head, [opened.stream[8 * step + k] for k in range(8)])
        optimizer.zero_grad()
        torch.stack(list(losses.values())).sum().backward()
        optimizer.step()
    assert loss() < 0.4 * before
