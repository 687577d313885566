"""The association graph of a whole video in one file.

A zip archive: ``header.json`` says what was tracked and how, ``frames/NNNNNNNN.safetensors`` hold some frames each, and
``index.json``, written last, says which. Every part begins with what the tracker remembered before its first frame, so
that a run can be taken up again in its middle.
"""

import json
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import fields
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from tltm_graph.association import Assignment, Decision, EdgeScores, margins
from tltm_graph.detectors import Segmenter
from tltm_graph.graph import TRANSITION
from tltm_graph.io import write_atomically
from tltm_graph.ops.rle import Rle, decode_rle, encode_rle
from tltm_graph.structures import Detections
from tltm_graph.tracking.memory import Memory
from tltm_graph.tracking.motion import Motion
from tltm_graph.tracking.tracker import Tracker, TrackerState

KIND, VERSION = "tltm_graph association graph", 1

_BOOKKEEPING = ("ids", "hits", "confirmed", "misses", "last_seen")
_SEEN = ("boxes", "scores", "labels")


def decision_of(state: TrackerState, detections: Detections) -> Decision:
    """What the step that led to ``state`` and gave ``detections`` decided, on the CPU.

    Raises:
        ValueError: If there was no step yet.
    """
    transition = state.transition
    if transition is None or detections.ids is None:
        raise ValueError("Expected the state and the detections of a step, got a state before the first frame")
    graph, scores, assignment = transition.graph, transition.scores, transition.assignment
    sizes = len(transition.previous_tracks), len(detections)
    before, after = (
        Detections(nodes.boxes, nodes.scores, nodes.labels, ids=ids.to(nodes.boxes.device)).to("cpu")
        for nodes, ids in ((graph["previous"], transition.previous_tracks), (graph["current"], detections.ids))
    )
    edge_index = graph[TRANSITION].edge_index.cpu()
    kept = EdgeScores(
        scores.edges.detach().cpu(),
        scores.births.detach().cpu(),
        scores.misses.detach().cpu(),
        {name: term.detach().cpu() for name, term in scores.terms.items()},
        None if scores.objects is None else scores.objects.detach().cpu(),
    )
    return Decision(
        frame=state.frame,
        time=state.time,
        previous=before,
        age=graph["previous"].age.cpu(),
        current=after,
        edge_index=edge_index,
        scores=kept,
        assignment=assignment,
        tracks=transition.current_tracks.cpu(),
        margins=margins(edge_index, kept, sizes, assignment),
        masks=None if detections.masks is None else encode_rle(detections.masks),
    )


