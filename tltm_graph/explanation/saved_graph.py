"""Association graph of a whole video in one file.

A zip archive. ``header.json`` says what was tracked and how, ``frames/NNNNNNNN.safetensors`` hold some frames each, and
``index.json``, written last, lists them. Every part starts with the tracker's memory before its first frame, so that a
run can be resumed in its middle.
"""

import json
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from tltm_graph.association import Assignment, Decision, EdgeScores
from tltm_graph.io.output import write_atomically
from tltm_graph.ops.rle import Rle, decode_rle, rles_from_tensors, rles_to_tensors
from tltm_graph.structures import Detections
from tltm_graph.tracking import Tracker, TrackerState
from tltm_graph.tracking.track_manager import TrackManagement

KIND, VERSION = "tltm_graph association graph", 2

_FIELDS = ("boxes", "scores", "labels", "ids")


class GraphWriter:
    """Writer of every decision of a tracker, frame by frame, in constant memory.

    >>> with GraphWriter("graph.zip", tracker) as writer:
    ...     for frame in frames:
    ...         state, detections = tracker.step(state, frame)
    ...         writer.write(state)

    The file appears when it is complete. If the ``with`` block fails, no file is left.

    Args:
        path: Path of the file to write.
        tracker: Tracker whose decisions are written.
        about: Further description of the run, for :attr:`SavedGraph.about`: anything that JSON can hold.
        max_edges: Number of edges kept for each detection, those of highest gain; chosen edges are always kept.
        frames_each: Number of frames in each part of the file.
    """

    def __init__(
        self,
        path: str | Path,
        tracker: Tracker,
        about: Mapping[str, Any] | None = None,
        max_edges: int = 8,
        frames_each: int = 64,
    ) -> None:
        self.max_edges, self.frames_each = max_edges, frames_each
        self._detector = tracker.detector
        self._header = {
            "kind": KIND,
            "version": VERSION,
            "class_names": tracker.detector.class_names,
            "masks_on_demand": tracker.detector.masks_on_demand,
            "new_track_threshold": tracker.detector.new_track_threshold,
            "about": {"tracker": repr(tracker), **(about or {})},
        }
        self._path = Path(path)
        self._stack = ExitStack()
        self._state = self._before = tracker.start()
        self._waiting: list[tuple[Decision, dict[str, Tensor]]] = []
        self._index: list[dict[str, Any]] = []

    def __enter__(self) -> Self:
        temporary = self._stack.enter_context(write_atomically(self._path))
        self._file = self._stack.enter_context(zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=1))
        self._file.writestr("header.json", json.dumps(self._header))
        return self

    def write(self, state: TrackerState) -> None:
        """Add the step that led to ``state``.

        Raises:
            ValueError: If the state is that before the first frame.
        """
        decision = state.decision
        if decision is None or decision.output is None:
            raise ValueError("Expected the state after a step, got the state before the first frame")
        more = {}
        if decision.current.embeddings is not None:
            more["embeddings"] = decision.current.embeddings.cpu()
        if self._detector.masks_on_demand:
            more["drawn"] = decision.output.boxes.cpu()
        self._waiting.append((decision.compact().with_best_edges(self.max_edges), more))
        if len(self._waiting) == 1:
            self._before = self._state
        self._state = state
        if len(self._waiting) == self.frames_each:
            self._flush()

    def _flush(self) -> None:
        if not self._waiting:
            return
        decisions = [decision for decision, _ in self._waiting]
        name = f"frames/{decisions[0].frame:08d}.safetensors"
        before = self._before
        # Some tensors of a memory share storage, which safetensors refuses.
        tensors = {f"memory.{key}": value.detach().cpu().clone() for key, value in before.memory.tensors().items()}
        tensors |= _pack(decisions)
        for key in self._waiting[0][1]:
            tensors[f"current.{key}"] = torch.cat([more[key] for _, more in self._waiting])
        self._file.writestr(name, save({key: value.contiguous() for key, value in tensors.items()}))
        state = {"frame": before.frame, "now": before.now, "pace": before.pace, "time": before.time}
        self._index.append(
            {
                "name": name,
                "frames": [decision.frame for decision in decisions],
                "terms": list(decisions[0].scores.terms),
                "state": state | {"next_id": before.memory.next_id},
            }
        )
        self._waiting = []

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._stack:  # if the index cannot be written, no file is left either
            if kind is None:
                self._flush()
                size = self._state.size
                index = {
                    "size": None if size is None else list(size),
                    "scale": 1.0 if size is None else self._detector.scale(size),
                    "parts": self._index,
                }
                self._file.writestr("index.json", json.dumps(index))
            self._stack.__exit__(kind, error, trace)


