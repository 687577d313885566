from collections.abc import Mapping, Sequence
from typing import Any

import networkx as nx
from torch import Tensor

from tltm_graph.association import Decision
from tltm_graph.extras import missing_extra
from tltm_graph.structures.detections import class_name
from tltm_graph.visualization.drawing import Drawing, track_colour

try:
    from matplotlib.figure import Figure
    from matplotlib.offsetbox import AnnotationBbox, OffsetImage
except ImportError as error:
    raise missing_extra("matplotlib", "to draw a graph") from error

_CROP_SIZE = 48  # points
_MIN_GAIN = -8.0  # rejected edges with a lower gain get no score, and are left out around a single detection


def draw_frame_pair(
    decision: Decision,
    tracks: Mapping[int, Tensor] | None = None,
    objects: Mapping[int, Tensor] | None = None,
    class_names: Sequence[str] | None = None,
    row: int | None = None,
    max_edges: int = 5,
) -> Drawing:
    """Draw the graph of one decision: tracks on the left, detections on the right, edges with scores in between.

    Matched edges are thick and have the colour of the track. Other edges are grey, darker for a larger gain (score
    minus birth and miss scores). Tracks without an edge are not drawn.

    Args:
        decision: Decision of a frame.
        tracks: Crops of the last observations by track id, RGB (3, H, W) uint8.
        objects: Crops of the detections by row, RGB (3, H, W) uint8.
        class_names: Names of the classes.
        row: Row of a detection. Only its edges are drawn, those of its best track, and the matches of its other
            candidate tracks. None for all detections.
        max_edges: Maximum number of edges per detection, those with the largest gain, besides the matched edge.
    """
    graph = _graph(decision.with_best_edges(max_edges), class_names, row)
    sides = [[node for node, side in graph.nodes(data="side") if side == which] for which in (0, 1)]
    height = max(1, *map(len, sides))
    place = {
        node: (x, (height - len(side)) / 2 - line) for x, side in enumerate(sides) for line, node in enumerate(side)
    }
    figure = Figure(figsize=(9, 1.2 + 0.95 * height), layout="constrained")
    axes = figure.add_subplot()
    edges = sorted(graph.edges(data=True), key=lambda edge: (edge[2]["chosen"], edge[2]["gain"]))
    for chosen in (False, True):
        drawn = [edge for edge in edges if edge[2]["chosen"] == chosen]
        colours = [graph.nodes[a]["colour"] if chosen else _grey(data["gain"]) for a, _, data in drawn]
        pairs = [(a, b) for a, b, _ in drawn]
        nx.draw_networkx_edges(
            graph, place, pairs, edge_color=colours, width=4 if chosen else 1.2, ax=axes, arrows=False
        )
    _draw_scores(axes, place, edges)
    pictures = {("track", key): value for key, value in (tracks or {}).items()}
    pictures |= {("object", key): value for key, value in (objects or {}).items()}
    for node, data in graph.nodes(data=True):
        _draw_node(axes, place[node], data, pictures.get(node))
    axes.set_xlim(-0.5, 1.5)
    axes.set_ylim(
        min((y for _, y in place.values()), default=0) - 0.7, max((y for _, y in place.values()), default=0) + 0.7
    )
    axes.set_axis_off()
    axes.set_title(f"frame {decision.frame}: tracks (left) and detections (right)", fontsize=10)
    return Drawing(figure, dpi=130)


def _draw_scores(axes: Any, place: Any, edges: list[Any]) -> None:
    """Write the scores on their edges, at places where they overlap least with other scores."""
    taken: list[tuple[float, float]] = []
    for a, b, data in reversed(edges):  # matched edges first
        if data["chosen"] or data["gain"] > _MIN_GAIN:
            (x0, y0), (x1, y1) = place[a], place[b]
            spots = [(x0 + s * (x1 - x0), y0 + s * (y1 - y0)) for s in (0.7, 0.6, 0.5, 0.4, 0.3, 0.8, 0.2)]
            x, y = max(spots, key=lambda spot: min([1.0, *(_apart(spot, other) for other in taken)]))
            taken.append((x, y))
            box = {"boxstyle": "square,pad=0.1", "facecolor": "white", "edgecolor": "none"}
            axes.text(x, y, f"{data['score']:+.1f}", fontsize=7, ha="center", va="center", bbox=box)


def _apart(spot: tuple[float, float], other: tuple[float, float]) -> float:
    """Distance between the places of two texts, in units of the size of a text."""
    return max(abs(spot[0] - other[0]) / 0.1, abs(spot[1] - other[1]) / 0.25)


def _graph(decision: Decision, class_names: Sequence[str] | None, row: int | None) -> nx.DiGraph:
    previous, current = decision.previous, decision.current
    assert previous.ids is not None
    ids, labels = previous.ids.tolist(), current.labels.tolist()
    values = [decision.edge_index[0], decision.edge_index[1], decision.scores.edges, decision.gains, decision.chosen]
    edges = list(zip(*(value.tolist() for value in values), strict=True))
    if row is not None:
        own = sorted((edge for edge in edges if edge[1] == row), key=lambda edge: (edge[4], edge[3]))
        candidates, best = {edge[0] for edge in own}, {edge[0] for edge in own[-1:]}
        edges = [
            edge
            for edge in edges
            if edge[1] == row or (edge[0] in candidates and edge[4]) or (edge[0] in best and edge[3] > _MIN_GAIN)
        ]
    graph = nx.DiGraph()
    columns = range(len(current)) if row is None else sorted({row, *(column for _, column, *_ in edges)})
    partner = {track: column for track, column, *_ in sorted(edges, key=lambda edge: (edge[4], edge[3]))}
    for track in sorted(partner, key=lambda track: (partner[track], track)):  # next to its match or best detection
        time = round(float(decision.time_since_update[track]))
        name, ago = class_name(int(previous.labels[track]), class_names), "1 frame" if time == 1 else f"{time} frames"
        caption = f"track {ids[track]}\n{name}\n{ago} ago"
        graph.add_node(("track", ids[track]), side=0, text=caption, colour=track_colour(ids[track]))
    for column in columns:
        track = int(decision.tracks[column])
        outcome = f"track {track}" if track >= 0 else "no track"
        new = ", new" if track >= 0 and int(decision.partners[column]) < 0 else ""
        name, score = class_name(labels[column], class_names), float(current.scores[column])
        caption = f"object {column}: {outcome}{new}\n{name} {score:.2f}"
        graph.add_node(("object", column), side=1, text=caption, colour=track_colour(track))
    for track, column, score, gain, chosen in edges:
        graph.add_edge(("track", ids[track]), ("object", column), score=score, gain=gain, chosen=chosen)
    return graph


def _draw_node(axes: Any, place: tuple[float, float], data: dict[str, Any], picture: Tensor | None) -> None:
    x, y = place
    if picture is not None and picture.numel():
        image = OffsetImage(picture.permute(1, 2, 0).numpy(), zoom=_CROP_SIZE / max(picture.shape[1:]))
        frame = {"edgecolor": data["colour"], "linewidth": 2.5, "boxstyle": "square,pad=0.05"}
        axes.add_artist(AnnotationBbox(image, (x, y), bboxprops=frame))
    else:
        axes.plot([x], [y], "o", color=data["colour"], markersize=14)
    outside = x - 0.12 if data["side"] == 0 else x + 0.12
    axes.text(outside, y, data["text"], ha="right" if data["side"] == 0 else "left", va="center", fontsize=8)


def _grey(gain: float) -> str:
    return f"{min(0.85, max(0.2, 0.5 - gain / 20)):.2f}"
