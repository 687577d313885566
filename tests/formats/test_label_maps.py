from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from tltm_graph.formats.label_maps import (
    label_map_observations,
    read_image_size,
    read_label_map,
    read_label_map_folders,
)
from tltm_graph.ops import encode_rle, masks_to_boxes

SIZE = (6, 9)


def save(path: Path, labels: np.ndarray, mode: str = "P") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(labels)
    if mode == "P":
        image.putpalette([*range(256)] * 3)
    image.save(path)
    return path


def some_map(seed: int, size: tuple[int, int] = SIZE, highest: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, highest + 1, size).astype(np.uint8)


def slow_observations(labels: np.ndarray) -> list[tuple]:
    rows = []
    for track_id in sorted(set(labels.ravel().tolist()) - {0}):
        mask = torch.from_numpy(labels == track_id)[None]
        rows.append((track_id, tuple(masks_to_boxes(mask)[0].tolist()), encode_rle(mask)[0]))
    return rows


@pytest.mark.slow
@settings(deadline=None, max_examples=150)
@given(
    st.tuples(st.integers(0, 7), st.integers(0, 7)).flatmap(
        lambda size: arrays(np.uint16, size, elements=st.sampled_from([0, 0, 1, 2, 255, 256, 65535]))
    )
)
def test_objects_equal_those_encoded_one_by_one(labels):
    rows = label_map_observations(labels, void=255)
    assert [(row.id, row.box, row.mask) for row in rows] == slow_observations(labels)
    assert [row.id for row in rows if row.crowd] == ([255] if (labels == 255).any() else [])
    assert all((row.score, row.label, row.area) == (1.0, 0, None) for row in rows)


@pytest.mark.parametrize("labels", [np.zeros((4, 5), np.uint8), np.ones((4, 5), np.uint8), np.zeros((0, 5), np.uint8)])
def test_maps_of_one_value(labels):
    assert [(row.id, row.box, row.mask) for row in label_map_observations(labels)] == slow_observations(labels)


def test_void_is_an_object_unless_it_is_named():
    (row,) = label_map_observations(np.full((2, 2), 255, np.uint8))
    assert (row.id, row.crowd) == (255, False)


@pytest.mark.parametrize("mode", ["P", "L"])
def test_palette_and_gray(tmp_path, mode):
    labels = some_map(0, highest=255)
    read = read_label_map(save(tmp_path / "a.png", labels, mode))
    assert read.dtype == np.uint8
    np.testing.assert_array_equal(read, labels)


def test_sixteen_bits_and_one(tmp_path):
    labels = np.random.default_rng(1).integers(0, 2**16, SIZE).astype(np.uint16)
    read = read_label_map(save(tmp_path / "a.png", labels, "I;16"))
    assert read.dtype == np.uint16
    np.testing.assert_array_equal(read, labels)
    wide = Image.fromarray(labels.astype(np.int32))
    wide.save(tmp_path / "wide.tif")
    np.testing.assert_array_equal(read_label_map(tmp_path / "wide.tif"), labels)
    binary = labels > 2**15
    read = read_label_map(save(tmp_path / "b.png", binary, "1"))
    assert read.dtype == np.uint8
    np.testing.assert_array_equal(read, binary)


def test_a_picture_of_fewer_bits_keeps_its_indices(tmp_path):
    labels = some_map(2)
    image = Image.fromarray(labels)
    image.putpalette([0] * 12)
    image.save(tmp_path / "a.png", bits=2)
    np.testing.assert_array_equal(read_label_map(tmp_path / "a.png"), labels)


