import pytest
import torch

from tests.cases import CROSSING, EMPTY_FRAMES, LEAVING, SameAppearance, Script, blank, drawn, with_embeddings
from tltm_graph import Detections, Frame, MovingShapes, Tracker, TransitionGNN
from tltm_graph.association import GeometricAffinity, GreedySolver, LearnedAffinity
from tltm_graph.detectors import OracleDetector
from tltm_graph.graph import PruneCandidates
from tltm_graph.models import RelationModel
from tltm_graph.nn import InstanceEncoder


def test_repr_names_the_parts():
    text = str(Tracker(Script([]), solver=GreedySolver()))
    assert "solver=GreedySolver()" in text
    assert "affinity=LearnedAffinity(" in text


def test_rows_align_with_the_detector():
    frames = drawn(CROSSING)
    for (_, out), given in zip(Tracker(Script(frames)).track(map(blank, range(8))), frames, strict=True):
        assert torch.equal(out.boxes, given.boxes)
        assert torch.equal(out.scores, given.scores)
        assert out.ids.shape == (len(given),)


def test_frames_without_objects():
    out = [d.ids.tolist() for _, d in Tracker(Script(drawn(EMPTY_FRAMES))).track(map(blank, range(4)))]
    assert out == [[], [1], [], [1]]


@pytest.mark.slow
def test_two_videos_in_turns_equal_two_videos_apart():
    scenes = [MovingShapes(20, (96, 128), seed=seed) for seed in (1, 2)]
    noise = {"miss_rate": 0.2, "jitter": 0.05, "false_positives": 0.5}
    trackers = [Tracker(OracleDetector(s.truth, s.class_names, **noise)) for s in scenes]
    apart = [[d.ids.tolist() for _, d in tracker.track(scene)] for tracker, scene in zip(trackers, scenes, strict=True)]
    states, together = [t.start() for t in trackers], [[], []]
    for t in range(20):
        for video in (1, 0):
            states[video], detections = trackers[video].step(states[video], scenes[video].frame(t))
            together[video].append(detections.ids.tolist())
    assert together == apart


def test_a_state_can_be_resumed_twice():
    frames = drawn(LEAVING)
    tracker = Tracker(Script(frames))
    state = tracker.start()
    for t in range(3):
        state, _ = tracker.step(state, blank(t))
    first = tracker.step(state, blank(5))[1].ids.tolist()
    tracker.step(state, blank(3))
    assert tracker.step(state, blank(5))[1].ids.tolist() == first


def test_dropped_frames_are_gaps_in_the_index():
    frames = drawn("a.......\n.a......\n..a.....\n...a....\n....a...\n.....a..\n......a.")
    tracker = Tracker(Script(frames))
    state, shown = tracker.start(), []
    for t in (0, 1, 2, 3, 6):
        state, detections = tracker.step(state, blank(t))
        shown.append(detections.ids.tolist())
    assert shown == [[1]] * 5, "the velocity carries it over three dropped frames"
    assert state.decision.time_since_update.round().tolist() == [3]


def test_an_appearance_model_makes_matches_that_geometry_cannot():
    frames = with_embeddings(drawn("a........b\nb........a"))
    plain = [d.ids.tolist() for _, d in Tracker(Script(frames)).track(map(blank, range(2)))]
    assert plain == [[1, 2], [2, 1]]
    swapped = [f.replace(boxes=f.boxes.flip(0)) if t else f for t, f in enumerate(drawn("a........b\na........b"))]
    swapped = with_embeddings(swapped)
    assert [d.ids.tolist() for _, d in Tracker(Script(swapped)).track(map(blank, range(2)))] == [[1, 2], [2, 1]]
    affinity = LearnedAffinity.from_file(appearance=SameAppearance())
    outputs = Tracker(Script(swapped), affinity).track(map(blank, range(2)))
    assert [d.ids.tolist() for _, d in outputs] == [[1, 2], [1, 2]], "re-identified across the frame"


def test_a_relation_model_runs_through_empty_frames_and_pruning():
    frames = [
        Detections(
            torch.rand(n, 2).repeat(1, 2) * 20 + torch.tensor([0, 0, 10, 10]),
            torch.ones(n),
            torch.zeros(n, dtype=torch.int64),
            features=torch.randn(n, 4, 8, 8),
        )
        for n in (0, 2, 0, 3, 1)
    ]
    relation = RelationModel(InstanceEncoder(4, 16, 12, resolution=8), TransitionGNN(12, 8)).eval()
    tracker = Tracker(Script(frames), LearnedAffinity.from_file(appearance=relation), transform=PruneCandidates(2))
    assert [len(d) for _, d in tracker.track(map(blank, range(5)))] == [0, 2, 0, 3, 1]


