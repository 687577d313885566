import base64
import io
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor
from torchvision.transforms.v2.functional import resize

from tltm_graph.association import Decision
from tltm_graph.extras import missing_extra
from tltm_graph.io import write_atomically
from tltm_graph.ops.rle import Rle, decode_rle
from tltm_graph.structures import Frame
from tltm_graph.visualization.palette import PALETTE

try:
    import cv2
except ImportError as error:
    raise missing_extra("opencv-python-headless", "to outline masks") from error

_TEMPLATE = "viewer.html"


def write_viewer(
    path: str | Path,
    decisions: Iterable[Decision],
    pictures: Iterable[Frame] | None,
    size: tuple[int, int],
    class_names: tuple[str, ...] | None = None,
    fps: float | None = None,
    title: str = "Association graph",
    explanations: Mapping[tuple[int, int], str] | None = None,
    width: int = 640,
    max_candidates: int = 5,
    command: str | None = None,
    mistakes: Mapping[tuple[int, int], tuple[str, str]] | None = None,
) -> None:
    """Writes the decisions of a tracker as one HTML page, to be looked at in any browser, without a network.

    The video with its masks, a timeline of all tracks, and for each object the tracks that it was compared with, their
    scores and the margin of the decision. ``graph.html#frame=18&object=3`` opens it there.

    Args:
        path: Where to.
        decisions: In the order of frames.
        pictures: Frames of the video; those with other indices than the decisions are left out. None for no pictures.
        size: Height and width of the frames.
        class_names: Names of the classes.
        fps: How fast it plays; None for 30.
        title: Of the page.
        explanations: In words, by frame and row of the object.
        width: Of the pictures in it, in pixels, at most; it makes most of the file's size.
        max_candidates: So many tracks are shown for each object, those that gain most.
        command: To be run in a shell for an object that is not explained in it, but for its ``--frame`` and
            ``--object``; None for the function in Python.
        mistakes: What was to blame for each wrong decision (edge, solver, memory or detector), and the decision in
            words, by frame and row of the object; they are marked. None if the truth is not known.

    Raises:
        ValueError: If there are no decisions, or the pictures are of another size or end before the decisions do.
    """
    wide = max(1, min(width, size[1]))
    frames, wanted = [], []
    last: dict[int, int] = {}  # track -> the frame it was last seen in
    for decision in decisions:
        frames.append(_frame(decision, last, max_candidates, size[1] / wide))
        wanted.append(decision.frame)
    if not frames:
        raise ValueError("Expected at least one decision to show, got none")
    data = {
        "title": title,
        "size": size,
        "fps": fps or 30.0,
        "names": class_names,
        "palette": PALETTE,
        "frames": frames,
        "command": command,
        "explanations": _named(explanations or {}),
        "mistakes": None if mistakes is None else _named(mistakes),
    }
    page = files("tltm_graph.visualization").joinpath(_TEMPLATE).read_text("utf-8")
    before, after = page.replace("/*DATA*/", _in_script(data)).split("<!--PICTURES-->\n")
    with write_atomically(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.write(before)  # the page works before its pictures are read
        for number, picture in enumerate(_encoded(pictures, wanted, size, wide)):
            if picture is not None:
                file.write(f'<script type="text/plain" id="picture-{number}">{picture}</script>\n')
        file.write(after)


def _named(told: Mapping[tuple[int, int], Any]) -> dict[str, Any]:
    """What is told of objects, by names that JSON can have."""
    return {f"{frame}:{row}": one for (frame, row), one in told.items()}


def _in_script(data: Any) -> str:
    """JSON that does not end the script it stands in."""
    return json.dumps(data, separators=(",", ":"), allow_nan=False).replace("</", "<\\/")


def _frame(decision: Decision, last: dict[int, int], max_candidates: int, tolerance: float) -> dict[str, Any]:
    found = decision.current
    assert found.ids is not None
    shapes = _shapes(decision.masks, tolerance) if decision.masks else [[] for _ in range(len(found))]
    candidates = _candidates(decision, max_candidates)
    objects = []
    rows = zip(
        decision.tracks.tolist(),
        (found.ids >= 0).tolist(),
        found.labels.tolist(),
        found.scores.tolist(),
        found.boxes.tolist(),
        decision.margins.tolist(),
        shapes,
        candidates,
        strict=True,
    )
    for track, shown, label, score, box, margin, shape, rivals in rows:
        before = last.get(track) if track >= 0 else None
        objects.append(
            [
                track,
                int(shown),
                label,
                round(score, 3),
                *(round(value) for value in box),
                round(margin, 3) if math.isfinite(margin) else None,
                before,
                shape if shown else [],
                rivals,
            ]
        )
    last |= {track: decision.frame for track in decision.tracks.tolist() if track >= 0}
    return {"frame": decision.frame, "time": round(decision.time, 3), "objects": objects}


def _candidates(decision: Decision, count: int) -> list[list[list[Any]]]:
    """Of each object: track, age, score, gain, whether it was chosen, and the object that the track went to."""
    best = decision.with_best_edges(count)
    assert best.previous.ids is not None
    row, column = best.edge_index
    gain = best.gains
    goes_to = {previous: current for current, previous in enumerate(best.partners.tolist()) if previous >= 0}
    found: list[list[list[Any]]] = [[] for _ in range(len(best.current))]
    order = gain.argsort(descending=True, stable=True)
    values = zip(
        row[order].tolist(),
        column[order].tolist(),
        best.scores.edges[order].tolist(),
        gain[order].tolist(),
        best.chosen[order].tolist(),
        strict=True,
    )
    ids, ages = best.previous.ids.tolist(), best.time_since_update.round().int().tolist()
    for previous, current, score, more, chosen in values:
        told = [ids[previous], ages[previous], round(score, 2), round(more, 2), int(chosen), goes_to.get(previous)]
        found[current].append(told)
    return found


def _shapes(masks: Iterable[Rle], tolerance: float) -> list[list[list[int]]]:
    """Outlines of each mask as x0, y0, x1, y1, …, to within so many pixels."""
    masks = list(masks)
    height, width = masks[0]["size"]
    outlines = []
    for mask in decode_rle(masks, (height, width)).numpy().astype(np.uint8):
        contours, _ = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
        simple = (cv2.approxPolyDP(contour, tolerance, closed=True) for contour in contours)
        outlines.append([contour.flatten().tolist() for contour in simple if len(contour) > 2])
    return outlines


def _encoded(
    pictures: Iterable[Frame] | None, wanted: list[int], size: tuple[int, int], width: int
) -> Iterator[str | None]:
    """A WebP for each decision, in base64; None where there is no picture."""
    stream = iter(pictures or ())
    frame = next(stream, None)
    for index in wanted:
        while frame is not None and frame.index < index:
            frame = next(stream, None)
        if frame is None and pictures is not None:
            raise ValueError(
                f"Expected a video with frame {index}, got one that ends before it: the video is another one"
            )
        if frame is None or frame.index > index:
            yield None
            continue
        if frame.size != tuple(size):
            raise ValueError(
                f"Expected pictures of {size[0]}×{size[1]} pixels (H×W) as were tracked, got "
                f"{frame.size[0]}×{frame.size[1]}: the video is another one"
            )
        yield _picture(frame.image, width)


def _picture(image: Tensor, width: int) -> str:
    height = max(1, round(image.shape[1] * width / image.shape[2]))
    small = image.cpu() if width == image.shape[2] else resize(image.cpu(), [height, width], antialias=True)
    written = io.BytesIO()
    Image.fromarray(small.permute(1, 2, 0).numpy()).save(written, "WEBP", quality=60, method=2)
    return base64.b64encode(written.getvalue()).decode("ascii")
