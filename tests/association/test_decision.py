import pytest
import torch

from tests.cases import EMPTY_FRAMES, Script, blank, drawn
from tltm_graph import Detections, Tracker
from tltm_graph.association import Decision, GeometricAffinity
from tltm_graph.association.margin import margins
from tltm_graph.graph import TRANSITION
from tltm_graph.ops import decode_rle


def decide(picture: str, masks: bool = False, **options) -> Decision:
    """Decision of a tracker on the last line of a picture."""
    frames = drawn(picture)
    if masks:
        frames = [with_masks(frame) for frame in frames]
    tracker = Tracker(Script(frames), GeometricAffinity(), **options)
    state = tracker.start()
    for t in range(len(frames)):
        state, _ = tracker.step(state, blank(t))
    return state.decision


def with_masks(detections: Detections) -> Detections:
    masks = torch.zeros(len(detections), 40, 200, dtype=torch.bool)
    for mask, (x0, y0, x1, y1) in zip(masks, detections.boxes.int().tolist(), strict=True):
        mask[y0:y1, x0:x1] = True
    return detections.replace(masks=masks)


def test_what_was_decided():
    decision = decide("ab\n.b.....c")
    assert repr(decision) == "Decision(frame 1: Assignment(1 matches, 1 births, 1 misses))"
    assert decision.previous.ids.tolist() == [1, 2]
    assert decision.tracks.tolist() == [2, 3]
    assert decision.partners.tolist() == [1, -1]
    assert decision.time_since_update.tolist() == [1, 1]
    assert decision.row(3) == 1
    assert decision.row(1) is None
    edges = decision.edge_index.T.tolist()
    assert [edge for edge, chosen in zip(edges, decision.chosen.tolist(), strict=True) if chosen] == [[1, 0]]
    for (i, j), score, gain in zip(edges, decision.scores.edges, decision.gains, strict=True):
        assert gain == score - decision.scores.births[j] - decision.scores.misses[i]


def test_margins_are_those_of_the_scored_edges():
    decision = decide("ab.c\na.bc")
    expected = margins(decision.edge_index, decision.scores, (3, 3), decision.assignment)
    assert torch.equal(decision.margins, expected)
    few = decision.with_best_edges(1)
    assert few.edge_index.shape[1] < decision.edge_index.shape[1]
    assert torch.equal(few.margins, expected), "edges that were dropped count"
    assert (few.edge_index[1].bincount(minlength=3) <= 2).all()
    assert few.chosen.sum() == decision.chosen.sum()


def test_a_compact_copy_has_no_pixels():
    decision = decide("ab\nab", masks=True)
    compact = decision.compact()
    assert compact.output is None
    assert compact.graph is None
    assert compact.current.masks is None
    assert torch.equal(decode_rle(compact.masks, (40, 200)), decision.output.masks)
    assert torch.equal(compact.margins, decision.margins)
    assert torch.equal(compact.current.ids, decision.output.ids)
    assert decide("ab\nab").compact().masks is None, "boxes alone"


def test_it_converts_to_a_graph():
    decision = decide("ab\nab.")
    graph = decision.to_graph()
    assert graph.validate()
    assert graph.edge_terms == ["iou", "label", "age"]
    assert torch.equal(graph[TRANSITION].edge_attr.sum(dim=1), graph[TRANSITION].score)
    assert graph["current"].track.tolist() == [1, 2]
    assert graph["previous"].time_since_update.tolist() == [1, 1]


@pytest.mark.parametrize("lines", [1, 2, 3, 4])
def test_frames_without_objects(lines):
    decision = decide("\n".join(EMPTY_FRAMES.strip().splitlines()[:lines]))
    assert len(decision.margins) == len(decision.current)
    assert decision.to_graph()[TRANSITION].edge_index.shape[0] == 2
    assert decision.with_best_edges(1).compact().masks is None