def test_time_is_counted_once_in_frames_of_the_pace():
    tracker = Tracker(Script(drawn("a.b\na..\na..\na.b")))
    state = tracker.start()
    for index, seconds in enumerate((0.0, 0.04, 0.08, 0.2)):  # two frames are missing before the last
        state, _ = tracker.step(state, Frame(blank(index).image, index, seconds))
    assert state.decision.time_since_update.round().tolist() == [3, 5]
    assert state.memory.hits.tolist() == [4, 2]


def test_states_have_short_reprs():
    tracker = Tracker(Script(drawn("ab")))
    assert repr(tracker.start()) == "TrackerState(after frame -1, Memory(0 tracks, 0 confirmed, next id 1))"
    state, _ = tracker.step(tracker.start(), blank(0))
    assert repr(state) == "TrackerState(after frame 0, Memory(2 tracks, 2 confirmed, next id 3))"
    assert repr(state.memory.motion) == "Motion(2 tracks)"
    assert repr(state.decision) == "Decision(frame 0: Assignment(0 matches, 2 births, 0 misses))"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_gives_what_a_cpu_gives():
    frames = with_embeddings(drawn(CROSSING))
    shown = []
    for device in ("cpu", "cuda"):
        affinity = LearnedAffinity.from_file(appearance=SameAppearance())
        tracker = Tracker(Script([f.to(device) for f in frames]), affinity)
        shown.append([d.ids.tolist() for _, d in tracker.track(map(blank, range(8)))])
    assert shown[0] == shown[1]


def test_bad_input():
    frames = drawn("a\na")
    tracker = Tracker(Script(frames))
    state, _ = tracker.step(tracker.start(), blank(0))
    with pytest.raises(ValueError, match=r"a frame after 0, got 0: start\(\) a state for each video"):
        tracker.step(state, blank(0))
    with pytest.raises(ValueError, match=r"Expected a Frame, got ndarray: Frame\(image, index\)"):
        tracker.step(state, blank(1).image.numpy())
    for nothing in (Script, object()):
        with pytest.raises(ValueError, match=r"inherits from tltm_graph\.Detector"):
            Tracker(nothing)
    with pytest.raises(ValueError, match="frames of 40×200 pixels .* got 20×20 in frame 1"):
        tracker.step(state, blank(1, (20, 20)))
    with pytest.raises(ValueError, match="Expected labels below 3, .* got 7"):
        wrong = Tracker(Script([frames[0].replace(labels=torch.tensor([7]))]))
        wrong.step(wrong.start(), blank(0))
    forgetful = Script(frames)
    forgetful.detect = lambda frame, context: frames[0]
    with pytest.raises(ValueError, match=r"a pair \(Detections, context\) .* got tltm_graph.Detections"):
        Tracker(forgetful).step(Tracker(forgetful).start(), blank(0))
    small = frames[0].replace(masks=torch.zeros(1, 5, 5, dtype=torch.bool))
    with pytest.raises(ValueError, match="Expected masks of the frame's 40×200 pixels .* got 5×5"):
        Tracker(Script([small])).step(Tracker(Script([])).start(), blank(0))
    with pytest.raises(ValueError, match="Expected detections with features"):
        tracker = Tracker(Script(frames), GeometricAffinity(appearance=RelationModel()))
        tracker.step(tracker.start(), blank(0))


class MasksOnDemand(Script):
    """Draws boxes as masks, on demand."""

    masks_on_demand = True

    def __init__(self, frames: list[Detections]) -> None:
        super().__init__(frames)
        self.asked: list[int] = []

    def segment(self, detections: Detections, size: tuple[int, int]) -> Detections:
        self.asked.append(len(detections))
        masks = torch.zeros(len(detections), *size, dtype=torch.bool)
        for mask, (x0, y0, x1, y1) in zip(masks, detections.boxes.int().clamp(min=0).tolist(), strict=True):
            mask[y0:y1, x0:x1] = True
        return detections.replace(masks=masks)


