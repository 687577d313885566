import gzip

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.formats.strategies import (
    SHARED,
    SIZE,
    as_the_format_keeps,
    block,
    needs_shared,
    random_tracks,
    same_again,
    video_of,
    written,
)
from tltm_graph.formats.mots import MOTS_CLASSES, MotsWriter, disjoint, read_mots
from tltm_graph.formats.video import Video
from tltm_graph.ops import decode_rle, encode_rle
from tltm_graph.structures import Observation, Track, Tracks


def rectangle(track_id: int, top: int, left: int, bottom: int, right: int, score: float = 1.0, **more) -> Observation:
    box = (float(left), float(top), float(right), float(bottom))
    return Observation(track_id, box, score, 0, block(top, left, bottom, right), **more)


def pixels(observations: list[Observation]) -> np.ndarray:
    return decode_rle([observation.mask for observation in observations], SIZE).numpy()


def expected_owner(observations: list[Observation]) -> dict[int, set[tuple[int, int]]]:
    """Pixel by pixel: the object with the best score owns it."""
    masks, owned = pixels(observations), {observation.id: set() for observation in observations}
    for y in range(SIZE[0]):
        for x in range(SIZE[1]):
            covering = [row for row, mask in zip(observations, masks, strict=True) if mask[y, x]]
            if covering:
                owned[max(covering, key=lambda row: row.score).id].add((y, x))
    return owned


@given(st.lists(st.tuples(st.integers(0, 2**60 - 1), st.sampled_from([0.25, 0.5, 1.0])), max_size=5))
@settings(max_examples=60, deadline=None)
def test_each_pixel_goes_to_the_best_score(drawn):
    rows = []
    for index, (bits, score) in enumerate(drawn):
        flat = torch.tensor([bits >> i & 1 for i in range(60)], dtype=torch.bool)
        rows.append(Observation(index, (0.0, 0.0, 10.0, 6.0), score, 0, encode_rle(flat.reshape(1, *SIZE))[0]))
    result = disjoint(rows, "here")
    owned = expected_owner(rows)
    assert [row.id for row in result] == sorted(row.id for row in result)
    assert pixels(result).sum(axis=0).max(initial=0) <= 1
    left = {row.id: set(zip(*mask.nonzero(), strict=True)) for row, mask in zip(result, pixels(result), strict=True)}
    assert left == {id_: where for id_, where in owned.items() if where or not pixels([rows[id_]]).any()}
    for row in result:
        if left[row.id] != set(zip(*pixels([rows[row.id]])[0].nonzero(), strict=True)):
            ys, xs = zip(*left[row.id], strict=True)
            assert row.box == (min(xs), min(ys), max(xs) + 1, max(ys) + 1)
        else:
            assert row is rows[row.id]
    assert disjoint(result, "here") == result


def test_objects_that_do_not_overlap_are_unchanged():
    rows = [rectangle(4, 0, 0, 2, 2, area=5.0), rectangle(2, 2, 0, 4, 2), rectangle(9, 0, 0, 0, 0)]
    assert all(after is before for after, before in zip(disjoint(rows, "here"), rows, strict=True))
    assert disjoint([], "here") == []


def test_the_first_of_equal_scores_wins_and_holes_stay():
    ring = torch.zeros(1, *SIZE, dtype=torch.bool)
    ring[0, 1:6, 1:6] = True
    ring[0, 3, 3] = False
    around = Observation(0, (1.0, 1.0, 6.0, 6.0), 0.5, 0, encode_rle(ring)[0], area=24.0)
    first, second = disjoint([around, rectangle(1, 3, 3, 4, 8, 0.5)], "here")
    assert first is around
    assert set(zip(*pixels([second])[0].nonzero(), strict=True)) == {(3, 3), (3, 6), (3, 7)}
    assert second.box == (3.0, 3.0, 8.0, 4.0)
    over, under = disjoint([rectangle(1, 3, 3, 4, 8, 0.6), around], "here")
    assert over.id == 1
    assert pixels([under])[0].sum() == 22, "the hole of the ring is not filled"
    assert under.area is None


def test_a_covered_object_is_left_out():
    rows = [rectangle(0, 2, 2, 3, 3, 0.1), rectangle(1, 1, 1, 5, 5, 0.9)]
    assert disjoint(rows, "here") == [rows[1]]


def test_objects_that_cannot_be_made_disjoint():
    with pytest.raises(ValueError, match="mask of every object, got only a box of object 3 in frame 2"):
        disjoint([Observation(3, (0.0, 0.0, 1.0, 1.0))], "frame 2")
    other = Observation(1, (0.0, 0.0, 1.0, 1.0), mask=block(0, 0, 2, 2, (2, 2)))
    with pytest.raises(ValueError, match=r"masks of one size .* got \[2, 2\] for object 1 .* in frame 2"):
        disjoint([rectangle(0, 0, 0, 1, 1), other], "frame 2")


