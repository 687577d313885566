import base64
import hashlib
import io
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image
from torch import Tensor
from torchvision.transforms.v2.functional import resize

from tltm_graph.association import Decision
from tltm_graph.io.output import write_atomically
from tltm_graph.ops.rle import Rle, decode_rle
from tltm_graph.structures import Frame
from tltm_graph.visualization.drawing import PALETTE

_TEMPLATE = "viewer.html"
_MAX_NAME = 200  # characters
_MAX_CANDIDATES = 5  # tracks shown for each object, those with the largest gain


@dataclass(frozen=True)
class ViewerNotes:
    """Notes on single objects in the viewer.

    Args:
        explanations: Texts by frame and row of the object.
        mistakes: Cause (edge, solver, memory or detector) and description of each wrong decision, by frame and row of
            the object. None without ground truth.
        command: Shell command that explains an object, without ``--frame`` and ``--object``. None for the Python
            function.
    """

    explanations: Mapping[tuple[int, int], str] = field(default_factory=dict)
    mistakes: Mapping[tuple[int, int], tuple[str, str]] | None = None
    command: str | None = None


def write_viewer(
    path: str | Path,
    decisions: Iterable[Decision],
    pictures: Iterable[Frame] | None,
    size: tuple[int, int],
    class_names: tuple[str, ...] | None = None,
    fps: float | None = None,
    title: str = "Association graph",
    width: int = 640,
    notes: ViewerNotes | None = None,
) -> None:
    """Write the decisions of a tracker as one HTML page, which any browser opens without a network.

    The page shows the video with masks, a timeline of all tracks and, for each object, its candidate tracks with their
    scores and the margin of the decision. ``graph.html#frame=18&object=3`` opens it at this object.

    Args:
        path: Path of the HTML file.
        decisions: Decisions in the order of frames.
        pictures: Frames of the video; only those with the index of a decision are used. None for no pictures.
        size: Height and width of the frames in pixels.
        class_names: Names of the classes.
        fps: Playback speed in frames per second; None for 30.
        title: Title of the page.
        width: Maximum width of the pictures in pixels, which determines most of the file size.
        notes: Explanations and mistakes of single objects; None for none.

    Raises:
        ValueError: If there are no decisions, a number is out of range, or the pictures have another size or end before
            the decisions.
    """
    notes = notes or ViewerNotes()
    if width < 1:
        raise ValueError(f"Expected a width of at least 1 pixel, got {width}")
    if fps is not None and not (math.isfinite(fps) and fps > 0):
        raise ValueError(f"Expected a finite number of frames per second above 0, got {fps}: None stands for 30")
    width = min(width, size[1])
    frames, indices = [], []
    last: dict[int, int] = {}  # track -> frame of its last observation
    for decision in decisions:
        frames.append(_frame(decision, last, size[1] / width))
        indices.append(decision.frame)
    if not frames:
        raise ValueError("Expected at least one decision to show, got none")
    data = {
        "title": _shortened(title),
        "size": size,
        "fps": fps or 30.0,
        "names": None if class_names is None else [_shortened(name) for name in class_names],
        "palette": PALETTE,
        "frames": frames,
        "command": notes.command,
        "explanations": _by_name(notes.explanations),
        "mistakes": None if notes.mistakes is None else _by_name(notes.mistakes),
    }
    before, middle, after = re.split(r"/\*DATA\*/|<!--PICTURES-->\n", _page())
    with write_atomically(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.write(before + _in_script(data) + middle)  # the pictures come last: the page works while they load
        for number, picture in enumerate(_encoded(pictures, indices, size, width)):
            if picture is not None:
                file.write(f'<script type="text/plain" id="picture-{number}">{picture}</script>\n')
        file.write(after)


def _shortened(text: str) -> str:
    """Cut a name that would fill the page."""
    return text if len(text) <= _MAX_NAME else f"{text[: _MAX_NAME - 1]}…"


def _by_name(values: Mapping[tuple[int, int], Any]) -> dict[str, Any]:
    """Replace the keys (frame, row) by strings, as JSON requires."""
    return {f"{frame}:{row}": value for (frame, row), value in values.items()}


def _in_script(data: Any) -> str:
    """Format as JSON in a script element. Texts cannot end or change the element, whatever they contain."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False, ensure_ascii=False)
    text = text.encode("utf-8", "replace").decode("utf-8")  # half a character cannot be written
    return text.translate({ord(one): f"\\u{ord(one):04x}" for one in "<>&"})


def _page() -> str:
    """Read the template, and allow its own script and style by their hashes, and nothing else."""
    page = files("tltm_graph.visualization").joinpath(_TEMPLATE).read_text("utf-8")
    for element in ("script", "style"):
        (content,) = re.findall(rf"<{element}>(.*?)</{element}>", page, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode("utf-8")).digest()).decode("ascii")
        page = page.replace(f"'sha256-{element}'", f"'sha256-{digest}'")
    return page


def _frame(decision: Decision, last: dict[int, int], tolerance: float) -> dict[str, Any]:
    current = decision.current
    assert current.ids is not None
    shapes = _shapes(decision.masks, tolerance) if decision.masks else [[] for _ in range(len(current))]
    objects = []
    rows = zip(
        decision.tracks.tolist(),
        (current.ids >= 0).tolist(),
        current.labels.tolist(),
        current.scores.tolist(),
        current.boxes.tolist(),
        decision.margins.tolist(),
        shapes,
        _candidates(decision, _MAX_CANDIDATES),
        strict=True,
    )
    for track, shown, label, score, box, margin, shape, candidates in rows:
        objects.append(
            [
                track,
                int(shown),
                label,
                round(score, 3),
                *(round(value) for value in box),
                round(margin, 3) if math.isfinite(margin) else None,
                last.get(track) if track >= 0 else None,
                shape if shown else [],
                candidates,
            ]
        )
    last |= {track: decision.frame for track in decision.tracks.tolist() if track >= 0}
    return {"frame": decision.frame, "time": round(decision.time, 3), "objects": objects}


def _candidates(decision: Decision, count: int) -> list[list[list[Any]]]:
    """List for each object: track, time since update, score, gain, 1 if matched, object matched with the track."""
    best = decision.with_best_edges(count)
    assert best.previous.ids is not None
    row, column = best.edge_index
    gain = best.gains
    matched_object = {previous: current for current, previous in enumerate(best.partners.tolist()) if previous >= 0}
    candidates: list[list[list[Any]]] = [[] for _ in range(len(best.current))]
    order = gain.argsort(descending=True, stable=True)
    values = zip(
        row[order].tolist(),
        column[order].tolist(),
        best.scores.edges[order].tolist(),
        gain[order].tolist(),
        best.chosen[order].tolist(),
        strict=True,
    )
    ids, times = best.previous.ids.tolist(), best.time_since_update.round().int().tolist()
    for previous, current, score, edge_gain, chosen in values:
        candidates[current].append(
            [
                ids[previous],
                times[previous],
                round(score, 2),
                round(edge_gain, 2),
                int(chosen),
                matched_object.get(previous),
            ]
        )
    return candidates


def _shapes(masks: Iterable[Rle], tolerance: float) -> list[list[list[int]]]:
    """Convert masks to polygons (x0, y0, x1, y1, …), with an error of at most ``tolerance`` pixels."""
    masks = list(masks)
    height, width = masks[0]["size"]
    outlines = []
    for mask in decode_rle(masks, (height, width)).numpy().astype(np.uint8):
        contours, _ = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
        simple = (cv2.approxPolyDP(contour, tolerance, closed=True) for contour in contours)
        outlines.append([contour.flatten().tolist() for contour in simple if len(contour) > 2])
    return outlines


def _encoded(
    pictures: Iterable[Frame] | None, indices: list[int], size: tuple[int, int], width: int
) -> Iterator[str | None]:
    """Encode the frame of each index as WebP in base64; yields None for a missing frame."""
    stream = iter(pictures or ())
    frame = next(stream, None)
    for index in indices:
        while frame is not None and frame.index < index:
            frame = next(stream, None)
        if frame is None and pictures is not None:
            raise ValueError(
                f"Expected a video with frame {index}, got one that ends before it: pass the video that was tracked"
            )
        if frame is None or frame.index > index:
            yield None
            continue
        if frame.size != tuple(size):
            raise ValueError(
                f"Expected pictures of {size[0]}×{size[1]} pixels (H×W), got {frame.size[0]}×{frame.size[1]}: "
                "pass the video that was tracked"
            )
        yield _picture(frame.image, width)


def _picture(image: Tensor, width: int) -> str:
    height = max(1, round(image.shape[1] * width / image.shape[2]))
    small = image.cpu() if width == image.shape[2] else resize(image.cpu(), [height, width], antialias=True)
    webp = io.BytesIO()
    Image.fromarray(small.permute(1, 2, 0).numpy()).save(webp, "WEBP", quality=60, method=2)
    return base64.b64encode(webp.getvalue()).decode("ascii")
