"""Class names of public data sets, and maps from one data set to another."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from importlib.resources import files
from pathlib import Path

from tltm_graph.formats.video import Video, VideoSet
from tltm_graph.io.text import read_json, shown
from tltm_graph.structures import Track, Tracks

YOUTUBE_VIS_2019 = (
    "person", "giant_panda", "lizard", "parrot", "skateboard", "sedan", "ape", "dog", "snake", "monkey", "hand",
    "rabbit", "duck", "cat", "cow", "fish", "train", "horse", "turtle", "bear", "motorbike", "giraffe", "leopard",
    "fox", "deer", "owl", "surfboard", "airplane", "truck", "zebra", "tiger", "elephant", "snowboard", "boat", "shark",
    "mouse", "frog", "eagle", "earless_seal", "tennis_racket",
)  # fmt: skip

COCO = (
    "person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat", "traffic light",
    "fire hydrant", "stop sign", "parking meter", "bench", "bird", "cat", "dog", "horse", "sheep", "cow", "elephant",
    "bear", "zebra", "giraffe", "backpack", "umbrella", "handbag", "tie", "suitcase", "frisbee", "skis", "snowboard",
    "sports ball", "kite", "baseball bat", "baseball glove", "skateboard", "surfboard", "tennis racket", "bottle",
    "wine glass", "cup", "fork", "knife", "spoon", "bowl", "banana", "apple", "sandwich", "orange", "broccoli",
    "carrot", "hot dog", "pizza", "donut", "cake", "chair", "couch", "potted plant", "bed", "dining table", "toilet",
    "tv", "laptop", "mouse", "remote", "keyboard", "cell phone", "microwave", "oven", "toaster", "sink",
    "refrigerator", "book", "clock", "vase", "scissors", "teddy bear", "hair drier", "toothbrush",
)  # fmt: skip

_FOLDER = files("tltm_graph.formats") / "tables"


def class_map_names() -> list[str]:
    """Names of the class maps in the package."""
    return sorted(path.name.removesuffix(".json") for path in _FOLDER.iterdir() if path.name.endswith(".json"))


def read_class_map(name: str | Path) -> dict[str, str]:
    """Read a map from the class names of one data set to those of another.

    ``coco_to_youtube_vis_2019`` has the 19 classes that both data sets have. ``open_images_to_youtube_vis_2019`` maps
    60 boxable classes of Open Images to 39 of the 40 YouTube-VIS classes: the class itself, kinds of it (a taxi is a
    sedan, a canoe a boat), and a few similar ones that help in training (mule for horse, falcon for eagle, racket for
    tennis racket). Open Images has no ape. ``coco_to_mot``, ``coco_to_mots`` and ``coco_to_bdd100k`` serve to score the
    tracks of a COCO detector on these data sets.

    Args:
        name: One of :func:`class_map_names`, or a JSON file ``{"classes": {"from": "to", …}}``.

    Raises:
        ValueError: If the file has another form, or there is no map of that name.
    """
    if isinstance(name, str) and name in class_map_names():
        content = json.loads((_FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    elif Path(name).is_file():
        content = read_json(name, "a class map")
    else:
        raise ValueError(f"Expected a class map of {class_map_names()} or a JSON file, got '{name}'")
    table = content.get("classes") if isinstance(content, dict) else None
    if not isinstance(table, dict) or not all(isinstance(value, str) for value in table.values()):
        raise ValueError(f'Expected {{"classes": {{"from": "to"}}}} in the class map \'{name}\', got {shown(content)}')
    return dict(table)


def same_classes(class_names: Sequence[str]) -> dict[str, str]:
    """Map each of the classes to itself."""
    return {name: name for name in class_names}


def map_classes(
    videos: VideoSet,
    table: Mapping[str, str],
    class_names: tuple[str, ...],
    category_ids: tuple[int, ...] | None = None,
) -> VideoSet:
    """Give videos the classes of another data set.

    Observations of classes that are not in the table are left out, even if the other data set has a class of that name:
    COCO's mouse is a computer mouse.

    Args:
        videos: Videos with class names.
        table: Map from their class names to those of ``class_names``.
        class_names: Classes of the result, by label.
        category_ids: Number of each class in files; by default 1, 2, 3, ….

    Raises:
        ValueError: If the videos have no class names, or the table maps to a class that is not in ``class_names``.
    """
    if videos.class_names is None:
        raise ValueError(f"Expected class names to map in '{videos.name}', got objects without classes")
    unknown = sorted({target for target in table.values() if target not in class_names})
    if unknown:
        raise ValueError(f"Expected a class map into {list(class_names)}, got the classes {unknown}")
    labels = {label: class_names.index(table[name]) for label, name in enumerate(videos.class_names) if name in table}

    def mapped(video: Video) -> Video:
        load = None if video.load is None else partial(_load_mapped, video.load, labels)
        return replace(video, load=load, label_map=None)  # label maps would still have the objects that are left out

    return VideoSet([mapped(video) for video in videos], class_names, category_ids, videos.name)


def _load_mapped(load: Callable[[], Tracks], labels: Mapping[int, int]) -> Tracks:
    tracks = load()
    mapped: dict[int, Track] = {}
    for track_id, track in tracks.items():
        kept = [i for i, label in enumerate(track.labels) if label in labels]
        if kept:
            mapped[track_id] = replace(
                track,
                frames=tuple(track.frames[i] for i in kept),
                boxes=tuple(track.boxes[i] for i in kept),
                scores=tuple(track.scores[i] for i in kept),
                labels=tuple(labels[track.labels[i]] for i in kept),
                masks=None if track.masks is None else tuple(track.masks[i] for i in kept),
                areas=None if track.areas is None else tuple(track.areas[i] for i in kept),
            )
    return replace(tracks, tracks=mapped)