@pytest.mark.parametrize("first_frame", [0, 1])
@given(tracks=random_tracks(num_labels=2, with_masks=True))
@settings(max_examples=30, deadline=None)
def test_tracks_come_back(tmp_path_factory, tracks, first_frame):
    folder, tracks = tmp_path_factory.mktemp("mots"), as_the_format_keeps(tracks)
    written(MotsWriter(folder, MOTS_CLASSES, first_frame=first_frame), [video_of(tracks)])
    (video,) = read_mots(folder, first_frame)
    assert video.size == (SIZE if tracks else None)
    again = video.tracks()
    assert again.tracks == tracks.tracks
    assert again.num_frames == max((track.frames[-1] + 1 for track in tracks.values()), default=0)


def test_what_a_line_means(tmp_path):
    one, two, ignored = block(0, 0, 2, 3), block(2, 0, 3, 3), block(5, 5, 6, 6)
    lines = (
        f"{head} 6 10 {rle['counts']}\n"
        for head, rle in (("2 2003 2", one), ("4 1001 1", two), ("4 10000 10", ignored))
    )
    (tmp_path / "0002.txt").write_text("\n".join(lines), encoding="utf-8")
    tracks = read_mots(tmp_path / "0002.txt")[0].tracks()
    assert tracks == Tracks(
        {
            1001: Track((3,), ((0.0, 2.0, 3.0, 3.0),), (1.0,), (0,), (two,)),
            2003: Track((1,), ((0.0, 0.0, 3.0, 2.0),), (1.0,), (1,), (one,)),
            10000: Track((3,), ((5.0, 5.0, 6.0, 6.0),), (1.0,), (1,), (ignored,), crowd=True),
        },
        SIZE,
        4,
    )
    assert read_mots(tmp_path, first_frame=0)[0].tracks()[2003].frames == (2,)
    written(MotsWriter(tmp_path / "again", MOTS_CLASSES), [video_of(tracks)])
    assert read_mots(tmp_path / "again")[0].tracks() == tracks


RLE = block(0, 0, 2, 3)["counts"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 2001 2 6 10\n", r"Expected 'frame id class height width rle'.* got '1 2001 2 6 10' in '.*a\.txt', line 1"),
        (f"1 2001 2 6 10 {RLE} more\n", "five whole numbers and a mask"),
        (f"\n1 2001 x 6 10 {RLE}\n", "five whole numbers and a mask.* line 2"),
        (f"0 2001 2 6 10 {RLE}\n", r"Expected frames from 1 on, got frame 0 in .*, line 1: .* \(first_frame=0\)"),
        (f"1 -1 2 6 10 {RLE}\n", "Expected a whole number of at least 0 as 'id', got -1 in '.*', line 1"),
        (f"1 1 2 6 10 {RLE}\n1 1 2 6 10 {RLE}\n", "each id once in a frame, got id 1 again in '.*', line 2"),
        (f"1 1 3 6 10 {RLE}\n", r"Expected class 1 \(car\), 2 \(pedestrian\) or 10 \(not scored\), got 3"),
        (f"1 1 2 6 10 {RLE}\n2 1 1 6 10 {RLE}\n", "one class of id 1, got 2 and 1 in '.*', line 2"),
        (
            f"1 1 2 6 10 {RLE}\n2 1 2 7 10 {RLE}\n",
            r"Expected a mask of 6×10 .* '.*a\.txt', line 2, frame 1 .* object 1",
        ),
        (f"1 1 2 6 10 {RLE[:-1]}\n", r"Expected runs that cover the 6×10 .* '.*a\.txt', line 1, frame 0"),
        (
            f"1 1 2 6 10 {block(5, 5, 6, 6)['counts']}\n1 2 2 6 10 {RLE}\n1 3 10 6 10 {block(1, 2, 4, 4)['counts']}\n",
            r"Expected masks that do not overlap, got objects 2 and 3 on one pixel in frame 0 \(from 0\) of '.*a\.txt'",
        ),
    ],
)
def test_errors_of_lines_come_with_the_tracks(tmp_path, text, message):
    (tmp_path / "a.txt").write_text(text, encoding="utf-8")
    (video,) = read_mots(tmp_path)
    with pytest.raises(ValueError, match=message):
        video.tracks()


