from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from tests.formats.cases import random_tracks
from tests.formats.strategies import SHARED, SIZE, block, needs_shared, video_of
from tltm_graph.formats import Video, VideoSet, open_videos, validate
from tltm_graph.formats.validate import Problem, validate_set, validate_video
from tltm_graph.structures import Observation, Tracks
from tltm_graph.synthetic import MovingShapes

CLASSES = ("cat", "dog")


def row(track_id: int = 1, top: int = 1, left: int = 2, bottom: int = 4, right: int = 6, **more) -> Observation:
    """A rectangle, as box and mask."""
    box = (float(left), float(top), float(right), float(bottom))
    return Observation(track_id, box, mask=block(top, left, bottom, right))._replace(**more)


def problems_of(*rows: tuple[int, Observation], num_frames: int = 3, classes=CLASSES) -> list[Problem]:
    """Problems of the only video of a set, without those of the set as a whole."""
    video = video_of(Tracks.from_observations(rows, SIZE, num_frames), "clip")
    return list(validate_video(video, classes, Counter()))


def the_only(*rows: tuple[int, Observation], **more) -> Problem:
    (problem,) = problems_of(*rows, **more)
    assert problem.video == "clip"
    assert problem.remedy
    assert not problem.remedy.endswith("."), "the command puts the full stop"
    return problem


def test_a_clean_set_has_none():
    rows = [(t, row(label=n, track_id=n + 1, left=4 * n, right=4 * n + 3)) for t in range(3) for n in (0, 1)]
    tracks = Tracks.from_observations(rows, SIZE, 3)
    assert list(validate(VideoSet([video_of(tracks, "a"), video_of(tracks, "b", id=2)], CLASSES))) == []
    bare = replace(tracks, tracks={i: replace(t, masks=None) for i, t in tracks.items()}, size=None)
    assert list(validate(VideoSet([Video("a", 3, load=lambda: bare)], None))) == []


def test_rendered_scenes_are_clean(tmp_path):
    scene = MovingShapes(6, (96, 128), num_objects=3, seed=4)
    tracks = Tracks.from_stream(((f.index, scene.truth(f.index)) for f in scene), (96, 128))
    tracks = replace(tracks, tracks={i + 1: track for i, track in tracks.items()})
    paths = []
    for frame in scene:
        paths.append(tmp_path / f"{frame.index}.png")
        Image.fromarray(frame.image.numpy().transpose(1, 2, 0)).save(paths[-1])
    video = Video("scene", 6, (96, 128), images=tuple(paths), load=lambda: tracks)
    assert [p for p in validate(VideoSet([video])) if p.kind == "error"] == []


def test_no_videos_and_no_frames():
    (problem,) = validate(VideoSet([], CLASSES, name="set"))
    assert (problem.kind, problem.what) == ("error", "Expected at least one video, got none in 'set'")
    (first, second) = validate_video(Video("v", 0, SIZE, load=lambda: Tracks({}, SIZE, 0)), CLASSES, Counter())
    assert (first.kind, first.what, first.remedy) == (
        "error",
        "Expected at least one frame, got none",
        "leave the video out",
    )
    assert (second.kind, second.what) == ("warning", "No object in any frame")
    assert list(validate_video(Video("v", 3), CLASSES, Counter())) == [], "frames without tracks are no mistake"


def test_no_objects():
    problem = the_only()
    assert (problem.kind, problem.where, problem.what) == ("warning", "", "No object in any frame")
    assert "count as a false positive" in problem.remedy


def test_absent_classes():
    tracks = Tracks.from_observations([(0, row(label=1))], SIZE, 1)
    (problem,) = validate(VideoSet([video_of(tracks)], ("cat", "dog")))
    assert (problem.kind, problem.video, problem.what) == ("warning", "", "No object of 1 of 2 classes (cat)")
    assert list(validate_set(VideoSet([video_of(tracks)], ("cat", "dog")), Counter({0: 1, 1: 7}))) == []
    empty = VideoSet([video_of(Tracks({}, SIZE, 1))], CLASSES)
    assert [p.what for p in validate(empty)] == ["No object in any frame"], "an empty set has no absent classes"


def test_fractions_of_the_image_are_no_pixels():
    problem = the_only((0, row(box=(0.2, 0.1, 0.9, 1.0), mask=None)))
    assert (problem.kind, problem.what) == (
        "error",
        "All coordinates are below 1: they look like fractions of the image",
    )


def test_masks_of_some_objects_only():
    problem = the_only((0, row(1)), (0, row(2, left=7, right=9, mask=None)))
    assert (problem.kind, problem.what) == ("warning", "Some objects have masks and others only boxes")


def test_labels_that_are_no_class():
    for label in (2, -1):
        problem = the_only((0, row(label=label)))
        assert (problem.kind, problem.where) == ("error", "track 1")
        assert problem.what == f"Expected a label below 2, got {label}"
        assert problems_of((0, row(label=label)), classes=None) == []


def test_classes_that_change():
    problem = the_only((0, row(label=1)), (1, row(label=0)), (2, row(label=1)))
    assert (problem.kind, problem.where) == ("warning", "track 1")
    assert problem.what == "The class changes within the track: {1: 2, 0: 1}"


def test_boxes_without_area():
    for box in ((2.0, 1.0, 2.0, 4.0), (2.0, 1.0, 6.0, 1.0), (3.0, 1.0, 2.0, 4.0), (2.0, float("nan"), 6.0, 4.0)):
        problem = the_only((0, row(mask=None)), (1, row(box=box, mask=None)), (2, row(box=box, mask=None)))
        assert (problem.kind, problem.what) == ("error", "The box has no area"), box
        assert problem.where == "frame 1, track 1 (and in 1 other frames)"


