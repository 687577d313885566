from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.metrics.evaluation_cases import SIZE, disturbed, observation, true_scene
from tltm_graph.metrics import Evaluation
from tltm_graph.metrics.oracle import (
    ORACLES,
    with_true_association,
    with_true_classes,
    with_true_detection,
    with_true_masks,
)
from tltm_graph.ops import decode_rle
from tltm_graph.structures import Observation, Tracks

CLASSES = ("cat", "dog", "bird")
FAMILIES = ("ap", "hota", "clear", "idf1", "edges")
EMPTY = Tracks({}, SIZE, 0)
each_oracle = pytest.mark.parametrize("oracle", ORACLES.values(), ids=ORACLES)
seeds = st.integers(0, 10**6)


def scores(
    truth: Tracks, predicted: Tracks, class_names: tuple[str, ...] | None = None, on="masks"
) -> dict[str, float]:
    evaluation = Evaluation(FAMILIES, class_names, on)
    evaluation.update("a", 1, truth, predicted)
    return evaluation.compute().overall


def at(tracks: Tracks, num_frames: int) -> list[list[Observation]]:
    return [rows for _, rows in replace(tracks, num_frames=num_frames).observations()]


def iou(row: Observation, other: Observation) -> float:
    one, two = (decode_rle([r.mask], SIZE)[0].numpy() for r in (row, other))
    union = (one | two).sum()
    return (one & two).sum() / union if union else 0.0


def shape(row: Observation) -> tuple:
    return row.box, row.mask["counts"] if row.mask is not None else None


def partners(truth: Tracks, predicted: Tracks, least: float) -> list[dict[int, int]]:
    """The true id of each predicted id, by frame. Objects do not overlap, so no other one has as much IoU."""
    return [
        {f.id: t.id for f in found for t in true if iou(t, f) >= least}
        for true, found in zip(at(truth, truth.num_frames), at(predicted, truth.num_frames), strict=True)
    ]


@given(seeds, seeds)
@settings(max_examples=25, deadline=None)
def test_detection_is_exactly_the_true_objects(seed, other):
    truth = true_scene(seed)
    predicted = disturbed(truth, other)
    perfect = with_true_detection(truth, predicted, "masks")
    pairs = partners(truth, predicted, 0.5)
    last: dict[int, int] = {}
    for frame, (true, found, now) in enumerate(
        zip(*(at(tracks, truth.num_frames) for tracks in (truth, predicted, perfect)), strict=True)
    ):
        kept = [row for row in found if row.id in pairs[frame]]
        missed = [row for row in true if row.id not in pairs[frame].values()]
        assert len(now) == len(true) == len(kept) + len(missed)
        assert [row for row in now if row in kept] == kept, "matches keep id, class, score and shape"
        assert sorted(map(shape, now)) == sorted([*map(shape, kept), *map(shape, missed)])
        owner = {shape(row): row.id for row in now}
        last |= {pairs[frame][row.id]: row.id for row in kept}
        for row in missed:
            track_id = owner[shape(row)]
            known = [o for i in (range(frame)) for o, t in pairs[i].items() if t == row.id]
            if row.id in last and last[row.id] not in {k.id for k in kept}:
                rivals = [m for m in missed if last.get(m.id) == last[row.id]]
                assert track_id == last[row.id] or len(rivals) > 1, "on the last track of the object"
            if not known and not any(row.id in of.values() for of in pairs):
                assert track_id not in predicted, "never matched: a track of its own"
                assert next(r.label for r in now if r.id == track_id) == row.label
            last[row.id] = track_id
    after = scores(truth, perfect)
    assert (after["CLR_FN"], after["CLR_FP"], after["CLR_TP"]) == (0, 0, sum(map(len, truth.values())))
    before = scores(truth, predicted)
    for name in ("DetA", "DetRe", "DetPr", "CLR_Re", "CLR_Pr", "MODA", "HOTA"):
        assert after[name] >= before[name] - 1e-12, name


