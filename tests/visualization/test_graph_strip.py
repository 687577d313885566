from dataclasses import replace

import pytest
import torch

from tests.cases import CROSSING, LEAVING, Script, blank, drawn
from tltm_graph import Tracker
from tltm_graph.visualization import GraphStrip
from tltm_graph.visualization.drawing import track_colour


def strips(script, **options):
    tracker, strip = Tracker(Script(script)), GraphStrip(200, **options)
    state = tracker.start()
    for t in range(len(script)):
        state, _ = tracker.step(state, blank(t))
        yield strip.draw(state.decision.compact())


def columns(picture, track):
    """Where the colour of a track is."""
    colour = torch.tensor(list(bytes.fromhex(track_colour(track)[1:])))[:, None, None]
    return ((picture.int() - colour).abs().sum(dim=0) < 30).any(dim=0).nonzero().flatten().tolist()


def test_the_current_frame_is_on_the_right():
    pictures = list(strips(drawn(CROSSING), frames=20))
    assert {tuple(picture.shape) for picture in pictures} == {(3, 150, 200)}
    ends = [max(columns(picture, 1)) for picture in pictures[1:]]
    assert max(ends) - min(ends) <= 3
    assert ends[0] < 180
    begins = [min(columns(picture, 1)) for picture in pictures[1:]]
    assert begins == sorted(begins, reverse=True), "the past moves to the left"


def test_old_tracks_leave_the_strip():
    pictures = list(strips(drawn("a...b\n" * 3 + "a....\n" * 12), frames=6))
    assert columns(pictures[4], 2)
    assert not columns(pictures[-1], 2)


def test_the_number_of_lanes_is_limited():
    pictures = list(strips(drawn("a..b..c\n" * 4), lanes=2))
    shown = [track for track in range(1, 4) if columns(pictures[-1], track)]
    assert len(shown) == 2


def test_a_new_track_takes_the_lane_of_a_lost_one():
    pictures = list(strips(drawn("a........\n" * 3 + "........b\n" * 4, {"b": 1}), lanes=1))
    assert columns(pictures[2], 1)
    assert columns(pictures[-1], 2)
    assert not columns(pictures[-1], 1)


@pytest.mark.parametrize("frames", [LEAVING, "...\n...", "abc"])
def test_it_draws(frames):
    assert all(picture.dtype == torch.uint8 for picture in strips(drawn(frames)))


def test_bad_sizes():
    with pytest.raises(ValueError, match="1 pixel"):
        GraphStrip(0)


def test_a_track_that_is_hidden_for_a_frame_keeps_its_rejected_edges():
    tracker, state, strip = Tracker(Script(drawn("ab\nab\nab"))), None, GraphStrip(200)
    state = tracker.start()
    for t in range(3):
        state, _ = tracker.step(state, blank(t))
        decision = state.decision.compact()
        scores = replace(decision.scores, edges=decision.scores.edges.abs() + 100)  # every edge has a gain
        hidden = torch.full_like(decision.current.ids, -1) if t == 2 else decision.current.ids
        picture = strip.draw(replace(decision, scores=scores, current=decision.current.replace(ids=hidden)))
    assert picture.shape == (3, 150, 200)
