"""Parts of a data set scored by several processes, as in distributed evaluation."""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch.distributed as dist
import torch.multiprocessing as multiprocessing

from tests.metrics.evaluation_cases import pairs_of
from tltm_graph.formats.davis import label_maps_of
from tltm_graph.metrics import FAMILIES, Evaluation, Hota, Metric, VideoAP, frame_overlaps
from tltm_graph.metrics.video_ap import class_agnostic

PAIRS = pairs_of(range(4))


def new() -> dict[str, Metric]:
    """Every kind of metric there is, and all of them together."""
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
    nothing.sync()  # a process may have no video at all, and no process may
    result = {"numbers": numbers(metrics), "message": message, "kept": kept, "nothing": nothing.compute().named()}
    Path(folder, f"{rank}.json").write_text(json.dumps(result))
    dist.destroy_process_group()


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


def test_alone_nothing_happens():
    metrics = new()
    feed(metrics, ["video 0"])
    before = numbers(metrics)
    for metric in metrics.values():
        metric.sync()
    np.testing.assert_equal(numbers(metrics), before)


def test_it_is_an_interface():
    with pytest.raises(TypeError, match="abstract"):
        Metric()
    assert isinstance(Evaluation(["ap"], None), Metric)
