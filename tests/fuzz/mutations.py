"""Small changes of valid files."""

import gzip
import json
import random
import struct
import zipfile
import zlib
from io import BytesIO
from pathlib import Path
from typing import Any

from tltm_graph.io.output import LEDGER

_VALUES: tuple[Any, ...] = (
    None, True, -1, 0, 1, 3, 0.5, -0.0, 1e308, -1e308, 10**9, 2**31, 2**63, -(2**63), 10**30, float("nan"),
    float("inf"), "", "a", "..", "../x", "/etc/passwd", "=1+1", "\x00", "\ud800", "<!--<script>", "x" * 5000,
    [], {}, [[]], [1, 2, 3], [0] * 4, {"size": [2**30, 960], "counts": "0"}, {"size": [1, 1], "counts": [1]},
)  # fmt: skip
_WORDS = (
    "nan", "inf", "-1", "0", "1e400", "999999999", "9223372036854775808", "1.5", "", "a", "-", "..", "\x00", "é",
    "1" * 5000, "0x10", "=1+1", "true", '"', "'", "{", "[",
)  # fmt: skip


_DAMAGED = (
    zlib.error, struct.error, zipfile.BadZipFile, EOFError, OSError, ValueError, RuntimeError, KeyError, TypeError,
    IndexError, AttributeError,
)  # fmt: skip


def mutate(data: bytes, name: str, chance: random.Random) -> bytes:
    """Change a file by its kind, which its name tells."""
    if chance.random() < 0.25:
        return _bytes(data, chance)
    try:
        if name.endswith(".gz"):
            return gzip.compress(mutate(gzip.decompress(data), name.removesuffix(".gz"), chance))
        if name.endswith((".zip", ".npz")):
            return _zip(data, chance)
        if name.endswith(".safetensors"):
            return _safetensors(data, chance)
        if name.endswith(".json"):
            return _json(data, chance)
    except _DAMAGED:  # by the mutation before
        return _bytes(data, chance)
    if name.endswith((".txt", ".csv", ".ini", ".yaml", ".yml")):
        return _text(data, chance)
    return _bytes(data, chance)


def mutate_tree(path: Path, chance: random.Random) -> str:
    """Change one file, or the names of the files, of a folder in place; or the file. Returns a description."""
    files = sorted(file for file in path.rglob("*") if file.is_file() and file.name != LEDGER) or [path]
    file = chance.choice(files)
    where = file.relative_to(path) if path.is_dir() else file.name
    if path.is_dir() and chance.random() < 0.15:
        return f"{chance.choice((_remove, _rename, _link, _folder, _pipe))(file)} {where}"
    content = file.read_bytes()
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        content = mutate(content, file.name, chance)
    file.write_bytes(content)
    return f"changed {where}"


def _remove(file: Path) -> str:
    file.unlink()
    return "removed"


def _rename(file: Path) -> str:
    file.rename(file.with_name(f"x{file.name}"))
    return "renamed"


def _link(file: Path) -> str:
    file.unlink()
    file.symlink_to(file)
    return "a link to itself instead of"


def _folder(file: Path) -> str:
    file.unlink()
    file.mkdir()
    return "a folder instead of"


def _pipe(file: Path) -> str:
    import os

    file.unlink()
    os.mkfifo(file)
    return "a pipe instead of"


def _bytes(data: bytes, chance: random.Random) -> bytes:
    changed = bytearray(data)
    kind = chance.randrange(6)
    place = chance.randrange(len(data) + 1)
    if kind == 0:
        return bytes(changed[:place])
    if kind == 1:
        return bytes(changed + changed[place:])
    if kind == 2:
        return bytes(changed[:place] + chance.randbytes(chance.choice((1, 4, 300))) + changed[place:])
    if kind == 3:
        return chance.choice(
            (b"", b"\xef\xbb\xbf" + data, b"\xff\xfe" + data, b"\x00" * 64, b"\n\n", b"[", b"PK\x03\x04")
        )
    for _ in range(chance.choice((1, 2, 8))):
        if changed:
            changed[chance.randrange(len(changed))] = chance.randrange(256)
    return bytes(changed)


