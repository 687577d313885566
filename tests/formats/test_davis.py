from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.cases import contents, names_in
from tests.formats.strategies import SHARED, needs_shared
from tltm_graph import Tracks
from tltm_graph.formats.davis import MAX_LABEL, DavisWriter, label_maps_of, read_davis
from tltm_graph.formats.label_maps import label_map_observations, read_label_map, read_label_map_folders
from tltm_graph.formats.video import Video
from tltm_graph.ops import encode_rle
from tltm_graph.structures import Observation

SIZE = (8, 11)


def save(path: Path, labels: np.ndarray, mode: str = "P") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(labels)
    if mode == "P":
        image.putpalette([*range(256)] * 3)
    image.save(path)


def sequence(folder: Path, maps: list[np.ndarray], mode: str = "P", suffix: str = ".png") -> None:
    for frame, labels in enumerate(maps):
        save(folder / f"{frame:05d}{suffix}", labels, mode)


def a_map(*ids: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    """One column for each id, from the left."""
    labels = np.zeros(size, np.uint8)
    labels[:, : len(ids)] = ids
    return labels


def mask_of(pixels: np.ndarray) -> dict:
    return encode_rle(torch.from_numpy(pixels)[None])[0]


def box_row(track_id: int, x0: int, x1: int, score: float = 1.0, crowd: bool = False) -> Observation:
    pixels = np.zeros(SIZE, bool)
    pixels[:, x0:x1] = True
    return Observation(track_id, (float(x0), 0.0, float(x1), float(SIZE[0])), score, mask=mask_of(pixels), crowd=crowd)


def written(folder: Path, frames: list[list[Observation]], **options) -> Path:
    with DavisWriter(folder, **options) as writer:
        writer.begin(Video("v", len(frames), SIZE))
        for frame, rows in enumerate(frames):
            writer.write(frame, rows)
    return folder / "v"


def maps_in(folder: Path) -> list[np.ndarray]:
    return [read_label_map(file) for file in sorted(folder.iterdir())]


def davis(root: Path) -> Path:
    """DAVIS-2017: two sequences for training, one for validation, one with only its first frame annotated."""
    for name, ids in (("bear", (1, 2)), ("dog", (1,)), ("cat", (1, 255, 3)), ("test", (1,))):
        frames = 1 if name == "test" else 3
        sequence(root / "Annotations" / "480p" / name, [a_map(*ids)] * frames)
        sequence(root / "JPEGImages" / "480p" / name, [a_map()] * 3, "L", ".jpg")
    sets = {"2017/train": "dog\nbear\n", "2017/val": "cat\n\n", "2016/val": "bear\n", "2017/test-dev": "test\n"}
    for name, text in sets.items():
        (root / "ImageSets" / name).parent.mkdir(parents=True, exist_ok=True)
        (root / "ImageSets" / f"{name}.txt").write_text(text)
    return root


def test_the_whole_data_set_and_its_parts(tmp_path):
    root = davis(tmp_path)
    assert [video.name for video in read_davis(root)] == ["bear", "cat", "dog", "test"]
    assert [(video.name, video.id) for video in read_davis(root, "train")] == [("dog", 3), ("bear", 1)]
    assert [video.name for video in read_davis(root, "2017/val")] == ["cat"]
    assert [video.name for video in read_davis(root, root / "ImageSets" / "2016" / "val.txt")] == ["bear"]
    with pytest.raises(ValueError, match=r"Expected one list .* 'val' .*, got \['2016/val', '2017/val'\]: name one"):
        read_davis(root, "val")
    with pytest.raises(FileNotFoundError, match="Expected a list of sequences 'all' in '.*ImageSets', found none"):
        read_davis(root, "all")
    (root / "ImageSets" / "2017" / "more.txt").write_text("dog\nbird\n")
    with pytest.raises(FileNotFoundError, match="Expected sequence 'bird' at '.*' or '.*', found neither"):
        read_davis(root, "more")


def test_the_lists_of_2016_name_files(tmp_path):
    root = davis(tmp_path)
    lines = [
        f"/JPEGImages/480p/{name}/{frame:05d}.jpg /Annotations/480p/{name}/{frame:05d}.png \n"
        for name in ("dog", "bear")
        for frame in range(3)
    ]
    (root / "ImageSets" / "480p").mkdir()
    (root / "ImageSets" / "480p" / "trainval.txt").write_text("".join(lines))
    assert [video.name for video in read_davis(root, "trainval")] == ["dog", "bear"]


def test_void_is_a_crowd(tmp_path):
    video = read_davis(davis(tmp_path)).named("cat")
    tracks = video.tracks()
    assert {track_id: track.crowd for track_id, track in tracks.items()} == {1: False, 3: False, 255: True}
    assert video.size == tracks.size == SIZE
    np.testing.assert_array_equal(video.label_map(1), a_map(1, 255, 3))
    assert [frame.size for frame in video.frames()] == [SIZE] * 3


def test_a_sequence_with_only_the_first_frame_annotated_has_no_tracks(tmp_path):
    video = read_davis(davis(tmp_path)).named("test")
    assert (video.num_frames, video.size, video.label_map) == (3, SIZE, None)
    with pytest.raises(ValueError, match="got a video without annotations"):
        video.tracks()
    assert len(list(video.frames())) == 3


def test_images_alone(tmp_path):
    sequence(tmp_path / "JPEGImages" / "480p" / "a", [a_map()] * 2, "L", ".jpg")
    (video,) = read_davis(tmp_path)
    assert (video.name, video.num_frames, video.size, video.load) == ("a", 2, SIZE, None)


def test_images_of_another_size_are_refused(tmp_path):
    root = davis(tmp_path)
    sequence(root / "JPEGImages" / "480p" / "dog", [a_map(size=(4, 5))] * 3, "L", ".jpg")
    with pytest.raises(ValueError, match=r"images of \(8, 11\) pixels .* sequence 'dog', got \(4, 5\)"):
        read_davis(root)
    with pytest.raises(FileNotFoundError, match="Expected label maps of DAVIS at '.*1080p', found none"):
        read_davis(root, resolution="1080p")


def test_a_sequence_without_images_has_tracks(tmp_path):
    sequence(tmp_path / "Annotations" / "480p" / "a", [a_map(1)] * 2)
    (video,) = read_davis(tmp_path)
    assert len(video.tracks()[1]) == 2
    with pytest.raises(FileNotFoundError, match="Expected the frames of video 'a', got its tracks only"):
        video.frames()


def test_frames_that_do_not_match(tmp_path):
    root = davis(tmp_path)
    (root / "Annotations" / "480p" / "dog" / "00001.png").unlink()
    with pytest.raises(ValueError, match=r"video 'dog', got 1 images without a map \(00001.jpg\)"):
        read_davis(root)


def test_two_kinds_of_annotations(tmp_path):
    root = davis(tmp_path)
    sequence(root / "Annotations_unsupervised" / "480p" / "dog", [a_map(1, 2, 3)] * 3)
    with pytest.raises(ValueError, match="Expected one kind of annotations .*: name one"):
        read_davis(root)
    dog = {
        kind: read_davis(root, annotations=kind).named("dog") for kind in ("Annotations", "Annotations_unsupervised")
    }
    assert [list(video.tracks()) for video in dog.values()] == [[1], [1, 2, 3]]


@pytest.mark.parametrize("folder", ["Annotations/480p", "Annotations/480p/cat"])
def test_the_folder_of_sequences_and_a_single_one(tmp_path, folder):
    video = read_davis(davis(tmp_path) / folder).named("cat")
    assert list(video.tracks()) == [1, 3, 255]


@pytest.mark.parametrize(
    ("mode", "maps", "tracks"),
    [
        ("L", [a_map(0, 255), a_map()], {1: False}),  # DAVIS-2016 as it was published
        ("L", [a_map(0, 255), a_map(1)], {1: False, 255: True}),
        ("P", [a_map(0, 255), a_map()], {255: True}),
        ("L", [a_map(0, 1), a_map()], {1: False}),
        ("L", [a_map(), a_map()], {}),
    ],
)
def test_black_and_white(tmp_path, mode, maps, tracks):
    sequence(tmp_path / "a", maps, mode)
    (video,) = read_davis(tmp_path)
    assert {track_id: track.crowd for track_id, track in video.tracks().items()} == tracks
    for frame in range(2):
        expected = np.where(maps[frame] == 255, 1 if tracks == {1: False} else 255, maps[frame])
        np.testing.assert_array_equal(video.label_map(frame), expected)


def test_palette():
    def colour(number: int) -> list[int]:
        """The published loop, bit by bit."""
        r = g = b = 0
        rest = number
        for shift in range(7, -1, -1):
            r, g, b = r | (rest & 1) << shift, g | (rest >> 1 & 1) << shift, b | (rest >> 2 & 1) << shift
            rest >>= 3
        return [r, g, b]

    from tltm_graph.formats.davis import _PALETTE

    assert [value for number in range(256) for value in colour(number)] == _PALETTE
    assert _PALETTE[:12] == [0, 0, 0, 128, 0, 0, 0, 128, 0, 128, 128, 0]


@st.composite
def truth(draw) -> list[np.ndarray]:
    """Disjoint objects with gaps, late starts, empty frames and void."""
    seed, frames = draw(st.integers(0, 10**6)), draw(st.integers(0, 4))
    ids = draw(st.lists(st.integers(1, 20), max_size=4, unique=True))
    rng = np.random.default_rng(seed)
    values = np.array([0, 0, *ids, 255])
    return [rng.choice(values, SIZE) * rng.integers(0, 2) for _ in range(frames)]


@settings(deadline=None, max_examples=30)
@given(maps=truth())
def test_truth_comes_back_exactly(tmp_path_factory, maps):
    rows = [label_map_observations(labels.astype(np.uint8), void=255) for labels in maps]
    root = tmp_path_factory.mktemp("davis")
    folder = written(root, rows)
    assert [file.name for file in sorted(folder.iterdir())] == [f"{frame:05d}.png" for frame in range(len(maps))]
    for read, labels in zip(maps_in(folder), maps, strict=True):
        np.testing.assert_array_equal(read, labels)
    (video,) = read_davis(root)
    expected = Tracks.from_observations(((t, row) for t, seen in enumerate(rows) for row in seen), SIZE, len(maps))
    assert video.tracks().tracks == expected.tracks
    assert video.num_frames == len(maps)


def test_the_higher_score_lies_on_top_and_holes_stay(tmp_path):
    ring = np.ones(SIZE, bool)
    ring[3:5, 3:7] = False
    over = box_row(2, 0, 5, score=0.5)
    under = Observation(1, (0.0, 0.0, 11.0, 8.0), 0.9, mask=mask_of(ring))
    (labels,) = maps_in(written(tmp_path, [[over, under]]))
    expected = np.where(ring, 1, 0)
    expected[3:5, 3:5] = 2
    np.testing.assert_array_equal(labels, expected)


def test_void_lies_under_the_objects(tmp_path):
    (labels,) = maps_in(written(tmp_path, [[box_row(1, 0, 3, 0.1), box_row(7, 2, 5, crowd=True)]]))
    np.testing.assert_array_equal(labels, a_map(1, 1, 1, 255, 255))


def test_the_objects_with_the_highest_sum_of_scores_are_kept(tmp_path):
    """25 objects of one pixel column each are in one frame each, one after the other."""
    frames = [[box_row(number, 0, 1, score=0.3 + number / 100)] for number in range(1, 26)]
    frames.append([box_row(1, 0, 1, score=0.3)])  # 0.31 + 0.3: a weak object in two frames
    maps = maps_in(written(tmp_path, frames))
    kept = sorted(range(1, 26), key=lambda number: -(0.61 if number == 1 else 0.3 + number / 100))[:20]
    counted = {number: index for index, number in enumerate(sorted(kept), start=1)}  # they appear in order of their ids
    expected = [counted.get(number, 0) for number in [*range(1, 26), 1]]
    assert [int(labels[0, 0]) for labels in maps] == expected
    assert expected[0] == 1
    assert max(expected) == 20


def test_an_object_that_is_dropped_hides_nothing(tmp_path):
    frames = [[box_row(1, 0, 4, 0.9), box_row(2, 2, 6, 0.5)], [box_row(2, 2, 6, 0.5)]]
    maps = maps_in(written(tmp_path, frames, max_objects=1))
    assert [(labels > 0).sum() // SIZE[0] for labels in maps] == [4, 4]


def test_of_equal_sums_the_first_object_is_kept(tmp_path):
    maps = maps_in(written(tmp_path, [[box_row(9, 0, 1), box_row(5, 1, 2)], [box_row(2, 0, 1)]], max_objects=2))
    np.testing.assert_array_equal(maps[0], a_map(1, 2))
    np.testing.assert_array_equal(maps[1], a_map())


@pytest.mark.parametrize(
    ("ids", "expected"),
    [((3, 1), (3, 1)), ((20, 4), (20, 4)), ((0, 4), (1, 2)), ((300, 4), (1, 2)), ((21, 4), (1, 2)), ((255, 9), (1, 2))],
)
def test_ids_are_kept_if_they_fit(tmp_path, ids, expected):
    rows = [box_row(track_id, index, index + 1) for index, track_id in enumerate(ids)]
    (labels,) = maps_in(written(tmp_path, [rows]))
    np.testing.assert_array_equal(labels, a_map(*expected))


@pytest.mark.parametrize("max_objects", [2, 20, MAX_LABEL])
def test_maps_in_memory_are_those_of_the_file(tmp_path, max_objects):
    frames = [
        [box_row(0, 0, 4, 0.9), box_row(7, 2, 6, 0.5)],
        [],
        [box_row(9, 8, 9, crowd=True), box_row(300, 0, 4, 0.2)],
    ]
    tracks = Tracks.from_observations(((t, row) for t, rows in enumerate(frames) for row in rows), SIZE, 4)
    files = maps_in(written(tmp_path, [*frames, []], max_objects=max_objects))
    for labels, file in zip(label_maps_of(tracks, max_objects), files, strict=True):
        np.testing.assert_array_equal(labels, file)
    assert sorted({int(value) for labels in files for value in np.unique(labels)}) == (
        [0, 1, 2, 255] if max_objects == 2 else [0, 1, 2, 3, 255]
    )
    assert list(label_maps_of(Tracks({}, None, 0))) == []
    with pytest.raises(ValueError, match="Expected the size of a video for label maps, got none"):
        list(label_maps_of(Tracks({}, None, 1)))
    boxes = Tracks.from_observations([(0, Observation(5, (0.0, 0.0, 1.0, 1.0)))], SIZE)
    with pytest.raises(ValueError, match="got only a box of object 5 in frame 0"):
        list(label_maps_of(boxes))


def test_room_for_more_objects(tmp_path):
    rows = [box_row(track_id, index, index + 1) for index, track_id in enumerate((254, 21))]
    (labels,) = maps_in(written(tmp_path, [rows], max_objects=254))
    np.testing.assert_array_equal(labels, a_map(254, 21))
    for wrong in (0, 255):
        with pytest.raises(ValueError, match=f"Expected max_objects from 1 to 254, got {wrong}"):
            DavisWriter(tmp_path, max_objects=wrong)


def test_frames_that_are_not_written_are_empty(tmp_path):
    with DavisWriter(tmp_path / "new" / "folder") as writer:
        writer.begin(Video("a", 3, SIZE, frame_names=("x1", "x2", "x3")))
        writer.write(1, [box_row(1, 0, 1)])
        writer.begin(Video("b", 2, None))
        writer.write(0, [box_row(1, 0, 2)])
        writer.begin(Video("c", 0, None))
    folder = tmp_path / "new" / "folder"
    assert list(contents(folder)) == [
        "a", "a/x1.png", "a/x2.png", "a/x3.png", "b", "b/00000.png", "b/00001.png", "c",
    ]  # fmt: skip
    for labels, columns in zip(maps_in(folder / "a") + maps_in(folder / "b"), (0, 1, 0, 2, 0), strict=True):
        np.testing.assert_array_equal(labels, a_map(*[1] * columns))
    assert [video.num_frames for video in read_label_map_folders(folder)] == [3, 2, 0]


def test_invalid_videos_and_objects_are_refused(tmp_path):
    cases = [
        (
            Video("v", 1, SIZE),
            [Observation(1, (0.0, 0.0, 1.0, 1.0))],
            "got only a box of object 1 in frame 0 of video 'v'",
        ),
        (Video("v", 1, SIZE), [box_row(1, 0, 1, score=float("nan"))], "all finite, got .* and nan for object 1"),
        (Video("v", 1, (5, 5)), [box_row(1, 0, 1)], "Expected masks of 5×5 pixels"),
        (Video("v", 1, None), [], "Expected the size of video 'v', .* got neither"),
        (Video("../v", 1, SIZE), [], "a name that can be that of a file in '.*out', got '../v': rename"),
        (Video("..", 1, SIZE), [], "a name that can be that of a file in '.*out', got '..': rename"),
        (Video("", 1, SIZE), [], "a name that can be that of a file in '.*out', got '': rename"),
        (Video(".v", 1, SIZE), [], "a name that can be that of a file in '.*out', got '.v': rename"),
        (Video("v", 1, SIZE, frame_names=("../a",)), [], "a name that can be that of a file in '.*', got '../a'"),
        (Video("v", 2, SIZE, frame_names=("a", "a")), [], "each frame name once in video 'v', got 'a' twice"),
        (Video("v", 2, SIZE, frame_names=("a",)), [], "Expected 2 frame names of video 'v', got 1"),
    ]
    for video, rows, message in cases:
        with pytest.raises(ValueError, match=message), DavisWriter(tmp_path / "out") as writer:
            writer.begin(video)
            writer.write(0, rows)
        assert list(tmp_path.iterdir()) == []
    twice = pytest.raises(ValueError, match="Expected each video once, got 'v' twice")
    with twice, DavisWriter(tmp_path / "out") as writer:
        writer.begin(Video("v", 1, SIZE))
        writer.begin(Video("v", 1, SIZE))
    assert names_in(tmp_path / "out") == ["v"], "the complete video stays, without a spool"


def test_a_failure_keeps_the_old_folder(tmp_path):
    folder = written(tmp_path, [[box_row(1, 0, 1)]])
    with pytest.raises(RuntimeError), DavisWriter(tmp_path) as writer:
        writer.begin(Video("v", 2, SIZE))
        writer.write(0, [])
        raise RuntimeError
    np.testing.assert_array_equal(maps_in(folder)[0], a_map(1))
    assert names_in(tmp_path) == ["v"]


@needs_shared
@pytest.mark.parametrize("part", ["davis2016", "davis2016_instances", "davis_jf/osvos_results"])
def test_real_truth_and_results_come_back_exactly(tmp_path, part):
    videos = read_davis(SHARED / part)
    chosen = [videos.named("horsejump-high")]
    with DavisWriter(tmp_path) as writer:
        for video in chosen:
            writer.begin(video)
            for frame, rows in video.tracks().observations():
                writer.write(frame, rows)
    for before, after in zip(chosen, read_davis(tmp_path), strict=True):
        assert before.name == after.name
        assert before.frame_names == after.frame_names
        assert before.tracks() == after.tracks()
        for frame in range(before.num_frames):
            np.testing.assert_array_equal(before.label_map(frame), after.label_map(frame))


@needs_shared
def test_the_real_davis():
    videos = read_davis(SHARED / "davis2016")
    assert (len(videos), sum(video.num_frames for video in videos)) == (16, 1239)
    assert {video.size for video in videos} == {(480, 854)}
    assert [video.name for video in videos if video.images is not None] == ["bmx-trees", "horsejump-high"]
    instances = read_davis(SHARED / "davis2016_instances")
    for video in instances:
        whole = videos.named(video.name)
        for frame in range(0, video.num_frames, 10):
            np.testing.assert_array_equal(video.label_map(frame) > 0, whole.label_map(frame) == 1)
