"""Which true video goes with which predicted one, and by which classes."""

from collections.abc import Collection, Iterable, Mapping
from typing import Literal

from tltm_graph.formats import Video, VideoSet, map_classes, read_class_map
from tltm_graph.formats.class_maps import same_classes
from tltm_graph.metrics.overlap import On

Missing = Literal["error", "empty", "skip"]
"""What videos without predictions are: an error, empty, or not to be scored."""


PEDESTRIANS = {"pedestrian": "pedestrian", "person": "pedestrian"}


def pedestrians_of(found_set: VideoSet, class_map: str | None, notes: list[str]) -> VideoSet:
    """The predicted pedestrians, for rules that know no other class; objects of a single class are taken for them."""
    names = found_set.class_names
    if names is None:
        return found_set
    if class_map is not None:
        table = read_class_map(class_map)
    else:
        table = {names[0]: "pedestrian"} if len(names) == 1 else PEDESTRIANS
    table = {name: to for name, to in table.items() if to == "pedestrian"}
    _note_dropped(names, table, ["pedestrian"], notes)
    return map_classes(found_set, table, ("pedestrian",))


def classes_to_score_by(
    true_set: VideoSet, found_set: VideoSet, class_map: str | None, agnostic: bool, notes: list[str]
) -> tuple[tuple[str, ...] | None, VideoSet]:
    """The classes to score by, and the predictions in these classes."""
    names, found_names = true_set.class_names, found_set.class_names
    if class_map is not None:
        table = read_class_map(class_map)
        targets = names or tuple(dict.fromkeys(table.values()))
        table = {name: to for name, to in table.items() if to in targets}
        _note_dropped(found_set.class_names or (), table, targets, notes)
        found_set = map_classes(found_set, table, targets)
        found_names = targets
    if agnostic or names is None:
        return None, found_set
    if found_names is None:
        if len(names) > 1:
            notes.append("The predictions have no classes: classes are not looked at.")
        return None, found_set
    if found_names == names:
        return names, found_set
    table = same_classes([name for name in found_names if name in names])
    _note_dropped(found_names, table, names, notes)
    return names, map_classes(found_set, table, names)


def _note_dropped(names: Collection[str], table: Mapping[str, str], targets: Collection[str], notes: list[str]) -> None:
    """Says which classes of the predictions are left out; all of them are not."""
    dropped = [name for name in names if name not in table]
    if names and len(dropped) == len(names):
        raise ValueError(
            f"Expected predictions of the classes {some(targets)}, got {some(names)}: name a class map, or score "
            "without classes"
        )
    if dropped:
        notes.append(f"Predictions of {len(dropped)} classes that the truth lacks are left out: {some(dropped)}.")


def some(names: Collection[str]) -> str:
    listed = ", ".join(list(names)[:8])
    return listed if len(names) <= 8 else f"{listed} and {len(names) - 8} others"


def pair_videos(
    true_set: VideoSet, found_set: VideoSet, missing: Missing, notes: list[str]
) -> list[tuple[Video, Video | None]]:
    """Each true video with its predictions."""
    if len(true_set) == 0:
        raise ValueError(f"Expected at least one video to score in '{true_set.name}', got none")
    if len(true_set) == len(found_set) == 1 and true_set[0].name != found_set[0].name:
        _check_frame_names(true_set[0], found_set[0])
        notes.append(f"The only video is '{true_set[0].name}' in the truth, '{found_set[0].name}' in the predictions.")
        return [(true_set[0], found_set[0])]
    unknown = [video.name for video in found_set if true_set.named(video.name) is None]
    if unknown:
        raise ValueError(
            f"Expected predictions for the videos of '{true_set.name}' ({some([v.name for v in true_set])}), got some "
            f"for '{unknown[0]}' in '{found_set.name}'"
        )
    pairs = [(video, found_set.named(video.name)) for video in true_set]
    for true, found in pairs:
        if found is not None:
            _check_frame_names(true, found)
    lacking = [true.name for true, found in pairs if found is None]
    if len(lacking) == len(pairs) and missing == "skip":
        raise ValueError(
            f"Expected predictions for at least one of the {len(pairs)} videos of '{true_set.name}', got none in "
            f"'{found_set.name}'"
        )
    if lacking and missing == "error":
        raise ValueError(
            f"Expected predictions for all {len(true_set)} videos, got none for {len(lacking)} of them "
            f"({some(lacking)}): say missing='empty' (--missing empty) if nothing was found in them, or 'skip' to "
            "leave them out of the score"
        )
    if lacking and missing == "skip":
        notes.append(f"{len(lacking)} videos without predictions are not scored: {some(lacking)}.")
        return [pair for pair in pairs if pair[1] is not None]
    if lacking:
        notes.append(f"{len(lacking)} videos without predictions count as empty: {some(lacking)}.")
    return pairs


def _check_frame_names(true: Video, found: Video) -> None:
    """Frames belong together by name where both sides name them: one left out would shift all that follow.

    Predictions that are merely counted, 0, 1, 2, … to the end of the video, belong together by order.
    """
    names, found_names = true.frame_names, found.frame_names
    if names is None or found_names is None or names == found_names:
        return
    counted = [int(name) if name.isdigit() else -1 for name in found_names]
    if len(names) == len(found_names) and counted in (list(range(len(names))), list(range(1, len(names) + 1))):
        return
    lacking = [name for name in names if name not in set(found_names)]
    more = [name for name in found_names if name not in set(names)]
    raise ValueError(
        f"Expected predictions for the frames of video '{true.name}' by their names, got none for "
        f"{some(lacking) or 'no frame'} and some for {some(more) or 'no frame'} that it does not have: add the missing "
        "ones, empty where nothing was found"
    )


def common_kind(pairs: Iterable[tuple[Video, Video | None]]) -> On:
    """Masks if the first tracks of both sides have them."""
    for true, found in pairs:
        first = [next(iter(video.tracks().values()), None) for video in (true, found) if video is not None]
        known = [track for track in first if track is not None]
        if any(track.masks is None for track in known):
            return "boxes"
        if len(known) == 2:
            return "masks"
    return "masks"
