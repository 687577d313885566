import csv

import pytest
import torch
from hypothesis import given, settings

from tests.cases import names_in
from tests.formats.strategies import SHARED, SIZE, block, needs_shared, random_tracks, same_again, video_of, written
from tltm_graph.formats.bdd100k import read_bdd100k
from tltm_graph.formats.csv_tracks import CSV_COLUMNS, CsvWriter, read_csv_tracks
from tltm_graph.formats.mot import read_mot
from tltm_graph.formats.video import Video
from tltm_graph.io.output import write_atomically
from tltm_graph.ops import encode_rle
from tltm_graph.structures import Observation, Track, Tracks

BOX = (0.0, 0.0, 1.0, 1.0)
NAMES = tuple(f"class, {label}" for label in range(13))
HEAD = (
    "video,frame,track_id,x,y,width,height,image_height,image_width,num_frames,label,class_name,crowd,rle_counts,area\n"
)


@pytest.mark.parametrize("with_masks", [False, True])
def test_tracks_come_back(tmp_path_factory, with_masks):
    @given(first=random_tracks(with_masks=with_masks), second=random_tracks(with_masks=with_masks))
    @settings(max_examples=30, deadline=None)
    def check(first: Tracks, second: Tracks) -> None:
        path = tmp_path_factory.mktemp("csv") / "tracks.csv"
        written(CsvWriter(path, NAMES), [video_of(first, 'the "one"'), video_of(second, "two, 2", fps=25.0)])
        videos = read_csv_tracks(path)
        for name, tracks in (('the "one"', first), ("two, 2", second)):
            video = videos.named(name)
            assert (video.tracks(), video.num_frames, video.size) == (tracks, tracks.num_frames, SIZE)

    check()


def test_what_is_written(tmp_path):
    rows = [
        (2, Observation(7, (0.5, 1.0, 3.0, 4.5), 0.25, 1, block(1, 2, 3, 5), crowd=True, area=6.0)),
        (2, Observation(8, BOX)),
    ]
    tracks = Tracks.from_observations(rows, None)
    path = tmp_path / "new" / "tracks.csv"
    written(CsvWriter(path, ["cat", "dog"]), [Video("clip", fps=12.5, load=lambda: tracks)])
    with open(path, encoding="utf-8", newline="") as file:
        header, first, second = csv.reader(file)
    assert tuple(header) == CSV_COLUMNS
    assert ",".join(first[:-1]) == "clip,1,,6,10,2,0.16,7,0.5,1,2.5,3.5,0.25,1,dog,1,6"
    assert first[-1] == block(1, 2, 3, 5)["counts"]
    assert ",".join(second) == "clip,1,,,,2,0.16,8,0,0,1,1,1,0,cat,0,,"
    videos = read_csv_tracks(path)
    assert videos.class_names == ("cat", "dog")
    assert videos[0].tracks() == Tracks(tracks.tracks, SIZE, 3)


def test_what_a_table_must_have(tmp_path):
    path = tmp_path / "tracks.csv"
    path.write_text(
        "\ufefftrack_id,note,height,width,y,x,frame,video\r\n4,seen,4,3,2,1,5,b\r\n\r\n4,,4,3,2,1.5,3,b\r\n",
        encoding="utf-8",
    )
    videos = read_csv_tracks(path)
    assert (videos.class_names, [video.name for video in videos]) == (None, ["b"])
    assert (videos[0].num_frames, videos[0].size) == (None, None)
    track = Track((3, 5), ((1.5, 2.0, 4.5, 6.0), (1.0, 2.0, 4.0, 6.0)), (1.0, 1.0), (0, 0))
    assert videos[0].tracks() == Tracks({4: track}, None, 6)
    path.write_text(HEAD, encoding="utf-8")
    assert len(read_csv_tracks(path)) == 0
    path.write_text(HEAD + "v,0,1,0,0,1,1,,,,2,dog,,,\n", encoding="utf-8")
    assert read_csv_tracks(path).class_names == ("label_0", "label_1", "dog")


