import numpy as np
import pytest
from hypothesis import given, settings
from PIL import Image

from tests.cases import names_in
from tests.formats.strategies import (
    SHARED,
    SIZE,
    as_the_format_keeps,
    block,
    needs_shared,
    random_tracks,
    video_of,
    written,
)
from tltm_graph.formats.mots import MOTS_CLASSES, read_mots
from tltm_graph.formats.mots_png import MotsPngWriter, read_mots_png
from tltm_graph.formats.video import Video
from tltm_graph.ops import decode_rle
from tltm_graph.structures import Observation, Tracks

BOX = (0.0, 0.0, 1.0, 1.0)


def with_whole_ids(tracks: Tracks) -> Tracks:
    """Ids that contain the class, as in the truth, and no empty masks, which images cannot show."""
    rows = [
        (frame, row._replace(id=(row.label + 1) * 1000 + row.id))
        for frame, observations in as_the_format_keeps(tracks).observations()
        for row in observations
        if decode_rle([row.mask], SIZE).any()
    ]
    return Tracks.from_observations(rows, SIZE, tracks.num_frames)


@pytest.mark.parametrize("first_frame", [0, 1])
@given(tracks=random_tracks(with_masks=True, max_id=999))
@settings(max_examples=20, deadline=None)
def test_tracks_come_back(tmp_path_factory, tracks, first_frame):
    folder, tracks = tmp_path_factory.mktemp("png"), with_whole_ids(tracks)
    written(MotsPngWriter(folder, MOTS_CLASSES, first_frame=first_frame), [video_of(tracks, "0002")])
    names = [f"{first_frame + frame:06d}.png" for frame in range(tracks.num_frames)]
    assert sorted(path.name for path in (folder / "0002").iterdir()) == names
    (video,) = read_mots_png(folder)
    assert (video.name, video.num_frames, video.size) == ("0002", len(names), SIZE if names else None)
    again = video.tracks()
    assert (again.tracks, again.num_frames) == (tracks.tracks, tracks.num_frames)
    for frame, observations in tracks.observations():
        expected = np.zeros(SIZE, dtype=np.uint16)
        for row in observations:
            expected[decode_rle([row.mask], SIZE)[0].numpy()] = row.id
        assert np.array_equal(video.label_map(frame), expected)


def test_images_have_16_bits_and_ids_get_their_class(tmp_path):
    rows = [
        (1, Observation(7, BOX, 0.5, 0, block(0, 0, 1, 1))),
        (1, Observation(2999, BOX, 0.5, 1, block(1, 0, 2, 1))),
        (1, Observation(10000, BOX, 0.5, 0, block(2, 0, 3, 1), crowd=True)),
        (1, Observation(999, BOX, 0.4, 1, block(2, 0, 4, 1))),
    ]
    tracks = Tracks.from_observations([*rows[:3], (1, rows[3][1]._replace(id=0))], None, 3)
    written(MotsPngWriter(tmp_path, ["car", "person"]), [video_of(tracks)])
    with Image.open(tmp_path / "clip" / "000001.png") as image:
        assert image.mode == "I;16"
        assert np.asarray(image)[:, 0].tolist() == [1007, 2999, 10000, 2000, 0, 0]
    with Image.open(tmp_path / "clip" / "000002.png") as image:
        assert not np.asarray(image).any()
    again = read_mots_png(tmp_path / "clip")[0].tracks()
    assert {i: (track.labels, track.crowd) for i, track in again.items()} == {
        1007: ((0,), False),
        2000: ((1,), False),
        2999: ((1,), False),
        10000: ((1,), True),
    }


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            [Observation(1000, BOX, label=1, mask=block(0, 0, 1, 1))],
            "Expected ids below 1000, .* got id 1000 of class 2 in f",
        ),
        (
            [Observation(1, BOX, mask=block(0, 0, 1, 1)), Observation(1001, BOX, mask=block(2, 2, 3, 3))],
            r"that no other object has, got id 1001 of class 1 in frame 0 of video 'clip'",
        ),
        ([Observation(1, BOX)], "only a box of object 1 in frame 0 of video 'clip'"),
        (
            [Observation(1, BOX, label=2, mask=block(0, 0, 1, 1))],
            "a class of car, pedestrian or person, got 'dog'",
        ),
    ],
)
def test_writer_refuses_what_the_format_cannot_hold(tmp_path, rows, message):
    tracks = Tracks.from_observations([(0, row) for row in rows], SIZE)
    with pytest.raises(ValueError, match=message):
        written(MotsPngWriter(tmp_path, ["car", "pedestrian", "dog"]), [video_of(tracks)])
    assert list(tmp_path.iterdir()) == []


