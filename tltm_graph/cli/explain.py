from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated

from tltm_graph.cli.arguments import File, Option
from tltm_graph.cli.checks import check_number
from tltm_graph.cli.running import write_json
from tltm_graph.cli.solve import DetectorName, Graph
from tltm_graph.printable import one_line

if TYPE_CHECKING:
    from torch import Tensor

    from tltm_graph.cli.saved_run import SavedRun
    from tltm_graph.explanation import Explanation, SavedGraph
    from tltm_graph.structures import Frame


def explain(
    graph: Graph,
    *,
    frame: int | None = None,
    track: Annotated[int | None, Option(metavar="ID")] = None,
    row: Annotated[int | None, Option("object", "N")] = None,
    limit: int = 20,
    output: File | None = None,
    picture: File | None = None,
    source: str | None = None,
    weights: DetectorName | None = None,
    alone: bool = False,
) -> "Explanation | None":
    """Explain the decision on an object of a saved run.

    Printed are the summands of the score of the object's edge, the other tracks it was compared with, the margin to the
    next best assignment of the frame, and the smallest change of a score that changes the decision; also what the
    appearance model contributed, if the run had one. Without --frame, the decisions of the video with the smallest
    margins are listed.

    Args:
        graph: graph.zip of tltm-graph track --save-graph, or its folder.
        frame: Index of the frame, from 0.
        track: Track whose object, or whose miss, is explained.
        row: Object to explain, counted from 0 in its frame; instead of --track.
        limit: Number of decisions to list without --frame.
        output: JSON file for the explanation.
        picture: Picture of the object and the tracks it was compared with: .png, .svg or .pdf.
        source: Video for --picture and --alone. Default: the source of the run.
        weights: Detector with the appearance model, as tltm:FILE. Default: that of the run, if it is part of the
            package or a file beside the graph.
        alone: Detect the frame again without the previous ones, to show what their fusion changed.

    Returns:
        Explanation; None without a frame.

    Raises:
        ValueError: If there is no such frame, track or object, or the file is not a graph of a run.
        OSError: If a file cannot be read or written.
    """
    from tltm_graph import explanation
    from tltm_graph.cli.saved_run import SavedRun

    for name, value in (("frame", frame), ("track", track), ("object", row), ("limit", limit)):
        check_number(name, value, 0)
    if frame is None:
        if alone or any(value is not None for value in (track, row, output, picture)):
            raise ValueError("Expected --frame with --track, --object, --output, --picture or --alone, got no --frame")
        print("margin  frame  object  track  class")
        for doubt in doubts(explanation.SavedGraph(graph), limit):
            print(f"{doubt.margin:6.3f} {doubt.frame:6d} {doubt.row:7d} {doubt.track:6d}  {one_line(doubt.label, 200)}")
        return None
    if (track is None) == (row is None):
        got = "neither" if track is None else "both"
        raise ValueError(f"Expected either --track or --object with --frame, got {got}: choose one")
    run = SavedRun.open(graph, weights)
    result = explanation.explain(run.graph, frame, track, row, run.tracker)
    if output is not None:
        write_json(output, result.to_dict(), ensure_ascii=True)
    if picture is not None:
        from tltm_graph.visualization.frame_pair import draw_frame_pair

        tracks, objects = crops(run.graph, frame, run.pictures(source))
        draw_frame_pair(run.graph[frame], tracks, objects, run.graph.class_names, result.row).save(picture)
    score = score_alone(run, frame, result.row, source, weights) if alone else None
    print(replace(result, label=one_line(result.label, 200)).text())
    if score is not None:
        print(f"  without the previous frames its confidence would be {score:.2f}, not {result.confidence:.2f}")
    elif alone:
        print("  without the previous frames it would not be detected")
    written = [str(path) for path in (output, picture) if path is not None]
    if written:
        print("\n  ".join(["written:", *written]))
    return result


