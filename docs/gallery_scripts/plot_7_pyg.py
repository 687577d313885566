"""
The graph in PyG
================

The objects of two frames form a bipartite ``HeteroData``. Here it is pruned to near candidates, scored by a
:class:`tltm_graph.nn.TransitionGNN` with random weights, and converted to networkx by PyG.
"""

import matplotlib.pyplot as plt
import networkx as nx
import torch
from torch_geometric.utils import to_networkx

from tltm_graph import MovingShapes, TransitionGNN, frame_pair_graph
from tltm_graph.graph import TRANSITION, AddGeometry, PruneCandidates

torch.manual_seed(0)
scene = MovingShapes(num_frames=6, num_objects=6, seed=2)
frames = [scene.truth(index) for index in (0, 5)]
graph = frame_pair_graph(*(frame.replace(embeddings=torch.randn(len(frame), 32)) for frame in frames))
graph = AddGeometry()(PruneCandidates(3)(graph))
print(graph)

# %%
# Nodes are drawn at the positions of the objects, the previous frame on the left. Darker edges are more probable:

gnn = TransitionGNN(channels=32, hidden_channels=32, edge_dim=graph[TRANSITION].edge_attr.shape[1])
with torch.no_grad():
    graph[TRANSITION].logit = gnn(
        (graph["previous"].x, graph["current"].x), graph[TRANSITION].edge_index, graph[TRANSITION].edge_attr
    )

drawn = to_networkx(graph, node_attrs=["boxes", "ids"], edge_attrs=["logit"])
height, width = scene.size
place = {}
for node, data in drawn.nodes(data=True):
    x0, y0, x1, y1 = data["boxes"]
    place[node] = ((x0 + x1) / 2 + (0 if data["type"] == "previous" else 1.3 * width), -(y0 + y1) / 2)
strength = torch.sigmoid(torch.tensor([logit for *_, logit in drawn.edges(data="logit")])).tolist()
figure, axes = plt.subplots(figsize=(9, 4))
lines = nx.draw_networkx_edges(
    drawn, place, ax=axes, edge_color=strength, edge_cmap=plt.cm.Greys, edge_vmin=0, arrows=False
)
nx.draw_networkx_nodes(
    drawn, place, ax=axes, node_color=[data["ids"] for _, data in drawn.nodes(data=True)], cmap=plt.cm.tab10
)
nx.draw_networkx_labels(
    drawn, place, {node: data["ids"] for node, data in drawn.nodes(data=True)}, ax=axes, font_size=8
)
axes.set_axis_off()
