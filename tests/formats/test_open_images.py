from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tltm_graph.formats.open_images import read_open_images, read_open_images_folder
from tltm_graph.ops import decode_rle

MASKS = "MaskPath,ImageID,LabelName,BoxID,BoxXMin,BoxXMax,BoxYMin,BoxYMax,PredictedIoU,Clicks\n"
BOXES = (
    "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded,IsTruncated,IsGroupOf,IsDepiction,IsInside\n"
)
CLASSES = '/m/011k07,Tortoise\n/m/012074,"Magpie, black"\n'
SIZE = (20, 40)


class Folder:
    """Three masks of two images, in another size than the images."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.masks, self.images = root / "masks", root / "images"
        self.masks.mkdir()
        self.images.mkdir()
        self.rows = [
            "a_1.png,aa,/m/011k07,1,0.250000,0.750000,0.500000,1.000000,0.0,",
            "a_2.png,aa,/m/012074,2,0.000000,0.250000,0.000000,0.500000,0.8,0.1 0.2 1;0.3 0.2 0",
            "b_1.png,bb,/m/011k07,3,0.000000,1.000000,0.000000,1.000000,0.0,",
        ]
        for name in ("aa", "bb"):
            Image.fromarray(np.zeros((*SIZE, 3), np.uint8)).save(self.images / f"{name}.jpg")
        self.mask("a_1.png", slice(5, 10), slice(5, 15))
        self.mask("a_2.png", slice(0, 5), slice(0, 5))
        self.mask("b_1.png", slice(0, 10), slice(0, 20))
        (root / "classes.csv").write_text(CLASSES)

    def mask(self, name: str, rows: slice, columns: slice, size: tuple[int, int] = (10, 20)) -> None:
        pixels = np.zeros(size, bool)
        pixels[rows, columns] = True
        Image.fromarray(pixels).save(self.masks / name)

    def read(self, images: bool = True, boxes: str | None = None):
        (self.root / "masks.csv").write_text(MASKS + "".join(row + "\n" for row in self.rows))
        if boxes is not None:
            (self.root / "boxes.csv").write_text(BOXES + boxes)
        return read_open_images(
            self.root / "masks.csv",
            self.masks,
            self.root / "classes.csv",
            None if boxes is None else self.root / "boxes.csv",
            self.images if images else None,
        )


@pytest.fixture
def folder(tmp_path) -> Folder:
    return Folder(tmp_path)


def test_masks_are_scaled_to_the_image(folder):
    videos = folder.read()
    assert [(v.name, v.id, v.num_frames) for v in videos] == [("aa", 1, 1), ("bb", 2, 1)]
    assert videos.class_names == ("Tortoise", "Magpie, black")
    tracks = videos[0].tracks()
    assert (tracks.size, next(videos[0].frames()).size) == (SIZE, SIZE)
    assert [(track.label, track.boxes[0], track.crowd) for track in tracks.values()] == [
        (0, (10.0, 10.0, 30.0, 20.0), False),
        (1, (0.0, 0.0, 10.0, 10.0), False),
    ]
    expected = np.zeros((2, *SIZE), bool)
    expected[0, 10:20, 10:30] = True
    expected[1, 0:10, 0:10] = True
    np.testing.assert_array_equal(decode_rle([tracks[0].masks[0], tracks[1].masks[0]], SIZE).numpy(), expected)
    assert decode_rle(videos[1].tracks()[0].masks, SIZE).all()


def test_scaling_between_any_two_sizes(folder):
    """Each pixel takes the value of the pixel of the mask that its centre falls into."""
    rng = np.random.default_rng(0)
    pixels = rng.random((13, 31)) < 0.5
    Image.fromarray(pixels).save(folder.masks / "b_1.png")
    mask = decode_rle(folder.read()[1].tracks()[0].masks, SIZE)[0]
    for y in range(SIZE[0]):
        for x in range(SIZE[1]):
            assert mask[y, x] == pixels[int((y + 0.5) * 13 / SIZE[0]), int((x + 0.5) * 31 / SIZE[1])]


def test_without_images_masks_keep_their_size(folder):
    tracks = folder.read(images=False)[0].tracks()
    assert tracks.size == (10, 20)
    assert tracks[0].boxes[0] == (5.0, 5.0, 15.0, 10.0)
    folder.mask("a_2.png", slice(0, 1), slice(0, 1), (9, 20))
    with pytest.raises(ValueError, match=r"masks of one size for image 'aa', got \(10, 20\) and \(9, 20\) .*a_2.png'"):
        folder.read(images=False)[0].tracks()


def test_an_object_without_a_pixel_stays_an_object(folder):
    folder.mask("a_1.png", slice(0), slice(0))
    tracks = folder.read()[0].tracks()
    assert len(tracks) == 2
    assert not decode_rle(tracks[0].masks, SIZE).any()


def test_groups_are_crowds(folder):
    boxes = (
        "aa,xclick,/m/011k07,1,0.25,0.75,0.5,1,0,0,0,0,0\n"  # no group
        "aa,xclick,/m/012074,1,0.000001,0.25,0,0.5,0,0,1,0,0\n"  # the second mask
        "aa,xclick,/m/011k07,1,0.5,1,0,0.25,0,0,1,0,0\n"  # without a mask
        "cc,xclick,/m/not_ours,1,0.5,1,0,0.25,0,0,1,0,0\n"  # of an image without masks
    )
    videos = folder.read(boxes=boxes)
    tracks = videos[0].tracks()
    assert [track.crowd for track in tracks.values()] == [False, True, True]
    expected = np.zeros(SIZE, bool)
    expected[0:5, 20:40] = True
    np.testing.assert_array_equal(decode_rle(tracks[2].masks, SIZE)[0].numpy(), expected)
    assert [video.name for video in videos] == ["aa", "bb"]


def test_a_heading_of_the_classes_and_an_empty_table(folder):
    (folder.root / "classes.csv").write_text("LabelName,DisplayName\n" + CLASSES)
    assert folder.read().class_names == ("Tortoise", "Magpie, black")
    folder.rows = []
    assert len(folder.read()) == 0


def test_downloaded_folder(folder):
    expected = folder.read(boxes="aa,xclick,/m/012074,1,0,0.25,0,0.5,0,0,1,0,0\n")
    for name, official in {
        "masks.csv": "validation-annotations-object-segmentation.csv",
        "classes.csv": "oidv7-class-descriptions-boxable.csv",
        "boxes.csv": "validation-annotations-bbox.csv",
    }.items():
        (folder.root / name).rename(folder.root / official)
    read = read_open_images_folder(folder.root, folder.images)
    assert [video.tracks() for video in read] == [video.tracks() for video in expected]
    assert read[0].tracks()[1].crowd
    (folder.root / "validation-annotations-bbox.csv").unlink()
    assert not read_open_images_folder(folder.root, folder.images)[0].tracks()[1].crowd
    (folder.root / "train-annotations-object-segmentation.csv").write_text(MASKS)
    with pytest.raises(ValueError, match=r"Expected one table '\*annotations-object-segmentation.csv' in '.*', got \["):
        read_open_images_folder(folder.root)
    with pytest.raises(FileNotFoundError, match=r"Expected a table '\*annotations-object-segmentation.csv'"):
        read_open_images_folder(folder.masks)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("c.png,aa,/m/other,1,0,1,0,1,0,", "Expected a label of the class descriptions, got '/m/other'"),
        ("c.png,aa,/m/011k07,1,0,x,0,1,0,", "Expected a box as four numbers"),
        ("c.png,aa,/m/011k07,1,0,1.5,0,1,0,", "Expected a box in shares of width and height"),
        ("c.png,aa,/m/011k07,1,0.5,0.2,0,1,0,", "Expected a box in shares of width and height"),
        ("c.png,aa,/m/011k07,1,0,nan,0,1,0,", "Expected a box in shares of width and height"),
        ("c.png,aa,/m/011", "Expected 10 fields, got 3"),
        ("a_1.png,aa,/m/011k07,1,0,1,0,1,0,", "Expected each mask once, got 'a_1.png' again"),
    ],
)
def test_damaged_rows(folder, row, message):
    folder.rows.append(row)
    with pytest.raises(ValueError, match=f"{message}.* line 5 of '.*masks.csv'"):
        folder.read()


def test_missing_and_wrong_files(folder):
    (folder.root / "classes.csv").write_text("/m/011k07\n")
    with pytest.raises(ValueError, match=r"each label once, got \['/m/011k07'\] in line 1 of '.*classes.csv'"):
        folder.read()
    (folder.root / "classes.csv").write_text(CLASSES)
    with pytest.raises(ValueError, match="Expected the columns MaskPath, .* in '.*classes.csv', got none of MaskPath"):
        read_open_images(folder.root / "classes.csv", folder.masks, folder.root / "classes.csv")
    with pytest.raises(FileNotFoundError, match="file with a table of Open Images, found none at '.*none.csv'"):
        read_open_images(folder.root / "none.csv", folder.masks, folder.root / "classes.csv")
    with pytest.raises(FileNotFoundError, match="Expected a folder of masks at '.*none', found none"):
        read_open_images(folder.root / "masks.csv", folder.root / "none", folder.root / "classes.csv")
    (folder.masks / "a_1.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"file with a label map, found none at '.*a_1.png'"):
        folder.read()[0].tracks()
    (folder.images / "bb.jpg").unlink()
    with pytest.raises(FileNotFoundError, match=r"file with an image, found none at '.*bb.jpg'"):
        folder.read()[1].tracks()