def test_long_masks(tmp_path):
    noise = torch.rand(1, 700, 700, generator=torch.Generator().manual_seed(0)) < 0.5
    rle = encode_rle(noise)[0]
    assert len(rle["counts"]) > csv.field_size_limit()
    tracks = Tracks.from_observations([(0, Observation(0, BOX, mask=rle))], (700, 700))
    written(CsvWriter(tmp_path / "tracks.csv"), [video_of(tracks)])
    limit = csv.field_size_limit()
    assert read_csv_tracks(tmp_path / "tracks.csv")[0].tracks() == tracks
    assert csv.field_size_limit() == limit


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "Expected columns video, frame, track_id, .* got an empty file"),
        ("video;frame;track_id\n", "separated by commas .* got video;frame;track_id"),
        (HEAD.replace("area", "frame"), "each once"),
        (HEAD + "v,0,1\n", r"Expected 15 cells, got 3 in '.*a\.csv', line 2"),
        (HEAD + 'v,0,1,"0\n', r"Expected a table of tracks in '.*a\.csv', got a damaged file"),
        (
            HEAD + "v,0,1,0,0,1,1,,,,0,cat,,,\nv,1,1,0,0,1,1,,,,0,dog,,,\n",
            "Expected one name of each label, got 'cat' and",
        ),
        (HEAD + "v,0,1,0,0,1,1,,,,x,cat,,,\n", "Expected 'label' as a whole number of at least 0, got 'x'"),
        (
            HEAD + "v,0,1,0,0,1,1,,,5,,,,,\nv,1,1,0,0,1,1,,,6,,,,,\n",
            r"Expected one 'num_frames' .* \[5, 6\] of video 'v'",
        ),
        (
            HEAD + "v,0,1,0,0,1,1,,,-5,,,,,\n",
            "Expected 'num_frames' as a whole number of at least 0, got '-5' in .* line 2",
        ),
    ],
)
def test_errors_of_the_table_come_at_once(tmp_path, text, message):
    (tmp_path / "a.csv").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        read_csv_tracks(tmp_path / "a.csv")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (
            "v,0,1,0,0,1,1,4800000,6400000,,,,,,",
            r"at most 89478485 pixels in '.*', line 2, .*4800000×6400000.*--max-pixels",
        ),
        ("v,0,1,0,0,1,1,0,6,,,,,,", r"at least 1 pixel in '.*', line 2"),
        ("v,0,1,0,0,1,1,,,1000000000,,,,,", r"at most 200000 frames in '.*', line 2, video 'v', got 1000000000"),
        ("v,0,1,0,0,1,1,,,,999999999,a,,,", "Expected 'label' as a whole number of at most"),
    ],
)
def test_numbers_beyond_the_limits(tmp_path, row, message):
    (tmp_path / "a.csv").write_text(HEAD + row + "\n", encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        read_csv_tracks(tmp_path / "a.csv")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("v,-1,1,0,0,1,1,,,,,,,,", r"Expected 'frame' as a whole number of at least 0, got '-1' in '.*a\.csv', line 2"),
        ("v,5,1,0,0,1,1,,,5,,,,,", "Expected frames 0 to 4, as 'num_frames' says, got 5"),
        ("v,0,1.5,0,0,1,1,,,,,,,,", "Expected 'track_id' as a whole number of at least 0, got '1.5'"),
        ("v,0,1,left,0,1,1,,,,,,,,", "Expected 'x' as a finite number, got 'left' in"),
        ("v,0,1,0,nan,1,1,,,,,,,,", "Expected 'y' as a finite number, got 'nan'"),
        ("v,0,1,0,0,-1,1,,,,,,,,", "Expected 'width' as a finite number of at least 0, got '-1'"),
        ("v,0,1,0,0,1,,,,,,,,,", "Expected 'height' as a finite number of at least 0, got ''"),
        ("v,0,1,0,0,1,1,,,,,,TRUE,,", "Expected 'crowd' as 0 or 1, got 'TRUE'"),
        ("v,0,1,0,0,1,1,,,,,,,l1,", "Expected 'image_height' and 'image_width' with a mask, got none"),
        ("v,0,1,0,0,1,1,6,10,,,,,l0,", r"Expected runs that cover the 6×10 .* in '.*a\.csv', line 2"),
        ("v,0,1,0,0,1,1,,,,,,,,-2", "Expected 'area' as a finite number of at least 0, got '-2'"),
        ("v,0,1,0,1e308,1,1,,,,,,,,", r"Expected 'y' as a finite number of at most 1e\+07, got '1e308'"),
        ("v,0,1,0,-inf,1,1,,,,,,,,", r"Expected 'y' as a finite number of at least -1e\+07, got '-inf'"),
        (f"v,0,{2**63},0,0,1,1,,,,,,,,", r"Expected 'track_id' as a whole number of at most 9.22337e\+18, got '9223"),
        (f"v,0,{'9' * 9999},0,0,1,1,,,,,,,,", "Expected 'track_id' as a whole number of at least 0, got '999"),
        ("v,999999999,1,0,0,1,1,,,,,,,,", r"at most 200000 frames in '.*', line 2, got 1000000000: .*--max-length"),
        ("v,0,1,0,0,1,1,,,,,,,,\nv,0,1,0,0,1,1,,,,,,,,", r"got id 1 twice in frame 0, in '.*a\.csv', video 'v'"),
    ],
)
def test_errors_of_rows_come_with_the_tracks(tmp_path, row, message):
    (tmp_path / "a.csv").write_text(HEAD + row + "\n", encoding="utf-8")
    (video,) = read_csv_tracks(tmp_path / "a.csv")
    with pytest.raises(ValueError, match=message):
        video.tracks()


