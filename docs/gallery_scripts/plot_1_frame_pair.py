"""
One decision
============

The graph of one frame: tracks on the left, as they were last seen, objects on the right, and the transitions between
them with their scores. Thick ones were chosen. It is what the solver saw.
"""

from tltm_graph import GraphWriter, MovingShapes, SavedGraph, Tracker
from tltm_graph.commands.crops import crops
from tltm_graph.detectors import OracleDetector
from tltm_graph.visualization import draw_frame_pair

scene = MovingShapes(num_frames=30, seed=4)
tracker = Tracker(OracleDetector(scene.truth, scene.class_names, miss_rate=0.15, jitter=0.08))
state = tracker.start()
with GraphWriter("graph.zip", tracker) as writer:
    for frame in scene:
        state, _ = tracker.step(state, frame)
        writer.write(state)
graph = SavedGraph("graph.zip")

# %%
# Every frame is at hand by its index. ``crops`` cuts the pictures out of the video.

decision = graph[12]
draw_frame_pair(decision, *crops(graph, 12, scene), class_names=scene.class_names)

# %%
# As text, what the most doubtful object of the frame was compared with:

from tltm_graph.explanation import explain

print(explain(graph, 12, row=int(decision.margins.argmin())).text())
