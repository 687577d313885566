from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from tests.formats.strategies import SHARED, needs_shared
from tltm_graph.formats.class_maps import COCO
from tltm_graph.formats.yolo import read_yolo
from tltm_graph.ops import decode_rle

SIZE = (40, 80)
NAMES = ("cat", "dog")
SQUARE = "1 0.25 0.25 0.75 0.25 0.75 0.5 0.25 0.5"


def add(root: Path, name: str, text: str | None, size: tuple[int, int] = SIZE, **options) -> None:
    image, label = root / "images" / name, (root / "labels" / name).with_suffix(".txt")
    for file in (image, label):
        file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros((*size, 3), np.uint8)).save(image, **options)
    if text is not None:
        label.write_text(text)


def test_polygons_by_split(tmp_path):
    add(tmp_path, "train/b10.jpg", SQUARE + "\n\n0 0 0 1 0 1 1 0 1\n")
    add(tmp_path, "train/b2.jpg", "")
    add(tmp_path, "val/c.jpg", None)
    videos = read_yolo(tmp_path, NAMES)
    assert [(v.name, v.id, v.num_frames) for v in videos] == [("b2", 1, 1), ("b10", 2, 1), ("c", 3, 1)]
    assert (videos.class_names, videos.category_ids) == (NAMES, (1, 2))
    assert [len(video.tracks()) for video in videos] == [0, 2, 0], "without a text file there are no objects"
    tracks = videos[1].tracks()
    assert (tracks.size, tracks.num_frames) == (SIZE, 1)
    assert [(track.label, track.boxes[0]) for track in tracks.values()] == [
        (1, (20.0, 10.0, 60.0, 20.0)),
        (0, (0.0, 0.0, 80.0, 40.0)),
    ]
    expected = np.zeros(SIZE, bool)
    expected[10:20, 20:60] = True
    np.testing.assert_array_equal(decode_rle(tracks[0].masks, SIZE)[0].numpy(), expected)
    assert decode_rle(tracks[1].masks, SIZE).all()
    assert next(videos[1].frames()).size == SIZE


def test_polygons_are_filled_as_by_pillow(tmp_path):
    rng = np.random.default_rng(0)
    angles = np.sort(rng.random((5, 9)) * 2 * np.pi, axis=1)
    polygons = 0.5 + 0.4 * np.stack([np.cos(angles), np.sin(angles)], axis=2)  # (5, 9, 2)
    add(tmp_path, "a.jpg", "\n".join("0 " + " ".join(map(str, p.ravel().tolist())) for p in polygons), (120, 160))
    tracks = read_yolo(tmp_path, NAMES)[0].tracks()
    for polygon, track in zip(polygons, tracks.values(), strict=True):
        drawn = Image.new("1", (160, 120))
        ImageDraw.Draw(drawn).polygon([(x * 160 - 0.5, y * 120 - 0.5) for x, y in polygon.tolist()], fill=1)
        mask, other = decode_rle(track.masks, (120, 160))[0].numpy(), np.asarray(drawn)
        assert (mask & other).sum() / (mask | other).sum() > 0.95, "equal except for pixels on the outline"


def test_boxes(tmp_path):
    add(tmp_path, "a.jpg", "0 0.5 0.5 0.5 0.25\n1 0.5 0.5 1 1\n")
    tracks = read_yolo(tmp_path, NAMES)[0].tracks()
    assert [track.boxes[0] for track in tracks.values()] == [(20.0, 15.0, 60.0, 25.0), (0.0, 0.0, 80.0, 40.0)]
    assert all(track.masks is None for track in tracks.values())


