import numpy as np
import pytest
import torch

from tests.cases import CROSSING, LEAVING, Script, blank, drawn
from tltm_graph import Detections, Tracker, TrackManager
from tltm_graph.association import Assignment, GeometricAffinity, LearnedAffinity
from tltm_graph.tracking import Memory, MotionFilters


def ids(frames: list[Detections], **life) -> list[list[int]]:
    manager = TrackManager(**{"min_hits": 1} | life)
    tracker = Tracker(Script(frames), affinity=GeometricAffinity(), track_manager=manager)
    return [d.ids.tolist() for _, d in tracker.track(blank(t) for t in range(len(frames)))]


def index(values: list[int]) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.int64)


def step(life: TrackManager, memory: Memory, frame: int, seen: Detections, pairs=(), births=(), misses=()) -> Memory:
    assignment = Assignment(
        index([p for p, _ in pairs]), index([c for _, c in pairs]), index([*births]), index([*misses])
    )
    return life.update(memory, seen, assignment, float(frame))[0]


def test_motion_carries_objects_past_each_other():
    frames = drawn(CROSSING)
    assert ids(frames)[5:] == [[1, 2]] * 3
    still = MotionFilters(windows=(1, 1, 1))
    assert ids(frames, motion=still)[5:] != [[1, 2]] * 3, "without motion they swap"


def test_objects_are_reidentified_until_their_track_is_removed():
    frames = drawn(LEAVING)
    assert [row[-1] for row in ids(frames, max_time_since_update=3)[-2:]] == [2, 2]
    assert [row[-1] for row in ids(frames, max_time_since_update=2)[-2:]] == [3, 3], "a new id, never an old one"


def test_ids_continue_after_all_tracks_were_removed():
    frames = drawn("a....\n.....\n.....\n.....\n....b\n.....\na....")
    assert ids(frames, max_time_since_update=1) == [[1], [], [], [], [2], [], [3]]


def test_an_observation_resets_the_time_since_update():
    flicker = drawn("a.\na.\n..\na.\n..\na.\n..\na.")
    assert [row for row in ids(flicker, max_time_since_update=1) if row] == [[1]] * 5


def test_ids_wait_for_confirmation_and_tentative_tracks_are_removed_sooner():
    frames = drawn("a..\na..\na.b\na..\na.b\na.b")
    late = {"min_hits": 2, "confirm_threshold": 1.0}
    assert ids(frames, **late, max_tentative_time=0) == [[1], [1], [1, -1], [1], [1, -1], [1, 3]]
    assert ids(frames, **late, max_tentative_time=1) == [[1], [1], [1, -1], [1], [1, 2], [1, 2]]
    assert ids(frames, confirm_threshold=1.0) == [[1], [1], [1, 2], [1], [1, 2], [1, 2]]
    assert ids(frames, min_hits=2, confirm_threshold=0.6) == [[1], [1], [1, 2], [1], [1, 2], [1, 2]]


def test_weak_detections_continue_but_do_not_start():
    strong, weak = drawn("a")[0], drawn("a")[0].replace(scores=torch.tensor([0.2]))
    assert ids([weak, strong, weak], new_track_threshold=0.5) == [[-1], [1], [1]]


@pytest.mark.parametrize("affinity", [GeometricAffinity(), LearnedAffinity.from_file()], ids=["by hand", "learned"])
def test_settings_of_confirmation_act_with_every_affinity(affinity):
    frames = drawn("a...\na...\na..b\na..b\na..b")

    def later(**life):
        """Ids of the second object, which appears beside a confirmed one."""
        tracker = Tracker(Script(frames), affinity, track_manager=TrackManager(**life))
        shown = [d.ids.tolist() for _, d in tracker.track(blank(t) for t in range(5))]
        assert [row[0] for row in shown] == [1] * 5, "who is alone is shown at once"
        return [row[1] for row in shown[2:]]

    assert later(min_hits=1) == [2, 2, 2]
    assert later(min_hits=2, confirm_threshold=1.0) == [-1, 2, 2]
    assert later(min_hits=3, confirm_threshold=1.0) == [-1, -1, 2]
    assert later(min_hits=3, confirm_threshold=0.5) == [2, 2, 2]


def test_the_certainty_of_a_track_is_kept():
    frames = drawn("a\na")
    tracker = Tracker(Script(frames), affinity=GeometricAffinity(), track_manager=TrackManager(object_threshold=1.0))
    state, shown = tracker.step(tracker.start(), blank(0))
    assert shown.ids.tolist() == [-1]
    assert 0.8 < float(state.memory.certainty[0]) < 1


def masked(detections: Detections, areas: list[tuple[slice, slice]]) -> Detections:
    masks = torch.zeros(len(areas), 40, 200, dtype=torch.bool)
    for mask, area in zip(masks, areas, strict=True):
        mask[area] = True
    return detections.replace(masks=masks)


