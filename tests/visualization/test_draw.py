import pytest
import torch

from tests.cases import blank, drawn
from tltm_graph import Detections, Frame, MovingShapes
from tltm_graph.visualization import Overlay

SIZE = (96, 200)  # just large enough for labels


def nothing() -> Detections:
    return Detections.empty().replace(ids=torch.zeros(0, dtype=torch.int64))


def changed(picture: torch.Tensor, frame: Frame) -> torch.Tensor:
    """Which pixels were drawn on (H, W)."""
    return (picture != frame.image).any(dim=0)


def test_only_detections_with_an_id_are_drawn():
    scene = MovingShapes(2, (96, 128), num_objects=3, seed=1)
    frame, truth = scene.frame(0), scene.truth(0)
    before = frame.image.clone()
    picture = Overlay(scene.class_names).draw(frame, truth)
    assert picture.shape == frame.image.shape
    assert picture.dtype == torch.uint8
    assert torch.equal(frame.image, before)
    assert changed(picture, frame)[truth.masks.any(dim=0)].float().mean() > 0.95
    unknown = truth.replace(ids=torch.full_like(truth.ids, -1))
    assert torch.equal(Overlay(scene.class_names, counter=False).draw(frame, unknown), before)
    assert torch.equal(Overlay().draw(frame, unknown), Overlay().draw(frame, nothing())), "the counter alone"


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


def captions(votes: list[tuple[int, float]], names: tuple[str, ...] | None = ("first", "second")) -> list[str]:
    """Captions of a track that is seen with these labels and scores, one a frame."""
    (one,) = drawn("b")  # the track 1
    overlay, shown = Overlay(names), []
    for t, (label, score) in enumerate(votes):
        overlay.draw(blank(t), one.replace(labels=torch.tensor([label]), scores=torch.tensor([score])))
        shown.append(overlay._caption(1, score))
    return shown


def test_a_track_has_the_class_of_most_of_its_observations():
    frames = drawn("a\na\na\na")
    labels, overlay = [0, 1, 1, 0], Overlay(("first", "second"))
    shown = []
    for t, (seen, label) in enumerate(zip(frames, labels, strict=True)):
        score = 0.9 if label else 0.5
        overlay.draw(blank(t), seen.replace(labels=torch.tensor([label]), scores=torch.tensor([score])))
        shown.append(overlay._caption(0, score))
    assert shown == ["0 first 0.50", "0 second 0.90", "0 second 0.90", "0 second 0.50"]
    overlay.draw(blank(1000), frames[0].replace(labels=torch.tensor([0])))
    assert overlay._caption(0, 0.9) == "0 first 0.90", "old votes are dropped"


def test_a_class_changes_only_for_one_with_half_as_many_votes_more():
    votes = [(0, 0.5), (1, 0.7), (1, 0.1), (0, 0.6), (0, 0.2)]
    sums = [(0.5, 0), (0.5, 0.7), (0.5, 0.8), (1.1, 0.8), (1.3, 0.8)]
    shown, expected = 0, []
    for both in sums:
        if both[1 - shown] > 1.5 * both[shown]:
            shown = 1 - shown
        expected.append(("first", "second")[shown])
    assert expected == ["first", "first", "second", "second", "first"]
    assert [caption.split()[1] for caption in captions(votes)] == expected


def test_a_caption_has_the_score():
    assert captions([(0, 0.871)]) == ["1 first 0.87"]
    assert captions([(0, 1.0)], names=None) == ["1 1.00"]
    assert captions([(2, 0.5)]) == ["1 0.50"], "a class without a name"


def test_labels_are_left_out_on_request_and_in_small_frames():
    (one,) = drawn("..a")
    x0, y0, x1, y1 = one.boxes[0].int().tolist()

    def around(size: tuple[int, int], labels: bool) -> bool:
        """Whether anything is drawn outside of the box."""
        picture = changed(Overlay(labels=labels, counter=False, trail=0).draw(blank(0, size), one), blank(0, size))
        assert picture[y0 : y1 + 1, x0 : x1 + 1].any()
        picture[max(y0 - 2, 0) : y1 + 3, x0 - 2 : x1 + 3] = False
        return bool(picture.any())

    assert around(SIZE, labels=True)
    assert not around(SIZE, labels=False)
    assert not around((95, 200), labels=True)


def test_trails_lead_to_earlier_places():
    frames = drawn("a......\n......a")
    start = frames[0].boxes[0].reshape(2, 2).mean(dim=0).int().tolist()

    def second(overlay: Overlay) -> torch.Tensor:
        overlay.draw(blank(0, SIZE), frames[0])
        return overlay.draw(blank(1, SIZE), frames[1])

    x, y = start
    with_trail, without = second(Overlay(counter=False)), second(Overlay(trail=0, counter=False))
    assert changed(with_trail, blank(1, SIZE))[y, x]
    assert not changed(without, blank(1, SIZE))[y, x]
    alone = Overlay(trail=0, counter=False).draw(blank(1, SIZE), frames[1])
    assert torch.equal(without, alone), "without trails, earlier frames leave nothing"
    with pytest.raises(ValueError, match="Expected a trail of at least 0 frames, got -1"):
        Overlay(trail=-1)


@pytest.mark.parametrize("size", [(96, 300), (360, 640), (720, 480)])
def test_the_counter_is_in_the_upper_left_corner(size):
    colour = torch.tensor([200, 30, 30], dtype=torch.uint8)[:, None, None]  # no grey of the counter
    frame = Frame(colour.expand(3, *size).clone(), 12, 0.48)
    counted = Overlay().draw(frame, nothing())
    assert torch.equal(Overlay(counter=False).draw(frame, nothing()), frame.image)
    rows, columns = changed(counted, frame).nonzero().T
    assert (rows.min(), columns.min()) == (0, 0)
    assert rows.max() < size[0] / 3
    assert columns.max() < size[1] - 1
    assert changed(counted, frame)[: rows.max() + 1, : columns.max() + 1].all(), "a filled rectangle"
    corner = counted[:, : rows.max() + 1, : columns.max() + 1]
    assert corner.min() < 60, "dark text"
    assert corner.flatten(1).mode(dim=1).values.tolist() == [255, 255, 255], "on white"


def test_small_frames_have_no_counter():
    for size in ((95, 300), (300, 95)):
        assert torch.equal(Overlay().draw(blank(0, size), nothing()), blank(0, size).image)


@pytest.mark.parametrize(
    ("index", "seconds", "text"),
    [(12, 0.48, "frame 12  0:00.48"), (1625, 65.0, "frame 1625  1:05.00"), (1500, 59.996, "frame 1500  1:00.00")],
)
def test_the_counter_has_the_number_and_the_time(monkeypatch, index, seconds, text):
    written = []
    monkeypatch.setattr("cv2.putText", lambda scene, text, *_: written.append(text))
    Overlay().draw(Frame(blank(0, SIZE).image, index, seconds), nothing())
    assert written == [text]


def test_ids_are_needed():
    with pytest.raises(ValueError, match="Expected detections with ids"):
        Overlay().draw(blank(0), drawn("a")[0].replace(ids=None))
