"""
What went wrong, and why
========================

Where the truth is known, each wrong decision can be named by its cause: the scores of its edges, the solver, a memory
that had forgotten, or a detector that saw something twice or that was not there.
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

scene = MovingShapes(num_frames=80, num_objects=7, seed=8)
detector = OracleDetector(scene.truth, scene.class_names, miss_rate=0.25, jitter=0.15, false_positives=1.0)
tracker = Tracker(detector, solver=GreedySolver(), track_manager=TrackManager(max_time_since_update=4))
state, decisions = tracker.start(), []
for frame in scene:
    state, _ = tracker.step(state, frame)
    decisions.append(state.decision.compact())

truth = Tracks.from_stream(((index, scene.truth(index)) for index in range(len(scene))), scene.size)
shown = match_to_ground_truth((decision.current for decision in decisions), truth, min_iou=0.3)
objects = [torch.where(known == 1, ids, -1) for ids, known in shown]  # which true object each detection shows
wrong = list(mistakes(decisions, objects))

print(f"{len(wrong)} of {sum(map(len, objects))} decisions: {dict(Counter(one.cause for one in wrong))}")
draw_association_graph(association_graph(decisions, mistakes=wrong))

# %%
# Marks are wrong decisions; a red dashed line leads from where the object was before, which is where the id changes.
# For a video of your own, ``tltm-graph mistakes RUN --truth FILE --picture mistakes.png`` does the same.
