"""Parts of a saved graph: the decisions of some frames as tensors, their schema, and their restoration."""

from collections.abc import Iterable, Sequence
from typing import Literal

import torch
from torch import Tensor

from tltm_graph.association import Assignment, Decision, EdgeScores
from tltm_graph.explanation.saved_index import PartEntry
from tltm_graph.io.tensor_schema import (
    LARGEST_BOX,
    TensorField,
    boxes_field,
    canonical,
    check_boxes,
    check_counts,
    check_labels,
    check_packed_masks,
    check_tensors,
    check_unique,
    packed_mask_fields,
)
from tltm_graph.ops.rle import Rle, check_rles, decode_rle, rles_from_tensors, rles_to_tensors
from tltm_graph.structures import Detections
from tltm_graph.tracking import TrackerState
from tltm_graph.tracking.track_manager import TrackManagement

_FIELDS = ("boxes", "scores", "labels", "ids")
_MAX_ID = 2**31 - 1
_MAX_LABEL = 10**6  # of a class without a name

_COUNTS = {
    "time": TensorField("float", ("frames",), -1e12, 1e12),
    **{f"count.{side}": TensorField("int", ("frames",), 0, 1e9) for side in ("previous", "current", "edge")},
}


def _objects(side: str, rows: str, lowest_id: int) -> dict[str, TensorField]:
    return {
        f"{side}.boxes": boxes_field(rows),
        f"{side}.scores": TensorField("float", (rows,), -LARGEST_BOX, LARGEST_BOX),
        f"{side}.labels": TensorField("int", (rows,), 0, _MAX_LABEL),
        f"{side}.ids": TensorField("int", (rows,), lowest_id, _MAX_ID),
    }


_DECISIONS = {
    **_objects("previous", "tracks", 0),
    "previous.time_since_update": TensorField("float", ("tracks",), 0, 1e9),
    "previous.miss": TensorField("float", ("tracks",)),
    "previous.missed": TensorField("bool", ("tracks",)),
    **_objects("current", "objects", -1),
    "current.birth": TensorField("float", ("objects",)),
    "current.born": TensorField("bool", ("objects",)),
    "current.partner": TensorField("int", ("objects",), -1, _MAX_ID),
    "current.track": TensorField("int", ("objects",), -1, _MAX_ID),
    "current.margin": TensorField("float", ("objects",), high=float("inf")),  # infinite without an alternative
    "current.object": TensorField("float", ("objects",), optional=True),
    "current.embeddings": TensorField("float", ("objects", "channels"), optional=True),
    "current.drawn": boxes_field("objects", optional=True),
    "edge.index": TensorField("int", ("edges", 2), 0, _MAX_ID),
    "edge.score": TensorField("float", ("edges",)),
    "edge.terms": TensorField("float", ("edges", "terms"), optional=True),
    **packed_mask_fields("objects"),
}
_KEPT = {  # tracks of both kinds of memory
    "memory.boxes": boxes_field("rows", optional=True),  # of the published one, and of older files
    "memory.scores": TensorField("float", ("rows",), -LARGEST_BOX, LARGEST_BOX),
    "memory.labels": TensorField("int", ("rows",), 0, _MAX_LABEL),
    "memory.embeddings": TensorField("float", ("rows", "channels"), optional=True),
}


def _memory_fields(names: Iterable[str], now: float, next_id: int) -> dict[str, TensorField] | None:
    """Schema of the memory of a track manager of this package; None for one of other code."""
    names, latest = set(names), now + 1 + 1e-6 * abs(now)  # times of tracks are rounded to single precision
    if "memory.hits" in names:  # PublishedMemory
        return {
            **_KEPT,
            "memory.hits": TensorField("int", ("rows",), -_MAX_ID, _MAX_ID),
            "memory.updated": TensorField("float", ("rows",), -1, latest),
        }
    if "memory.confirmed" in names:  # Memory
        place = TensorField("float", ("rows", 3, 4), -LARGEST_BOX, LARGEST_BOX)
        return {
            **_KEPT,
            "memory.ids": TensorField("int", ("rows",), 0, next_id - 1),
            "memory.confirmed": TensorField("bool", ("rows",)),
            "memory.mean_embeddings": TensorField("float", ("rows", "channels"), optional=True),
            "memory.evidence": TensorField("float", ("rows",), -100, 100, optional=True),  # older files have none
            "memory.certainty": TensorField("float", ("rows",), 0, 1, optional=True),
            "memory.curve.seen": TensorField("float", ("seen",), optional=True),
            "memory.curve.births": TensorField("float", ("births", 2), 0, 1, optional=True),
            "memory.curve.pending": TensorField("float", ("pending", 4), optional=True),
            "memory.motion.places": place,
            "memory.motion.velocities": TensorField("float", ("rows", 3, 2), -LARGEST_BOX, LARGEST_BOX),
            "memory.motion.growths": TensorField("float", ("rows", 2), -100, 100),
            "memory.motion.observations": TensorField("float", ("rows", 3), 0, 1e9),
            "memory.motion.noise": TensorField("float", ("rows", 2), 0, LARGEST_BOX),
            "memory.motion.last": TensorField("float", ("rows", 4), -LARGEST_BOX, LARGEST_BOX),
            "memory.motion.score": TensorField("float", ("rows",), -LARGEST_BOX, LARGEST_BOX),
            "memory.motion.time": TensorField("float", ("rows",), -1, latest),
        }
    return None


