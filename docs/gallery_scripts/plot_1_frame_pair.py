"""
One decision
============

The graph of one frame, as the solver sees it. Tracks with their last observation are on the left, detections on the
right. Edges carry their scores; thick edges were chosen.
"""

from tltm_graph import GraphWriter, MovingShapes, SavedGraph, Tracker
from tltm_graph.cli.explain import crops
from tltm_graph.detectors import OracleDetector
from tltm_graph.visualization import draw_frame_pair

scene = MovingShapes(num_frames=15, seed=4)
tracker = Tracker(OracleDetector(scene.truth, scene.class_names, miss_rate=0.15, jitter=0.08))
state = tracker.start()
with GraphWriter("graph.zip", tracker) as writer:
    for frame in scene:
        state, _ = tracker.step(state, frame)
        writer.write(state)
graph = SavedGraph("graph.zip")

# %%
# The saved graph is indexed by frame. ``crops`` cuts the pictures of the objects out of the video.

decision = graph[12]
draw_frame_pair(decision, *crops(graph, 12, scene), class_names=scene.class_names)

# %%
# The candidates of the object with the smallest margin in this frame, as text:

from tltm_graph.explanation import explain

print(explain(graph, 12, row=int(decision.margins.argmin())).text())
