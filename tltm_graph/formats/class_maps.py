"""The classes of the public datasets, in the order of their labels."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from importlib.resources import files
from pathlib import Path

from tltm_graph.formats.video import Video, VideoSet
from tltm_graph.io import read_json
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
    """Names of the class maps that come with the package."""
    return sorted(path.name.removesuffix(".json") for path in _FOLDER.iterdir() if path.name.endswith(".json"))


def read_class_map(name: str | Path) -> dict[str, str]:
    """A table from the class names of one data set to those of another.

    Args:
        name: One of :func:`class_map_names`, or a JSON file of one's own: ``{"classes": {"from": "to", …}}``.
            ``coco_to_youtube_vis_2019`` has the 19 classes that both name. ``open_images_to_youtube_vis_2019`` has the
            60 boxable classes of Open Images that are one of 39 YouTube-VIS classes, or a kind of one (a taxi is a
            sedan, a canoe a boat), or look so much like one that they help training (a mule beside horses, a falcon
            beside eagles, a racket beside tennis rackets). Nothing there is an ape. ``coco_to_mot``, ``coco_to_mots``
            and ``coco_to_bdd100k`` are for scoring the tracks of a COCO detector on these.

    Raises:
        ValueError: If the file is not of this kind, or there is no map of that name.
    """
    if isinstance(name, str) and name in class_map_names():
        content = json.loads((_FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    elif Path(name).is_file():
        content = read_json(name, "a class map")
    else:
        raise ValueError(f"Expected a class map of {class_map_names()} or a JSON file, got '{name}'")
    table = content.get("classes") if isinstance(content, dict) else None
    if not isinstance(table, dict) or not all(isinstance(value, str) for value in table.values()):
        raise ValueError(f'Expected {{"classes": {{"from": "to"}}}} in the class map \'{name}\'')
    return dict(table)


def same_classes(class_names: Sequence[str]) -> dict[str, str]:
    """The table that maps each of the classes to itself."""
    return {name: name for name in class_names}


def map_classes(
    videos: VideoSet,
    table: Mapping[str, str],
    class_names: tuple[str, ...],
    category_ids: tuple[int, ...] | None = None,
) -> VideoSet:
    """The same videos with the classes of another data set.

    Observations of classes that the table does not name are left out, even if the other data set has a class of the same
    name: COCO's mouse is a computer's.

    Args:
        videos: With class names.
        table: From their class names to those of ``class_names``.
        class_names: The classes wanted.
        category_ids: The numbers that files give to them; by default 1, 2, 3, ….

    Raises:
        ValueError: If the videos have no class names, or the table leads to a class that is not wanted.
    """
    if videos.class_names is None:
        raise ValueError(f"Expected class names to map in '{videos.name}', got objects without classes")
    unknown = sorted({target for target in table.values() if target not in class_names})
    if unknown:
        raise ValueError(f"Expected a class map into {list(class_names)}, got the classes {unknown}")
    labels = {label: class_names.index(table[name]) for label, name in enumerate(videos.class_names) if name in table}

    def mapped(video: Video) -> Video:
        load = None if video.load is None else partial(_relabelled, video.load, labels)
        return replace(video, load=load, label_map=None)  # its maps have what is left out

    return VideoSet([mapped(video) for video in videos], class_names, category_ids, videos.name)


def _relabelled(load: Callable[[], Tracks], labels: Mapping[int, int]) -> Tracks:
    tracks = load()
    kept: dict[int, Track] = {}
    for track_id, track in tracks.items():
        rows = [i for i, label in enumerate(track.labels) if label in labels]
        if rows:
            kept[track_id] = replace(
                track,
                frames=tuple(track.frames[i] for i in rows),
                boxes=tuple(track.boxes[i] for i in rows),
                scores=tuple(track.scores[i] for i in rows),
                labels=tuple(labels[track.labels[i]] for i in rows),
                masks=None if track.masks is None else tuple(track.masks[i] for i in rows),
                areas=None if track.areas is None else tuple(track.areas[i] for i in rows),
            )
    return replace(tracks, tracks=kept)