def test_rotated_images_have_their_upright_size(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 8
    add(tmp_path, "a.jpg", SQUARE, exif=exif)
    (video,) = read_yolo(tmp_path, NAMES)
    assert next(video.frames()).size == video.tracks().size == (80, 40)


def test_the_same_name_in_two_folders(tmp_path):
    for name in ("train/a.jpg", "val/a.jpg", "val/b.jpg"):
        add(tmp_path, name, SQUARE)
    assert [video.name for video in read_yolo(tmp_path, NAMES)] == ["train/a", "val/a", "b"]


def test_names_class_filter_from_a_file(tmp_path):
    add(tmp_path, "a.jpg", SQUARE)
    with pytest.raises(FileNotFoundError, match=r"Expected names of the classes in '.*classes.txt'.*name the classes"):
        read_yolo(tmp_path)
    (tmp_path / "data.yaml").write_text("names: [cat")
    with pytest.raises(ValueError, match=r"damaged YAML"):
        read_yolo(tmp_path)
    for text in ("train: images\nnames: [cat, dog]\n", "names:\n  0: cat\n  1: dog\n", "names:\n- cat\n- dog\n"):
        (tmp_path / "data.yaml").write_text(text)
        assert read_yolo(tmp_path).class_names == NAMES
    (tmp_path / "data.yaml").write_text("names: [other]")
    (tmp_path / "classes.txt").write_text("cat\ndog\n\n")
    assert read_yolo(tmp_path).class_names == NAMES


def test_a_text_file_without_an_image_is_warned_about(tmp_path):
    add(tmp_path, "a.jpg", SQUARE)
    (tmp_path / "labels" / "lost.txt").write_text(SQUARE)
    with pytest.warns(UserWarning, match=r"without an image in '.*labels': lost.txt"):
        assert [video.name for video in read_yolo(tmp_path, NAMES)] == ["a"]


def test_missing_and_empty_folders(tmp_path):
    with pytest.raises(
        FileNotFoundError, match="Expected a folder of YOLO with 'images' and 'labels', found no '.*images'"
    ):
        read_yolo(tmp_path, NAMES)
    (tmp_path / "images").mkdir()
    with pytest.raises(FileNotFoundError, match="found no '.*labels'"):
        read_yolo(tmp_path, NAMES)
    (tmp_path / "labels").mkdir()
    with pytest.raises(ValueError, match=r"Expected images \(.*\) in '.*images', got none"):
        read_yolo(tmp_path, NAMES)
    add(tmp_path, "a.jpg", None)
    add(tmp_path, "a.png", None)
    with pytest.raises(ValueError, match="Expected each image once in '.*', got 'a' with two suffixes"):
        read_yolo(tmp_path, NAMES)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("2 0 0 1 0 1 1", "Expected a class from 0 to 1, got 2"),
        ("0.5 0 0 1 0 1 1", "Expected a class from 0 to 1, got 0.5"),
        ("nan 0 0 1 0 1 1", "Expected a class from 0 to 1, got nan"),
        ("0 0 0 1 0 1", "after the class, got 5"),
        ("0 0 0 1 0 1 1 1", "after the class, got 7"),
        ("0", "after the class, got 0"),
        ("0 0 0 1.1 0 1 1", "Expected coordinates from 0 to 1, .*got 0.0 to 1.1"),
        ("0 0 0 10 0 10 10", "Expected coordinates from 0 to 1"),
        ("0 0 0 nan 0 1 1", "Expected coordinates from 0 to 1"),
        ("0 0.1 0.5 0.5 0.5", "Expected a box in the image, got"),
        ("0 0 0 x 0 1 1", "Expected a class and coordinates as numbers, got '0 0 0 x 0 1 1'"),
    ],
)
def test_damaged_lines(tmp_path, line, message):
    add(tmp_path, "a.jpg", f"{SQUARE}\n{line}\n")
    with pytest.raises(ValueError, match=f"{message}.* in line 2 of '.*a.txt'"):
        read_yolo(tmp_path, NAMES)[0].tracks()


def test_polygons_and_boxes_do_not_mix(tmp_path):
    add(tmp_path, "a.jpg", f"{SQUARE}\n0 0.5 0.5 0.5 0.5\n")
    with pytest.raises(ValueError, match=r"Expected polygons on all lines of '.*a.txt' or boxes on all, got both"):
        read_yolo(tmp_path, NAMES)[0].tracks()


def test_a_damaged_image(tmp_path):
    add(tmp_path, "a.jpg", SQUARE)
    (tmp_path / "images" / "a.jpg").write_text("no picture")
    (video,) = read_yolo(tmp_path, NAMES)
    with pytest.raises(ValueError, match=r"Expected an image in '.*a.jpg', got a damaged file"):
        video.tracks()


@needs_shared
def test_real_images():
    with pytest.warns(UserWarning, match=r"000000000656.txt, train2017/000000000659.txt"):
        videos = read_yolo(SHARED / "coco128-seg", COCO)
    assert len(videos) == 128
    assert sum(len(video.tracks()) for video in videos) == 929
    for name in ("000000000250", "000000000508"):
        assert len(videos.named(name).tracks()) == 0, "no text file, no objects"
    broccoli = videos.named("000000000009").tracks()
    assert [COCO[track.label] for track in broccoli.values()].count("broccoli") == 1
    assert next(videos.named("000000000009").frames()).size == broccoli.size
