import gzip
import math

import pytest
from hypothesis import given, settings

from tests.cases import names_in
from tests.formats.strategies import SHARED, SIZE, needs_shared, random_tracks, same_again, video_of, written
from tltm_graph.formats.mot import MOT_CLASSES, MotTruthWriter, MotWriter, read_mot
from tltm_graph.formats.video import Video
from tltm_graph.formats.writer import TracksWriter
from tltm_graph.structures import Observation, Tracks


@given(random_tracks())
@settings(max_examples=40, deadline=None)
def test_truth_comes_back(tmp_path_factory, tracks):
    folder = tmp_path_factory.mktemp("mot")
    written(MotTruthWriter(folder, MOT_CLASSES), [video_of(tracks, "one", fps=12.5), video_of(tracks, "two", fps=30.0)])
    one, two = read_mot(folder)
    assert (one.name, one.num_frames, one.size, one.fps, one.id) == ("one", tracks.num_frames, SIZE, 12.5, 1)
    assert one.tracks() == two.tracks() == tracks
    assert [video.name for video in read_mot(folder / "two")] == ["two"]
    assert [video.name for video in read_mot(folder / "two" / "gt" / "gt.txt")] == ["two"]


def test_a_single_file_in_a_folder_called_gt(tmp_path):
    (tmp_path / "gt").mkdir()
    (tmp_path / "gt" / "TUD-Campus.txt").write_text("1,1,0,0,1,1,1,-1,-1,-1\n", encoding="utf-8")
    for path in (tmp_path / "gt", tmp_path / "gt" / "TUD-Campus.txt"):
        assert [video.name for video in read_mot(path)] == ["TUD-Campus"]


@given(random_tracks(num_labels=1))
@settings(max_examples=40, deadline=None)
def test_results_come_back(tmp_path_factory, tracks):
    folder = tmp_path_factory.mktemp("mot")
    written(MotWriter(folder), [video_of(tracks, "MOT17-02-FRCNN")])
    assert names_in(folder) == ["MOT17-02-FRCNN.txt"]
    (video,) = read_mot(folder)
    assert (video.name, video.num_frames, video.size) == ("MOT17-02-FRCNN", None, None)
    assert video.tracks().tracks == tracks.tracks
    assert video.tracks().num_frames == max((track.frames[-1] + 1 for track in tracks.values()), default=0)


def test_what_a_line_means(tmp_path):
    (tmp_path / "a.txt").write_text(
        "1, 7, 10, 20, 3.5, 4, 1, 3, 0.25\n\n3,7.0,1e1,20,3,4,0.5,-1,1\n2,0,-5,0,0,0,-1,1,0\n", encoding="utf-8"
    )
    tracks = read_mot(tmp_path / "a.txt")[0].tracks()
    assert list(tracks) == [0, 7]
    seven = tracks[7]
    assert (seven.frames, seven.scores, seven.labels) == ((0, 2), (1.0, 0.5), (2, 0))
    assert seven.boxes == ((10.0, 20.0, 13.5, 24.0), (10.0, 20.0, 13.0, 24.0))
    assert (tracks.num_frames, tracks.size, tracks[0].scores) == (3, None, (-1.0,))


