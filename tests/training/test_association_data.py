import pytest
import torch

from tltm_graph.synthetic.simulated_motion import DetectionSequence
from tltm_graph.training import AssociationData, SimulatedDetections
from tltm_graph.training.association_steps import AssociationStep


class Videos:
    """A source of given videos."""

    def __init__(self, *videos: DetectionSequence) -> None:
        self.videos = videos

    def __len__(self) -> int:
        return len(self.videos)

    def __getitem__(self, index: int) -> DetectionSequence:
        return self.videos[index]

    def __repr__(self) -> str:
        return f"Videos({len(self)})"


def total(step: AssociationStep) -> float:
    return float(step.edges.sum())


@pytest.mark.slow
@pytest.mark.parametrize("num_workers", [0, 2])
def test_samples_are_a_function_of_seed_and_number(num_workers):
    def samples(seed: int) -> list[float]:
        data = AssociationData([SimulatedDetections(3, first_seed=5)], num_workers=num_workers).open(("object",), seed)
        return [total(data.samples[k]) for k in range(2 * len(data.samples))]

    first = samples(0)
    assert first == samples(0)
    epoch = len(first) // 2
    assert sorted(first[:epoch]) == sorted(first[epoch:])
    assert first[:epoch] != first[epoch:], "every epoch has an order of its own"
    assert first != samples(1)


@pytest.mark.slow
def test_easy_frames_are_rarer_and_count_more():
    source = SimulatedDetections(4, first_seed=5)
    options = {"appearance_share": 0.0, "num_workers": 0}
    everything = AssociationData([source], hard_share=1.0, easy_share=1.0, **options).open(("object",)).samples
    fewer = AssociationData([source], hard_share=1.0, easy_share=0.25, **options).open(("object",)).samples

    def split(stream) -> tuple[int, int, float]:
        steps = [stream[k] for k in range(len(stream))]
        easy = [step for step in steps if not step.is_hard]
        return len(steps) - len(easy), len(easy), sum(float(step.birth_weight.mean()) for step in easy)

    hard, easy, weight = split(everything)
    kept_hard, kept_easy, kept_weight = split(fewer)
    assert hard == kept_hard
    assert kept_easy < 0.5 * easy
    assert kept_weight == pytest.approx(weight, rel=0.5)


@pytest.mark.slow
def test_batches_are_lists_of_steps():
    data = AssociationData([SimulatedDetections(2)], batch_size=8, num_workers=0).open(("object",))
    batch = next(iter(data.loader(0)))
    assert len(batch) == 8
    assert all(isinstance(step, AssociationStep) for step in batch)
    assert "frames kept" in data.report[0]


def test_nothing_to_learn_from():
    empty = DetectionSequence((10, 10), (), ())
    with pytest.raises(ValueError, match=r"more than one frame to learn from, got none in \[Videos\(1\)\]"):
        AssociationData([Videos(empty)], num_workers=0).open(("object",))


def test_bad_shares():
    with pytest.raises(ValueError, match=r"easy_share in \[0, 1\], got 2"):
        AssociationData([SimulatedDetections(1)], easy_share=2.0)


def test_a_custom_source():
    frames = [torch.tensor([[0.0, 0, 10, 20], [50.0, 0, 60, 20]]) + 2 * t for t in range(5)]
    from tltm_graph import Detections

    detections = tuple(
        Detections(boxes, torch.ones(2), torch.zeros(2, dtype=torch.int64), ids=torch.tensor([3, 7]))
        for boxes in frames
    )
    video = DetectionSequence((100, 100), tuple(t / 10 for t in range(5)), detections)
    data = AssociationData([Videos(video)], easy_share=1.0, hard_share=1.0, num_workers=0).open(("object",))
    assert len(data.samples) == 5
    assert all(float(data.samples[k].object_weight.sum()) == 0 for k in range(5)), "it is unknown what is an object"