def test_images_that_are_no_label_maps(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"file with a label map, found none at '.*none.png'"):
        read_label_map(tmp_path / "none.png")
    Image.fromarray(np.zeros((*SIZE, 3), np.uint8)).save(tmp_path / "colours.png")
    with pytest.raises(ValueError, match=r"colours.png', got an image of mode RGB: save the id of each object"):
        read_label_map(tmp_path / "colours.png")
    Image.fromarray(np.zeros((*SIZE, 4), np.uint8)).save(tmp_path / "alpha.png")
    with pytest.raises(ValueError, match="got an image of mode RGBA"):
        read_label_map(tmp_path / "alpha.png")
    Image.fromarray(np.zeros(SIZE, np.float32)).save(tmp_path / "depth.tif")
    with pytest.raises(ValueError, match="got an image of mode F"):
        read_label_map(tmp_path / "depth.tif")
    Image.fromarray(np.full(SIZE, 70000, np.int32)).save(tmp_path / "high.tif")
    with pytest.raises(ValueError, match="Expected ids from 0 to 65535 in '.*', got 70000 to 70000"):
        read_label_map(tmp_path / "high.tif")
    Image.fromarray(some_map(3)).save(tmp_path / "lossy.jpg")
    with pytest.raises(ValueError, match="got a JPEG, which changes ids: save it as PNG"):
        read_label_map(tmp_path / "lossy.jpg")
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(ValueError, match=r"text.png', got a damaged file or no image"):
        read_label_map(tmp_path / "text.png")


@pytest.mark.parametrize("share", [0.0, 0.05, 0.3, 0.6, 0.95, 0.999])
def test_a_truncated_picture(tmp_path, share):
    whole = save(tmp_path / "a.png", some_map(4, (60, 80), 255)).read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(ValueError, match=r"Expected a label map in '.*cut.png', got a damaged file"):
        read_label_map(tmp_path / "cut.png")


def test_every_wrong_bit_is_noticed(tmp_path):
    whole = save(tmp_path / "a.png", some_map(5, (30, 40), 20)).read_bytes()
    rng = np.random.default_rng(0)
    for position in rng.integers(8, len(whole) - 12, 100):
        damaged = bytearray(whole)
        damaged[position] ^= 1 << rng.integers(8)
        (tmp_path / "damaged.png").write_bytes(damaged)
        with pytest.raises(ValueError, match="Expected a label map in '.*', got"):
            read_label_map(tmp_path / "damaged.png")


def test_gray_of_four_bits_is_ambiguous(tmp_path):
    import struct
    import zlib

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", 2, 1, 4, 0, 0, 0, 0)
    picture = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\x00\x12"))
    (tmp_path / "a.png").write_bytes(picture + chunk(b"IEND", b""))
    with pytest.raises(ValueError, match="Expected 8 or 16 bits a pixel in '.*', got gray of 4 bits"):
        read_label_map(tmp_path / "a.png")


def test_the_size_of_an_upright_picture(tmp_path):
    image = Image.fromarray(np.zeros((4, 7, 3), np.uint8))
    image.save(tmp_path / "a.jpg")
    assert read_image_size(tmp_path / "a.jpg") == (4, 7)
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(tmp_path / "sideways.jpg", exif=exif)
    assert read_image_size(tmp_path / "sideways.jpg") == (7, 4)
    with pytest.raises(FileNotFoundError, match="file with an image, found none at"):
        read_image_size(tmp_path / "none.jpg")
    (tmp_path / "text.jpg").write_text("no picture")
    with pytest.raises(ValueError, match="Expected an image in '.*text.jpg', got a damaged file"):
        read_image_size(tmp_path / "text.jpg")


def videos(root: Path, stems: tuple[str, ...] = ("frame2", "frame10", "frame1")) -> dict[str, list[np.ndarray]]:
    """Two videos, the maps of which are returned in the order of their numbers."""
    maps = {}
    for seed, name in enumerate(("first", "second")):
        by_stem = {stem: some_map(10 * seed + int(stem.removeprefix("frame"))) for stem in stems}
        for stem, labels in by_stem.items():
            save(root / name / f"{stem}.png", labels)
        maps[name] = [by_stem[stem] for stem in sorted(stems, key=lambda stem: int(stem.removeprefix("frame")))]
    return maps


def test_a_folder_for_each_video_in_the_order_of_the_numbers(tmp_path):
    maps = videos(tmp_path)
    (tmp_path / "first" / "._frame1.png").write_text("created by a system")
    (tmp_path / "empty").mkdir()
    read = read_label_map_folders(tmp_path)
    assert [(video.name, video.id, video.size, video.num_frames) for video in read] == [
        ("empty", 1, None, 0),
        ("first", 2, SIZE, 3),
        ("second", 3, SIZE, 3),
    ]
    assert len(read[0].tracks()) == 0
    assert read.class_names is None
    assert read[1].frame_names == ("frame1", "frame2", "frame10")
    for name, expected in maps.items():
        video = read.named(name)
        for frame, rows in video.tracks().observations():
            np.testing.assert_array_equal(video.label_map(frame), expected[frame])
            assert [(row.id, row.box, row.mask) for row in rows] == slow_observations(expected[frame])
        assert video.images is None


