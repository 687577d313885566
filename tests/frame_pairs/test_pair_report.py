import pytest
import torch

from tests.frame_pairs.cases import Clip, objects, observation, video_of
from tltm_graph.frame_pairs import PairReport, StillPairs, VideoPairs
from tltm_graph.frame_pairs.annotated_video import AnnotatedFrames
from tltm_graph.structures import Tracks

SIZE = (20, 30)


def test_counts(tmp_path):
    rows = [
        (0, observation(1)),
        (5, observation(1)),
        (5, observation(2)),
        (10, observation(2)),
        (3, observation(9, crowd=True)),
    ]
    video = AnnotatedFrames(video_of(Tracks.from_observations(rows, SIZE, 12), tmp_path))
    source = VideoPairs([video, Clip(1, size=SIZE)], max_gap=1, wide_probability=0)
    report = PairReport.of(source)
    assert report == PairReport(
        num_videos=2,
        num_frames=4,
        num_starts=2,
        num_without_pairs=1,
        num_left_out=9,
        num_crowds=1,
        num_sampled=2,
        objects=1.5,  # (1, 2) and (2, 1)
        without_objects=0,
        current_without_objects=0,
        without_common=0,
    )
    assert str(report) == (
        "2 videos or images with 4 annotated frames, of which 2 start pairs. Left out: 1 videos of too few annotated "
        "frames, 9 frames that are not annotated, 1 crowd regions. In 2 sampled pairs a frame shows 1.5 objects on "
        "average; 0.0% of previous and 0.0% of current frames show none, and 0.0% of the pairs have no object in "
        "common."
    )


class Changing(Clip):
    """Clip with these objects by frame: 0; 0; none; 1; 1."""

    def truth(self, index):
        ids = ([0], [0], [], [1], [1])[index]
        return objects(torch.ones(len(ids), *self.size, dtype=torch.bool), ids)


def test_shares():
    report = PairReport.of(VideoPairs([Changing(5)], max_gap=1, wide_probability=0))
    assert (report.without_objects, report.current_without_objects, report.without_common) == (0.25, 0.25, 0.5)
    assert report.objects == 0.75


def test_number_of_samples_and_reproducibility():
    source = VideoPairs([Clip(50)])
    assert PairReport.of(source, 7).num_sampled == 7
    assert PairReport.of(source, 7) == PairReport.of(source, 7)
    with pytest.raises(ValueError, match="Expected at least 1 pair to look at, got 0"):
        PairReport.of(source, 0)


def test_still_images():
    report = PairReport.of(StillPairs([Changing(5, size=(40, 60))]))
    assert (report.num_starts, report.num_without_pairs) == (5, 0)
    assert report.without_objects == 0.2
    assert report.current_without_objects >= 0.2