class SavedGraph:
    """Decisions of a tracker over a video, read from the file of a :class:`GraphWriter`. Frames are read on demand.

    >>> graph = SavedGraph("graph.zip")
    >>> for decision in graph: ...
    >>> graph[12].to_graph()   # HeteroData
    >>> association_graph(graph)  # networkx

    Args:
        path: The file, or the folder that contains ``graph.zip``.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is another kind of file, truncated, or of another version.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path) / "graph.zip" if Path(path).is_dir() else Path(path)
        if not self.path.is_file():
            raise FileNotFoundError(
                f"Expected an association graph, found no file '{self.path}': tltm-graph track --save-graph writes one"
            )
        header, index = self._json("header.json"), self._json("index.json")
        if header.get("kind") != KIND:
            raise ValueError(f"Expected an association graph in '{path}', got another archive")
        if header["version"] > VERSION:
            raise ValueError(
                f"Expected an association graph of version {VERSION} in '{path}', got version {header['version']} of a "
                "newer tltm-graph: pip install --upgrade tltm-graph"
            )
        if header["version"] < VERSION:
            raise ValueError(
                f"Expected an association graph of version {VERSION} in '{path}', got version {header['version']}, "
                "written by an older tltm-graph: track the video again with --save-graph"
            )
        self.about: dict[str, Any] = header["about"]
        """Description of the run."""
        names = header["class_names"]
        self.class_names: tuple[str, ...] | None = None if names is None else tuple(names)
        """Names of the classes, None if unknown."""
        self.size: tuple[int, int] | None = None if index["size"] is None else (index["size"][0], index["size"][1])
        """Height and width of the frames in pixels, None if there are none."""
        self.scale: float = index["scale"]
        """Ratio of the detector's input size to the size of the frames."""
        self._parts: list[dict[str, Any]] = index["parts"]
        self.masks_on_demand: bool = header["masks_on_demand"]
        """True if the detector drew masks only for shown objects, so that the association did not see masks."""
        self.new_track_threshold: float | None = header.get("new_track_threshold")
        """Minimum score that should start a track, None for the default of the tracker."""
        self._loaded: tuple[int, _Part] | None = None

    @cached_property
    def frames(self) -> tuple[int, ...]:
        """Indices of the frames, ascending."""
        return tuple(frame for part in self._parts for frame in part["frames"])

    def __len__(self) -> int:
        return len(self.frames)

    def __iter__(self) -> Iterator[Decision]:
        return self.decisions()

    def decisions(self, after: int = -1, until: int | None = None) -> Iterator[Decision]:
        """Yield the decisions of the frames after ``after`` up to and including ``until``."""
        for number, part in enumerate(self._parts):
            for position, frame in enumerate(part["frames"]):
                if frame > after and (until is None or frame <= until):
                    yield self._part(number).decision(position)

    def __getitem__(self, frame: int) -> Decision:
        """Read the decision of one frame; a ValueError if there is no such frame."""
        number, position = self._place(frame)
        return self._part(number).decision(position)

    def detections(self, frame: int) -> Detections:
        """Read the detections of a frame as the tracker got them: without ids, with embeddings."""
        number, position = self._place(frame)
        return self._part(number).detections(position, with_masks=not self.masks_on_demand)

    def drawn(self, frame: int) -> Detections:
        """Read the detections of a frame as they were shown, masks included; an undrawn mask is empty."""
        number, position = self._place(frame)
        return self._part(number).drawn(position)

    def state_before(self, frame: int, track_manager: TrackManagement) -> TrackerState:
        """Restore the last saved state before ``frame``; its ``frame`` says after which frame it was saved."""
        number, _ = self._place(frame)
        return self._part(number).state(self.size, track_manager)

    def _place(self, frame: int) -> tuple[int, int]:
        for number, part in enumerate(self._parts):
            if part["frames"][0] <= frame <= part["frames"][-1] and frame in part["frames"]:
                return number, part["frames"].index(frame)
        frames = self.frames
        available = f"one of {len(frames)} from {frames[0]} to {frames[-1]}" if frames else "none, it is empty"
        raise ValueError(f"Expected a frame of '{self.path}' ({available}), got {frame}")

    def _part(self, number: int) -> "_Part":
        if self._loaded is None or self._loaded[0] != number:
            about = self._parts[number]
            try:
                tensors = load(self._bytes(about["name"]))
            except SafetensorError as error:
                raise ValueError(
                    f"Expected frames in '{about['name']}' of '{self.path}', got: {error}. Track the video again with "
                    "--save-graph"
                ) from error
            self._loaded = number, _Part(about, tensors)
        return self._loaded[1]

    def _json(self, name: str) -> Any:
        content = self._bytes(name)
        try:
            return json.loads(content)
        except ValueError as error:
            raise ValueError(f"Expected an association graph in '{self.path}', got another file: {error}") from error

    def _bytes(self, name: str) -> bytes:
        try:
            with zipfile.ZipFile(self.path) as file:
                return file.read(name)
        except (zipfile.BadZipFile, KeyError, EOFError) as error:
            raise ValueError(
                f"Expected an association graph in '{self.path}', got a truncated, damaged or different file: {error}. "
                "Track the video again with --save-graph"
            ) from error

    def __repr__(self) -> str:
        return f"{type(self).__name__}('{self.path}', {len(self)} frames)"


