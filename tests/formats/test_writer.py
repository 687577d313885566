import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.formats.strategies import SIZE, block, video_of
from tltm_graph.formats import Video
from tltm_graph.formats.writer import TracksWriter, extent, plain_number
from tltm_graph.structures import Observation, Tracks

BOX = (0.0, 0.0, 4.0, 3.0)


class Recorder(TracksWriter):
    """Writer that records its calls; ``fails`` names a step that raises."""

    def __init__(self, *arguments, fails: str = "") -> None:
        super().__init__("somewhere", *arguments)
        self.fails = fails
        self.calls: list[tuple] = []

    def _did(self, *what) -> None:
        self.calls.append(what)
        if what[0] == self.fails:
            raise OSError("no more space")

    def _begin(self, video):
        self._did("begin", video.name)

    def _write(self, frame, observations):
        self._did("write", frame, [row.id for row in observations])

    def _end(self):
        self._did("end", self.video.name, self.num_frames)

    def _close(self):
        self._did("close")

    def _discard(self):
        self.calls.append(("discard",))


def test_every_frame_is_written_once_in_order():
    with Recorder() as writer:
        writer.begin(Video("a", 5))
        writer.write(1, [Observation(3, BOX), Observation(2, BOX)])
        writer.write(3, iter([Observation(0, BOX)]))
        writer.begin(Video("b", 2))
        writer.begin(Video("open"))
        writer.write(2, [])
        writer.begin(Video("none", 0))
    frames = [("write", 0, []), ("write", 1, [3, 2]), ("write", 2, []), ("write", 3, [0]), ("write", 4, [])]
    assert writer.calls == [
        ("begin", "a"), *frames, ("end", "a", 5),
        ("begin", "b"), ("write", 0, []), ("write", 1, []), ("end", "b", 2),
        ("begin", "open"), ("write", 0, []), ("write", 1, []), ("write", 2, []), ("end", "open", 3),
        ("begin", "none"), ("end", "none", 0), ("close",), ("discard",),
    ]  # fmt: skip


def test_no_videos():
    with Recorder() as writer:
        pass
    assert writer.calls == [("close",), ("discard",)]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_if_the_block_fails_all_is_discarded(error):
    writer = Recorder()
    with pytest.raises(error), writer:
        writer.begin(Video("a", 5))
        raise error
    assert writer.calls == [("begin", "a"), ("discard",)]


@pytest.mark.parametrize("step", ["begin", "write", "end", "close"])
def test_if_a_step_fails_all_is_discarded(step):
    writer = Recorder(fails=step)
    with pytest.raises(OSError, match="no more space"), writer:
        writer.begin(Video("a", 2))
    assert writer.calls[-1] == ("discard",)
    assert writer.calls.count(("discard",)) == 1


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([Observation(-1, BOX)], "ids from 0 to 2⁶³ - 1, each once, got id -1 in frame 2 of video 'a'"),
        ([Observation(2**63, BOX)], "each once, got id 9223372036854775808 in frame 2"),
        ([Observation(4, BOX), Observation(4, BOX)], "each once, got id 4 in frame 2 of video 'a'"),
        ([Observation(4, (0.0, 0.0, math.nan, 1.0))], "a box .* for object 4 in frame 2 of video 'a'"),
        ([Observation(4, (0.0, 0.0, math.inf, 1.0))], "all finite"),
        ([Observation(4, (2.0, 0.0, 1.0, 1.0))], "x0 ≤ x1"),
        ([Observation(4, (0.0, 2.0, 1.0, 1.0))], "y0 ≤ y1"),
        ([Observation(4, BOX, math.nan)], "a score, all finite, got .* and nan for object 4"),
        ([Observation(4, BOX, -math.inf)], "and -inf"),
        ([Observation(4, BOX, label=2)], "labels below 2, got 2 for object 4 in frame 2 of video 'a'"),
        ([Observation(4, BOX, label=-1)], "labels of at least 0, got -1 for object 4 in frame 2 of video 'a'"),
        (
            [Observation(4, BOX, mask=block(0, 0, 2, 2, (7, 9)))],
            r"masks of 6×10 pixels \(H×W\), got \[7, 9\] for object 4",
        ),
    ],
)
def test_invalid_objects_are_refused(rows, message):
    writer = Recorder(("cat", "dog"))
    with pytest.raises(ValueError, match=message), writer:
        writer.begin(Video("a", 5, SIZE))
        writer.write(2, rows)
    assert writer.calls == [("begin", "a"), ("discard",)], "nothing of the frame was written"


def test_unusual_objects_are_accepted():
    with Recorder() as writer:
        writer.begin(Video("a"))
        writer.write(0, [Observation(0, (-9.5, -9.5, -9.5, -9.5), -1.0, 99, block(0, 0, 2, 2, (7, 9)))])
        with pytest.raises(ValueError, match="labels of at least 0, got -1"):
            writer.write(1, [Observation(0, BOX, label=-1)])


def test_frames_come_in_order():
    with Recorder() as writer:
        with pytest.raises(ValueError, match=r"begin\(video\) before the first frame"):
            writer.write(0, [])
        writer.begin(Video("a", 5))
        writer.write(2, [])
        for frame in (2, 0, -1):
            with pytest.raises(ValueError, match=rf"frames in order, got frame {frame} of video 'a' after frame 2"):
                writer.write(frame, [])
        with pytest.raises(ValueError, match="at most 5 frames, got frame 5 of video 'a'"):
            writer.write(5, [])
        writer.write(4, [])
    with pytest.raises(ValueError, match="begin"):
        writer.write(0, [])
    assert [call for call in writer.calls if call[0] == "write"] == [("write", frame, []) for frame in range(5)]


def test_the_number_of_a_label_in_the_file():
    assert [Recorder().category_id(label) for label in (0, 4)] == [1, 5]
    assert Recorder(["a", "b"], [30, 7]).category_id(1) == 7
    assert Recorder(["a"]).class_names == ("a",)


def test_end_can_be_called_twice():
    with Recorder() as writer:
        writer.begin(video_of(Tracks({}, SIZE, 1), "a"))
        writer.end()
        writer.end()
    assert [call[0] for call in writer.calls] == ["begin", "write", "end", "close", "discard"]


@given(st.floats(-1e5, 1e5), st.floats(0, 1e5))
def test_an_extent_that_was_read_comes_back(low, width):
    assert low + extent(low, low + width) == low + width


@given(st.floats(-1e5, 1e5), st.floats(-1e5, 1e5))
def test_any_extent_comes_back_to_the_last_bit(low, high):
    assert abs(low + extent(low, high) - high) <= math.ulp(high - low)


def test_plain_numbers():
    assert (88 + 61.08) - 88 != 61.08
    assert plain_number((88 + 61.08) - 88) == 61.08
    assert plain_number(0.1 + 0.2) == 0.3
    assert str(plain_number(3.0)) == "3"
    assert str(plain_number(-3.0000000001)) == "-3"
    assert plain_number(1418.85009765625) == 1418.85009765625, "a 32-bit float has more decimals and keeps them"
    assert str(plain_number(1e300)) == "1e+300"
