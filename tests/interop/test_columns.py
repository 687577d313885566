import pytest
import torch

from tltm_graph import Detections, Tracks
from tltm_graph.interop import tracks_from_columns, tracks_to_columns

SIZE = (12, 16)


def tracks(with_masks: bool) -> Tracks:
    def detections_at(frame: int, ids: list[int]) -> tuple[int, Detections]:
        masks = torch.zeros(len(ids), *SIZE, dtype=torch.bool)
        for row, ident in enumerate(ids):
            masks[row, ident : ident + 4, frame : frame + 3] = True
        boxes = torch.tensor([[frame + 0.25, ident, frame + 3.5, ident + 4] for ident in ids]).reshape(-1, 4)
        labels = torch.tensor(ids, dtype=torch.int64) % 2
        detections = Detections(boxes, torch.full((len(ids),), 0.5), labels, ids=torch.tensor(ids, dtype=torch.int64))
        return frame, detections.replace(masks=masks) if with_masks else detections

    return Tracks.from_stream(
        [detections_at(0, [2, 1]), detections_at(1, []), detections_at(2, [1, 5])], SIZE, num_frames=5
    )


@pytest.mark.parametrize("with_masks", [True, False])
def test_round_trip(with_masks):
    expected = tracks(with_masks)
    columns = tracks_to_columns(expected, ("a",))
    assert columns["frame"] == [0, 0, 2, 2]
    assert columns["track"] == [1, 2, 1, 5]
    assert columns["class_name"] == ["class 1", "a", "class 1", "class 1"]
    assert ("mask" in columns) == with_masks
    assert tracks_from_columns(columns, SIZE, num_frames=5) == expected


def test_round_trip_through_pandas():
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame(tracks_to_columns(tracks(True)))
    assert table.groupby("track").frame.count().to_dict() == {1: 2, 2: 1, 5: 1}
    assert tracks_from_columns(table.to_dict("list"), SIZE, num_frames=5) == tracks(True)


def test_round_trip_through_arrow():
    pyarrow = pytest.importorskip("pyarrow")
    table = pyarrow.table(tracks_to_columns(tracks(True)))
    assert tracks_from_columns(table.to_pydict(), SIZE, num_frames=5) == tracks(True)


def test_no_tracks():
    none = Tracks({}, SIZE, 3)
    assert tracks_from_columns(tracks_to_columns(none), SIZE, 3) == none


def test_optional_columns_and_errors():
    columns = {"frame": [0], "track": [4], "x0": [1], "y0": [2], "x1": [3], "y1": [4]}
    (track,) = tracks_from_columns(columns).values()
    assert (track.scores, track.labels, track.masks) == ((1.0,), (0,), None)
    with pytest.raises(ValueError, match="without 'y1'"):
        tracks_from_columns({name: values for name, values in columns.items() if name != "y1"})
    with pytest.raises(ValueError, match="Expected columns of equal length"):
        tracks_from_columns(columns | {"score": []})
    with pytest.raises(ValueError, match=r"size \(H, W\) of the video for its masks"):
        tracks_from_columns(columns | {"mask": ["0"]})