def test_detection_with_true_outlines_is_perfect():
    """One track misses frames, one object is never found, and there is a false positive."""
    truth = Tracks.from_observations(
        [
            (t, observation(track_id, 5 * track_id, 2 * t, 5 * track_id + 4, 2 * t + 8, label=2))
            for t in range(5)
            for track_id in (1, 2)
        ],
        SIZE,
        5,
    )
    rows = [
        (t, row._replace(id=7, score=0.4, label=1))
        for t, seen in truth.observations()
        for row in seen
        if row.id == 1 and t in (1, 3)
    ]
    predicted = Tracks.from_observations([*rows, (2, observation(9, 25, 0, 29, 6))], SIZE, 5)
    perfect = with_true_detection(truth, predicted, "masks")
    assert list(perfect) == [7, 10]
    assert perfect[7].frames == perfect[10].frames == (0, 1, 2, 3, 4)
    assert (perfect[7].score, perfect[7].label) == (0.4, 1), "added observations have score and class of the track"
    assert (perfect[10].score, perfect[10].label) == (1.0, 2)
    assert perfect[7].masks == truth[1].masks
    after = scores(truth, perfect)
    assert {after[name] for name in ("HOTA", "DetA", "AssA", "MOTA", "IDF1", "EdgeF1")} == {1.0}
    assert scores(truth, predicted)["DetA"] < 0.2


def test_detection_leaves_switches():
    """Track 5 goes from object 1 to object 2 while 1 is missed, so object 1 needs another track."""
    truth = Tracks.from_observations(
        [(t, observation(i, 5 * i, 0, 5 * i + 4, 8)) for t in range(3) for i in (1, 2)], SIZE, 3
    )
    spots = [(0, 1, 5), (0, 2, 6), (1, 2, 5), (2, 1, 5), (2, 2, 6)]
    predicted = Tracks.from_observations([(t, observation(i, 5 * o, 0, 5 * o + 4, 8)) for t, o, i in spots], SIZE, 3)
    perfect = with_true_detection(truth, predicted, "masks")
    assert [sorted(row.id for row in rows) for rows in at(perfect, 3)] == [[5, 6], [5, 7], [5, 6]]
    after = scores(truth, perfect)
    assert (after["DetA"], after["CLR_FN"]) == (1, 0)
    assert after["IDSW"] > 0
    assert after["AssA"] < 1


@given(seeds, seeds)
@settings(max_examples=25, deadline=None)
def test_association_joins_what_is_on_one_object(seed, other):
    truth = true_scene(seed)
    predicted = disturbed(truth, other)
    perfect = with_true_association(truth, predicted, "masks")
    pairs = partners(truth, predicted, 0.1)
    for found, now, pair in zip(at(predicted, truth.num_frames), at(perfect, truth.num_frames), pairs, strict=True):
        expected = {row._replace(id=pair.get(row.id, -1)) for row in map(hashable, found)}
        assert {row._replace(id=row.id if row.id in truth else -1) for row in map(hashable, now)} == expected
    before, after = scores(truth, predicted), scores(truth, perfect)
    assert after["IDSW"] == 0
    assert (after["CLR_FN"], after["CLR_FP"], after["DetA"]) == (before["CLR_FN"], before["CLR_FP"], before["DetA"])
    # Not EdgeF1: it pairs objects from an overlap of 0.5 on, and edges to weaker ones that are joined count as wrong.
    for name in ("AssA", "HOTA", "IDF1", "MOTA"):
        assert after[name] >= before[name] - 1e-12, name


def hashable(row: Observation) -> Observation:
    return row._replace(mask=None if row.mask is None else row.mask["counts"])


def test_association_of_true_outlines_is_perfect():
    truth = true_scene(4, num_frames=8)
    random = np.random.default_rng(0)
    rows = []
    for frame, seen in truth.observations():
        names = random.permutation(10)[: len(seen)].tolist()
        rows += [(frame, row._replace(id=name)) for row, name in zip(seen, names, strict=True)]
    predicted = Tracks.from_observations(rows, SIZE, 8)
    before, after = scores(truth, predicted), scores(truth, with_true_association(truth, predicted, "masks"))
    assert before["AssA"] < 0.6
    assert before["IDF1"] < 0.6
    assert {round(after[name], 9) for name in ("AssA", "HOTA", "IDF1", "MOTA", "EdgeF1", "AP")} == {1.0}