def test_writer_refuses_and_leaves_nothing(tmp_path):
    with pytest.raises(FileNotFoundError, match="Expected a file with a table of tracks"):
        read_csv_tracks(tmp_path / "nothing.csv")
    with pytest.raises(ValueError, match="all finite, got .* for object 3 in frame 2 of video 'clip'"):
        written(
            CsvWriter(tmp_path / "a.csv"),
            [video_of(Tracks.from_observations([(2, Observation(3, BOX, float("nan")))], SIZE))],
        )
    (tmp_path / "b.csv").write_text("theirs", encoding="utf-8")
    with pytest.raises(FileExistsError, match="of another origin"):
        written(CsvWriter(tmp_path / "b.csv"), [])
    with write_atomically(tmp_path / "a.csv") as temporary:
        temporary.write_text("old", encoding="utf-8")
    with pytest.raises(KeyError), CsvWriter(tmp_path / "a.csv") as writer:
        writer.begin(Video("clip"))
        writer.write(0, [Observation(3, BOX)])
        raise KeyError
    assert names_in(tmp_path) == ["a.csv", "b.csv"]
    assert [(tmp_path / name).read_text() for name in ("a.csv", "b.csv")] == ["old", "theirs"]
    written(CsvWriter(tmp_path / "a.csv"), [])
    assert (tmp_path / "a.csv").read_text() == ",".join(CSV_COLUMNS) + "\n"


@pytest.mark.slow
@needs_shared
def test_real_tracks_come_back(tmp_path):
    for name, videos in (
        ("mot", read_mot(SHARED / "mot17" / "MOT17-05")),
        ("results", read_mot(SHARED / "mot17" / "reference_tracker" / "MOT17-09.txt.gz")),
        ("bdd", read_bdd100k(SHARED / "bdd100k_masks" / "seg_track" / "seg_track_sample.json.gz")),
    ):
        written(CsvWriter(tmp_path / f"{name}.csv", videos.class_names), list(videos))
        again = read_csv_tracks(tmp_path / f"{name}.csv")
        same_again(videos, again)
        assert again[0].num_frames == videos[0].num_frames


def test_a_video_without_objects_has_a_row(tmp_path):
    none = Tracks({}, SIZE, 4)
    tracks = Tracks.from_observations([(2, Observation(8, BOX))], SIZE, 4)
    videos = [Video("a", 4, SIZE, 7, load=lambda: none), Video("b", 4, SIZE, 9, load=lambda: tracks)]
    for name in ("t.csv", "t.csv.gz"):
        written(CsvWriter(tmp_path / name), videos)
        back = read_csv_tracks(tmp_path / name)
        assert [(v.name, v.id, v.num_frames, v.size) for v in back] == [("a", 7, 4, SIZE), ("b", 9, 4, SIZE)]
        assert [v.tracks() for v in back] == [none, tracks]


FORMULAS = ("=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx", "'=1", "''=1", "'", "'a'", "a,b", 'a"b', "a\nb", "a\r\nb", "")


def test_names_are_no_formulas(tmp_path):
    """A spreadsheet runs a cell that begins with one of = + - @; a quote before it makes it text."""
    rows = [(0, Observation(label, (-1.0, 0.0, 1.0, 1.0), -0.5, label)) for label in range(len(FORMULAS))]
    tracks = Tracks.from_observations(rows, None, 1)
    written(CsvWriter(tmp_path / "a.csv", FORMULAS), [video_of(tracks, name) for name in FORMULAS])
    with open(tmp_path / "a.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        for column in ("video", "class_name"):
            assert not row[column].startswith(("=", "+", "-", "@", "\t", "\r"))
        assert (row["x"], row["score"]) == ("-1", "-0.5"), "numbers stay numbers"
    back = read_csv_tracks(tmp_path / "a.csv")
    assert [video.name for video in back] == list(FORMULAS)
    assert back.class_names == FORMULAS[:-1], "an empty cell is no name"
    assert all(video.tracks().tracks == tracks.tracks for video in back)
