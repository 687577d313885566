import torch

from tests.cases import LEAVING, Script, blank, drawn
from tltm_graph import Tracker, TrackManager
from tltm_graph.association import Assignment, Decision, EdgeScores, GreedySolver
from tltm_graph.association.margin import best_total
from tltm_graph.explanation import association_graph, mistakes
from tltm_graph.explanation.mistakes import Mistake
from tltm_graph.structures import Detections


def run(frames, **options):
    tracker, decisions = Tracker(Script(frames), **options), []
    state = tracker.start()
    for t in range(len(frames)):
        state, _ = tracker.step(state, blank(t))
        decisions.append(state.decision.compact())
    return decisions


def objects(count, ids=None):
    boxes = torch.tensor([[30.0 * i, 0, 30.0 * i + 20, 20] for i in range(count)]).reshape(-1, 4)
    return Detections(boxes, torch.ones(count), torch.zeros(count).long(), ids=ids)


def decided(frame, known, scores, matches, tracks):
    """A decision by hand: tracks of ``known`` ids, scores (M, N), matches {row: previous}, tracks of the objects."""
    scores = torch.tensor(scores, dtype=torch.float64).reshape(len(known), len(tracks))
    edges = torch.cartesian_prod(torch.arange(len(known)), torch.arange(len(tracks))).reshape(-1, 2).T
    columns = torch.tensor(sorted(matches), dtype=torch.int64)
    rows = torch.tensor([matches[column] for column in sorted(matches)], dtype=torch.int64)
    assignment = Assignment(
        rows,
        columns,
        torch.tensor([j for j in range(len(tracks)) if j not in matches], dtype=torch.int64),
        torch.tensor([i for i in range(len(known)) if i not in matches.values()], dtype=torch.int64),
    )
    kept = EdgeScores(scores.flatten(), torch.zeros(len(tracks)).double(), torch.zeros(len(known)).double(), {})
    ids = torch.tensor(tracks)
    return Decision(
        frame=frame,
        time=frame / 30,
        previous=objects(len(known), torch.tensor(known, dtype=torch.int64)),
        time_since_update=torch.ones(len(known)),
        current=objects(len(tracks), ids),
        edge_index=edges,
        scores=kept,
        assignment=assignment,
        tracks=ids,
        stored_margins=torch.ones(len(tracks)),
    )


def found(*decisions, who):
    return list(mistakes(decisions, [torch.tensor(one) for one in who]))


FIRST = decided(0, [], [], {}, [0, 1])  # two objects, 10 and 11, begin tracks 0 and 1


def test_a_correct_run_has_no_mistakes():
    frames = drawn(LEAVING)
    assert list(mistakes(run(frames), [frame.ids for frame in frames])) == []


def test_a_swap_is_two_mistakes_and_has_no_consequences():
    swapped = decided(1, [0, 1], [[0.0, 5.0], [5.0, 0.0]], {0: 1, 1: 0}, [1, 0])
    then = decided(2, [0, 1], [[0.0, 5.0], [5.0, 0.0]], {0: 1, 1: 0}, [1, 0])
    told = found(FIRST, swapped, then, who=[[10, 11], [10, 11], [10, 11]])
    assert told == [Mistake(1, 0, 1, False, 0, "edge"), Mistake(1, 1, 0, False, 1, "edge")]
    assert told[0].text() == "track 1, not track 0"


def test_the_solver_is_the_cause_if_the_scores_were_right():
    greedy = decided(1, [0, 1], [[5.0, 6.0], [-9.0, 5.0]], {1: 0}, [2, 0])  # 6 > 5, but 5 + 5 > 6
    assert [one.cause for one in found(FIRST, greedy, who=[[10, 11], [10, 11]])] == ["solver", "solver"]


def test_the_greedy_solver_makes_that_mistake():
    edges = torch.tensor([[0, 0, 1, 1], [0, 1, 0, 1]])
    scores = torch.tensor([5.0, 6.0, -9.0, 5.0])
    chosen = GreedySolver()(edges, scores, (2, 2), torch.zeros(2), torch.zeros(2))
    assert chosen.current.tolist() == [1]


def test_a_false_positive_that_takes_a_track():
    taken = decided(1, [0, 1], [[2.0, 5.0], [-9.0, -9.0]], {1: 0}, [2, 0])  # object 1 is nothing
    assert found(FIRST, taken, who=[[10, 11], [10, -1]]) == [
        Mistake(1, 0, 2, True, 0, "detector"),
        Mistake(1, 1, 0, False, None, "detector"),
    ]


def test_a_removed_track():
    gone = decided(1, [1], [[5.0]], {0: 0}, [1])
    back = decided(2, [1], [[-5.0, 5.0]], {1: 0}, [2, 1])
    assert found(FIRST, gone, back, who=[[10, 11], [11], [10, 11]]) == [Mistake(2, 0, 2, True, 0, "memory")]


def test_the_memory_is_the_cause_if_the_track_was_removed():
    frames = drawn(LEAVING)
    told = list(
        mistakes(run(frames, track_manager=TrackManager(max_time_since_update=1)), [frame.ids for frame in frames])
    )
    assert [(one.frame, one.cause, one.new) for one in told] == [(5, "memory", True)]


def test_new_objects_may_stay_unmatched_or_continue_a_false_track():
    alarm = decided(0, [], [], {}, [0])
    taken = decided(1, [0], [[5.0, -5.0]], {0: 0}, [0, -1])
    assert found(alarm, taken, who=[[-1], [10, 11]]) == []
    stolen = decided(1, [0, 1], [[-9.0] * 3, [-9.0, -9.0, 5.0]], {2: 1}, [0, 2, 1])
    assert [one.row for one in found(FIRST, stolen, who=[[10, 11], [10, 11, 12]])] == [0, 1, 2]


def test_best_total_is_that_of_all_assignments():
    random = torch.Generator().manual_seed(0)
    for _ in range(100):
        m, n = (int(torch.randint(1, 5, (), generator=random)) for _ in range(2))
        gain = torch.randn(m, n, generator=random, dtype=torch.float64)
        edges = torch.cartesian_prod(torch.arange(m), torch.arange(n)).T
        scores = EdgeScores(gain.flatten(), torch.zeros(n).double(), torch.zeros(m).double(), {})
        for previous in (None, *range(m)):
            best = max(total for total, partner in every(gain, 0, frozenset()) if partner == previous)
            assert abs(best_total(edges, scores, (m, n), 0, previous) - best) < 1e-9


def every(gain, column, used):
    """All assignments: what they gain, and where the first object goes."""
    if column == gain.shape[1]:
        yield 0.0, None
        return
    for row in (None, *(i for i in range(gain.shape[0]) if i not in used)):
        for total, _ in every(gain, column + 1, used if row is None else used | {row}):
            yield total + (0.0 if row is None else float(gain[row, column])), row


def test_the_graph_shows_wrong_and_right_edges():
    swapped = decided(1, [0, 1], [[0.0, 5.0], [5.0, 0.0]], {0: 1, 1: 0}, [1, 0])
    told = found(FIRST, swapped, who=[[10, 11], [10, 11]])
    graph = association_graph([FIRST, swapped], max_edges=1, mistakes=told)
    assert dict(graph.nodes(data="mistake")) == {"0:0": None, "0:1": None, "1:0": "edge", "1:1": "edge"}
    assert [(a, b) for a, b, right in graph.edges(data="right") if right] == [("0:0", "1:0"), ("0:1", "1:1")]
