"""Association graph of a whole video in one file.

A zip archive. ``header.json`` says what was tracked and how, ``frames/NNNNNNNN.safetensors`` hold some frames each, and
``index.json``, written last, lists them with their checksums. Every part starts with the tracker's memory before its
first frame, so that a run can be resumed in its middle.
"""

import hashlib
import json
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import torch
from safetensors.torch import save
from torch import Tensor

from tltm_graph.association import Decision
from tltm_graph.explanation.saved_index import KIND as KIND
from tltm_graph.explanation.saved_index import VERSION as VERSION
from tltm_graph.explanation.saved_index import GraphHeader, GraphIndex, PartEntry, SavedState, part_name
from tltm_graph.explanation.saved_part import SavedPart, pack
from tltm_graph.io.output import mark_input, write_atomically
from tltm_graph.io.tensor_schema import load_tensors
from tltm_graph.io.text import check_file, parse_json
from tltm_graph.limits import check_size
from tltm_graph.printable import one_line
from tltm_graph.structures import Detections
from tltm_graph.tracking import Tracker, TrackerState
from tltm_graph.tracking.track_manager import TrackManagement

_DAMAGED = (OSError, EOFError, KeyError, zlib.error, zipfile.BadZipFile, NotImplementedError, RuntimeError, ValueError)
"""Errors of damaged, encrypted or unreadable archives."""

