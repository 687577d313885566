"""
Two solvers
===========

A greedy solver takes the edge of highest score first, the Hungarian solver maximises the sum. Here track 0 matches both
objects, object 1 a little better. Track 1 matches object 1 only, and the greedy choice leaves it unmatched.
"""

import matplotlib.pyplot as plt
import networkx as nx
import torch

from tltm_graph.association import GreedySolver, HungarianSolver

edges = torch.tensor([[0, 0, 1, 1], [0, 1, 0, 1]])
scores = torch.tensor([5.0, 6.0, -4.0, 4.0])
births, misses = torch.tensor([-1.0, -1.0]), torch.tensor([-1.0, -1.0])

graph = nx.DiGraph()
for a, b, score in zip(*edges.tolist(), scores.tolist(), strict=True):
    graph.add_edge(f"track {a}", f"object {b}", score=score)
place = {"track 0": (0, 1), "track 1": (0, 0), "object 0": (1, 1), "object 1": (1, 0)}

figure, both = plt.subplots(1, 2, figsize=(9, 3.5))
for axes, solver in zip(both, (GreedySolver(), HungarianSolver()), strict=True):
    assignment = solver(edges, scores, (2, 2), births, misses)
    chosen = {(f"track {a}", f"object {b}") for a, b in zip(assignment.previous.tolist(), assignment.current.tolist())}
    nx.draw_networkx(
        graph,
        place,
        ax=axes,
        node_size=2600,
        font_size=8,
        node_color="#dfe7ff",
        width=[4 if edge in chosen else 1 for edge in graph.edges],
        edge_color=["#2f9e44" if edge in chosen else "grey" for edge in graph.edges],
    )
    labels = {edge: f"{score:+.0f}" for *edge, score in graph.edges(data="score") for edge in [tuple(edge)]}
    nx.draw_networkx_edge_labels(graph, place, labels, label_pos=0.3, ax=axes)
    total = (
        sum(graph.edges[edge]["score"] for edge in chosen)
        + births[assignment.births].sum()
        + misses[assignment.misses].sum()
    )
    axes.set_title(f"{type(solver).__name__}: {float(total):+.0f} in total")
    axes.margins(0.25)
    axes.set_axis_off()

# %%
# Births and misses are part of the sum: here a new object and a missed track cost 1 each. The greedy choice scores
# 6 − 1 − 1 = 4, the Hungarian choice 5 + 4 = 9.