@pytest.mark.parametrize(
    ("columns", "label"),
    [("3,1", 2), ("-1,-1", 0), ("0,1", 0), ("3,-1,-1", 2), ("3,7,0", 0), ("12.6,15.9,0", 0), ("-1,-1,-1", 0)],
)
def test_a_class_is_distinguished_from_world_coordinates(tmp_path, columns, label):
    (tmp_path / "a.txt").write_text(f"1,1,0,0,1,1,1,{columns}\n", encoding="utf-8")
    assert read_mot(tmp_path)[0].tracks()[1].labels == (label,)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1,1,0,0,1,1,1\n", r"Expected 8 to 10 columns .* in '.*a\.txt', got 7"),
        ("1,1,0,0,1,1,1,1,1\n1,2,0,0\n", r"Expected 9 columns as in the lines before, got 4 in '.*a\.txt', line 2"),
        ("\n1,1,0,0,1,1,1,1,1\n1,2,0,zero,1,1,1,1,1\n", r"Expected a number, got 'zero' in '.*a\.txt', line 3"),
        ("1,1,0,0,1,1,1,1,\n", r"Expected a number, got '' in '.*', line 1"),
        ("1,1,0,0,1,1,1,1,1\n\n2,1,0,nan,1,1,1,1,1\n", r"Expected finite numbers, got .*nan.* line 3"),
        ("1,1,0,0,1,inf,1,1,1\n", "Expected finite numbers"),
        ("1.5,1,0,0,1,1,1,1,1\n", "Expected whole numbers as frame and id, got 1.5 and 1"),
        ("1,1.5,0,0,1,1,1,1,1\n", "Expected whole numbers as frame and id, got 1 and 1.5"),
        ("1,-1,0,0,1,1,1,-1,-1\n", r"Expected ids of at least 0, got -1: these are detections, not tracks, in '.*', l"),
        ("0,1,0,0,1,1,1,1,1\n", "Expected frames from 1 on, got frame 0"),
        ("1,1,0,0,-1,1,1,1,1\n", r"Expected sizes of at least 0, got -1×1"),
        ("1,1,0,0,1,1,1,14,1\n", "Expected a class from 1 to 13, got 14"),
        ("1,1,0,0,1,1,1,1.5,1\n", "Expected a class from 1 to 13, got 1.5"),
        ("1,1,0,0,1,1,1,1,1\n2,1,0,0,1,1,1,1,1\n1,1,5,5,1,1,1,1,1\n", "got id 1 again in frame 1 in '.*', line 3"),
        ("1;1;0;0;1;1;1;1;1\n", "Expected a number, got '1;1;0;0;1;1;1;1;1'"),
    ],
)
def test_errors_of_lines_come_with_the_tracks(tmp_path, text, message):
    (tmp_path / "a.txt").write_text(text, encoding="utf-8")
    (video,) = read_mot(tmp_path)
    with pytest.raises(ValueError, match=message):
        video.tracks()


def test_errors_of_the_layout(tmp_path):
    for path in (tmp_path, tmp_path / "nothing", tmp_path / "nothing.txt"):
        with pytest.raises(FileNotFoundError, match="Expected a sequence .*, found none"):
            read_mot(path)
    (tmp_path / "tracks.json").write_text("[]", encoding="utf-8")
    with pytest.raises(FileNotFoundError, match="Expected a sequence"):
        read_mot(tmp_path / "tracks.json")
    sequence = tmp_path / "S"
    sequence.mkdir()
    info = sequence / "seqinfo.ini"
    for text, message in (
        ("name=S\n", r"Expected lines 'key=value' under \[Sequence\] in '.*seqinfo.ini'"),
        ("[Other]\nname=S\n", r"under \[Sequence\]"),
        ("[Sequence]\nseqLength=ten\n", "Expected 'seqLength' as a number of at least 0 in '.*', got 'ten'"),
        ("[Sequence]\nseqLength=2\nframeRate=0\n", "Expected 'frameRate'"),
        ("[Sequence]\nseqLength=2\nframeRate=nan\n", "Expected 'frameRate'"),
        ("[Sequence]\nimWidth=0\n", "Expected 'imWidth'"),
    ):
        info.write_text(text, encoding="utf-8")
        with pytest.raises(ValueError, match=message):
            read_mot(tmp_path)
    info.write_text("[Sequence]\nseqLength=2\nimDir=img1\nimExt=.png\n", encoding="utf-8")
    (sequence / "img1").mkdir()
    (sequence / "img1" / "000001.png").touch()
    with pytest.raises(ValueError, match="Expected 2 images in '.*', as 'seqinfo.ini' says, got 1"):
        read_mot(tmp_path)
    (sequence / "img1" / "000002.png").touch()
    (video,) = read_mot(sequence)
    assert video.images == (sequence / "img1" / "000001.png", sequence / "img1" / "000002.png")
    assert (video.num_frames, video.size, video.fps, video.load) == (2, None, None, None)
    (sequence / "gt").mkdir()
    with gzip.open(sequence / "gt" / "gt.txt.gz", "wt") as file:
        file.write("3,1,0,0,1,1,1,1,1\n")
    with pytest.raises(ValueError, match="Expected frames 1 to 2, got frame 3 in '.*gt.txt.gz', line 1"):
        read_mot(sequence)[0].tracks()
    (sequence / "gt" / "gt.txt.gz").write_bytes(b"no gzip")
    with pytest.raises(ValueError, match="got a damaged file"):
        read_mot(sequence)[0].tracks()