def test_writer_needs_a_size(tmp_path):
    with pytest.raises(ValueError, match="a size or a mask of video 'clip', got neither"):
        written(MotsPngWriter(tmp_path, ["car"]), [video_of(Tracks({}, None, 2))])
    with pytest.raises(ValueError, match=r"Expected masks of \(6, 10\) pixels"), MotsPngWriter(tmp_path, ["car"]) as w:
        w.begin(Video("clip"))
        w.write(0, [Observation(1, BOX, mask=block(0, 0, 1, 1))])
        w.write(1, [Observation(1, BOX, mask=block(0, 0, 1, 1, (5, 5)))])
    with (
        pytest.raises(ValueError, match="name that can be that of a file in '.*', got '../clip': rename"),
        MotsPngWriter(tmp_path) as writer,
    ):
        writer.begin(Video("../clip"))
    assert list(tmp_path.iterdir()) == []
    written(MotsPngWriter(tmp_path / "none"), [])
    assert list((tmp_path / "none").iterdir()) == []


def test_finished_videos_stay_when_the_next_fails(tmp_path):
    with pytest.raises(KeyError), MotsPngWriter(tmp_path, ["car"]) as writer:
        for name in ("one", "two"):
            writer.begin(Video(name, 1, SIZE))
            writer.write(0, [Observation(1, BOX, mask=block(0, 0, 1, 1))])
        raise KeyError
    assert names_in(tmp_path) == ["one"]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["000000", "000002"], r"images called 0, 1, 2, … .* got '000002.png' instead of 1"),
        (["000005", "000006"], "got '000005.png' instead of 0 or 1"),
        (["first"], "got 'first.png' instead of 0 or 1"),
    ],
)
def test_no_frame_may_be_missing(tmp_path, names, message):
    for name in names:
        Image.fromarray(np.zeros(SIZE, dtype=np.uint16)).save(tmp_path / f"{name}.png")
    with pytest.raises(ValueError, match=message):
        read_mots_png(tmp_path)


def test_errors_of_images_come_with_the_tracks(tmp_path):
    with pytest.raises(FileNotFoundError, match="Expected a folder"):
        read_mots_png(tmp_path / "nothing")
    labels = np.zeros(SIZE, dtype=np.uint16)
    labels[2, 3] = 3001
    Image.fromarray(labels).save(tmp_path / "000000.png")
    (video,) = read_mots_png(tmp_path)
    assert video.label_map(0)[2, 3] == 3001
    with pytest.raises(ValueError, match=r"Expected pixels of class .* got 3001 in '.*000000.png'"):
        video.tracks()
    noise = np.random.default_rng(0).integers(1001, 1099, (60, 80), dtype=np.uint16)
    Image.fromarray(noise).save(tmp_path / "000000.png")
    Image.fromarray(noise).save(tmp_path / "000001.png")
    (tmp_path / "000001.png").write_bytes((tmp_path / "000001.png").read_bytes()[:2000])
    with pytest.raises(ValueError, match=r"Expected a label map in '.*000001.png', got a damaged file"):
        read_mots_png(tmp_path)[0].tracks()


@pytest.mark.slow
@needs_shared
def test_real_text_to_images_and_back(tmp_path):
    (video,) = read_mots(SHARED / "mots20" / "MOTS20-05")
    rows = [(frame, row) for frame, here in video.tracks().observations() if frame < 40 for row in here]
    truth = Tracks.from_observations(rows, video.size, 40)
    written(MotsPngWriter(tmp_path, MOTS_CLASSES, first_frame=1), [video_of(truth)])
    assert read_mots_png(tmp_path)[0].tracks() == truth