def objects(boxes: list[list[float]], scores: list[float]) -> Detections:
    return Detections(torch.tensor(boxes), torch.tensor(scores), torch.zeros(len(boxes), dtype=torch.int64))


def test_masks_are_drawn_for_shown_objects_only():
    left, right, outside, weak = [0.0, 0, 20, 20], [40.0, 0, 60, 20], [210.0, 10, 230, 30], [90.0, 10, 99, 20]
    detector = MasksOnDemand([objects([left, outside, right, weak], [0.9, 0.8, 0.7, 0.1])])
    tracker = Tracker(detector)
    _, shown = tracker.step(tracker.start(), blank(0))
    assert (shown.ids >= 0).tolist() == [True, False, True, False]
    assert shown.masks.shape == (4, *blank(0).size)
    assert shown.masks.flatten(1).sum(dim=1).tolist() == [400, 0, 400, 0]
    assert detector.asked == [2]


def test_masks_on_demand_without_objects():
    detector = MasksOnDemand([Detections.empty()])
    _, shown = Tracker(detector).step(Tracker(detector).start(), blank(0))
    assert shown.masks.shape == (0, *blank(0).size)


def test_hidden_objects_keep_their_track():
    found = [objects([[0.0, 0.0, 9.0, 9.0], [20.0, 0.0, 29.0, 9.0]], scores) for scores in ([0.7, 0.9], [0.9, 0.7])]
    tracker = Tracker(Script(found), affinity=GeometricAffinity(), max_shown=1)
    assert [d.ids.tolist() for _, d in tracker.track(map(blank, range(2)))] == [[-1, 2], [1, -1]]
    with pytest.raises(ValueError, match="Expected max_shown of at least 0, got -1"):
        Tracker(Script(found), max_shown=-1)


def test_masks_of_the_wrong_size():
    class Wrong(MasksOnDemand):
        def segment(self, detections, size):
            return detections

    detector = Wrong([objects([[0.0, 0.0, 20.0, 20.0]], [0.9])])
    with pytest.raises(ValueError, match="Expected masks of shape"):
        Tracker(detector).step(Tracker(detector).start(), blank(0))


def test_one_box_of_two_classes_without_masks():
    twice = objects([[0.0, 0.0, 20.0, 20.0], [0.5, 0.0, 20.0, 20.0]], [0.9, 0.8])
    for labels, expected in (([0, 1], [1, -1]), ([0, 0], [1, 2])):
        detector = MasksOnDemand([twice.replace(labels=torch.tensor(labels))])
        tracker = Tracker(detector, affinity=GeometricAffinity())
        _, shown = tracker.step(tracker.start(), blank(0))
        assert shown.ids.tolist() == expected


def test_an_affinity_is_checked():
    for wrong in (Script([]), GeometricAffinity):
        with pytest.raises(ValueError, match=r"inherits from tltm_graph\.association\.Affinity"):
            Tracker(Script([]), wrong)


@pytest.mark.parametrize(
    ("times", "kept"),
    [
        ([0.0, 0.1, 0.2, 0.1, 0.0, 0.3], True),
        ([0.0] * 6, True),
        ([7200.0, 7200.1, 7200.2, 0.1, 0.2, 0.3], True),
        ([0.0, 0.1, 0.2, 7200.0, 7200.1, 7200.2], False),
    ],
    ids=["backward", "still", "back by hours", "forward by hours"],
)
def test_odd_clocks(times, kept):
    found = objects([[10.0, 10.0, 50.0, 30.0], [100.0, 5.0, 140.0, 30.0]], [0.9, 0.8])
    tracker = Tracker(Script([found] * 6))
    frames = (Frame(blank(0).image, index, time) for index, time in enumerate(times))
    ids = [d.ids.tolist() for _, d in tracker.track(frames)]
    assert ids[:3] == [[1, 2]] * 3
    assert ids[4:] == ([[1, 2]] if kept else [[3, 4]]) * 2


def test_boxes_without_area_and_far_outside():
    usual = objects([[10.0, 10.0, 50.0, 30.0], [100.0, 5.0, 140.0, 30.0]], [0.9, 0.8])
    odd = objects([[10.0, 10.0, 10.0, 30.0], [1e6, 1e6, 2e6, 2e6]], [0.9, 0.8])
    tracker = Tracker(Script([usual, odd] * 4))
    ids = [d.ids.tolist() for _, d in tracker.track(map(blank, range(8)))]
    assert ids == [[1, 2], [-1, -1]] * 4