def test_a_sequence_says_how_long_and_large_it_is(tmp_path):
    (tmp_path / "gt").mkdir()
    (tmp_path / "seqinfo.ini").write_text("[Sequence]\nseqLength=3\nimWidth=10\nimHeight=6\n", encoding="utf-8")
    truth = tmp_path / "gt" / "gt.txt"
    truth.write_text("", encoding="utf-8")
    assert read_mots(tmp_path)[0].tracks() == Tracks({}, SIZE, 3)
    truth.write_text(f"4 2001 2 6 10 {RLE}\n", encoding="utf-8")
    with pytest.raises(ValueError, match="Expected frames from 1 to 3, got frame 4"):
        read_mots(tmp_path)[0].tracks()
    truth.write_text(f"3 2001 2 10 6 {RLE}\n", encoding="utf-8")
    with pytest.raises(ValueError, match="Expected a mask of 6×10 pixels"):
        read_mots(tmp_path)[0].tracks()
    truth.unlink()
    with gzip.open(tmp_path / "gt" / "gt.txt.gz", "wt") as file:
        file.write("1 2001")
    with pytest.raises(ValueError, match="Expected 'frame id class height width rle'"):
        read_mots(tmp_path)[0].tracks()


def test_results_are_made_disjoint(tmp_path):
    low = Observation(5, (0, 0, 9, 9), 0.3, 0, block(0, 0, 4, 4))
    high = Observation(6, (0, 0, 9, 9), 0.6, 0, block(2, 0, 6, 4))
    hidden = Observation(7, (0, 0, 9, 9), 0.1, 0, block(2, 1, 3, 2))
    tracks = Tracks.from_observations([(0, low), (0, high), (0, hidden)], SIZE)
    written(MotsWriter(tmp_path, ["person"]), [video_of(tracks)])
    again = read_mots(tmp_path)[0].tracks()
    assert {track_id: track.masks for track_id, track in again.items()} == {5: (block(0, 0, 2, 4),), 6: (high.mask,)}
    assert again[5].labels == (1,)


def test_writer_refuses_what_the_format_cannot_hold(tmp_path):
    def one(row: Observation, *class_names: str) -> None:
        written(MotsWriter(tmp_path, class_names or None), [video_of(Tracks.from_observations([(2, row)], SIZE))])

    box = (0.0, 0.0, 1.0, 1.0)
    with pytest.raises(ValueError, match="only a box of object 3 in frame 2 of video 'clip'"):
        one(Observation(3, box), "car")
    with pytest.raises(ValueError, match="a class of car, pedestrian or person, got 'dog' for object 3 in frame 2"):
        one(Observation(3, box, label=1, mask=block(0, 0, 1, 1)), "car", "dog")
    with pytest.raises(ValueError, match="got 'unknown' for object 3 .* name the classes"):
        one(Observation(3, box, mask=block(0, 0, 1, 1)))
    with (
        pytest.raises(ValueError, match=r"Expected masks of \(6, 10\) pixels \(H, W\), got 5×5 in frame 1"),
        MotsWriter(tmp_path, ["car"]) as writer,
    ):
        writer.begin(Video("clip"))
        writer.write(0, [Observation(3, box, mask=block(0, 0, 1, 1))])
        writer.write(1, [Observation(3, box, mask=block(0, 0, 1, 1, (5, 5)))])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@needs_shared
@pytest.mark.parametrize("path", ["MOTS20-05", "perturbed/tracker_results"])
def test_real_files_come_back(tmp_path, path):
    videos = read_mots(SHARED / "mots20" / path)
    written(MotsWriter(tmp_path, videos.class_names), list(videos))
    same_again(videos, read_mots(tmp_path))


@needs_shared
def test_a_real_file_against_a_plain_reader():
    (video,) = read_mots(SHARED / "mots20" / "MOTS20-05")
    tracks = video.tracks()
    assert (video.num_frames, video.size, video.fps) == (837, (480, 640), 14.0)
    assert sum(not track.crowd for track in tracks.values()) == 103
    assert sum(map(len, tracks.values())) == 7372
    assert [track_id for track_id, track in tracks.items() if track.crowd] == [10000]
    with gzip.open(SHARED / "mots20" / "MOTS20-05" / "gt" / "gt.txt.gz", "rt") as file:
        for line in list(file)[::211]:
            frame, track_id, number, height, width, counts = line.split()
            track = tracks[int(track_id)]
            row = track.observation(int(track_id), track.frames.index(int(frame) - 1))
            assert row.mask == {"size": [int(height), int(width)], "counts": counts}
            assert (row.label, row.crowd) == (1, number == "10")
            ys, xs = np.nonzero(decode_rle([row.mask], (480, 640))[0].numpy())
            assert row.box == (xs.min(), ys.min(), xs.max() + 1, ys.max() + 1)
