from benchmarks.look_alikes import with_look_alikes_confused
from tltm_graph import MovingShapes
from tltm_graph.structures import Observation, Tracks
from tltm_graph.synthetic import STANDARD


def tracks_of(*frames: str) -> Tracks:
    """Tracks of objects 0 to 9: a digit is an object visible in the frame, at its own place."""
    rows = [
        (t, Observation(int(c), (20.0 * int(c), 0, 20.0 * int(c) + 10, 10)))
        for t, visible in enumerate(frames)
        for c in visible
    ]
    return Tracks.from_observations(rows, (50, 200), len(frames))


def ids(tracks: Tracks) -> dict[tuple[int, int], int]:
    """The id at each place, by frame and place."""
    return {(t, int(row.box[0] // 20)): row.id for t, rows in tracks.observations() for row in rows}


def test_only_look_alikes_that_were_away_are_confused():
    video = tracks_of("0123", "23", "2", "3", "0123", "0123")
    outcomes = []
    for seed in range(40):
        found = ids(with_look_alikes_confused(video, looks=[0, 0, 2, 3], absence=2, seed=seed))
        assert [found[t, 2] for t in (0, 1, 2, 4, 5)] == [2] * 5
        assert [found[t, 3] for t in (0, 1, 3, 4, 5)] == [3] * 5
        assert (found[0, 0], found[0, 1]) == (0, 1)
        assert (found[4, 0], found[4, 1]) == (found[5, 0], found[5, 1]), "a guess is kept"
        outcomes.append((found[4, 0], found[4, 1]))
    assert set(outcomes) == {(0, 1), (1, 0)}
    for absence, looks in ((4, [0, 0, 2, 3]), (2, [0, 1, 2, 3])):
        same = with_look_alikes_confused(video, looks, absence, seed=1)
        assert ids(same) == ids(video), "not away for long enough, or nothing alike"


def test_first_observations_and_what_is_no_object():
    video = tracks_of("0", "", "", "1", "17")
    for seed in range(10):
        assert ids(with_look_alikes_confused(video, [0, 0], absence=1, seed=seed)) == ids(video)


def test_looks_of_a_scene():
    scenes = [MovingShapes(1, (96, 160), 8, seed, difficulty=STANDARD) for seed in range(3)]
    looks = [scene.look_alike_groups for scene in scenes]
    assert all(len(of) == 8 and all(of[k] <= k and of[of[k]] == of[k] for k in range(8)) for of in looks)
    assert any(len(set(of)) < 8 for of in looks)
    for scene, of in zip(scenes, looks, strict=True):
        truth = scene.truth(0)
        labels = dict(zip(truth.ids.tolist(), truth.labels.tolist(), strict=True))
        assert all(labels.get(of[k], label) == label for k, label in labels.items()), "look-alikes are of one class"
