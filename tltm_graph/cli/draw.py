import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tltm_graph.cli.arguments import Data, Option
from tltm_graph.cli.checks import check_number
from tltm_graph.cli.solve import Graph

if TYPE_CHECKING:
    from torch import Tensor

    from tltm_graph.cli.saved_run import SavedRun
    from tltm_graph.structures import Detections, Frame


def draw(
    graphs: Annotated[Sequence[Graph], Option(metavar="GRAPH")],
    *,
    output: Data | None = None,
    source: str | None = None,
    strip: bool = False,
    seconds: Annotated[float, Option(metavar="S")] = 3.0,
    begin: int = 0,
    end: int | None = None,
    width: int | None = None,
) -> dict[str, Any]:
    """Draw the tracks of saved runs into their video, side by side.

    Each run is drawn with masks, ids and trails. Needs the package supervision.

    Args:
        graphs: graph.zip of tltm-graph track --save-graph, or its folder; several of one video are drawn side by side.
        output: File .mp4 or .gif, or a folder for PNG files. Default: drawn.mp4 next to the first graph.
        source: Video. Default: the source of the run.
        strip: Draw the association graph of the last seconds below the video.
        seconds: Length of the strip, in seconds.
        begin: Index of the first frame.
        end: Index of the frame after the last one. Default: all frames.
        width: Width of the picture of each run, in pixels. Default: that of the video.

    Returns:
        Path as ``file``, and number of ``pictures``.

    Raises:
        ValueError: If a file is not a graph of a run, the videos differ, or no frame is left.
        OSError: If a file cannot be read or written.
    """
    import torch
    from tqdm import tqdm

    from tltm_graph.cli.saved_run import SavedRun
    from tltm_graph.io.pictures import write_pictures
    from tltm_graph.limits import check_pixels

    check_number("width", width, 2)
    check_number("seconds", seconds, 0.001, 3600)
    check_number("begin", begin, 0)
    check_number("end", end, begin + 1)
    runs = [SavedRun.open(graph, with_affinity=False) for graph in graphs]
    for run in runs:
        if run.graph.size is None:
            raise ValueError(f"Expected at least one frame in '{run.graph.path}', got none")
        height = run.graph.size[0] if width is None else round(run.graph.size[0] * width / run.graph.size[1])
        check_pixels(max(1, height), width or run.graph.size[1], "a picture of --width pixels")
    for one, other in pairwise(runs):
        if (one.graph.size, one.graph.frames) != (other.graph.size, other.graph.frames):
            raise ValueError(
                f"Expected runs on one video, got {len(one.graph)} frames of {one.graph.size} pixels (H, W) and "
                f"{len(other.graph)} of {other.graph.size} in '{one.graph.path}' and '{other.graph.path}'"
            )
    frames = [frame for frame in runs[0].graph.frames if begin <= frame and (end is None or frame < end)]
    if not frames:
        raise ValueError(f"Expected frames from {begin} on{'' if end is None else f' before {end}'}, got none")
    target = runs[0].graph.path.with_name("drawn.mp4") if output is None else Path(output)
    fps = runs[0].settings.fps or 30.0
    pictures = [_pictures(run, frames[0], fps * seconds if strip else 0, width, source) for run in runs]
    rows = (torch.cat(row, dim=2) for row in zip(*pictures, strict=True))
    with tqdm(islice(rows, len(frames)), total=len(frames), unit=" frames", desc="drawing", file=sys.stderr) as bar:
        count = write_pictures(target, bar, fps)
    print(f"{count} pictures\nwritten:\n  {target}")
    return {"file": str(target), "pictures": count}


def _pictures(
    run: "SavedRun", begin: int, strip_frames: float, width: int | None, source: str | None
) -> Iterator["Tensor"]:
    """Draw a run from a frame on; its trails start before."""
    import torch

    from tltm_graph.ops.rle import decode_rle
    from tltm_graph.visualization.draw import Overlay
    from tltm_graph.visualization.graph_strip import GraphStrip

    graph = run.graph
    assert graph.size is not None
    scale = 1.0 if width is None else width / graph.size[1]
    overlay = Overlay(graph.class_names)
    strip = GraphStrip(round(graph.size[1] * scale), frames=max(1, round(strip_frames))) if strip_frames else None
    decisions = iter(graph)
    decision = next(decisions)
    for frame in run.pictures(source):
        if frame.index < decision.frame:
            continue
        if frame.size != graph.size:
            raise ValueError(
                f"Expected pictures of {graph.size} pixels (H, W), got {frame.size}: the video is another one"
            )
        masks = None if decision.masks is None else decode_rle(decision.masks, graph.size)
        detections = decision.current.replace(masks=masks)
        if scale != 1.0:
            frame, detections = _scaled(frame, detections, scale)
        picture = overlay.draw(frame, detections)
        if strip is not None:
            picture = torch.cat([picture, strip.draw(decision)], dim=1)
        if decision.frame >= begin:
            yield picture
        following = next(decisions, None)
        if following is None:
            return
        decision = following
    raise ValueError(f"Expected a video with frame {decision.frame}, got one that ends before it: the video is another")


def _scaled(frame: "Frame", detections: "Detections", scale: float) -> tuple["Frame", "Detections"]:
    """Resize before drawing, so that labels and lines are sharp."""
    from torchvision.transforms.v2.functional import InterpolationMode, resize

    size = [max(1, round(frame.size[0] * scale)), max(1, round(frame.size[1] * scale))]
    masks = None if detections.masks is None else resize(detections.masks, size, InterpolationMode.NEAREST)
    return replace(frame, image=resize(frame.image, size)), detections.replace(
        boxes=detections.boxes * scale, masks=masks
    )
