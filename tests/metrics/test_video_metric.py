from collections.abc import Iterator

import numpy as np
import pytest

from tests.metrics.identity_cases import frame, random_frames
from tltm_graph.metrics.association_edges import AssociationEdges
from tltm_graph.metrics.clear import Clear
from tltm_graph.metrics.clear_bdd100k import ClearBdd100k
from tltm_graph.metrics.hota import Hota
from tltm_graph.metrics.identity_f1 import IdentityF1
from tltm_graph.metrics.overlap import FrameOverlap
from tltm_graph.metrics.video_metric import Sums, VideoMetric, update_together

VIDEOS = {f"video {seed}": random_frames(seed, 6, 7, 12) for seed in range(5)}
each_metric = pytest.mark.parametrize("kind", [Hota, Clear, IdentityF1, ClearBdd100k, AssociationEdges])


def fed(kind: type[VideoMetric], videos: list[str]) -> VideoMetric:
    metric = kind()
    for video in videos:
        metric.update(video, VIDEOS[video])
    return metric


def same(scores: Sums, others: Sums) -> None:
    np.testing.assert_equal(scores.named(), others.named())  # to the last bit, nan equal to nan


@each_metric
def test_parts_merge_in_any_order(kind: type[VideoMetric]):
    names = list(VIDEOS)
    whole = fed(kind, names)
    for split in (names[:2], names[3:], [], names):
        parts = fed(kind, split), fed(kind, [name for name in reversed(names) if name not in split])
        parts[1].merge(parts[0])
        same(parts[1].compute(), whole.compute())
        assert list(parts[1].per_video()) == names


@each_metric
def test_scores_of_one_video(kind: type[VideoMetric]):
    for video, scores in fed(kind, list(VIDEOS)).per_video().items():
        same(scores, fed(kind, [video]).compute())


@each_metric
def test_an_empty_video_changes_nothing_but_its_frames(kind: type[VideoMetric]):
    metric, other = fed(kind, ["video 1"]), fed(kind, ["video 1"])
    other.update("empty", [])
    same(metric.compute(), other.compute())


@each_metric
def test_reset(kind: type[VideoMetric]):
    metric = fed(kind, ["video 0", "video 1"])
    metric.reset()
    same(metric.compute(), kind().compute())
    metric.update("video 0", VIDEOS["video 0"])
    same(metric.compute(), fed(kind, ["video 0"]).compute())


@each_metric
def test_a_video_counts_once(kind: type[VideoMetric]):
    metric, other = fed(kind, ["video 0"]), fed(kind, ["video 1", "video 0"])
    with pytest.raises(ValueError, match="got 'video 0' twice"):
        metric.update("video 0", VIDEOS["video 0"])
    with pytest.raises(ValueError, match="got 'video 0' twice"):
        metric.merge(other)
    same(metric.compute(), fed(kind, ["video 0"]).compute())


def test_metrics_of_other_settings_do_not_merge():
    with pytest.raises(ValueError, match=r"merge with another Clear\(threshold=0.5\), got Clear\(threshold=0.75\)"):
        Clear().merge(Clear(threshold=0.75))


def broken() -> Iterator[FrameOverlap]:
    yield frame([0], [0])
    raise ValueError("the file ends here")


@each_metric
def test_frames_that_raise_change_nothing(kind: type[VideoMetric]):
    metric = kind()
    with pytest.raises(ValueError, match="the file ends here"):
        metric.update("video", broken())
    assert not metric.per_video()


def test_several_metrics_on_one_pass():
    metrics = Hota(), Clear(), AssociationEdges()
    for video, frames in VIDEOS.items():
        update_together(metrics, video, iter(frames))
    for metric in metrics:
        same(metric.compute(), fed(type(metric), list(VIDEOS)).compute())


def test_several_metrics_take_in_a_video_or_none_does():
    seen = fed(Clear, ["video 0"])
    fresh = Hota()
    with pytest.raises(ValueError, match="got 'video 0' twice"):
        update_together([fresh, seen], "video 0", VIDEOS["video 0"])
    with pytest.raises(ValueError, match="the file ends here"):
        update_together([fresh, seen], "video 1", broken())
    assert not fresh.per_video()
    assert list(seen.per_video()) == ["video 0"]