def score_alone(
    run: "SavedRun", frame: int, row: int, source: str | None = None, weights: str | None = None
) -> float | None:
    """Detect a frame without fusion with the previous ones.

    Args:
        run: A saved run.
        frame: Index of the frame.
        row: Object of the frame.
        source: Video, in the words of the user; None for that of the run.
        weights: Detector, in the words of the user; None for that of the run.

    Returns:
        Score of the best detection of the object's class that overlaps it with an IoU of at least 0.5, None if there is
        none of score 0.01 or more.

    Raises:
        ValueError: If the detector is no model of this package, or the video is another one.
    """
    from torchvision.ops import box_iou

    from tltm_graph.cli.saved_run import expand_detector_name
    from tltm_graph.detectors import build_detector
    from tltm_graph.detectors.centermask import CenterMask
    from tltm_graph.models import TLTM
    from tltm_graph.models.tltm import detector_of

    named = expand_detector_name(f"tltm:{run.settings.detector.weights()}" if weights is None else weights)
    model = build_detector(named, device="cpu", class_names=run.graph.class_names)
    if not isinstance(model, TLTM | CenterMask):
        raise ValueError(f"Expected a model of this package for --alone, got {model!r}: leave out --alone")
    detector = detector_of(model)
    detector.fusers = detector.alignment = None
    detector.decoder = replace(detector.decoder, score_threshold=0.01)
    decision = run.graph[frame]
    for picture in run.pictures(source):
        if picture.index == frame:
            _check_size(picture, run.graph)
            found, _ = detector.detect(picture)
            same = found.labels == decision.current.labels[row]
            overlap = box_iou(decision.current.boxes[row : row + 1], found.boxes)[0] >= 0.5
            return float(found.scores[same & overlap].max()) if (same & overlap).any() else None
    raise _ended(frame)


@dataclass(frozen=True)
class Doubt:
    """Decision with a small margin.

    Args:
        frame: Index of the frame.
        row: Row of the object.
        track: Track of the object, -1 for none.
        label: Name of its class.
        margin: Score of the frame's assignment minus that of the best assignment with another decision here.
    """

    frame: int
    row: int
    track: int
    label: str
    margin: float


def doubts(graph: "SavedGraph", count: int = 20) -> list[Doubt]:
    """Find the decisions with the smallest margins, smallest first.

    Args:
        graph: A saved run. Objects without a track are left out.
        count: Largest number of decisions.
    """
    from tltm_graph.structures.detections import class_name

    found = []
    for decision in graph:
        for row, (margin, track) in enumerate(zip(decision.margins.tolist(), decision.tracks.tolist(), strict=True)):
            if track >= 0:
                found.append((margin, decision.frame, row, track, int(decision.current.labels[row])))
    found.sort()
    return [
        Doubt(frame, row, track, class_name(label, graph.class_names), margin)
        for margin, frame, row, track, label in found[:count]
    ]


def crops(
    graph: "SavedGraph", frame: int, pictures: Iterable["Frame"]
) -> tuple[dict[int, "Tensor"], dict[int, "Tensor"]]:
    """Cut out the tracks of a frame at their last observations, and the objects of the frame.

    Args:
        graph: A saved run.
        frame: Index of the frame.
        pictures: The video, from its first frame.

    Returns:
        Pictures of the tracks by id, and of the objects by row: RGB (3, H, W) uint8.

    Raises:
        ValueError: If there is no such frame, or the video is another one.
    """
    last: dict[int, tuple[int, int]] = {}  # track -> frame and row of its last observation
    for decision in graph.decisions(until=frame - 1):
        last |= {track: (decision.frame, row) for row, track in enumerate(decision.tracks.tolist()) if track >= 0}
    current = graph[frame]
    assert current.previous.ids is not None
    rows: dict[int, list[tuple[int, int]]] = {}  # frame -> tracks and rows to cut out
    for track in current.previous.ids.tolist():
        if track in last:
            rows.setdefault(last[track][0], []).append((track, last[track][1]))
    tracks: dict[int, Tensor] = {}
    for picture in pictures:
        _check_size(picture, graph)
        for track, row in rows.get(picture.index, ()):
            tracks[track] = _crop(picture, graph[picture.index].current.boxes[row])
        if picture.index >= frame:
            return tracks, {row: _crop(picture, box) for row, box in enumerate(current.current.boxes)}
    raise _ended(frame)


def _check_size(picture: "Frame", graph: "SavedGraph") -> None:
    if picture.size != graph.size:
        raise ValueError(
            f"Expected pictures of {graph.size} pixels (H, W), got {picture.size}: the video is another one"
        )


def _ended(frame: int) -> ValueError:
    return ValueError(f"Expected a video with frame {frame}, got one that ends before it: the video is another one")


def _crop(picture: "Frame", box: "Tensor") -> "Tensor":
    from torchvision.ops import clip_boxes_to_image

    x0, y0, x1, y1 = clip_boxes_to_image(box[None], picture.size)[0].round().int().tolist()
    return picture.image[:, y0 : max(y1, y0 + 1), x0 : max(x1, x0 + 1)].cpu()