class GraphWriter:
    """Writes every decision of a tracker to a file, frame by frame; memory does not grow.

    >>> with GraphWriter("graph.zip", tracker) as writer:
    ...     for frame in frames:
    ...         state, detections = tracker.step(state, frame)
    ...         writer.write(state, detections)

    The file appears when it is complete. If the ``with`` block fails, nothing half-written is left.

    Args:
        path: Where to.
        tracker: Whose decisions they are.
        about: What else is to be told of the run, for :attr:`SavedGraph.about`: anything that JSON can hold.
        max_edges: So many transitions of each object are kept, those that gain most; and the chosen ones.
        frames_each: So many frames go into one part of the file.
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
        detector = tracker.detector
        self._draws_last: bool = getattr(detector, "draws_last", isinstance(detector, Segmenter))
        self._header = {
            "kind": KIND,
            "version": VERSION,
            "class_names": tracker.detector.class_names,
            "draws_last": self._draws_last,
            "about": {"tracker": repr(tracker), **(about or {})},
        }
        self._path = Path(path)
        self._stack = ExitStack()
        self._state = TrackerState(Memory.empty())
        self._before = self._state
        self._waiting: list[tuple[Decision, dict[str, Tensor]]] = []
        self._index: list[dict[str, Any]] = []

    def __enter__(self) -> Self:
        temporary = self._stack.enter_context(write_atomically(self._path))
        self._file = self._stack.enter_context(zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=1))
        self._file.writestr("header.json", json.dumps(self._header))
        return self

    def write(self, state: TrackerState, detections: Detections) -> None:
        """Takes in the step that led to ``state`` and gave ``detections``."""
        decision = decision_of(state, detections).with_best_edges(self.max_edges)
        assert state.transition is not None
        nodes, more = state.transition.graph["current"], {}
        if "x" in nodes:
            more["x"] = nodes.x.cpu()
        if self._draws_last:
            more["drawn"] = detections.boxes.cpu()
        self._waiting.append((decision, more))
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
        tensors, before = _packed_state(self._before), self._before
        tensors |= _packed(decisions)
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
        with self._stack:  # if the end cannot be written, nothing is left either
            if kind is None:
                self._flush()
                size = None if self._state.size is None else list(self._state.size)
                self._file.writestr("index.json", json.dumps({"size": size, "parts": self._index}))
            self._stack.__exit__(kind, error, trace)


class SavedGraph:
    """The decisions of a tracker over a video, as :class:`GraphWriter` wrote them. Frames are read when asked for.

    >>> graph = SavedGraph("graph.zip")
    >>> for decision in graph: ...
    >>> graph[12].graph()   # HeteroData
    >>> association_graph(graph)  # networkx

    Args:
        path: The file, or the folder that ``graph.zip`` is in.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If it is another file, was cut off, or is of a newer version.
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
                f"Expected an association graph of version {VERSION} at most in '{path}', got version "
                f"{header['version']}: it was written by a newer tltm-graph; pip install --upgrade tltm-graph"
            )
        self.about: dict[str, Any] = header["about"]
        """What was told of the run."""
        names = header["class_names"]
        self.class_names: tuple[str, ...] | None = None if names is None else tuple(names)
        """Names of the classes."""
        self.size: tuple[int, int] | None = None if index["size"] is None else (index["size"][0], index["size"][1])
        """Height and width of the frames, None if there are none."""
        self._parts: list[dict[str, Any]] = index["parts"]
        self.draws_last: bool = header["draws_last"]
        """Whether masks were drawn last, for objects that were shown: then association did not see them."""
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
        """The decisions of the frames after ``after``, up to ``until``."""
        for number, part in enumerate(self._parts):
            for position, frame in enumerate(part["frames"]):
                if frame > after and (until is None or frame <= until):
                    yield self._part(number).decision(position)

    def __getitem__(self, frame: int) -> Decision:
        """The decision of the frame with this index; a ValueError if there is none."""
        number, position = self._place(frame)
        return self._part(number).decision(position)

    def found(self, frame: int) -> Detections:
        """The objects of a frame as the tracker got them: without ids, with the relation model's nodes as features."""
        number, position = self._place(frame)
        return self._part(number).found(position, with_masks=not self.draws_last)

    def drawn(self, frame: int) -> Detections:
        """The objects of a frame as they were shown, masks included; an empty one where none was drawn."""
        number, position = self._place(frame)
        return self._part(number).drawn(position)

    def state_before(self, frame: int) -> TrackerState:
        """What the tracker knew some frames before ``frame``: a state to go on from. Its ``frame`` says after which."""
        number, _ = self._place(frame)
        return self._part(number).state(self.size)

    def _place(self, frame: int) -> tuple[int, int]:
        for number, part in enumerate(self._parts):
            if part["frames"][0] <= frame <= part["frames"][-1] and frame in part["frames"]:
                return number, part["frames"].index(frame)
        frames = self.frames
        known = f"one of {len(frames)} from {frames[0]} to {frames[-1]}" if frames else "none, it is empty"
        raise ValueError(f"Expected a frame that is in '{self.path}' ({known}), got {frame}")

    def _part(self, number: int) -> "_Part":
        if self._loaded is None or self._loaded[0] != number:
            about = self._parts[number]
            try:
                tensors = load(self._bytes(about["name"]))
            except SafetensorError as error:
                raise ValueError(f"Expected frames in '{about['name']}' of '{self.path}', got: {error}") from error
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
                f"Expected an association graph in '{self.path}', got a file that was cut off, damaged, or is another: "
                f"{error}. Track the video again with --save-graph"
            ) from error

    def __repr__(self) -> str:
        return f"{type(self).__name__}('{self.path}', {len(self)} frames)"


