import sys
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torchvision.transforms.v2.functional import InterpolationMode, resize
from tqdm import tqdm

from tltm_graph.commands.saved_run import SavedRun
from tltm_graph.io import write_pictures
from tltm_graph.ops.rle import decode_rle
from tltm_graph.structures import Detections, Frame


def draw(
    graphs: list[str],
    output: str | Path | None = None,
    source: str | None = None,
    strip: bool = False,
    seconds: float = 3.0,
    begin: int = 0,
    end: int | None = None,
    width: int | None = None,
) -> dict[str, Any]:
    """Draws what saved runs found into their video, several of them side by side.

    Args:
        graphs: ``graph.zip`` of each, or the folder it is in. All of one video.
        output: ``.mp4``, ``.gif``, or a folder for PNG files; None for ``drawn.mp4`` beside the first graph.
        source: The video; None for where it was.
        strip: Put the association graph of the last seconds below.
        seconds: So many.
        begin: First frame to draw.
        end: The frame before which to end; None for all.
        width: Of each run's picture in pixels; None for that of the video.

    Returns:
        The path, and how many pictures were written.

    Raises:
        ValueError: If there is no graph, they are of different videos, or no frame is left.
        OSError: If a file cannot be read or written.
    """
    if width is not None and width < 2:
        raise ValueError(f"Expected a width of at least 2 pixels, got {width}")
    if seconds <= 0:
        raise ValueError(f"Expected more than no seconds, got {seconds}")
    runs = [SavedRun.open(graph, related=False) for graph in graphs]
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
    fps = float(runs[0].graph.about.get("fps") or 30.0)
    drawn = [_drawn(run, frames[0], fps * seconds if strip else 0, width, source) for run in runs]
    together = (torch.cat(pictures, dim=2) for pictures in zip(*drawn, strict=True))
    with tqdm(islice(together, len(frames)), total=len(frames), unit=" frames", desc="drawing", file=sys.stderr) as bar:
        count = write_pictures(target, bar, fps)
    return {"file": str(target), "pictures": count}


def _drawn(run: SavedRun, begin: int, window: float, width: int | None, source: str | None) -> Iterator[Tensor]:
    """The pictures of a run from a frame on, with trails of what was before."""
    from tltm_graph.visualization import GraphStrip, Overlay

    graph = run.graph
    assert graph.size is not None
    scale = 1.0 if width is None else width / graph.size[1]
    overlay = Overlay(graph.class_names)
    strip = GraphStrip(round(graph.size[1] * scale), frames=max(1, round(window))) if window else None
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
        found = decision.current.replace(masks=masks)
        if scale != 1.0:
            frame, found = _scaled(frame, found, scale)
        picture = overlay.draw(frame, found)
        if strip is not None:
            picture = torch.cat([picture, strip.draw(decision)], dim=1)
        if decision.frame >= begin:
            yield picture
        following = next(decisions, None)
        if following is None:
            return
        decision = following
    raise ValueError(f"Expected a video with frame {decision.frame}, got one that ends before it: the video is another")


def _scaled(frame: Frame, found: Detections, scale: float) -> tuple[Frame, Detections]:
    """Drawn at the size that is asked for, labels and lines are sharp."""
    size = [max(1, round(frame.size[0] * scale)), max(1, round(frame.size[1] * scale))]
    masks = None if found.masks is None else resize(found.masks, size, InterpolationMode.NEAREST)
    return replace(frame, image=resize(frame.image, size)), found.replace(boxes=found.boxes * scale, masks=masks)
