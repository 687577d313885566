import configparser
import math
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from tltm_graph.data.video import Video
from tltm_graph.io import natural_order, read_text

Number = TypeVar("Number", int, float)


def find_sequences(path: str | Path) -> list[tuple[Video, Path | None]]:
    """The videos of a path laid out as MOTChallenge does, each with its file of tracks, None for a test sequence.

    Args:
        path: A sequence (a folder with ``gt/gt.txt``, ``seqinfo.ini`` or both, and ``img1`` where the images are at
            hand), a folder of sequences, a text file, or a folder of text files. Each of the text files may be packed
            (``.txt.gz``). A video is called like its folder or its text file, whatever its ``seqinfo.ini`` says,
            because that is the name that results go by. Only a ``seqinfo.ini`` tells the length in advance.

    Raises:
        FileNotFoundError: If there is nothing of the kind.
        ValueError: If a ``seqinfo.ini`` is damaged, or says another number of images than there are.
    """
    path = Path(path)
    found: list[tuple[Video, Path | None]]
    if path.is_file() and path.parent.name == "gt" and _stem(path) == "gt":
        path = path.parent.parent
    if path.is_file():
        found = [(Video(_stem(path)), path)] if _stem(path) != path.name else []
    elif _is_sequence(path):
        found = [_sequence(path)]
    else:
        found = [_sequence(folder) for folder in sorted(path.glob("*/")) if _is_sequence(folder)]
        if not found:
            texts = (file for file in sorted(path.glob("*")) if _stem(file) != file.name and file.name[0] != ".")
            found = [(Video(_stem(file)), file) for file in texts]
    if not found:
        raise FileNotFoundError(
            f"Expected a sequence (gt/gt.txt, seqinfo.ini), a folder of sequences, or text files of tracks (.txt, "
            f".txt.gz) at '{path}', found none"
        )
    return [(replace(video, id=number), file) for number, (video, file) in enumerate(found, start=1)]


def _stem(file: Path) -> str:
    return file.name.removesuffix(".gz").removesuffix(".txt") if file.name.endswith((".txt", ".txt.gz")) else file.name


def _truth_file(folder: Path) -> Path | None:
    files = (folder / "gt" / name for name in ("gt.txt", "gt.txt.gz"))
    return next((file for file in files if file.is_file()), None)


def _is_sequence(folder: Path) -> bool:
    return (folder / "seqinfo.ini").is_file() or _truth_file(folder) is not None


def _sequence(folder: Path) -> tuple[Video, Path | None]:
    file = folder / "seqinfo.ini"
    info: dict[str, str] = {}
    if file.is_file():
        parser = configparser.ConfigParser(interpolation=None)
        try:
            parser.read_string(read_text(file, "what is known of a sequence"))
            info = dict(parser["Sequence"])
        except (configparser.Error, KeyError) as error:
            raise ValueError(f"Expected lines 'key=value' under [Sequence] in '{file}', got {error}") from error
    length = _value(info, "seqLength", file, int, 0)
    width, height = _value(info, "imWidth", file, int, 1), _value(info, "imHeight", file, int, 1)
    images = None
    if (folder / info.get("imdir", "img1")).is_dir():
        found = (folder / info.get("imdir", "img1")).glob("*" + info.get("imext", ".jpg"))
        images = tuple(sorted(found, key=lambda path: natural_order(path.stem)))
        if len(images) != (len(images) if length is None else length):
            raise ValueError(
                f"Expected {length} images in '{folder}', as 'seqinfo.ini' says, got {len(images)}: unpack all, or "
                "remove their folder to work without"
            )
        length = len(images)
    video = Video(
        name=folder.resolve().name,
        num_frames=length,
        size=None if width is None or height is None else (height, width),
        images=images,
        fps=_value(info, "frameRate", file, float, 1e-3),
    )
    return video, _truth_file(folder)


def _value(info: dict[str, str], key: str, file: Path, kind: type[Number], least: float) -> Number | None:
    text = info.get(key.lower())  # the parser does not mind upper case
    if text is None:
        return None
    try:
        value = kind(text)
    except ValueError:
        value = kind(-1)
    if not least <= value < math.inf:
        raise ValueError(f"Expected '{key}' as a number of at least {least} in '{file}', got '{text}'")
    return value
