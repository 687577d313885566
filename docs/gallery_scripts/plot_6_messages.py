"""
Messages of the neighbours
==========================

The score of an edge depends on its neighbours: other detections of the same track, and other tracks of the same
detection. Their messages are part of the explanation, drawn here as a graph. Red lowers the score, green raises it.
"""

import matplotlib.pyplot as plt
import networkx as nx

from tltm_graph import GraphWriter, MovingShapes, SavedGraph, Tracker
from tltm_graph.detectors import OracleDetector
from tltm_graph.explanation import explain

scene = MovingShapes(num_frames=20, num_objects=8, seed=5)
tracker = Tracker(OracleDetector(scene.truth, scene.class_names, jitter=0.05))
state = tracker.start()
with GraphWriter("graph.zip", tracker) as writer:
    for frame in scene:
        state, _ = tracker.step(state, frame)
        writer.write(state)

saved = SavedGraph("graph.zip")
margins = [(decision.margins.min().item(), decision.frame) for decision in saved if decision.chosen.any()]
frame = min(margins)[1]
decision = saved[frame]
row = int(decision.margins.where(decision.partners >= 0, float("inf")).argmin())
explanation = explain(saved, frame, row=row)

graph = nx.DiGraph()
for message in explanation.messages[:6]:
    graph.add_edge(f"{'track' if message.side == 'previous' else 'object'} {message.row}", "score", value=message.value)
for term, value in explanation.terms.items():
    graph.add_edge(term, "score", value=value)
values = [value for *_, value in graph.edges(data="value")]

figure, axes = plt.subplots(figsize=(8, 6))
place = nx.shell_layout(graph, [["score"], [node for node in graph if node != "score"]])
nx.draw_networkx(
    graph,
    place,
    ax=axes,
    node_size=2200,
    font_size=8,
    node_color=["#ffe8a3" if node == "score" else "#e9ecef" for node in graph],
    edge_color=["#c92a2a" if value < 0 else "#2f9e44" for value in values],
    width=[0.5 + min(6.0, abs(value)) for value in values],
)
nx.draw_networkx_edge_labels(graph, place, {edge[:2]: f"{edge[2]:+.2f}" for edge in graph.edges(data="value")}, ax=axes)
axes.set_title(f"frame {frame}: object {row} on track {explanation.track} ({explanation.score:+.2f})")
axes.set_axis_off()

# %%
# Terms and messages add up to the score:

print(sum(explanation.terms.values()) + sum(message.value for message in explanation.messages), explanation.score)
print(explanation.text())
