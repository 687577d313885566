"""Draw the pictures of the README and of these pages: python docs/make_pictures.py (the viewer needs Chromium)."""

import shutil
import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path

import networkx as nx
import torch
from matplotlib.figure import Figure
from torchvision.io import write_jpeg
from torchvision.transforms.v2.functional import InterpolationMode, resize

from tltm_graph import MovingShapes, SavedGraph, Tracker, read_frames
from tltm_graph.cli.draw import draw
from tltm_graph.cli.explain import doubts, explain
from tltm_graph.cli.solve import solve
from tltm_graph.cli.track import OverlayOptions, track
from tltm_graph.cli.view import view
from tltm_graph.detectors import OracleDetector
from tltm_graph.explanation import association_graph
from tltm_graph.frame_pairs.degradation import DEGRADATIONS
from tltm_graph.frame_pairs.sampling import seeded_generator
from tltm_graph.models import model_for_tracking
from tltm_graph.synthetic import EASY, HARD, STANDARD, VAL, moving_shapes
from tltm_graph.visualization import Overlay, draw_association_graph
from tltm_graph.visualization.drawing import Drawing

FOLDER = Path(__file__).parent / "images"
SHOWN = (20, 130, 240)


def draw_world() -> torch.Tensor:
    """Draw frames around a burst of degraded ones, one row per difficulty."""
    rows = []
    for difficulty, number, begin in ((EASY, 3, 14), (STANDARD, 6, 15), (HARD, 3, 19)):
        scene = moving_shapes(difficulty, VAL)[number]
        rows.append(torch.cat([scene.frame(index).image for index in range(begin, begin + 4)], dim=2))
    return torch.cat(rows, dim=1)


def draw_clip() -> torch.Tensor:
    """Draw three frames of the clip of ``make demo`` with the tracks of the model in the package."""
    model = model_for_tracking("tltm-pico")
    overlay, pictures = Overlay(model.class_names), []
    for frame, detections in Tracker(model).track(read_frames(Path(__file__).parent / "clips" / "dog_person.mp4")):
        size, scale = [360, 640], 640 / frame.size[1]
        masks = None if detections.masks is None else resize(detections.masks, size, InterpolationMode.NEAREST)
        small = detections.replace(boxes=detections.boxes * scale, masks=masks)
        picture = overlay.draw(replace(frame, image=resize(frame.image, size)), small)
        if frame.index in SHOWN:
            pictures.append(picture)
    return torch.cat(pictures, dim=2)


DEGRADED = {"motion blur": range(20, 25), "dark": range(40, 45), "occluded": range(130, 135)}


def draw_fusion() -> torch.Tensor:
    """Draw the last frames of three degraded stretches of the clip, without fusion above and with fusion below."""
    rows = []
    for fusion in (False, True):
        model = model_for_tracking("tltm-pico", fusion=fusion)
        overlay, pictures = Overlay(model.class_names), []
        state = Tracker(model).start()
        for frame in read_frames(Path(__file__).parent / "clips" / "dog_person.mp4"):
            for kind, stretch in DEGRADED.items():
                if frame.index in stretch:
                    image = DEGRADATIONS[kind](frame.image, 0.7, seeded_generator(frame.index))
                    frame = replace(frame, image=image)
            state, detections = Tracker(model).step(state, frame)
            if any(frame.index == stretch[-1] for stretch in DEGRADED.values()):
                pictures.append(resize(overlay.draw(frame, detections), [270, 480], antialias=True))
            if len(pictures) == len(DEGRADED):
                break
        rows.append(torch.cat(pictures, dim=2))
    return torch.cat(rows, dim=1)


