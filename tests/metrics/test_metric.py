import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch.distributed as dist
import torch.multiprocessing as multiprocessing

from tests.metrics.evaluation_cases import pairs_of
from tests.metrics.identity_cases import frame, random_frames
from tltm_graph.formats.davis import label_maps_of
from tltm_graph.metrics import AssociationEdges, Clear, Evaluation, Hota, IdentityF1, VideoAP
from tltm_graph.metrics.clear import ClearBdd100k
from tltm_graph.metrics.evaluation import FAMILIES
from tltm_graph.metrics.metric import Metric, Sums, TrackingMetric, update_together
from tltm_graph.metrics.overlap import FrameOverlap, frame_overlaps
from tltm_graph.metrics.video_ap import class_agnostic

PAIRS = pairs_of(range(4))


def new() -> dict[str, Metric]:
    """All metrics in one evaluation, and two alone."""
    return {"evaluation": Evaluation(FAMILIES, None), "hota": Hota(), "ap": VideoAP(1)}


def feed(metrics: dict[str, Metric], names: list[str]) -> None:
    for name in names:
        truth, predicted = PAIRS[name]
        number = list(PAIRS).index(name) + 1
        metrics["evaluation"].update(
            name,
            number,
            truth,
            predicted,
            lambda t=truth, p=predicted: zip(label_maps_of(t), label_maps_of(p), strict=True),
        )
        metrics["hota"].update(name, frame_overlaps(truth, predicted, "masks"))
        metrics["ap"].update(number, class_agnostic(truth), class_agnostic(predicted))


def numbers(metrics: dict[str, Metric]) -> dict:
    return {
        "evaluation": asdict(metrics["evaluation"].compute()),
        "hota": metrics["hota"].compute().named(),
        "ap": metrics["ap"].compute().stats().tolist(),
    }


def work(rank: int, folder: str) -> None:
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    metrics = new()
    feed(metrics, list(PAIRS)[rank::2] if rank else list(PAIRS)[::2])
    for metric in metrics.values():
        metric.sync()
    message = ""
    twice = Hota()
    twice.update("the same", [])
    try:
        twice.sync()
    except ValueError as error:
        message = str(error)
    kept = list(twice.per_video())
    nothing = Hota()
    nothing.sync()  # no process may have a video
    result = {"numbers": numbers(metrics), "message": message, "kept": kept, "nothing": nothing.compute().named()}
    Path(folder, f"{rank}.json").write_text(json.dumps(result))
    dist.destroy_process_group()


@pytest.mark.slow
def test_two_processes_equal_one(tmp_path):
    multiprocessing.spawn(work, (str(tmp_path),), nprocs=2)
    whole = new()
    feed(whole, list(PAIRS))
    expected = json.loads(json.dumps(numbers(whole)))
    for rank in range(2):
        result = json.loads((tmp_path / f"{rank}.json").read_text())
        np.testing.assert_equal(result["numbers"], expected)  # to the last bit
        assert "got 'the same' twice" in result["message"]
        assert result["kept"] == ["the same"], "nothing has changed after the error"
        assert result["nothing"] == Hota().compute().named()


def test_sync_without_a_process_group_changes_nothing():
    metrics = new()
    feed(metrics, ["video 0"])
    before = numbers(metrics)
    for metric in metrics.values():
        metric.sync()
    np.testing.assert_equal(numbers(metrics), before)


def test_metric_is_abstract():
    with pytest.raises(TypeError, match="abstract"):
        Metric()
    assert isinstance(Evaluation(["ap"], None), Metric)


# --- tracking metrics

VIDEOS = {f"video {seed}": random_frames(seed, 6, 7, 12) for seed in range(5)}
each_metric = pytest.mark.parametrize("kind", [Hota, Clear, IdentityF1, ClearBdd100k, AssociationEdges])


def fed(kind: type[TrackingMetric], videos: list[str]) -> TrackingMetric:
    metric = kind()
    for video in videos:
        metric.update(video, VIDEOS[video])
    return metric


def same(scores: Sums, others: Sums) -> None:
    np.testing.assert_equal(scores.named(), others.named())  # to the last bit, nan equal to nan


@each_metric
def test_parts_merge_in_any_order(kind: type[TrackingMetric]):
    names = list(VIDEOS)
    whole = fed(kind, names)
    for split in (names[:2], names[3:], [], names):
        parts = fed(kind, split), fed(kind, [name for name in reversed(names) if name not in split])
        parts[1].merge(parts[0])
        same(parts[1].compute(), whole.compute())
        assert list(parts[1].per_video()) == names


@each_metric
def test_scores_of_one_video(kind: type[TrackingMetric]):
    for video, scores in fed(kind, list(VIDEOS)).per_video().items():
        same(scores, fed(kind, [video]).compute())


@each_metric
def test_a_video_without_frames_changes_nothing(kind: type[TrackingMetric]):
    metric, other = fed(kind, ["video 1"]), fed(kind, ["video 1"])
    other.update("empty", [])
    same(metric.compute(), other.compute())


@each_metric
def test_reset(kind: type[TrackingMetric]):
    metric = fed(kind, ["video 0", "video 1"])
    metric.reset()
    same(metric.compute(), kind().compute())
    metric.update("video 0", VIDEOS["video 0"])
    same(metric.compute(), fed(kind, ["video 0"]).compute())


@each_metric
def test_a_repeated_video_is_an_error(kind: type[TrackingMetric]):
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
def test_frames_that_raise_change_nothing(kind: type[TrackingMetric]):
    metric = kind()
    with pytest.raises(ValueError, match="the file ends here"):
        metric.update("video", broken())
    assert not metric.per_video()


def test_update_together_equals_single_updates():
    metrics = Hota(), Clear(), AssociationEdges()
    for video, frames in VIDEOS.items():
        update_together(metrics, video, iter(frames))
    for metric in metrics:
        same(metric.compute(), fed(type(metric), list(VIDEOS)).compute())


def test_update_together_changes_all_metrics_or_none():
    old = fed(Clear, ["video 0"])
    fresh = Hota()
    with pytest.raises(ValueError, match="got 'video 0' twice"):
        update_together([fresh, old], "video 0", VIDEOS["video 0"])
    with pytest.raises(ValueError, match="the file ends here"):
        update_together([fresh, old], "video 1", broken())
    assert not fresh.per_video()
    assert list(old.per_video()) == ["video 0"]
