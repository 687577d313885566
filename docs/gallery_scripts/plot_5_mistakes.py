"""
Causes of mistakes
==================

With ground truth, each wrong decision has a cause: the edge scores, the solver, a track that the memory had removed, or
a duplicate or false positive of the detector.
"""

from collections import Counter

import torch

from tltm_graph import MovingShapes, Tracker, TrackManager
from tltm_graph.association import GreedySolver
from tltm_graph.detectors import OracleDetector
from tltm_graph.explanation import association_graph, mistakes
from tltm_graph.metrics import match_to_ground_truth
from tltm_graph.structures import Tracks
from tltm_graph.visualization import draw_association_graph

scene = MovingShapes(num_frames=50, num_objects=7, seed=8)
detector = OracleDetector(scene.truth, scene.class_names, miss_rate=0.25, jitter=0.15, false_positives=1.0)
tracker = Tracker(detector, solver=GreedySolver(), track_manager=TrackManager(max_time_since_update=4))
state, decisions = tracker.start(), []
for frame in scene:
    state, _ = tracker.step(state, frame)
    decisions.append(state.decision.compact())

truth = Tracks.from_stream(((index, scene.truth(index)) for index in range(len(scene))), scene.size)
matches = match_to_ground_truth((decision.current for decision in decisions), truth, min_iou=0.3)
objects = [torch.where(is_object == 1, ids, -1) for ids, is_object in matches]  # true object of each detection, or -1
wrong = list(mistakes(decisions, objects))

print(f"{len(wrong)} of {sum(map(len, objects))} decisions: {dict(Counter(mistake.cause for mistake in wrong))}")
draw_association_graph(association_graph(decisions, mistakes=wrong))

# %%
# Marks are wrong decisions. A red dashed line starts at the previous detection of the true object if the id changes.
# For your own video, run ``tltm-graph mistakes RUN --truth FILE --picture mistakes.png``.