def test_writers_refuse_what_could_not_be_read(tmp_path):
    def one(writer: TracksWriter, row: Observation, name: str = "clip") -> None:
        written(writer, [video_of(Tracks.from_observations([(0, row)], SIZE), name)])

    for box, score in (((0, 0, math.nan, 1), 1.0), ((2, 0, 1, 1), 1.0), ((0, 0, 1, 1), math.inf)):
        with pytest.raises(ValueError, match=r"got .* for object 4 in frame 0 of video 'clip'"):
            one(MotWriter(tmp_path / "results"), Observation(4, box, score))
    for name in ("a/b", "..", ""):
        for writer in (MotWriter(tmp_path / "results"), MotTruthWriter(tmp_path / "truth", ["person"])):
            with pytest.raises(
                ValueError, match=rf"name that can be that of a file in '.*', got '{name}[a-z.]*': rename"
            ):
                one(writer, Observation(4, (0, 0, 1, 1)), name)
    with pytest.raises(ValueError, match=r"a class of pedestrian, .* got 'unknown' for object 4"):
        one(MotTruthWriter(tmp_path / "truth"), Observation(4, (0, 0, 1, 1)))
    with pytest.raises(
        ValueError, match=r"a class of pedestrian, .* got 'zebra' for object 4 in frame 0 of video 'clip'"
    ):
        one(MotTruthWriter(tmp_path / "truth", ["zebra"]), Observation(4, (0, 0, 1, 1)))
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_classes_of_ground_truth_are_found_by_name(tmp_path):
    rows = [(0, Observation(1, (0, 0, 1, 1), label=1)), (0, Observation(2, (0, 0, 1, 1), label=0, crowd=True))]
    written(MotTruthWriter(tmp_path, ["car", "person"]), [video_of(Tracks.from_observations(rows, None))])
    assert (tmp_path / "clip/gt/gt.txt").read_text() == "1,1,0,0,1,1,1,1,1\n1,2,0,0,1,1,0,3,1\n"
    assert (tmp_path / "clip/seqinfo.ini").read_text() == "[Sequence]\nname=clip\nseqLength=1\n"


def test_finished_videos_stay_when_the_next_fails(tmp_path):
    one = video_of(Tracks.from_observations([(0, Observation(1, (0, 0, 1, 1)))], SIZE), "one")
    with pytest.raises(KeyError), MotWriter(tmp_path) as writer:
        writer.begin(one)
        writer.write(0, [Observation(1, (0, 0, 1, 1))])
        writer.begin(Video("two"))
        writer.write(0, [Observation(1, (0, 0, 1, 1))])
        raise KeyError
    assert names_in(tmp_path) == ["one.txt"]


def test_nothing_to_write(tmp_path):
    written(MotWriter(tmp_path / "none"), [])
    assert list((tmp_path / "none").iterdir()) == []
    written(MotWriter(tmp_path / "empty"), [video_of(Tracks({}, None, 0))])
    assert read_mot(tmp_path / "empty")[0].tracks() == Tracks({}, None, 0)


@pytest.mark.slow
@needs_shared
@pytest.mark.parametrize("folder", ["mot17", "mot15"])
def test_real_truth_comes_back(tmp_path, folder):
    truth = read_mot(SHARED / folder)
    written(MotTruthWriter(tmp_path, truth.class_names), list(truth))
    again = read_mot(tmp_path)
    same_again(truth, again)
    for video, other in zip(truth, again, strict=True):
        assert (other.num_frames, other.size, other.fps) == (video.num_frames, video.size, video.fps)


@needs_shared
@pytest.mark.parametrize("folder", ["mot17/reference_tracker", "tud/gt", "tud/results"])
def test_real_results_come_back(tmp_path, folder):
    results = read_mot(SHARED / folder)
    written(MotWriter(tmp_path), list(results))
    same_again(results, read_mot(tmp_path))


@needs_shared
def test_real_truth_against_a_plain_reader():
    (video,) = read_mot(SHARED / "mot17" / "MOT17-13")
    tracks = video.tracks()
    assert (video.name, len(tracks), sum(map(len, tracks.values()))) == ("MOT17-13", 188, 20202)
    with gzip.open(SHARED / "mot17/MOT17-13/gt/gt.txt.gz", "rt") as file:
        for line in list(file)[::97]:
            frame, track_id, x, y, width, height, flag, kind, _ = line.split(",")
            track = tracks[int(track_id)]
            row = track.observation(int(track_id), track.frames.index(int(frame) - 1))
            assert row.box == (float(x), float(y), float(x) + float(width), float(y) + float(height))
            assert (row.score, row.label) == (float(flag), int(kind) - 1)


@needs_shared
def test_detections_are_refused():
    with pytest.raises(ValueError, match="these are detections, not tracks"):
        read_mot(SHARED / "mot15/TUD-Campus/det/det.txt")[0].tracks()
