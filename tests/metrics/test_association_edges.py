import math
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.metrics.identity_cases import drawn, frame, random_frames
from tltm_graph.metrics.association_edges import AssociationEdges, AssociationEdgeScores, EdgeCounts
from tltm_graph.metrics.matching import match_pairs
from tltm_graph.metrics.overlap import FrameOverlap

Edge = tuple[tuple[int, int], tuple[int, int]]


def scored(*videos: list[FrameOverlap]) -> AssociationEdgeScores:
    metric = AssociationEdges()
    for number, frames in enumerate(videos):
        metric.update(f"video {number}", iter(frames))
    return metric.compute()


def by_sets(frames: list[FrameOverlap], kept: Callable[[int], bool]) -> EdgeCounts:
    """The definition: sets of edges between predicted observations (frame, track), or true ones (frame, object)."""
    object_of, track_of = {}, {}
    tracks: dict[int, list[int]] = {}
    objects: dict[int, list[int]] = {}
    for now, f in enumerate(frames):
        for r, c in zip(*match_pairs(f.iou), strict=True):
            object_of[now, int(f.predicted_ids[c])] = int(f.truth_ids[r])
            track_of[now, int(f.truth_ids[r])] = int(f.predicted_ids[c])
        for side, ids in ((tracks, f.predicted_ids), (objects, f.truth_ids)):
            for number in ids.tolist():
                side.setdefault(number, []).append(now)

    def edges(side: dict[int, list[int]]) -> set[Edge]:
        return {((a, n), (b, n)) for n, times in side.items() for a, b in pairwise(times) if kept(b - a)}

    def as_predicted(some: set[Edge]) -> set[Edge]:
        ends = [[(now, track_of[now, n]) for now, n in edge if (now, n) in track_of] for edge in some]
        return {(edge[0], edge[1]) for edge in ends if len(edge) == 2}

    predicted, true = edges(tracks), edges(objects)
    found = {obj: [now for now in times if (now, obj) in track_of] for obj, times in objects.items()}
    detected = as_predicted(edges(found))
    return EdgeCounts(
        predicted=len(predicted),
        matched=sum(a in object_of and b in object_of for a, b in predicted),
        correct=len(predicted & detected),
        detected=len(detected),
        followed=len(predicted & as_predicted(true)),
        true=len(true),
    )


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 6), st.integers(0, 6), st.integers(0, 15))
def test_equals_the_definition(seed: int, objects: int, tracks: int, frames: int):
    video = random_frames(seed, objects, tracks, frames)
    scores = scored(video)
    assert scores.adjacent == by_sets(video, lambda gap: gap == 1)
    assert scores.apart == by_sets(video, lambda gap: gap > 1)
    assert scores.all == by_sets(video, lambda gap: True)


def test_perfect_but_for_a_missed_observation():
    scores = scored(drawn("xxxxx", "aa.aa"))
    assert scores.adjacent == EdgeCounts(predicted=2, matched=2, correct=2, detected=2, followed=2, true=4)
    assert scores.apart == EdgeCounts(predicted=1, matched=1, correct=1, detected=1, followed=0, true=0)
    assert (scores.all.precision, scores.all.recall, scores.all.f1, scores.all.true_recall) == (1, 1, 1, 0.5)


def test_an_object_that_was_away():
    scores = scored(drawn("xx.xx", "aa.aa"))
    assert scores.apart == EdgeCounts(predicted=1, matched=1, correct=1, detected=1, followed=1, true=1)


def test_a_broken_track_misses_an_edge_but_draws_no_wrong_one():
    edges = scored(drawn("xxxx", "aabb")).all
    assert (edges.precision, edges.recall, edges.f1) == (1, 2 / 3, 0.8)


def test_an_edge_over_the_observations_of_another_track_is_wrong():
    edges = scored(drawn("xxx", "aba")).all
    assert (edges.predicted, edges.matched, edges.correct, edges.detected) == (1, 1, 0, 2)


def test_an_edge_that_ends_on_no_object_is_wrong():
    edges = scored(drawn("xxx", "aaA")).all
    assert (edges.precision, edges.matched_precision, edges.recall) == (0.5, 1, 1)


def test_a_detour_is_no_edge_of_the_object():
    edges = scored(drawn("xxx", "aAa")).all
    assert (edges.predicted, edges.correct, edges.detected) == (2, 0, 1)


def test_two_tracks_that_swap():
    together, swapped = frame([0, 1], [0, 1]), frame([0, 1], [0, 1], [[0, 1], [1, 0]])
    edges = scored([together, together, swapped, swapped]).all
    assert (edges.precision, edges.recall, edges.matched_precision) == (4 / 6, 4 / 6, 4 / 6)


def test_identities_play_no_part_in_the_matching():
    """CLEAR would keep the old pair at 0.5; here the better overlap shows that the association took the worse."""
    rival = frame([0], [0, 1], [[0.5, 0.9]])
    assert scored([frame([0], [0]), rival]).all == EdgeCounts(predicted=1, matched=0, correct=0, detected=1, true=1)


def test_the_threshold():
    loose = AssociationEdges(threshold=0.25)
    loose.update("video", [frame([0], [0], [[0.3]])] * 2)
    assert loose.compute().all.recall == 1
    assert repr(loose) == "AssociationEdges(threshold=0.25)"


@pytest.mark.parametrize("video", [[], [frame([], [])] * 3, drawn("x", "a")])
def test_without_edges_there_is_no_share(video: list[FrameOverlap]):
    scores = scored(video)
    assert scores == AssociationEdgeScores()
    named = scores.named()
    assert len(named) == 33
    assert all(math.isnan(value) == (not name.startswith("Edges_")) for name, value in named.items())


def test_videos_are_added():
    first, second = drawn("xx", "aa"), drawn("xxx", "aab")
    assert scored(first, second).adjacent == scored(first).adjacent + scored(second).adjacent
    assert np.isclose(scored(first, second).all.recall, 2 / 3)