VALUES = {  # position of each value in the picture
    "frame": (0, 2),
    "detections": (2.4, 2),
    "memory": (0, 0),
    "predicted tracks": (3.0, 0),
    "embeddings": (4.9, 2),
    "graph": (5.9, 1),
    "scores": (7.5, 1),
    "assignment": (9.3, 1),
    "ids": (10.8, 2),
    "memory′": (10.8, 0),
}
STEPS = [
    ("frame", "detections", "detector"),
    ("memory", "predicted tracks", "track manager"),
    ("detections", "graph", ""),
    ("predicted tracks", "graph", ""),
    ("detections", "embeddings", "affinity"),
    ("graph", "scores", "affinity"),
    ("embeddings", "graph", ""),
    ("scores", "assignment", "solver"),
    ("assignment", "ids", ""),
    ("assignment", "memory′", "track manager"),
]


def draw_flow() -> Drawing:
    """Draw the data flow of a step: values are nodes, the parts that compute them are on the edges."""
    flow = nx.DiGraph([(a, b) for a, b, _ in STEPS])
    figure = Figure(figsize=(12, 2.8), layout="constrained")
    axes = figure.add_subplot()
    learned = {"embeddings": "#ffe3b3", "scores": "#ffe3b3"}
    nx.draw_networkx_edges(flow, VALUES, ax=axes, node_size=1900, node_shape="s", arrowsize=14, edge_color="#666")
    for node, place in VALUES.items():
        box = {"boxstyle": "round,pad=0.5", "facecolor": learned.get(node, "#dfe7ff"), "edgecolor": "#888"}
        axes.text(*place, node, ha="center", va="center", fontsize=10, bbox=box)
    labels = {(a, b): part for a, b, part in STEPS if part}
    nx.draw_networkx_edge_labels(flow, VALUES, labels, ax=axes, font_size=9, font_color="#444", rotate=False)
    axes.set_ylim(-0.5, 2.5)
    axes.set_xlim(-0.6, 11.4)
    axes.set_axis_off()
    return Drawing(figure)


def draw_saved_run() -> None:
    """Draw a decision, two runs side by side, and the viewer, from a saved run on an easy scene."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as temporary:
        run, other = Path(temporary, "run"), Path(temporary, "other")
        noisy = "oracle?miss_rate=0.1&jitter=0.03&class_noise=0.05"
        hidden = OverlayOptions(overlay=False)
        track(source="shapes", detector=noisy, output=run, save_graph=True, drawing=hidden)
        doubt = next(doubt for doubt in doubts(SavedGraph(run), 20) if doubt.frame > 10)
        explain(run, frame=doubt.frame, row=doubt.row, picture=FOLDER / "frame_pair.png")
        solve(run, output=other, max_time_since_update=0)
        pictures = Path(temporary, "pictures")
        draw([run, other], output=pictures, strip=True, begin=99, end=100, width=480)
        shutil.copy(pictures / "00000.png", FOLDER / "side_by_side.png")
        page = view(run)["file"]
        address = f"file://{page}#frame={doubt.frame}&object={doubt.row}"
        browser = shutil.which("chromium") or shutil.which("google-chrome")
        if browser is None:
            print("Skipped viewer.png: install Chromium to draw it")
            return
        options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={temporary}/browser"]
        picture = ["--window-size=1400,900", "--virtual-time-budget=4000", f"--screenshot={FOLDER / 'viewer.png'}"]
        subprocess.run([browser, *options, *picture, address], check=True, capture_output=True)


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    write_jpeg(draw_clip(), str(FOLDER / "dog_person.jpg"), quality=88)
    write_jpeg(draw_fusion(), str(FOLDER / "fusion.jpg"), quality=85)
    draw_flow().save(FOLDER / "flow.png")
    draw_saved_run()
    write_jpeg(draw_world(), str(FOLDER / "moving_shapes.jpg"), quality=90)
    scene = MovingShapes(num_frames=100, seed=3)
    tracker = Tracker(OracleDetector(scene.truth, scene.class_names, jitter=0.02, class_noise=0.03))
    decisions, state = [], tracker.start()
    for frame in scene:
        state, _ = tracker.step(state, frame)
        decisions.append(state.decision.compact())
    draw_association_graph(association_graph(decisions)).save(FOLDER / "association_graph.png")


if __name__ == "__main__":
    main()
