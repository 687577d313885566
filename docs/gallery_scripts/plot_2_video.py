"""
A whole video
=============

Every object of every frame is a node; an edge leads from the last object of a track to each that it was compared with.
Along the chosen edges are the tracks.
"""

import networkx as nx

from tltm_graph import GraphWriter, MovingShapes, SavedGraph, Tracker
from tltm_graph.detectors import OracleDetector
from tltm_graph.explanation import association_graph
from tltm_graph.visualization import draw_association_graph

scene = MovingShapes(num_frames=100, seed=3)
tracker = Tracker(OracleDetector(scene.truth, scene.class_names, jitter=0.02, miss_rate=0.1, class_noise=0.03))
state = tracker.start()
with GraphWriter("graph.zip", tracker) as writer:
    for frame in scene:
        state, _ = tracker.step(state, frame)
        writer.write(state)

video = association_graph(SavedGraph("graph.zip"))
draw_association_graph(video)

# %%
# A large dot is the first object of a track, a cross its last one, dashes are frames in which it was not seen. Dotted
# lines are rivals. The graph is a plain :class:`networkx.DiGraph`, to be asked as any other. How long are the tracks?

chosen = nx.DiGraph((a, b) for a, b, taken in video.edges(data="chosen") if taken)
for track in sorted(nx.weakly_connected_components(chosen), key=len, reverse=True)[:4]:
    nodes = [video.nodes[node] for node in track]
    frames = [node["frame"] for node in nodes]
    print(f"track {nodes[0]['track']}: {len(nodes)} observations in frames {min(frames)} to {max(frames)}")

# %%
# And which decisions were the closest?

for node in sorted(video, key=lambda node: video.nodes[node]["margin"])[:4]:
    print(node, {key: video.nodes[node][key] for key in ("track", "score", "margin")})
