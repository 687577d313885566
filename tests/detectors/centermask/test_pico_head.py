import torch

from tltm_graph.detectors.centermask import Decoder
from tltm_graph.detectors.centermask.fcos import DenseOutput
from tltm_graph.detectors.centermask.pico_head import PicoHead


def test_distances_are_means_of_distributions():
    torch.manual_seed(0)
    head = PicoHead(3, channels=8, num_levels=2)
    pyramid = [torch.randn(2, 8, 4, 6), torch.randn(2, 8, 2, 3)]
    assert repr(head) == "PicoHead(3)"
    for tower, level, output in zip(head.levels, pyramid, head(pyramid), strict=True):
        raw = tower(level)
        assert output.centerness is None
        assert torch.equal(output.logits, raw[:, :3])
        for side in range(4):
            bins = raw[:, 3 + 8 * side : 11 + 8 * side]
            expected = sum(k * bins.softmax(dim=1)[:, k] for k in range(8))
            torch.testing.assert_close(output.distances[:, side], expected)


def test_without_centerness_the_score_is_the_probability():
    logits, distances = torch.full((2, 3, 4, 4), -9.0), torch.ones(2, 4, 4, 4)
    logits[1, 2, 1, 3] = 0.5
    output = DenseOutput(logits, distances)
    nothing, one = Decoder(score_threshold=0.3)([output], [8])
    assert len(nothing) == 0
    assert one.boxes.tolist() == [[20, 4, 36, 20]], "one stride around the centre (28, 12)"
    assert one.labels.tolist() == [2]
    torch.testing.assert_close(one.scores, torch.tensor([0.5]).sigmoid())
    assert output[1:].centerness is None
    assert len(Decoder()([output[1:]], [8])[0]) == 1


def test_distances_are_not_rounded_to_half_precision():
    torch.manual_seed(0)
    head, pyramid = PicoHead(2, channels=8, num_levels=1), [torch.randn(1, 8, 3, 3)]
    with torch.autocast("cpu", torch.bfloat16):
        (output,) = head(pyramid)
        raw = head.levels[0](pyramid[0])
    bins = raw[:, 2:].unflatten(1, (4, 8)).float().softmax(dim=2)
    expected = torch.einsum("bskhw,k->bshw", bins, torch.arange(8.0))
    torch.testing.assert_close(output.distances, expected)