@given(seeds, seeds)
@settings(max_examples=25, deadline=None)
def test_classes_are_those_of_the_objects(seed, other):
    truth = true_scene(seed)
    predicted = disturbed(truth, other)
    perfect = with_true_classes(truth, predicted, "masks")
    pairs = partners(truth, predicted, 0.5)
    votes: dict[int, list[int]] = {}
    for pair in pairs:
        for found, true in pair.items():
            votes.setdefault(found, []).append(truth[true].label)
    for found, now, pair in zip(at(predicted, truth.num_frames), at(perfect, truth.num_frames), pairs, strict=True):
        for row, after in zip(found, now, strict=True):
            assert after._replace(label=row.label) == row
            of = votes.get(row.id, [row.label])
            mostly = max(sorted(set(of)), key=of.count)
            assert after.label == (truth[pair[row.id]].label if row.id in pair else mostly)
    before, after = scores(truth, predicted, CLASSES), scores(truth, perfect, CLASSES)
    agnostic = scores(truth, predicted)
    for name in ("CLR_TP", "CLR_FN", "CLR_FP"):
        assert after[name] == agnostic[name], "no class error is left"
    for name in ("CLR_TP", "MODA", "CLR_F1"):
        assert after[name] >= before[name]


def test_classes_of_true_outlines_are_perfect():
    truth = true_scene(4, num_frames=8)
    random = np.random.default_rng(0)
    rows = [(t, row._replace(label=int(random.integers(3)))) for t, seen in truth.observations() for row in seen]
    predicted = Tracks.from_observations(rows, SIZE, 8)
    before = scores(truth, predicted, CLASSES)
    after = scores(truth, with_true_classes(truth, predicted, "masks"), CLASSES)
    assert before["HOTA"] < 0.7
    assert {round(after[name], 9) for name in ("AP", "HOTA", "IDF1", "MOTA", "EdgeF1")} == {1.0}


def test_a_track_on_two_objects_has_the_class_of_each():
    """A switch is no class error; unmatched observations get the most frequent class of the track."""
    truth = Tracks.from_observations(
        [(0, observation(1, 0, 0, 4, 8, label=2)), *((t, observation(2, 10, 0, 14, 8, label=1)) for t in (1, 2))],
        SIZE,
        5,
    )
    rows = [
        (0, observation(3, 0, 0, 4, 8)),
        *((t, observation(3, 10, 0, 14, 8)) for t in (1, 2)),
        (4, observation(3, 25, 0, 29, 8)),
    ]
    found = with_true_classes(
        truth, Tracks.from_observations([*rows, (4, observation(8, 0, 0, 4, 8))], SIZE, 5), "masks"
    )
    assert found[3].labels == (2, 1, 1, 1)
    assert found[8].labels == (0,), "without a match it keeps its class"
    tie = with_true_classes(truth, Tracks.from_observations([rows[0], rows[1], rows[3]], SIZE, 5), "masks")
    assert tie[3].labels == (2, 1, 1), "of equally frequent classes the smallest"


@given(seeds, seeds)
@settings(max_examples=25, deadline=None)
def test_masks_are_the_true_ones(seed, other):
    truth = true_scene(seed)
    predicted = disturbed(truth, other)
    perfect = with_true_masks(truth, predicted, "masks")
    pairs = partners(truth, predicted, 0.5)
    for true, found, now, pair in zip(
        *(at(tracks, truth.num_frames) for tracks in (truth, predicted, perfect)), pairs, strict=True
    ):
        outline = {row.id: shape(row) for row in true}
        for row, after in zip(found, now, strict=True):
            assert after._replace(box=row.box, mask=row.mask) == row
            assert shape(after) == (outline[pair[row.id]] if row.id in pair else shape(row))
    before, after = scores(truth, predicted), scores(truth, perfect)
    for name in ("DetA", "LocA", "HOTA", "MOTP", "sMOTA", "MOTA", "IDF1"):
        assert after[name] >= before[name] - 1e-12, name


def test_masks_of_perfect_tracks_are_perfect():
    truth = true_scene(4, num_frames=8)
    rows = []
    for frame, seen in truth.observations():
        for row in seen:
            left, top, right, bottom = map(int, row.box)
            rows.append((frame, observation(row.id, top, left, bottom - 1, right - 1)))
    predicted = Tracks.from_observations(rows, SIZE, 8)
    before, after = scores(truth, predicted), scores(truth, with_true_masks(truth, predicted, "masks"))
    assert before["LocA"] < 0.8
    assert before["AP"] < 0.5
    assert {round(after[name], 9) for name in ("AP", "LocA", "HOTA", "sMOTA", "MOTP")} == {1.0}