class _Part:
    """Some consecutive frames, and the tracker's memory before them."""

    def __init__(self, about: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        self.about, self.tensors = about, tensors
        self._frames = {side: _starts(tensors[f"count.{side}"]) for side in ("previous", "current", "edge")}
        packed = {name: tensors[f"mask.{name}"] for name in ("length", "text", "size") if f"mask.{name}" in tensors}
        self._rles = rles_from_tensors(packed) if packed else None

    def decision(self, position: int) -> Decision:
        partner = self._rows("current", "partner", position)
        matched = (partner >= 0).nonzero().flatten()
        terms = {}
        if "edge.terms" in self.tensors:
            values = self._rows("edge", "terms", position)
            terms = {name: values[:, column] for column, name in enumerate(self.about["terms"])}
        score = self._rows("edge", "score", position)
        has_objects = "current.object" in self.tensors
        return Decision(
            frame=self.about["frames"][position],
            time=float(self.tensors["time"][position]),
            previous=self._detections("previous", position),
            current=self._detections("current", position),
            time_since_update=self._rows("previous", "time_since_update", position),
            edge_index=self._rows("edge", "index", position).long().T,
            scores=EdgeScores(
                edges=score,
                births=self._rows("current", "birth", position),
                misses=self._rows("previous", "miss", position),
                terms=terms or dict.fromkeys(self.about["terms"], score),
                objects=self._rows("current", "object", position) if has_objects else None,
            ),
            assignment=Assignment(
                partner[matched].long(),
                matched,
                self._rows("current", "born", position).nonzero().flatten(),
                self._rows("previous", "missed", position).nonzero().flatten(),
            ),
            tracks=self._rows("current", "track", position).long(),
            stored_margins=self._rows("current", "margin", position),
            stored_masks=self._masks(position),
        )

    def detections(self, position: int, with_masks: bool) -> Detections:
        embeddings = self._rows("current", "embeddings", position) if "current.embeddings" in self.tensors else None
        plain = self._detections("current", position).replace(ids=None, embeddings=embeddings)
        masks = self._masks(position) if with_masks else None
        return plain if masks is None else plain.replace(masks=self._decode(masks))

    def drawn(self, position: int) -> Detections:
        shown, masks = self._detections("current", position), self._masks(position)
        if "current.drawn" in self.tensors:
            shown = shown.replace(boxes=self._rows("current", "drawn", position))
        return shown if masks is None else shown.replace(masks=self._decode(masks))

    def state(self, size: tuple[int, int] | None, track_manager: TrackManagement) -> TrackerState:
        saved = self.about["state"]
        tensors = {
            key.removeprefix("memory."): value for key, value in self.tensors.items() if key.startswith("memory.")
        }
        return TrackerState(
            track_manager.restore(tensors, saved["next_id"]),
            frame=saved["frame"],
            size=size if saved["frame"] >= 0 else None,
            now=saved["now"],
            pace=saved["pace"],
            time=saved["time"],
        )

    def _decode(self, masks: Sequence[Rle]) -> Tensor:
        height, width = self.tensors["mask.size"].tolist()
        return decode_rle(masks, (height, width))

    def _rows(self, side: str, name: str, position: int) -> Tensor:
        starts = self._frames[side]
        return self.tensors[f"{side}.{name}"][starts[position] : starts[position + 1]]

    def _detections(self, side: str, position: int) -> Detections:
        boxes, scores, labels, ids = (self._rows(side, name, position) for name in _FIELDS)
        return Detections(boxes, scores, labels.long(), ids=ids.long())

    def _masks(self, position: int) -> list[Rle] | None:
        starts = self._frames["current"]
        return None if self._rles is None else self._rles[starts[position] : starts[position + 1]]


def _starts(counts: Tensor) -> list[int]:
    return [0, *counts.cumsum(dim=0).tolist()]


def _pack(decisions: Sequence[Decision]) -> dict[str, Tensor]:
    """Concatenate the frames of a part, field by field."""
    tensors = {
        "time": torch.tensor([decision.time for decision in decisions], dtype=torch.float64),
        "count.previous": torch.tensor([len(decision.previous) for decision in decisions]),
        "count.current": torch.tensor([len(decision.current) for decision in decisions]),
        "count.edge": torch.tensor([decision.edge_index.shape[1] for decision in decisions]),
    }
    for side, parts in (("previous", [d.previous for d in decisions]), ("current", [d.current for d in decisions])):
        for name in _FIELDS:
            values = torch.cat([getattr(part, name) for part in parts])
            tensors[f"{side}.{name}"] = values if values.is_floating_point() else values.int()
    joined: dict[str, Iterable[Tensor]] = {
        "previous.time_since_update": (decision.time_since_update.float() for decision in decisions),
        "previous.miss": (decision.scores.misses for decision in decisions),
        "previous.missed": (_flags(d.assignment.misses, len(d.previous)) for d in decisions),
        "current.birth": (decision.scores.births for decision in decisions),
        "current.born": (_flags(d.assignment.births, len(d.current)) for d in decisions),
        "current.partner": (decision.partners.int() for decision in decisions),
        "current.track": (decision.tracks.int() for decision in decisions),
        "current.margin": (decision.margins.float() for decision in decisions),
        "edge.index": (decision.edge_index.T.int() for decision in decisions),
        "edge.score": (decision.scores.edges for decision in decisions),
    }
    if all(decision.scores.objects is not None for decision in decisions):
        joined["current.object"] = (d.scores.objects for d in decisions if d.scores.objects is not None)
    if len(decisions[0].scores.terms) > 1:
        joined["edge.terms"] = (torch.stack(list(d.scores.terms.values()), dim=1) for d in decisions)
    tensors |= {name: torch.cat(list(parts)) for name, parts in joined.items()}
    if all(decision.masks is not None for decision in decisions):
        masks = [mask for decision in decisions for mask in decision.masks or ()]
        tensors |= {f"mask.{name}": value for name, value in rles_to_tensors(masks).items()}
    return tensors


def _flags(rows: Tensor, count: int) -> Tensor:
    flags = torch.zeros(count, dtype=torch.bool)
    flags[rows] = True
    return flags
