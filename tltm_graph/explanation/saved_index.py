"""Header and index of a saved graph, and their schemas."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Self

from tltm_graph.io.json_schema import (
    choice,
    class_names_field,
    field,
    flag,
    integer,
    json_object,
    list_of,
    number,
    optional,
    text,
)
from tltm_graph.limits import check_length, check_pixels

KIND, VERSION = "tltm_graph association graph", 3
_READABLE = (2, 3)  # version 2 has no checksums
_MAX_ID = 2**31 - 1  # ids are stored in 32 bits
_HASH = text(64, 64)


@dataclass(frozen=True)
class GraphHeader:
    """Description of a run.

    Args:
        about: Further description, anything that JSON can hold.
        class_names: Names of the classes, None if unknown.
        masks_on_demand: True if the detector drew masks only for shown objects.
        new_track_threshold: Minimum score that should start a track, None for the default of the tracker.
        version: Version of the file.
    """

    about: dict[str, Any]
    class_names: tuple[str, ...] | None
    masks_on_demand: bool
    new_track_threshold: float | None
    version: int

    @classmethod
    def read(cls, values: Any, path: object) -> Self:
        """Check the content of ``header.json``; a ValueError if it is not that of a readable graph."""
        where = f"'header.json' of '{path}'"
        if not isinstance(values, dict) or values.get("kind") != KIND:
            raise ValueError(f"Expected an association graph in '{path}', got another archive")
        version = field(values, "version", integer(1), where)
        if version not in _READABLE:
            remedy = (
                "of a newer tltm-graph: pip install --upgrade tltm-graph"
                if version > VERSION
                else "of an older tltm-graph: track the video again with --save-graph"
            )
            raise ValueError(f"Expected an association graph of version {VERSION} in '{path}', got {version}, {remedy}")
        return cls(
            about=field(values, "about", json_object(), where),
            class_names=class_names_field(values, where),
            masks_on_demand=field(values, "masks_on_demand", flag(), where),
            new_track_threshold=_float(field(values, "new_track_threshold", optional(number()), where, None)),
            version=version,
        )

    def to_json(self) -> dict[str, Any]:
        """Convert to plain data; :meth:`read` is the inverse."""
        return {
            "kind": KIND,
            "version": VERSION,
            "class_names": self.class_names,
            "masks_on_demand": self.masks_on_demand,
            "new_track_threshold": self.new_track_threshold,
            "about": self.about,
        }


@dataclass(frozen=True)
class SavedState:
    """State of a tracker before a part, apart from its memory: see :class:`tltm_graph.tracking.TrackerState`."""

    frame: int
    now: float
    pace: float | None
    time: float
    next_id: int


@dataclass(frozen=True)
class PartEntry:
    """Entry of a part in the index.

    Args:
        name: Name of the part in the archive.
        frames: Indices of its frames, ascending.
        terms: Names of the summands of its edge scores.
        state: State of the tracker before it.
        sha256: Checksum of its content; None in files of version 2.
    """

    name: str
    frames: tuple[int, ...]
    terms: tuple[str, ...]
    state: SavedState
    sha256: str | None

    @classmethod
    def read(cls, values: Any, before: int, hashed: bool, where: str) -> Self:
        """Check an entry of the index.

        Args:
            values: Entry, as parsed.
            before: Last frame of the part before it, -1 for the first.
            hashed: True if there must be a checksum.
            where: Origin of the entry, for error messages.
        """
        frames = field(values, "frames", list_of(integer(), min_length=1), where)
        if any(later <= frame for frame, later in pairwise([before, *frames])):
            raise ValueError(f"Expected ascending 'frames' after {before} in {where}: the file is damaged")
        check_length(frames[-1] + 1, where)
        name = part_name(frames[0])
        field(values, "name", choice((name,)), where)
        terms = field(values, "terms", list_of(text(1000, 1), max_length=1000), where)
        if len(set(terms)) < len(terms):
            raise ValueError(f"Expected different names as 'terms' in {where}, got one twice: the file is damaged")
        state, of = field(values, "state", json_object(), where), f"'state' of {where}"
        return cls(
            name,
            tuple(frames),
            tuple(terms),
            SavedState(
                frame=field(state, "frame", integer(before, before), of),
                now=float(field(state, "now", number(-1, 1e12), of)),
                pace=_float(field(state, "pace", optional(number(1e-9, 1e9)), of)),
                time=float(field(state, "time", number(-1e12, 1e12), of)),
                next_id=field(state, "next_id", integer(1, _MAX_ID), of),
            ),
            field(values, "sha256", _HASH, where) if hashed else None,
        )


@dataclass(frozen=True)
class GraphIndex:
    """List of the parts of a saved graph.

    Args:
        size: Height and width of the frames in pixels, None if there are none.
        scale: Ratio of the detector's input size to the size of the frames.
        parts: Entries of the parts, in the order of frames.
        header_sha256: Checksum of the header; None in files of version 2.
    """

    size: tuple[int, int] | None
    scale: float
    parts: tuple[PartEntry, ...]
    header_sha256: str | None

    @classmethod
    def read(cls, values: Any, version: int, path: object) -> Self:
        """Check the content of ``index.json``; a ValueError if it is not as expected."""
        where, hashed = f"'index.json' of '{path}'", version > 2
        size = field(values, "size", optional(list_of(integer(), 2, 2)), where)
        if size is not None:
            check_pixels(size[0], size[1], f"the frames of '{path}'")
        parts: list[PartEntry] = []
        for number_, entry in enumerate(field(values, "parts", list_of(json_object()), where)):
            before = parts[-1].frames[-1] if parts else -1
            parts.append(PartEntry.read(entry, before, hashed, f"part {number_} in {where}"))
        if parts and size is None:
            raise ValueError(f"Expected the 'size' of the frames in {where}, got null: the file is damaged")
        return cls(
            None if size is None else (size[0], size[1]),
            float(field(values, "scale", number(1e-6, 1e6), where)),
            tuple(parts),
            field(values, "header_sha256", _HASH, where) if hashed else None,
        )


def part_name(first_frame: int) -> str:
    """Name of the part that begins with a frame."""
    return f"frames/{first_frame:08d}.safetensors"


def _float(value: float | None) -> float | None:
    return None if value is None else float(value)