def test_a_duplicate_starts_no_track():
    first, second = drawn("a")[0], drawn("ab")[0]
    alone = masked(first, [(slice(10, 30), slice(0, 40))])
    inside = masked(second, [(slice(10, 30), slice(0, 40)), (slice(10, 26), slice(16, 36))])
    thin = masked(second, [(slice(21, 24), slice(1, 31)), (slice(21, 24), slice(1, 31))])
    assert ids([thin.replace(boxes=torch.tensor([[1.0, 21, 31, 24]] * 2))]) == [[1, -1]]
    apart = masked(second, [(slice(10, 30), slice(0, 16)), (slice(10, 30), slice(16, 36))])
    assert ids([alone, inside]) == [[1], [1, -1]]
    assert ids([alone, inside], duplicate_threshold=1.0) == [[1], [1, 2]]
    assert ids([alone, apart]) == [[1], [1, 2]]
    assert ids([inside]) == [[1, -1]], "nor when both are new: the more confident one counts"
    other_class = inside.replace(labels=torch.tensor([0, 1]))
    assert ids([alone, other_class]) == [[1], [1, 2]], "a tie is not its wearer"
    twice = masked(second, [(slice(10, 30), slice(0, 40)), (slice(10, 30), slice(2, 40))])
    assert ids([alone, twice.replace(labels=torch.tensor([0, 1]))]) == [[1], [1, -1]], "one thing under two names"


def test_no_track_starts_if_a_weaker_duplicate_continues_one():
    before, two, three = (drawn(picture)[0] for picture in ("a", "ab", "abc"))
    two = two.replace(boxes=torch.tensor([[0.0, 2, 48, 33], [0, 10, 40, 30]]), scores=torch.tensor([0.9, 0.7]))
    part, whole = (slice(10, 30), slice(0, 40)), (slice(2, 33), slice(0, 48))
    before, two = masked(before, [part]), masked(two, [whole, part])
    assert ids([before, two, before]) == [[1], [-1, 1], [1]], "the track is on the nearer one"
    assert ids([before, two], duplicate_threshold=1.0) == [[1], [2, 1]]
    for scores in ([0.65, 0.7], [0.7, 0.7]):
        assert ids([before, two.replace(scores=torch.tensor(scores))]) == [[1], [2, 1]], "which is the second one?"
    assert ids([before, two.replace(labels=torch.tensor([1, 0]))]) == [[1], [2, 1]], "a necktie is not its wearer"
    large = two.replace(boxes=torch.tensor([[0.0, 0, 90, 40], [0, 10, 40, 30]]))
    assert ids([before, masked(large, [(slice(0, 40), slice(0, 90)), part])]) == [[1], [2, 1]], "a small part of it"
    boxes = torch.cat([two.boxes, torch.tensor([[25.0, 3, 47, 32]])])
    three = three.replace(boxes=boxes, scores=torch.tensor([0.9, 0.7, 0.65]))
    three = masked(three, [whole, part, (slice(3, 32), slice(25, 47))])
    assert ids([before, three]) == [[1], [-1, 1, -1]], "the third is a second one of the whole"


def test_the_memory_is_bounded_and_the_longest_lost_tracks_are_removed_first():
    frames = drawn("a.b.c.....\na.b.......\na...d.e...\nb.........")
    tracker = Tracker(Script(frames), track_manager=TrackManager(max_tracks=3))
    state, sizes, shown = tracker.start(), [], []
    for t in range(4):
        state, detections = tracker.step(state, blank(t))
        sizes.append(len(state.memory))
        shown.append(detections.ids.tolist())
    assert max(sizes) == 3
    assert shown[2][0] == 1
    assert len({i for row in shown for i in row}) == state.memory.next_id - 1, "no id was given twice"


def test_objects_beyond_the_cap_get_no_id():
    assert ids(drawn("a.b.c.d"), max_tracks=2) == [[1, 2, -1, -1]]


def test_embeddings_are_averaged_over_observations():
    def embedded(value):
        return drawn("a")[0].replace(ids=None, embeddings=torch.full((1, 2), float(value)))

    life, memory = TrackManager(), Memory.empty()
    assert memory.mean_embeddings is None
    memory = step(life, memory, 0, embedded(0), births=[0])
    values = torch.arange(40.0)
    for t in range(1, 30):
        memory = step(life, memory, t, embedded(values[t]), pairs=[(0, 0)])
        torch.testing.assert_close(memory.mean_embeddings, values[: t + 1].mean().expand(1, 2))
        assert memory.embeddings.tolist() == [[t, t]], "the last observation as it was"
    before = memory.mean_embeddings
    memory = step(life, memory, 30, drawn(".")[0].replace(ids=None, embeddings=torch.zeros(0, 2)), misses=[0])
    assert memory.mean_embeddings.equal(before), "nothing is learned where nothing is seen"
    memory = step(life, memory, 31, embedded(99), pairs=[(0, 0)])
    torch.testing.assert_close(memory.mean_embeddings, before + (99 - before) / 30, msg="old ones fade")
    plain = step(life, Memory.empty(), 0, drawn("ab")[0].replace(ids=None), births=[0, 1])
    assert plain.mean_embeddings is None
    with pytest.raises(ValueError, match="Expected detections without embeddings, as the tracks have none"):
        step(life, plain, 1, embedded(3), misses=[0, 1])
    with pytest.raises(ValueError, match="Expected embeddings of the detections, as those of the tracks, got none"):
        step(life, memory, 32, drawn("a")[0].replace(ids=None), misses=[0])


def test_bad_settings():
    with pytest.raises(ValueError, match="of at least 1"):
        TrackManager(min_hits=0)
    with pytest.raises(ValueError, match="max_tentative_time of at least 0"):
        TrackManager(max_tentative_time=-1)
    with pytest.raises(ValueError, match="Expected unique ids"):
        one = step(TrackManager(), Memory.empty(), 0, drawn("ab")[0].replace(ids=None), births=[0, 1])
        Memory(**{**vars(one), "ids": np.array([3, 3])})
    with pytest.raises(ValueError, match="Expected 'mean_embeddings' of 2 tracks, got 3"):
        Memory(**{**vars(one), "mean_embeddings": torch.zeros(3, 8)})
