from typing import Any

import networkx as nx

from tltm_graph.extras import missing_extra
from tltm_graph.visualization.drawing import Drawing, track_colour

try:
    from matplotlib.figure import Figure
except ImportError as error:
    raise missing_extra("matplotlib", "to draw a graph") from error

_MARKERS = {"edge": "^", "solver": "s", "memory": "D", "detector": "v"}  # by cause of the mistake
_MISTAKE_COLOUR = "#d00000"


def draw_association_graph(graph: nx.DiGraph, max_frames: int = 400) -> Drawing:
    """Draw an association graph: x is the frame, y the track, and opacity the score of an edge.

    Matched edges have the colour of their track: solid between adjacent frames, dashed over gaps. A large dot is the
    first observation of a track. A cross is the last one, unless the video ends there. Rejected edges are dotted and
    grey, and drawn if they score at least as much as the weakest matched edge. Detections without a track, and those of
    tracks that were never confirmed, are on the lowest line.

    If the graph has ground truth, wrong decisions have red markers by cause, and red dashed lines show the correct
    edges. So ID switches stand out.

    Args:
        graph: Graph from :func:`tltm_graph.explanation.association_graph`.
        max_frames: Maximum number of frames drawn, counted from the last one.
    """
    last = max((frame for _, frame in graph.nodes(data="frame")), default=0)
    graph = graph.subgraph([node for node, frame in graph.nodes(data="frame") if frame > last - max_frames])
    tracks = sorted({data["track"] for _, data in graph.nodes(data=True) if data["shown"]})
    height = {track: index + 1 for index, track in enumerate(tracks)} | {-1: 0}
    position = {node: (data["frame"], height.get(data["track"], 0)) for node, data in graph.nodes(data=True)}
    first = min((x for x, _ in position.values()), default=0)

    figure = Figure(figsize=(min(4 + (last - first) * 0.07, 40), min(2 + len(tracks) * 0.3, 40)), layout="constrained")
    axes = figure.add_subplot()
    edges = list(graph.edges(data=True))
    weakest = min((data["score"] for *_, data in edges if data["chosen"]), default=float("inf"))
    for chosen, over_gap, style in ((False, None, "dotted"), (True, False, "solid"), (True, True, "dashed")):
        drawn = [
            (a, b, data)
            for a, b, data in edges
            if data["chosen"] == chosen
            and data["score"] >= weakest
            and not data.get("right")
            and over_gap in (None, position[b][0] - position[a][0] > 1)
        ]
        if drawn:
            lines = nx.draw_networkx_edges(
                graph,
                position,
                [(a, b) for a, b, _ in drawn],
                edge_color=[track_colour(graph.nodes[b]["track"]) if chosen else "grey" for _, b, _ in drawn],
                style=style,
                ax=axes,
                arrows=False,
            )
            lines.set_alpha(_opacity([data["score"] for *_, data in drawn]))
    nodes = list(graph)
    matched = [(a, b) for a, b, data in edges if data["chosen"]]
    births = set(nodes) - {b for _, b in matched} - _not_births(graph, position, first)
    ends = [node for node in nodes if position[node][1] and position[node][0] < last and node not in dict(matched)]
    for node in ends:
        axes.plot(*position[node], marker="x", color=track_colour(graph.nodes[node]["track"]), markersize=7)
    nx.draw_networkx_nodes(
        graph,
        position,
        nodes,
        node_size=[36 if node in births else 9 for node in nodes],
        node_color=[track_colour(graph.nodes[node]["track"]) for node in nodes],
        ax=axes,
    )
    _draw_mistakes(axes, graph, position)
    axes.set_axis_on()
    axes.tick_params(left=True, bottom=True, labelleft=True, labelbottom=True)
    axes.set_yticks(list(height.values()), [str(track) if track >= 0 else "none" for track in height])
    axes.set_ylim(-0.8, len(tracks) + 0.8)
    axes.set_xlabel("frame")
    axes.set_ylabel("track")
    axes.spines[["top", "right"]].set_visible(False)
    return Drawing(figure)


def _draw_mistakes(axes: Any, graph: nx.DiGraph, position: dict[str, tuple[int, int]]) -> None:
    correct = [(a, b) for a, b, data in graph.edges(data=True) if data.get("right")]
    nx.draw_networkx_edges(
        graph, position, correct, edge_color=_MISTAKE_COLOUR, style="dashed", width=1.5, ax=axes, arrows=False
    )
    for cause, marker in _MARKERS.items():
        wrong = [node for node, mistake in graph.nodes(data="mistake") if mistake == cause]
        if wrong:
            axes.plot(
                *zip(*(position[node] for node in wrong), strict=True),
                linestyle="",
                color=_MISTAKE_COLOUR,
                marker=marker,
                markersize=9,
                markerfacecolor="none",
                markeredgewidth=1.8,
                label=f"{cause} ({len(wrong)})",
            )
    if axes.get_legend_handles_labels()[0]:
        axes.legend(title="mistakes by cause", loc="upper left", bbox_to_anchor=(1, 1), frameon=False)


def _not_births(graph: nx.DiGraph, position: dict[str, tuple[int, int]], first: int) -> set[str]:
    """Nodes without a track, and those of the first frame drawn, whose tracks may have started earlier."""
    return {node for node in graph if position[node][0] == first > 0 or position[node][1] == 0}


def _opacity(scores: list[float]) -> list[float]:
    """Map scores linearly to opacities in [0.15, 1]."""
    low, high = min(scores, default=0.0), max(scores, default=1.0)
    return [0.15 + 0.85 * (score - low) / max(high - low, 1e-9) for score in scores]
