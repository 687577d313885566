"""
A whole video
=============

Every detection of every frame is a node. An edge leads from the last detection of a track to each detection that it was
compared with. The chosen edges form the tracks.
"""

import networkx as nx

from tltm_graph import GraphWriter, MovingShapes, SavedGraph, Tracker
from tltm_graph.detectors import OracleDetector
from tltm_graph.explanation import association_graph
from tltm_graph.visualization import draw_association_graph

scene = MovingShapes(num_frames=50, seed=3)
tracker = Tracker(OracleDetector(scene.truth, scene.class_names, jitter=0.02, miss_rate=0.1, class_noise=0.03))
state = tracker.start()
with GraphWriter("graph.zip", tracker) as writer:
    for frame in scene:
        state, _ = tracker.step(state, frame)
        writer.write(state)

video = association_graph(SavedGraph("graph.zip"))
draw_association_graph(video)

# %%
# A large dot is the first detection of a track, a cross its last one. Dashed lines span frames without a detection,
# dotted lines are rejected candidates. The graph is a :class:`networkx.DiGraph`. Length of the longest tracks:

chosen = nx.DiGraph((a, b) for a, b, taken in video.edges(data="chosen") if taken)
for track in sorted(nx.weakly_connected_components(chosen), key=len, reverse=True)[:4]:
    nodes = [video.nodes[node] for node in track]
    frames = [node["frame"] for node in nodes]
    print(f"track {nodes[0]['track']}: {len(nodes)} observations in frames {min(frames)} to {max(frames)}")

# %%
# Decisions with the smallest margin:

for node in sorted(video, key=lambda node: video.nodes[node]["margin"])[:4]:
    print(node, {key: video.nodes[node][key] for key in ("track", "score", "margin")})