def test_a_single_video_with_its_images(tmp_path):
    videos(tmp_path / "maps")
    for stem in ("frame1", "frame2", "frame10"):
        save(tmp_path / "images" / "first" / f"{stem}.jpg", some_map(0), "L")
    (video,) = read_label_map_folders(tmp_path / "maps" / "first", tmp_path / "images" / "first")
    assert [image.name for image in video.images] == ["frame1.jpg", "frame2.jpg", "frame10.jpg"]
    assert [frame.size for frame in video.frames()] == [SIZE] * 3


def test_every_fifth_frame(tmp_path):
    for frame in range(11):
        save(tmp_path / "images" / "v" / f"{frame:05d}.jpg", some_map(0), "L")
        if frame % 5 == 0:
            save(tmp_path / "maps" / "v" / f"{frame:05d}.png", some_map(frame))
    (video,) = read_label_map_folders(tmp_path / "maps", tmp_path / "images", every=5)
    assert video.frame_names == ("00000", "00005", "00010")
    assert [image.stem for image in video.images] == ["00000", "00005", "00010"]
    with pytest.raises(ValueError, match=r"video 'v', got 8 images without a map \(00001.jpg, .*, …\): complete"):
        read_label_map_folders(tmp_path / "maps", tmp_path / "images")
    with pytest.raises(ValueError, match="Expected every=1 or more, got 0"):
        read_label_map_folders(tmp_path / "maps", every=0)


def test_frames_that_do_not_match(tmp_path):
    videos(tmp_path / "maps")
    for name in ("first", "second"):
        for stem in ("frame1", "frame2", "frame3"):
            save(tmp_path / "images" / name / f"{stem}.jpg", some_map(0), "L")
    message = r"video 'first', got 1 images without a map \(frame3.jpg\) and 1 maps without an image \(frame10\)"
    with pytest.raises(ValueError, match=message):
        read_label_map_folders(tmp_path / "maps", tmp_path / "images")
    with pytest.raises(FileNotFoundError, match="Expected a folder with the frames of a video at '.*elsewhere"):
        read_label_map_folders(tmp_path / "maps", tmp_path / "elsewhere")


def test_folders_without_label_maps(tmp_path):
    with pytest.raises(FileNotFoundError, match="Expected a folder of label maps at '.*none', found none"):
        read_label_map_folders(tmp_path / "none")
    with pytest.raises(ValueError, match=r"Expected label maps \(.png\), or a folder of them .* got none"):
        read_label_map_folders(tmp_path)
    videos(tmp_path)
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "notes.txt").write_text("text")
    with pytest.raises(ValueError, match=r"Expected frames \(.png\) in '.*notes', got only other files"):
        read_label_map_folders(tmp_path)
    save(tmp_path / "frame1.png", some_map(0))
    with pytest.raises(ValueError, match="Expected label maps or a folder for each video in '.*', got both"):
        read_label_map_folders(tmp_path)


def test_a_frame_of_another_size_and_a_frame_twice(tmp_path):
    videos(tmp_path)
    save(tmp_path / "second" / "frame3.png", some_map(0, (5, 5)))
    second = read_label_map_folders(tmp_path).named("second")
    with pytest.raises(ValueError, match=r"of \(6, 9\) pixels .* 'second', got \(5, 5\) in '.*frame3.png'"):
        second.tracks()
    for frame in (-1, 4):
        with pytest.raises(ValueError, match=f"Expected a frame from 0 to 3 of video 'second', got {frame}"):
            second.label_map(frame)
    save(tmp_path / "second" / "frame3.PNG", some_map(0))
    if len(list((tmp_path / "second").glob("frame3.*"))) > 1:  # not where names of files ignore case
        with pytest.raises(ValueError, match=r"Expected each frame once, got '.*frame3"):
            read_label_map_folders(tmp_path)