class _Part:
    """Some frames in a row, and what was known before them."""

    def __init__(self, about: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        self.about, self.tensors = about, tensors
        self._frames = {side: _starts(tensors[f"count.{side}"]) for side in ("previous", "current", "edge")}
        self._text = _starts(tensors["mask.length"]) if "mask.length" in tensors else []
        self._letters = tensors["mask.text"].numpy().tobytes() if "mask.text" in tensors else b""

    def decision(self, position: int) -> Decision:
        previous, current = self._detections("previous", position), self._detections("current", position)
        partner = self._rows("current", "partner", position)
        matched = (partner >= 0).nonzero().flatten()
        terms = {}
        if "edge.terms" in self.tensors:
            values = self._rows("edge", "terms", position)
            terms = {name: values[:, column] for column, name in enumerate(self.about["terms"])}
        score = self._rows("edge", "score", position)
        judged = "current.object" in self.tensors
        return Decision(
            frame=self.about["frames"][position],
            time=float(self.tensors["time"][position]),
            previous=previous,
            age=self._rows("previous", "age", position).long(),
            current=current,
            edge_index=self._rows("edge", "index", position).long().T,
            scores=EdgeScores(
                edges=score,
                births=self._rows("current", "birth", position),
                misses=self._rows("previous", "miss", position),
                terms=terms or dict.fromkeys(self.about["terms"], score),
                objects=self._rows("current", "object", position) if judged else None,
            ),
            assignment=Assignment(
                partner[matched].long(),
                matched,
                self._rows("current", "born", position).nonzero().flatten(),
                self._rows("previous", "missed", position).nonzero().flatten(),
            ),
            tracks=self._rows("current", "track", position).long(),
            margins=self._rows("current", "margin", position),
            masks=self._masks(position),
        )

    def found(self, position: int, with_masks: bool) -> Detections:
        features = self._rows("current", "x", position) if "current.x" in self.tensors else None
        seen = self._detections("current", position).replace(ids=None, features=features)
        masks = self._masks(position) if with_masks else None
        return seen if masks is None else seen.replace(masks=self._decoded(masks))

    def drawn(self, position: int) -> Detections:
        shown, masks = self._detections("current", position), self._masks(position)
        if "current.drawn" in self.tensors:
            shown = shown.replace(boxes=self._rows("current", "drawn", position))
        return shown if masks is None else shown.replace(masks=self._decoded(masks))

    def _decoded(self, masks: Sequence[Rle]) -> Tensor:
        height, width = self.tensors["mask.size"].tolist()
        return decode_rle(masks, (height, width))

    def state(self, size: tuple[int, int] | None) -> TrackerState:
        told, tensors = self.about["state"], self.tensors
        memory = Memory(
            **{name: tensors[f"memory.{name}"] for name in _BOOKKEEPING},
            motion=Motion(*(tensors[f"motion.{field.name}"] for field in fields(Motion))),
            detections=Detections(
                tensors["known.boxes"],
                tensors["known.scores"],
                tensors["known.labels"],
                features=tensors.get("known.x"),
            ),
            next_id=told["next_id"],
            looks=tensors.get("known.looks", tensors.get("known.x")),  # files of before do not have them
        )
        known = size if told["frame"] >= 0 else None
        return TrackerState(memory, None, told["frame"], known, told["now"], told["pace"], told["time"])

    def _rows(self, side: str, name: str, position: int) -> Tensor:
        starts = self._frames[side]
        return self.tensors[f"{side}.{name}"][starts[position] : starts[position + 1]]

    def _detections(self, side: str, position: int) -> Detections:
        values = (self._rows(side, name, position) for name in (*_SEEN, "ids"))
        boxes, scores, labels, ids = values
        return Detections(boxes, scores, labels.long(), ids=ids.long())

    def _masks(self, position: int) -> list[Rle] | None:
        if not self._text:
            return None
        size = self.tensors["mask.size"].tolist()
        starts = self._frames["current"]
        return [
            {"size": size, "counts": self._letters[self._text[row] : self._text[row + 1]].decode("ascii")}
            for row in range(starts[position], starts[position + 1])
        ]


def _starts(counts: Tensor) -> list[int]:
    return [0, *counts.cumsum(dim=0).tolist()]


def _packed_state(state: TrackerState) -> dict[str, Tensor]:
    memory = state.memory
    tensors = {f"memory.{name}": getattr(memory, name) for name in _BOOKKEEPING}
    tensors |= {f"motion.{field.name}": getattr(memory.motion, field.name) for field in fields(Motion)}
    tensors |= {f"known.{name}": getattr(memory.detections, name) for name in _SEEN}
    if memory.detections.features is not None:
        tensors["known.x"] = memory.detections.features
    if memory.looks is not None:
        tensors["known.looks"] = memory.looks
    return {name: value.detach().cpu().clone() for name, value in tensors.items()}  # some share their numbers


def _packed(decisions: Sequence[Decision]) -> dict[str, Tensor]:
    """All frames of a part, field by field, one after the other."""
    tensors = {
        "time": torch.tensor([decision.time for decision in decisions], dtype=torch.float64),
        "count.previous": torch.tensor([len(decision.previous) for decision in decisions]),
        "count.current": torch.tensor([len(decision.current) for decision in decisions]),
        "count.edge": torch.tensor([decision.edge_index.shape[1] for decision in decisions]),
    }
    for side, found in (("previous", [d.previous for d in decisions]), ("current", [d.current for d in decisions])):
        for name in (*_SEEN, "ids"):
            values = torch.cat([getattr(part, name) for part in found])
            tensors[f"{side}.{name}"] = values if values.is_floating_point() else values.int()
    joined: dict[str, Iterable[Tensor]] = {
        "previous.age": (decision.age.int() for decision in decisions),
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
        text = "".join(mask["counts"] for mask in masks).encode("ascii")
        tensors["mask.length"] = torch.tensor([len(mask["counts"]) for mask in masks], dtype=torch.int64)
        tensors["mask.text"] = torch.frombuffer(bytearray(text or b"\0"), dtype=torch.uint8)
        tensors["mask.size"] = torch.tensor(masks[0]["size"] if masks else [1, 1])
    return tensors


def _flags(rows: Tensor, count: int) -> Tensor:
    flags = torch.zeros(count, dtype=torch.bool)
    flags[rows] = True
    return flags