@each_oracle
@pytest.mark.parametrize("on", ["masks", "boxes"])
def test_perfect_predictions_stay(oracle: Callable, on):
    truth = true_scene(2)
    again = oracle(truth, truth, on)
    assert again.num_frames == truth.num_frames
    for (_, rows), (_, now) in zip(truth.observations(), again.observations(), strict=True):
        assert [row._replace(mask=None) for row in now] == [row._replace(mask=None) for row in rows]
        assert on == "boxes" or now == rows


@each_oracle
@pytest.mark.parametrize("on", ["masks", "boxes"])
def test_videos_without_tracks(oracle: Callable, on):
    truth = true_scene(2)
    still = Tracks({}, SIZE, truth.num_frames)
    assert oracle(EMPTY, EMPTY, on) == EMPTY
    found = oracle(truth, Tracks({}, None, 0), on)
    assert (found.size, found.num_frames) == (SIZE, truth.num_frames)
    if oracle is with_true_detection:
        assert [t.frames for t in found.values()] == [t.frames for t in truth.values()]
        assert scores(truth, found, CLASSES, on)["HOTA"] == 1
    else:
        assert not found
    false = oracle(still, truth, on)
    assert len(false) == (0 if oracle is with_true_detection else len(truth))


@each_oracle
def test_boxes_need_no_masks(oracle: Callable):
    truth = true_scene(3)
    predicted = disturbed(truth, 5)
    bare = [replace(t, tracks={i: replace(track, masks=None) for i, track in t.items()}) for t in (truth, predicted)]
    with pytest.raises(ValueError, match="Expected masks on both sides"):
        oracle(*bare, "masks")
    found = oracle(*bare, "boxes")
    with_masks = oracle(truth, predicted, "boxes")
    assert {i: track.boxes for i, track in found.items()} == {i: track.boxes for i, track in with_masks.items()}
    scores(truth, found, None, "boxes")


@each_oracle
def test_predictions_of_a_longer_video_are_an_error(oracle: Callable):
    truth = true_scene(2)
    with pytest.raises(ValueError, match="Expected predictions for the 2 frames of the true video, got some for frame"):
        oracle(Tracks({}, SIZE, 2), truth, "masks")


@each_oracle
def test_on_a_crowd(oracle: Callable):
    """A crowd is no object to be found, and a prediction on it is neither right nor wrong, before and after."""
    truth = Tracks.from_observations(
        [(0, observation(1, 0, 0, 4, 8, label=1)), (0, observation(2, 15, 0, 20, 10, crowd=True))], SIZE, 1
    )
    predicted = Tracks.from_observations(
        [(0, observation(1, 0, 0, 4, 8, score=0.5)), (0, observation(4, 15, 0, 19, 10))], SIZE, 1
    )
    found = oracle(truth, predicted, "masks")
    assert {row.box for row in at(found, 1)[0]} >= {(0.0, 0.0, 8.0, 4.0)}
    after = scores(truth, found)
    before = scores(truth, predicted)
    assert (after["CLR_TP"], after["CLR_FP"], after["CLR_FN"]) == (1, 0, 0)
    assert (before["CLR_TP"], before["CLR_FP"], before["CLR_FN"]) == (1, 0, 0)
    if oracle is with_true_detection:
        assert after["AP"] == pytest.approx(1)
    else:
        assert after["AP"] == before["AP"] < 1, "the prediction on the crowd stays, but overlaps it too little for AP"


@each_oracle
def test_half_on_a_crowd_still_counts(oracle: Callable):
    truth = Tracks.from_observations([(0, observation(2, 15, 0, 17, 10, crowd=True))], SIZE, 1)
    predicted = Tracks.from_observations([(0, observation(4, 15, 0, 19, 10))], SIZE, 1)
    assert scores(truth, predicted)["CLR_FP"] == 1
    assert scores(truth, oracle(truth, predicted, "masks"))["CLR_FP"] == (oracle is not with_true_detection)
