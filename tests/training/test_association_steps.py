import pytest
import torch

from tests.cases import CROSSING, LEAVING, drawn
from tltm_graph.association.motion_features import NUM_CURRENT, NUM_EDGE, NUM_PREVIOUS
from tltm_graph.nn import TransitionHead
from tltm_graph.synthetic import simulate_motion
from tltm_graph.synthetic.simulated_motion import DetectionSequence
from tltm_graph.tracking import TrackManager
from tltm_graph.training.association_steps import _PREDICTED_IOU, AssociationStep, association_losses, association_steps


def video(picture: str, ids: list[list[int]] | None = None) -> DetectionSequence:
    """A drawing with the identity of each letter, or with given ones."""
    frames = drawn(picture)
    given = [torch.tensor(row, dtype=torch.int64) for row in ids] if ids else [f.ids for f in frames]
    return DetectionSequence(
        size=(40, 200),
        times=tuple(t / 25 for t in range(len(frames))),
        frames=tuple(f.replace(ids=i) for f, i in zip(frames, given, strict=True)),
    )


def right_edges(step: AssociationStep) -> list[tuple[int, int]]:
    return sorted(map(tuple, step.edge_index[:, step.edge_target > 0].T.tolist()))


def test_labels_follow_the_true_identities():
    steps = list(association_steps(video("ab\nab\n.b\nab", [[1, 2], [2, 1], [2], [9, 2]])))
    assert right_edges(steps[1]) == [(0, 1), (1, 0)]
    assert [len(right_edges(step)) for step in steps] == [0, 2, 1, 1]
    assert steps[0].birth_target.tolist() == [1, 1], "everything in the first frame is new"
    assert steps[0].previous.shape == (0, NUM_PREVIOUS)
    assert steps[1].birth_target.tolist() == [0, 0]
    assert steps[2].miss_target.sum() == 1
    assert steps[3].birth_target.sum() == 1, "9 was never there before"


def test_an_object_that_returns_keeps_its_track_while_it_is_remembered():
    sequence = video(LEAVING)
    last = list(association_steps(sequence, TrackManager(max_time_since_update=10)))[-1]
    assert not last.birth_target.any()
    back = list(association_steps(sequence, TrackManager(max_time_since_update=1)))[-2]
    assert back.birth_target.any()


def test_unknown_identities_have_no_weight():
    steps = list(association_steps(video("ab\nab\nab", [[1, -1], [1, -1], [1, -1]])))
    step = steps[-1]
    known = step.birth_weight > 0
    assert known.tolist().count(True) == 1
    assert not step.edge_weight[~known[step.edge_index[1]]].any()
    assert (step.miss_weight == 0).any()


def test_targets_after_mistakes():
    def forgetful(previous, current, edge_index, edges):
        """A head that starts new tracks only."""
        return edges[:, 0] * 0 - 9, torch.ones(len(current)), torch.ones(len(previous)), torch.zeros(len(current))

    step = list(association_steps(video("a..b\na..b\na..b\na..b"), head=forgetful))[-1]
    assert len(step.previous) == 6, "two tracks for each of three frames"
    assert len(right_edges(step)) == 2, "one of them goes on with each object"
    assert not step.birth_target.any()
    row, _ = step.edge_index
    goes_on = step.edge_target > 0
    echo = ~goes_on & torch.isin(row, torch.arange(6)[step.miss_weight == 0]) & (step.edges[:, _PREDICTED_IOU] > 0.5)
    assert echo.sum() == 4
    assert not step.edge_weight[echo].any(), "the other tracks have no target"
    assert step.miss_weight.sum() == 2
    assert step.edge_weight[goes_on].all()


def test_a_track_has_the_identity_of_most_of_its_observations():
    def first_come(previous, current, edge_index, edges):
        """A head that takes the detections in order."""
        same = (edge_index[0] == edge_index[1]).float()
        return 20 * same - 10, torch.zeros(len(current)), torch.zeros(len(previous)), torch.zeros(len(current))

    steps = list(association_steps(video("ab\nab\nab\nab", [[1, 2], [1, 2], [2, 1], [1, 2]]), head=first_come))
    assert [right_edges(step) for step in steps] == [[], [(0, 0), (1, 1)], [(0, 1), (1, 0)], [(0, 0), (1, 1)]]


@pytest.mark.slow
def test_simulated_appearance_logits_are_calibrated():
    generator = torch.Generator().manual_seed(0)
    logits, truth = [], []
    for seed in range(6):
        for step in association_steps(simulate_motion(seed, 40), None, 1.5, generator):
            near = step.edges[:, _PREDICTED_IOU] > 0.05  # far pairs have an edge only because of their logit
            logits.append(3 * step.edges[near, -2])
            truth.append(step.edge_target[near])
            assert (step.edges[:, -1] == 1).all()
    logits, truth = torch.cat(logits), torch.cat(truth)
    near_two = (logits - 2).abs() < 0.5
    yes, no = near_two[truth > 0].float().mean(), near_two[truth == 0].float().mean()
    assert 1.5 < (yes / no).log() < 2.5, "a logit of 2 is e² times times likelier for the same object"


def test_joined_steps_are_the_steps():
    steps = list(association_steps(simulate_motion(3, 30)))[5:9]
    joined = AssociationStep.join(steps)
    torch.manual_seed(0)
    head = TransitionHead(NUM_PREVIOUS, NUM_CURRENT, NUM_EDGE, channels=8, hidden_channels=16).eval()
    together = association_losses(head, steps)
    counts = [(s.edge_target * s.edge_weight).sum() for s in steps]
    for name in ("edge", "birth", "miss"):
        apart = [
            float(association_losses(head, [s])[name] * c.clamp(min=1)) for s, c in zip(steps, counts, strict=True)
        ]
        assert float(together[name]) == pytest.approx(sum(apart) / float(sum(counts)), rel=1e-4)
    assert joined.edge_index.shape[1] == sum(s.edge_index.shape[1] for s in steps)


def test_weights_weigh():
    step = list(association_steps(video(CROSSING)))[2]
    twice = step.weighted(2.0)
    assert torch.equal(twice.edge_weight, 2 * step.edge_weight)
    assert torch.equal(twice.edge_target, step.edge_target)


def test_crossing_objects_are_hard_and_those_apart_are_not():
    steps = list(association_steps(video(CROSSING)))
    assert any(step.is_hard for step in steps)
    apart = list(association_steps(video("a.........b\na.........b\na.........b")))
    assert not any(step.is_hard for step in apart)


def test_frames_without_anything():
    sequence = video("a\n.\na")
    assert len(list(association_steps(sequence))) == 2, "where nothing was detected there is nothing to decide"
    assert list(association_steps(video("."))) == []


@pytest.mark.slow
def test_a_head_learns_from_simulated_motion():
    torch.manual_seed(0)
    steps = [s for seed in range(4) for s in association_steps(simulate_motion(seed, 40))]
    head = TransitionHead(NUM_PREVIOUS, NUM_CURRENT, NUM_EDGE, channels=8, hidden_channels=16)
    optimizer = torch.optim.Adam(head.parameters(), lr=0.01)
    history = []
    for step in range(60):
        losses = association_losses(head, steps[step % 4 :: 4])
        total = torch.stack(list(losses.values())).sum()
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        history.append(float(total))
    assert sum(history[-4:]) < 0.3 * sum(history[:4])
