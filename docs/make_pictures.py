"""Draws the pictures of the README and of these pages: python docs/make_pictures.py"""

from pathlib import Path

import torch
from torchvision.io import write_jpeg, write_png
from torchvision.transforms.v2.functional import resize

from tltm_graph import MovingShapes, OracleDetector, Tracker, association_graph
from tltm_graph.data.moving_shapes import EASY, HARD, STANDARD, VAL, Split, moving_shapes
from tltm_graph.models import TLTM, model_for_tracking
from tltm_graph.tracking import decision_of
from tltm_graph.visualization import Overlay, draw_association_graph

FOLDER = Path(__file__).parent / "images"
SHOWN = (5, 40, 74)


def draw_world() -> torch.Tensor:
    """Frames of each preset, a row each, around a burst of degraded ones."""
    rows = []
    for difficulty, number, begin in ((EASY, 3, 14), (STANDARD, 6, 15), (HARD, 3, 19)):
        scene = moving_shapes(difficulty, VAL)[number]
        rows.append(torch.cat([scene.frame(index).image for index in range(begin, begin + 4)], dim=2))
    return torch.cat(rows, dim=1)


def draw_demo() -> torch.Tensor:
    """Three frames of the scene that ``make demo`` follows, with what the small model makes of them."""
    scene = moving_shapes(STANDARD, Split(5_000_000, 1), num_frames=75)[0]
    model = model_for_tracking("tltm-tiny-moving-shapes")
    assert isinstance(model, TLTM)
    overlay, pictures = Overlay(scene.class_names), []
    for frame, detections in Tracker(model, relation=model).track(scene):
        picture = overlay.draw(frame, detections)
        if frame.index in SHOWN:
            pictures.append(resize(picture, [240]))
    return torch.cat(pictures, dim=2)


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    write_jpeg(draw_world(), str(FOLDER / "moving_shapes.jpg"), quality=90)
    write_png(draw_demo(), str(FOLDER / "demo.png"))
    scene = MovingShapes(num_frames=100, seed=3)
    tracker = Tracker(OracleDetector(scene.truth, scene.class_names, jitter=0.02, class_noise=0.03))
    decisions, state = [], tracker.start()
    for frame in scene:
        state, detections = tracker.step(state, frame)
        decisions.append(decision_of(state, detections))
    draw_association_graph(association_graph(decisions), FOLDER / "association_graph.png")


if __name__ == "__main__":
    main()