def pack(decisions: Sequence[Decision]) -> dict[str, Tensor]:
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


class SavedPart:
    """Some consecutive frames, and the tracker's memory before them.

    Args:
        about: Entry of the index.
        tensors: Content of the part.
        size: Height and width of the frames in pixels.
        class_names: Names of the classes, None if unknown.
        masks_on_demand: True if the detector drew masks only for shown objects.
        where: Origin of the part, for error messages.

    Raises:
        ValueError: If the tensors are not those of such a part. The message names the first wrong one.
    """

    def __init__(
        self,
        about: PartEntry,
        tensors: dict[str, Tensor],
        size: tuple[int, int],
        class_names: Sequence[str] | None,
        masks_on_demand: bool,
        where: str,
    ) -> None:
        self.about, self.tensors, self._where = about, tensors, where
        self._check_fields()
        self.tensors = tensors = canonical(tensors)
        self._frames = {side: _starts(tensors[f"count.{side}"]) for side in ("previous", "current", "edge")}
        self._check_rows(class_names)
        self._rles = self._check_masks(size)
        if masks_on_demand != ("current.drawn" in tensors):
            raise ValueError(
                f"Expected 'current.drawn' in {where} if masks are drawn on demand and only then, got another file: it "
                "is damaged"
            )

    def _check_fields(self) -> None:
        tensors, where, state = self.tensors, self._where, self.about.state
        memory = {name: value for name, value in tensors.items() if name.startswith("memory.")}
        others = {name: value for name, value in tensors.items() if name not in memory}
        sizes = {"frames": len(self.about.frames), "terms": len(self.about.terms)}
        check_tensors(others, _COUNTS | _DECISIONS, sizes, where)
        for side, rows in (("previous", "tracks"), ("current", "objects"), ("edge", "edges")):
            check_counts(tensors[f"count.{side}"], sizes[rows], f"'count.{side}' in {where}")
        fields = _memory_fields(memory, state.now, state.next_id)
        if fields is None:  # of a track manager of other code
            fields = {name: TensorField(_kind(value), tuple(value.shape)) for name, value in memory.items()}
        check_tensors(memory, fields, {name: sizes[name] for name in ("channels",) if name in sizes}, where)
        for name in ("previous.boxes", "current.boxes", "current.drawn", "memory.boxes"):
            if name in tensors and tensors[name].ndim == 2:
                check_boxes(tensors[name], f"'{name}' in {where}")
        if "memory.confirmed" in memory:
            ids = memory["memory.ids"]
            check_unique(torch.zeros_like(ids, dtype=torch.int64), ids, f"'memory.ids' in {where}")

    def _check_rows(self, class_names: Sequence[str] | None) -> None:
        """Check what relates rows to each other: labels, ids, edges and matches."""
        tensors, where = self.tensors, self._where
        frame_of, counts = {}, {}
        for side in ("previous", "current", "edge"):
            counts[side] = tensors[f"count.{side}"].long()
            frame_of[side] = torch.arange(len(counts[side])).repeat_interleave(counts[side])
        for side in ("previous", "current"):
            check_labels(tensors[f"{side}.labels"], class_names, f"'{side}.labels' in {where}")
            check_unique(frame_of[side], tensors[f"{side}.ids"], f"'{side}.ids' in a frame of {where}")
        check_unique(frame_of["current"], tensors["current.track"], f"'current.track' in a frame of {where}")
        partner, row, column = tensors["current.partner"], *tensors["edge.index"].long().unbind(dim=1)
        for name, rows, most in (
            ("current.partner", partner, counts["previous"][frame_of["current"]]),
            ("edge.index", row, counts["previous"][frame_of["edge"]]),
            ("edge.index", column, counts["current"][frame_of["edge"]]),
        ):
            if (rows >= most).any():
                raise ValueError(
                    f"Expected rows of the same frame for '{name}' in {where}, got {int(rows[rows >= most][0])} of "
                    f"{int(most[rows >= most][0])}: the file is damaged"
                )
        check_unique(frame_of["current"], partner, f"'current.partner' in a frame of {where}")
        start = torch.tensor(self._frames["current"][:-1])
        check_unique(start[frame_of["edge"]] + column, row, f"'edge.index' in a frame of {where}")
        matched = partner >= 0
        first = torch.tensor(self._frames["previous"][:-1])[frame_of["current"][matched]]
        rows_matched = first + partner[matched]
        unmatched = torch.ones(len(tensors["previous.missed"]), dtype=torch.bool)
        unmatched[rows_matched] = False
        edges = (start[frame_of["edge"]] + column) * 2**31 + row
        matches = matched.nonzero().flatten() * 2**31 + partner[matched]
        tracks = tensors["current.track"][matched]
        own = _memory_fields(tensors, 0, 1) is not None  # track managers of other code may give other ids
        for name, expected, wrong in (
            ("current.born", "false for matched objects", matched & tensors["current.born"]),
            ("previous.missed", "true for tracks without a match alone", unmatched != tensors["previous.missed"]),
            ("current.partner", "an edge for each match", ~torch.isin(matches, edges)),
            (
                "current.track",
                "the track of the match",
                own & (tracks >= 0) & (tracks != tensors["previous.ids"][rows_matched]),
            ),
        ):
            if wrong.any():
                raise ValueError(
                    f"Expected {expected} in '{name}' of {where}, got another value in {int(wrong.sum())} rows: the "
                    "file is damaged"
                )

    def _check_masks(self, size: tuple[int, int]) -> list[Rle] | None:
        check_packed_masks(self.tensors, self._where)
        if "mask.text" not in self.tensors:
            return None
        packed = {name: self.tensors[f"mask.{name}"] for name in ("length", "text", "size")}
        if len(packed["length"]) and tuple(packed["size"].tolist()) != size:
            raise ValueError(
                f"Expected masks of {size} pixels (H, W) for 'mask.size' in {self._where}, got "
                f"{tuple(packed['size'].tolist())}: the file is damaged"
            )
        rles = rles_from_tensors(packed)
        check_rles(rles, size, lambda row: f"row {row} of 'mask.text' in {self._where}")
        return rles

    @property
    def channels(self) -> int | None:
        """Number of channels of the embeddings, None without embeddings."""
        embeddings = self.tensors.get("current.embeddings")
        return None if embeddings is None else embeddings.shape[1]

    def decision(self, position: int) -> Decision:
        partner = self._rows("current", "partner", position)
        matched = (partner >= 0).nonzero().flatten()
        terms = {}
        if "edge.terms" in self.tensors:
            values = self._rows("edge", "terms", position)
            terms = {name: values[:, column] for column, name in enumerate(self.about.terms)}
        score = self._rows("edge", "score", position)
        has_objects = "current.object" in self.tensors
        return Decision(
            frame=self.about.frames[position],
            time=float(self.tensors["time"][position]),
            previous=self._detections("previous", position),
            current=self._detections("current", position),
            time_since_update=self._rows("previous", "time_since_update", position),
            edge_index=self._rows("edge", "index", position).long().T,
            scores=EdgeScores(
                edges=score,
                births=self._rows("current", "birth", position),
                misses=self._rows("previous", "miss", position),
                terms=terms or dict.fromkeys(self.about.terms, score),
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
        saved = self.about.state
        tensors = {
            key.removeprefix("memory."): value for key, value in self.tensors.items() if key.startswith("memory.")
        }
        try:
            memory = track_manager.restore(tensors, saved.next_id)
        except KeyError as error:
            raise ValueError(
                f"Expected the memory of a {type(track_manager).__name__} in {self._where}, got one without {error}: "
                "name the solver and the track manager of the run"
            ) from error
        return TrackerState(
            memory,
            frame=saved.frame,
            size=size if saved.frame >= 0 else None,
            now=saved.now,
            pace=saved.pace,
            time=saved.time,
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


def _kind(tensor: Tensor) -> Literal["float", "int", "bool", "byte"]:
    if tensor.dtype == torch.uint8:
        return "byte"
    return "bool" if tensor.dtype == torch.bool else "float" if tensor.is_floating_point() else "int"


def _flags(rows: Tensor, count: int) -> Tensor:
    flags = torch.zeros(count, dtype=torch.bool)
    flags[rows] = True
    return flags
