"""Recognise the format of a file or folder by its content."""

import json
import re
from pathlib import Path
from typing import Any

from tltm_graph.io.images import open_image
from tltm_graph.io.text import read_text

_OTHER_TEXTS = ("classes.txt", "LICENSE.txt", "README.txt")
"""Text files without tracks."""

_PNG_MODES = {"P": "davis", "1": "davis", "L": "label_maps"} | dict.fromkeys(("I", "I;16", "I;16B"), "mots_png")
"""Format of label maps by the mode of the image; images with colours are none."""


def recognise(path: Path) -> str | None:
    """Return the name of the format of an existing file or folder, None if it fits none."""
    return _folder_format(path) if path.is_dir() else _file_format(path)


def _folder_format(folder: Path) -> str | None:
    if (folder / "tracks.json").is_file() or any(folder.glob("*/tracks.json")):
        return "runs"
    if any((folder / name).is_dir() for name in ("Annotations", "Annotations_unsupervised")):
        return "davis"
    for pattern in ("gt/gt.txt*", "*/gt/gt.txt*", "*.txt", "*.txt.gz"):
        files = [file for file in sorted(folder.glob(pattern)) if file.name not in _OTHER_TEXTS]
        if files:
            formats = {_text_format(file) for file in files if read_text(file, "tracks").strip()}
            if formats == {"mots", "kitti_mots"}:
                return "kitti_mots"  # not every file has objects in frame 0
            return next(iter(formats), "mot") if len(formats) < 2 else None
    if (folder / "labels").is_dir():
        return "yolo"
    if any(folder.glob("*segmentation*.csv")):
        return "open_images"
    for pattern in ("*.png", "*/*.png"):
        file = min(folder.glob(pattern), default=None)
        if file is not None:
            with open_image(file, "a label map") as image:
                return _PNG_MODES.get(image.mode)
    file = min([*folder.glob("*.json"), *folder.glob("*.json.gz")], default=None)
    # BDD100K has a file for each video; the other JSON formats are a single file.
    return "bdd100k" if file is not None and _file_format(file) == "bdd100k" else None


def _file_format(file: Path) -> str | None:
    name = file.name.lower().removesuffix(".gz")
    if name.endswith(".zip"):
        return "youtube_vis_results"
    if name.endswith(".csv"):
        return "csv"
    if name.endswith(".txt"):
        return _text_format(file)
    if name.endswith(".json"):
        return "runs" if name == "tracks.json" and (file.parent / "run.json").is_file() else _json_format(file)
    return None


def _text_format(file: Path) -> str | None:
    text = read_text(file, "tracks")
    line = text.lstrip().partition("\n")[0]
    if len(line.split()) == 6 and "," not in line:
        return "kitti_mots" if re.search(r"^0 ", text, flags=re.MULTILINE) else "mots"  # KITTI counts frames from 0
    return "mot" if "," in line or not line else None


def _json_format(file: Path) -> str | None:
    text = read_text(file, "annotations or results")
    start = text.lstrip()[:1]
    if start == "[":
        return _list_format(text)
    if start == "{":  # keys at the start or the end of the file: parsing all of it would be slow
        keys = set(re.findall(r'"(videos|images|frames|frame_name|annotations|file_names)"\s*:', text[: 1 << 22]))
        keys |= set(re.findall(r'"(videos|images|frames)"\s*:', text[-(1 << 22) :]))
        if "videos" in keys:
            return "tltm" if "frame_name" in keys else "youtube_vis"
        return "coco" if "images" in keys else "bdd100k" if "frames" in keys else None
    return None


def _list_format(text: str) -> str | None:
    begin = len(text) - len(text.lstrip()[1:].lstrip())  # of the first entry
    if text.startswith("]", begin):
        return "youtube_vis_results"  # an empty list looks the same in every format of results
    try:
        first: Any = json.JSONDecoder().raw_decode(text, begin)[0]
    except (ValueError, RecursionError):  # ValueError: damaged, or a number with thousands of digits
        return None
    if not isinstance(first, dict):
        return None
    if "image_id" in first:
        return "coco_results"
    if "video_id" in first:
        return "youtube_vis_results"
    return "bdd100k" if "labels" in first or "videoName" in first else None
