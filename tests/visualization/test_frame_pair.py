import numpy as np
import pytest
import torch
from PIL import Image

from tests.explanation.saved_runs import oracle, saved, scene
from tltm_graph import MovingShapes, Tracker
from tltm_graph.association import GeometricAffinity
from tltm_graph.cli.explain import crops
from tltm_graph.visualization import draw_frame_pair
from tltm_graph.visualization.drawing import PALETTE


@pytest.fixture
def run(tmp_path):
    frames = scene(10)
    graph, _ = saved(Tracker(oracle(frames), affinity=GeometricAffinity()), frames, tmp_path / "graph.zip")
    return graph, frames


def test_crops_are_cut_from_the_boxes(run):
    graph, frames = run
    tracks, objects = crops(graph, 9, frames)
    decision = graph[9]
    assert set(tracks) == set(decision.previous.ids.tolist())
    assert set(objects) == set(range(len(decision.current)))
    for row, crop in objects.items():
        x0, y0, x1, y1 = decision.current.boxes[row].clamp(min=0).round().int().tolist()
        assert torch.equal(crop, frames.frame(9).image[:, y0:y1, x0:x1])
    for track, crop in tracks.items():
        seen = [one for one in graph.decisions(until=8) if one.row(track) is not None][-1]
        assert seen.frame == 9 - int(decision.time_since_update[decision.previous.ids.tolist().index(track)])
        x0, y0, x1, y1 = seen.current.boxes[seen.row(track)].clamp(min=0).round().int().tolist()
        assert torch.equal(crop, frames.frame(seen.frame).image[:, y0:y1, x0:x1])


def test_another_video_is_refused(run):
    graph, frames = run
    with pytest.raises(ValueError, match="ends before it"):
        crops(graph, 9, list(frames)[:5])
    with pytest.raises(ValueError, match=r"Expected pictures of \(64, 96\) pixels"):
        crops(graph, 9, MovingShapes(size=(32, 48), num_frames=10))


def test_matched_edges_have_the_colour_of_their_track(run, tmp_path):
    graph, frames = run
    decision = graph[9]
    draw_frame_pair(decision, *crops(graph, 9, frames), class_names=graph.class_names).save(tmp_path / "all.png")
    draw_frame_pair(decision).save(tmp_path / "plain.png")
    row = int(decision.assignment.current[0])
    draw_frame_pair(decision, row=row).save(tmp_path / "one.png")
    assert Image.open(tmp_path / "one.png").height <= Image.open(tmp_path / "all.png").height
    track = int(decision.tracks[row])
    colour = [int(PALETTE[track % len(PALETTE)][k : k + 2], 16) for k in (1, 3, 5)]
    for name in ("all.png", "plain.png", "one.png"):
        pixels = np.asarray(Image.open(tmp_path / name).convert("RGB")).astype(int)
        assert (abs(pixels - colour).sum(axis=2) < 30).sum() > 300


def test_frames_without_tracks_or_objects(run, tmp_path):
    graph, _ = run
    draw_frame_pair(graph[0]).save(tmp_path / "first.svg")
    assert (tmp_path / "first.svg").read_text().startswith("<?xml")
