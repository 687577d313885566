import pytest
import torch

from tests.cases import blank, drawn
from tltm_graph import MovingShapes
from tltm_graph.visualization import Overlay


def test_only_detections_with_an_id_are_drawn():
    scene = MovingShapes(2, (96, 128), num_objects=3, seed=1)
    frame, truth = scene.frame(0), scene.truth(0)
    before = frame.image.clone()
    picture = Overlay(scene.class_names).draw(frame, truth)
    assert picture.shape == frame.image.shape
    assert picture.dtype == torch.uint8
    assert torch.equal(frame.image, before)
    changed = (picture != before).any(dim=0)
    assert changed[truth.masks.any(dim=0)].float().mean() > 0.95
    unknown = truth.replace(ids=torch.full_like(truth.ids, -1))
    assert torch.equal(Overlay(scene.class_names).draw(frame, unknown), before)


def test_an_id_keeps_its_colour():
    scene = MovingShapes(2, (96, 128), num_objects=1, seed=1)
    flat = [blank(t, (96, 128)) for t in range(2)]
    overlay = Overlay()
    colours = []
    for t in range(2):
        picture = overlay.draw(flat[t], scene.truth(t))
        inside = picture[:, scene.truth(t).masks[0]]
        colours.append(inside.flatten(1).mode(dim=1).values.tolist())
    assert colours[0] == colours[1] != [0, 0, 0]


def test_boxes_alone_and_colours_in_rgb():
    (one,) = drawn("a")
    picture = Overlay().draw(blank(0), one)
    red, green, blue = picture[:, 20, int(one.boxes[0, 0])].tolist()
    assert red > 200
    assert max(green, blue) < 120, "the first colour of the palette is red"


def test_a_track_has_the_class_of_most_of_its_observations():
    frames = drawn("a\na\na\na")
    labels, overlay = [0, 1, 1, 0], Overlay(("first", "second"))
    captions = []
    for t, (seen, label) in enumerate(zip(frames, labels, strict=True)):
        overlay.draw(blank(t), seen.replace(labels=torch.tensor([label]), scores=torch.tensor([0.9 if label else 0.5])))
        captions.append(overlay._caption(0))
    assert captions == ["0 first", "0 second", "0 second", "0 second"]
    overlay.draw(blank(1000), frames[0].replace(labels=torch.tensor([0])))
    assert overlay._caption(0) == "0 first", "old votes are dropped"


def test_ids_are_needed():
    with pytest.raises(ValueError, match="Expected detections with ids"):
        Overlay().draw(blank(0), drawn("a")[0].replace(ids=None))
