import networkx as nx
import numpy as np
import pytest
from PIL import Image

from tests.cases import CROSSING, Script, blank, drawn
from tltm_graph import Tracker
from tltm_graph.explanation import association_graph
from tltm_graph.visualization import draw_association_graph
from tltm_graph.visualization.drawing import track_colour


@pytest.mark.parametrize("frames", [CROSSING, "...\n...", "abc"])
def test_it_draws(tmp_path, frames):
    frames = drawn(frames)
    tracker, decisions = Tracker(Script(frames)), []
    state = tracker.start()
    for t in range(len(frames)):
        state, _ = tracker.step(state, blank(t))
        decisions.append(state.decision.compact())
    draw_association_graph(association_graph(decisions)).save(tmp_path / "graph.png")
    pixels = np.asarray(Image.open(tmp_path / "graph.png").convert("RGB"))
    if any(map(len, frames)):
        drawn_pixels = abs(pixels.astype(int) - list(bytes.fromhex(track_colour(1)[1:]))).sum(axis=2) < 30
        assert drawn_pixels.sum() > 20, "track 1 is drawn in its colour"


def marks(frames, path) -> int:
    """Crosses, and the ticks of the axes, which are as many for videos of one length."""
    tracker, decisions = Tracker(Script(frames)), []
    state = tracker.start()
    for t in range(len(frames)):
        state, _ = tracker.step(state, blank(t))
        decisions.append(state.decision.compact())
    draw_association_graph(association_graph(decisions)).save(path)
    return path.read_text().count('id="line2d_')


def test_the_end_of_a_track_is_marked_unless_the_video_ends(tmp_path):
    whole = marks(drawn("a...b\na...b\na...b"), tmp_path / "whole.svg")
    assert marks(drawn("a...b\na...b\na...."), tmp_path / "ended.svg") == whole + 1


def test_only_the_last_frames_of_a_long_video(tmp_path):
    graph = nx.DiGraph()
    for frame in range(1000):
        graph.add_node(f"{frame}:0", frame=frame, track=0, shown=True)
    draw_association_graph(graph, max_frames=50).save(tmp_path / "graph.png")
    assert Image.open(tmp_path / "graph.png").width < 1200