def test_boxes_outside_the_image():
    for x, y in ((-9, 1), (1, -9), (10, 1), (1, 6)):  # beside, above, right of and below 6×10 pixels
        problem = the_only((1, row(mask=None)), (2, row(box=(x, y, x + 4.0, y + 4.0), mask=None)))
        assert problem.where == "frame 2, track 1"
        assert problem.what == "The box lies outside the image of 6×10 pixels (H×W)"
        assert "swapped or normalised" in problem.remedy
    assert problems_of((0, row(box=(-3.0, -3.0, 1.0, 1.0), mask=None))) == [], "partly outside is common"


def test_empty_masks():
    problem = the_only((0, row(mask=block(0, 0, 0, 0))))
    assert (problem.kind, problem.where, problem.what) == ("error", "frame 0, track 1", "The mask is empty")
    assert problem.remedy == "remove the object from this frame"


def test_boxes_that_do_not_fit_the_mask():
    problem = the_only((0, row()), (2, row(box=(2.0, 1.0, 8.1, 4.0))))
    assert (problem.kind, problem.where) == ("warning", "frame 2, track 1")
    assert problem.what == "The box differs from the mask's by more than 2 pixels"
    assert problems_of((2, row(box=(2.0, 1.0, 8.0, 4.0)))) == []


def test_areas_that_do_not_fit_the_mask():
    problem = the_only((0, row(area=12.0)), (1, row(area=14.5)))
    assert (problem.kind, problem.where) == ("warning", "frame 1, track 1")
    assert "small, medium and large" in problem.remedy
    assert problems_of((0, row(area=14.0))) == []


def test_objects_annotated_twice():
    problem = the_only((0, row(1)), (0, row(2)), (1, row(1)), (1, row(2)), (1, row(5, 0, 7, 2, 9)))
    assert (problem.kind, problem.where) == ("warning", "frame 0, tracks 1 and 2")
    assert problem.what == "Two objects are the same to an IoU of 0.9"
    assert problem.remedy == "remove one of them"
    assert problems_of((0, row(1)), (0, row(2, right=7))) == []
    assert problems_of((0, row(1)), (0, row(2, crowd=True))) == [], "a crowd may lie on anything"
    assert the_only((0, row(1, mask=None)), (0, row(2, mask=None))).where == "frame 0, tracks 1 and 2"


def test_images(tmp_path):
    paths = [tmp_path / f"{number}.png" for number in range(4)]
    for path, size in zip(paths, (SIZE, (5, 10), SIZE), strict=False):
        Image.fromarray(np.zeros((*size, 3), np.uint8)).save(path)
    paths[2].write_bytes(paths[2].read_bytes()[:20])
    problems = list(validate_video(Video("clip", 4, SIZE, images=tuple(paths)), None, Counter()))
    assert [(p.kind, p.where) for p in problems] == [("error", "frame 1"), ("error", "frame 2 (and 1 more like it)")]
    assert "images of 6×10 pixels (H×W), got 5×10: '" in problems[0].what
    assert str(paths[2]) in problems[1].what


def test_a_broken_video_does_not_stop_the_rest():
    def broken() -> Tracks:
        raise ValueError("Expected a mask, got none in frame 3 of annotation 7 of 'file.json'")

    def gone() -> Tracks:
        raise FileNotFoundError("found none at 'tracks.txt'")

    good = video_of(Tracks.from_observations([(0, row(mask=block(0, 0, 0, 0)))], SIZE, 1), "good", id=3)
    videos = VideoSet([Video("bad", 1, load=broken), Video("gone", 1, id=2, load=gone), good], ("cat",))
    problems = list(validate(videos))
    assert [(p.kind, p.video) for p in problems] == [("error", "bad"), ("error", "gone"), ("error", "good")]
    assert problems[0].what == "Expected a mask, got none in frame 3 of annotation 7 of 'file.json'"
    assert "then run this again" in problems[0].remedy


def test_each_kind_of_problem_is_reported_once():
    """A thousand bad boxes are one problem: with the first place, and how many there are."""
    rows = [(t, row(n, box=(3.0, 3.0, 3.0, 3.0), mask=None)) for t in range(1000) for n in (1, 2)]
    (problem,) = problems_of(*rows, num_frames=1000)
    assert problem.where == "frame 0, track 1 (and in 999 other frames) (and 1 more like it)"


def test_videos_are_read_one_by_one():
    """Problems come as they are found, and each video is read once."""
    reads = []

    def video(number: int) -> Video:
        def load() -> Tracks:
            reads.append(number)
            return Tracks({}, SIZE, 1)

        return Video(str(number), 1, SIZE, number, load=load)

    stream = validate(VideoSet([video(number) for number in range(3)]))
    assert reads == []
    assert next(stream).video == "0"
    assert reads == [0]
    assert [problem.video for problem in stream] == ["1", "2"]
    assert reads == [0, 1, 2]


def test_named():
    assert Problem("error", "a", "b", "c", "d").named() == {
        "kind": "error", "video": "a", "where": "b", "what": "c", "remedy": "d",
    }  # fmt: skip


@pytest.mark.parametrize("seed", range(3))
def test_random_tracks_are_sound(seed):
    tracks = random_tracks(seed)
    found = [p for p in validate_video(video_of(tracks), ("a", "b", "c"), Counter()) if p.kind == "error"]
    assert found == []


@pytest.mark.slow
@needs_shared
@pytest.mark.parametrize("path", ["mots20", "bdd100k_masks/seg_track/seg_track_sample.json.gz", "tud/gt"])
def test_real_data_has_no_errors(path):
    errors = [problem for problem in validate(open_videos(SHARED / path)) if problem.kind == "error"]
    assert errors == []