def _json(data: bytes, chance: random.Random) -> bytes:
    content = json.loads(data)
    if chance.random() < 0.03:
        return b"[" * 100_000
    content = change_json(content, chance)
    text = json.dumps(content)
    if chance.random() < 0.03:
        text = text.replace("0", "1" * 5000, 1)
    return text.encode()


def change_json(content: Any, chance: random.Random) -> Any:
    """Change one value of a JSON content: replace it, remove it, repeat it, or rename its key."""
    places: list[tuple[Any, Any]] = []

    def visit(node: Any) -> None:
        entries = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
        for key, value in entries:
            places.append((node, key))
            visit(value)

    visit(content)
    if not places or chance.random() < 0.02:
        return chance.choice(_VALUES)
    # Values near the root are few, and change most.
    node, key = places[min(int(chance.expovariate(3 / len(places))), len(places) - 1)]
    kind = chance.randrange(6)
    if kind == 0:
        del node[key]
    elif kind == 1 and isinstance(node, list):
        node.insert(key, node[key])
    elif kind == 2 and isinstance(node, dict):
        node[str(chance.choice(_VALUES))[:50]] = node.pop(key)
    elif kind == 3 and isinstance(node[key], int | float) and not isinstance(node[key], bool):
        node[key] = chance.choice((-node[key], node[key] + 1, node[key] * 1e6, str(node[key]), node[key] - 1))
    else:
        node[key] = chance.choice(_VALUES)
    return content


def _text(data: bytes, chance: random.Random) -> bytes:
    lines = data.decode(errors="replace").split("\n")
    place = chance.randrange(len(lines))
    kind = chance.randrange(5)
    if kind == 0:
        del lines[place]
    elif kind == 1:
        lines.insert(place, lines[place])
    elif kind == 2:
        lines.insert(place, chance.choice(_WORDS))
    else:
        mark = chance.choice([mark for mark in ",; =:\t" if mark in lines[place]] or [","])
        cells = lines[place].split(mark)
        cell = chance.randrange(len(cells))
        if kind == 3:
            cells[cell] = chance.choice(_WORDS)
        else:
            cells.insert(cell, chance.choice(_WORDS))
        lines[place] = mark.join(cells)
    return "\n".join(lines).encode(errors="replace")


def _zip(data: bytes, chance: random.Random) -> bytes:
    """Change a member of an archive and pack it again with a right checksum, or the list of its members."""
    with zipfile.ZipFile(BytesIO(data)) as archive:
        members = [(name, archive.read(name)) for name in archive.namelist()]
    if not members:
        return data
    place = chance.randrange(len(members))
    name, content = members[place]
    if chance.random() < 0.15:
        del members[place]
        if chance.random() < 0.5:
            members += [(chance.choice(("../x", "/x", name, f"{name}x")), content)]
    else:
        members[place] = name, mutate(content, name, chance)
    packed = BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return packed.getvalue()


def _safetensors(data: bytes, chance: random.Random) -> bytes:
    """Change the header, or numbers of a tensor."""
    (length,) = struct.unpack("<Q", data[:8])
    header, values = data[8 : 8 + length], bytearray(data[8 + length :])
    if chance.random() < 0.4 or not values:
        header = _json(header, chance)
        return struct.pack("<Q", len(header)) + header + values
    tensors: dict[str, Any] = {k: v for k, v in json.loads(header).items() if k != "__metadata__"}
    begin, end = tensors[chance.choice(sorted(tensors))]["data_offsets"]
    special = (
        struct.pack("<f", float("nan")),
        struct.pack("<f", 1e30),
        struct.pack("<q", -1),
        struct.pack("<q", 2**40),
    )
    for _ in range(chance.choice((1, 3))):
        pattern = chance.choice((*special, chance.randbytes(4), b"\x00" * 8))
        place = begin + chance.randrange(max(1, (end - begin) // len(pattern))) * len(pattern)
        values[place : place + len(pattern)] = pattern[: max(0, len(values) - place)]
    return data[: 8 + length] + values