_REMEDY = "copy it again, or track the video again with --save-graph"


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
        self._header = GraphHeader(
            about={"tracker": repr(tracker), **(about or {})},
            class_names=tracker.detector.class_names,
            masks_on_demand=tracker.detector.masks_on_demand,
            new_track_threshold=tracker.detector.new_track_threshold,
            version=VERSION,
        )
        self._path = Path(path)
        self._stack = ExitStack()
        self._state = self._before = tracker.start()
        self._waiting: list[tuple[Decision, dict[str, Tensor]]] = []
        self._parts: list[PartEntry] = []

    def __enter__(self) -> Self:
        temporary = self._stack.enter_context(write_atomically(self._path))
        self._file = self._stack.enter_context(zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=1))
        self._header_sha256 = self._add("header.json", _encoded(self._header.to_json()))
        return self

    def _add(self, name: str, content: bytes) -> str:
        """Write a member of the archive; returns its checksum."""
        self._file.writestr(name, content)
        return hashlib.sha256(content).hexdigest()

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
        before = self._before
        # Some tensors of a memory share storage, which safetensors refuses.
        tensors = {f"memory.{key}": value.detach().cpu().clone() for key, value in before.memory.tensors().items()}
        tensors |= pack(decisions)
        for key in self._waiting[0][1]:
            tensors[f"current.{key}"] = torch.cat([more[key] for _, more in self._waiting])
        name = part_name(decisions[0].frame)
        sha256 = self._add(name, save({key: value.contiguous() for key, value in tensors.items()}))
        state = SavedState(before.frame, before.now, before.pace, before.time, before.memory.next_id)
        frames, terms = tuple(decision.frame for decision in decisions), tuple(decisions[0].scores.terms)
        self._parts.append(PartEntry(name, frames, terms, state, sha256))
        self._waiting = []

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._stack:  # if the index cannot be written, no file is left either
            if kind is None:
                self._flush()
                size = self._state.size
                scale = 1.0 if size is None else self._detector.scale(size)
                index = GraphIndex(size, scale, tuple(self._parts), self._header_sha256)
                self._add("index.json", _encoded(asdict(index)))
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
        mark_input(self.path)
        try:
            check_file(self.path, "an association graph")
        except FileNotFoundError as error:
            raise FileNotFoundError(
                f"Expected an association graph, found no file '{self.path}': tltm-graph track --save-graph writes one"
            ) from error
        self._check_members()
        header = GraphHeader.read(self._json("header.json"), self.path)
        self._index = GraphIndex.read(self._json("index.json"), header.version, self.path)
        self._check_hash("header.json", self._bytes("header.json"), self._index.header_sha256)
        self.about: Mapping[str, object] = header.about
        """Description of the run, in the words of the file."""
        self.class_names = header.class_names
        """Names of the classes, None if unknown."""
        self.size = self._index.size
        """Height and width of the frames in pixels, None if there are none."""
        self.scale = self._index.scale
        """Ratio of the detector's input size to the size of the frames."""
        self.masks_on_demand = header.masks_on_demand
        """True if the detector drew masks only for shown objects, so that the association did not see masks."""
        self.new_track_threshold = header.new_track_threshold
        """Minimum score that should start a track, None for the default of the tracker."""
        self._loaded: tuple[int, SavedPart] | None = None
        self._channels: int | None = None

    @cached_property
    def frames(self) -> tuple[int, ...]:
        """Indices of the frames, ascending."""
        return tuple(frame for part in self._index.parts for frame in part.frames)

    def __len__(self) -> int:
        return len(self.frames)

    def __iter__(self) -> Iterator[Decision]:
        return self.decisions()

    def decisions(self, after: int = -1, until: int | None = None) -> Iterator[Decision]:
        """Yield the decisions of the frames after ``after`` up to and including ``until``."""
        for number, part in enumerate(self._index.parts):
            for position, frame in enumerate(part.frames):
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
        for number, part in enumerate(self._index.parts):
            if part.frames[0] <= frame <= part.frames[-1] and frame in part.frames:
                return number, part.frames.index(frame)
        frames = self.frames
        available = f"one of {len(frames)} from {frames[0]} to {frames[-1]}" if frames else "none, it is empty"
        raise ValueError(f"Expected a frame of '{self.path}' ({available}), got {frame}")

    def _part(self, number: int) -> SavedPart:
        if self._loaded is None or self._loaded[0] != number:
            entry, size = self._index.parts[number], self.size
            assert size is not None
            content = self._bytes(entry.name)
            self._check_hash(entry.name, content, entry.sha256)
            where = f"'{entry.name}' of '{self.path}'"
            tensors = load_tensors(content, where)
            part = SavedPart(entry, tensors, size, self.class_names, self.masks_on_demand, where)
            if self._channels is not None and part.channels not in (None, self._channels):
                raise ValueError(
                    f"Expected 'current.embeddings' of {self._channels} channels in {where}, as in other parts, got "
                    f"{part.channels}: the file is damaged"
                )
            self._channels = self._channels or part.channels
            self._loaded = number, part
        return self._loaded[1]

    def _check_members(self) -> None:
        """Check the list of members of the archive, which is small next to what it may describe."""
        try:
            with zipfile.ZipFile(self.path) as file:
                members = file.infolist()
        except _DAMAGED as error:
            raise ValueError(self._damage("the list of its members", error)) from error
        names: set[str] = set()
        end = 0
        for member in sorted(members, key=lambda member: member.header_offset):
            where = f"'{one_line(member.filename[:80])}' of '{self.path}'"
            if member.filename in names or member.header_offset < end:
                raise ValueError(f"Expected each member once in {where}, got it twice or within another: {_REMEDY}")
            if member.flag_bits & 1 or member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise ValueError(f"Expected a plain or deflated member in {where}, got another kind: {_REMEDY}")
            check_size(member.file_size, where)
            names.add(member.filename)
            end = member.header_offset + member.compress_size

    def _check_hash(self, name: str, content: bytes, expected: str | None) -> None:
        if expected is not None and hashlib.sha256(content).hexdigest() != expected:
            raise ValueError(
                f"Expected the checksum of 'index.json' for '{name}' of '{self.path}', got another: it was damaged or "
                f"changed; {_REMEDY}"
            )

    def _json(self, name: str) -> Any:
        content = self._bytes(name)
        try:
            return parse_json(content.decode("utf-8"), f"{name} of {self.path}", "an association graph")
        except UnicodeDecodeError as error:
            raise ValueError(self._damage(f"'{name}'", error)) from error

    def _bytes(self, name: str) -> bytes:
        """Read a member. The archive reads no more than its declared size, which was checked."""
        try:
            with zipfile.ZipFile(self.path) as file:
                return file.read(name)
        except (*_DAMAGED, MemoryError) as error:
            raise ValueError(self._damage(f"'{name}'", error)) from error

    def _damage(self, what: str, error: BaseException) -> str:
        reason = one_line(str(error)) or type(error).__name__
        return (
            f"Expected an association graph in '{self.path}', got a truncated, damaged or different file: {reason} (in "
            f"{what}); {_REMEDY}"
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}('{self.path}', {len(self)} frames)"


def _encoded(values: dict[str, Any]) -> bytes:
    """Format as JSON. A path that is not UTF-8 has half characters, which JSON cannot hold."""
    try:
        return json.dumps(values, ensure_ascii=False, allow_nan=False).encode("utf-8", "replace")
    except ValueError as error:
        raise ValueError(f"Expected finite numbers in the description of a run, got: {error}") from error
