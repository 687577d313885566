import numpy as np
import pytest
import torch

from tests.cases import Script, blank
from tests.parity import FIXTURES, SETTINGS, fill
from tltm_graph import Detections, Tracker, TransitionGNN
from tltm_graph.graph import TRANSITION
from tltm_graph.published import ArgmaxSolver, PublishedAffinity, PublishedTrackManager


class ReferenceGNN:
    """The GNN of the reference, over stored embeddings."""

    def __init__(self) -> None:
        self.gnn = fill(TransitionGNN(), "obj2obj_gnn")

    def encode(self, detections: Detections) -> torch.Tensor:
        return detections.embeddings

    def score(self, graph) -> torch.Tensor:
        return self.gnn((graph["previous"].x, graph["current"].x), graph[TRANSITION].edge_index)


@pytest.mark.parametrize("setting", SETTINGS)
def test_the_published_rule_to_the_last_id(setting):
    stored = np.load(FIXTURES / "association.npz")
    frames = [
        Detections(
            *(torch.from_numpy(stored[f"in.{t}.{name}"]) for name in ("boxes", "scores", "classes")),
            embeddings=torch.from_numpy(stored[f"in.{t}.feats"]),
        )
        for t in range(9)
    ]
    weights, forget = SETTINGS[setting]
    script = Script(frames)
    script.class_names = None
    tracker = Tracker(
        script,
        affinity=PublishedAffinity(*weights, appearance=None if setting == "baseline_nognn" else ReferenceGNN()),
        solver=ArgmaxSolver(),
        track_manager=PublishedTrackManager(forget),
    )
    state = tracker.start()
    for t in range(9):
        before = state.memory
        state, detections = tracker.step(state, blank(t, (480, 640)))
        kept = detections[detections.ids >= 0]
        assert kept.ids.tolist() == (stored[f"{setting}.{t}.ids"] + 1).tolist(), "the released code counts from 0"
        assert torch.equal(kept.boxes, torch.from_numpy(stored[f"{setting}.{t}.kept_boxes"]))
        assert torch.equal(kept.labels, torch.from_numpy(stored[f"{setting}.{t}.kept_classes"]))
        assert state.memory.next_id == stored[f"{setting}.{t}.id_counter"] + 1
        if f"{setting}.{t}.comp_scores" in stored:
            scores, expected = state.decision.scores, torch.from_numpy(stored[f"{setting}.{t}.comp_scores"])
            ours = torch.cat([scores.births[:, None], scores.edges.reshape(len(before), len(detections)).T], dim=1)
            torch.testing.assert_close(ours, expected, atol=2e-4, rtol=1e-6)


def test_a_track_taken_over_within_a_frame_counts_two_hits():
    """The released code's double count: of two claims in a row on one track, the later wins and both are counted."""
    box = torch.tensor([[10.0, 10, 30, 30]])
    one = Detections(box, torch.tensor([0.9]), torch.zeros(1, dtype=torch.int64))
    both = Detections(
        torch.cat([box + 4, box]), torch.tensor([0.9, 0.9]), torch.zeros(2, dtype=torch.int64)
    )  # the second overlaps better
    tracker = Tracker(
        Script([one, both, Detections.empty(), Detections.empty()]),
        affinity=PublishedAffinity(match=0),
        solver=ArgmaxSolver(),
        track_manager=PublishedTrackManager(3),
    )
    state, _ = tracker.step(tracker.start(), blank(0))
    assert state.memory.hits.tolist() == [0]
    state, detections = tracker.step(state, blank(1))
    assert detections.ids.tolist() == [-1, 1]
    assert state.memory.hits.tolist() == [1]
    state, _ = tracker.step(state, blank(2))
    assert state.memory.hits.tolist() == [1], "frames without objects are not counted"
