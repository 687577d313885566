"""Pair predictions with ground truth: by video, and by class."""

from collections.abc import Collection, Iterable, Mapping

from tltm_graph.cli.arguments import Missing
from tltm_graph.formats import Video, VideoSet, map_classes, read_class_map
from tltm_graph.formats.class_maps import same_classes
from tltm_graph.metrics.overlap import On

_PEDESTRIANS = {"pedestrian": "pedestrian", "person": "pedestrian"}


def pedestrians_of(predicted_set: VideoSet, class_map: str | None, notes: list[str]) -> VideoSet:
    """Select the predicted pedestrians, for rules without other classes.

    Args:
        predicted_set: Predictions. The objects of a single class count as pedestrians.
        class_map: Class map to "pedestrian"; None for the names "pedestrian" and "person".
        notes: Notes for the report, added to.
    """
    names = predicted_set.class_names
    if names is None:
        return predicted_set
    if class_map is not None:
        table = read_class_map(class_map)
    else:
        table = {names[0]: "pedestrian"} if len(names) == 1 else _PEDESTRIANS
    table = {name: to for name, to in table.items() if to == "pedestrian"}
    _note_dropped(names, table, ["pedestrian"], notes)
    return map_classes(predicted_set, table, ("pedestrian",))


def common_classes(
    true_set: VideoSet, predicted_set: VideoSet, class_map: str | None, agnostic: bool, notes: list[str]
) -> tuple[tuple[str, ...] | None, VideoSet]:
    """Map the predictions to the classes of the ground truth.

    Args:
        true_set: Ground truth.
        predicted_set: Predictions.
        class_map: Class map from the predictions to the ground truth; None for equal names.
        agnostic: Ignore classes.
        notes: Notes for the report, added to.

    Returns:
        Names of the classes to score by, None to ignore classes, and the predictions in these classes.
    """
    names, predicted_names = true_set.class_names, predicted_set.class_names
    if class_map is not None:
        table = read_class_map(class_map)
        targets = names or tuple(dict.fromkeys(table.values()))
        table = {name: to for name, to in table.items() if to in targets}
        _note_dropped(predicted_set.class_names or (), table, targets, notes)
        predicted_set = map_classes(predicted_set, table, targets)
        predicted_names = targets
    if agnostic or names is None:
        return None, predicted_set
    if predicted_names is None:
        if len(names) > 1:
            notes.append("The predictions have no classes: classes are ignored.")
        return None, predicted_set
    if predicted_names == names:
        return names, predicted_set
    table = same_classes([name for name in predicted_names if name in names])
    _note_dropped(predicted_names, table, names, notes)
    return names, map_classes(predicted_set, table, names)


def _note_dropped(names: Collection[str], table: Mapping[str, str], targets: Collection[str], notes: list[str]) -> None:
    """Note the classes of the predictions that are left out; raise if these are all."""
    dropped = [name for name in names if name not in table]
    if names and len(dropped) == len(names):
        raise ValueError(
            f"Expected predictions of the classes {name_some(targets)}, got {name_some(names)}: name a class map, or "
            "score without classes"
        )
    if dropped:
        notes.append(f"Predictions of {len(dropped)} classes that the truth lacks are left out: {name_some(dropped)}.")


def name_some(names: Collection[str]) -> str:
    """List up to eight names, and the number of the others."""
    listed = ", ".join(list(names)[:8])
    return listed if len(names) <= 8 else f"{listed} and {len(names) - 8} others"


def pair_videos(
    true_set: VideoSet, predicted_set: VideoSet, missing: Missing, notes: list[str]
) -> list[tuple[Video, Video | None]]:
    """Pair each ground-truth video with its predictions, by name.

    Args:
        true_set: Ground truth.
        predicted_set: Predictions.
        missing: Treatment of videos without predictions.
        notes: Notes for the report, added to.

    Raises:
        ValueError: If there is nothing to score, predictions are of an unknown video, or some are missing.
    """
    if len(true_set) == 0:
        raise ValueError(f"Expected at least one video to score in '{true_set.name}', got none")
    if len(true_set) == len(predicted_set) == 1 and true_set[0].name != predicted_set[0].name:
        true, predicted = true_set[0], predicted_set[0]
        _check_frame_names(true, predicted)
        notes.append(f"The only video is '{true.name}' in the truth, '{predicted.name}' in the predictions.")
        return [(true, predicted)]
    unknown = [video.name for video in predicted_set if true_set.named(video.name) is None]
    if unknown:
        raise ValueError(
            f"Expected predictions for the videos of '{true_set.name}' ({name_some([v.name for v in true_set])}), got "
            f"some for '{unknown[0]}' in '{predicted_set.name}'"
        )
    pairs = [(video, predicted_set.named(video.name)) for video in true_set]
    for true, match in pairs:
        if match is not None:
            _check_frame_names(true, match)
    unpaired = [true.name for true, match in pairs if match is None]
    if len(unpaired) == len(pairs) and missing == "skip":
        raise ValueError(
            f"Expected predictions for at least one of the {len(pairs)} videos of '{true_set.name}', got none in "
            f"'{predicted_set.name}'"
        )
    if unpaired and missing == "error":
        raise ValueError(
            f"Expected predictions for all {len(true_set)} videos, got none for {len(unpaired)} of them "
            f"({name_some(unpaired)}): pass missing='empty' (--missing empty) if they have no detections, or 'skip' to "
            "leave them out of the score"
        )
    if unpaired and missing == "skip":
        notes.append(f"{len(unpaired)} videos without predictions are not scored: {name_some(unpaired)}.")
        return [pair for pair in pairs if pair[1] is not None]
    if unpaired:
        notes.append(f"{len(unpaired)} videos without predictions count as empty: {name_some(unpaired)}.")
    return pairs


def _check_frame_names(true: Video, predicted: Video) -> None:
    """Check that both sides have the same frames, if both name them: a missing one would shift all others.

    Predictions for frames numbered from 0 or 1 to the end of the video are paired by order.
    """
    names, predicted_names = true.frame_names, predicted.frame_names
    if names is None or predicted_names is None or names == predicted_names:
        return
    numbers = [int(name) if name.isdigit() else -1 for name in predicted_names]
    if len(names) == len(predicted_names) and numbers in (list(range(len(names))), list(range(1, len(names) + 1))):
        return
    missing = [name for name in names if name not in set(predicted_names)]
    unknown = [name for name in predicted_names if name not in set(names)]
    raise ValueError(
        f"Expected predictions for the frames of video '{true.name}' by their names, got none for "
        f"{name_some(missing) or 'no frame'} and some for {name_some(unknown) or 'no frame'} that it does not have: "
        "add the missing ones, empty if nothing was detected"
    )


def common_kind(pairs: Iterable[tuple[Video, Video | None]]) -> On:
    """Compare masks if the first tracks of both sides have them, else boxes."""
    for pair in pairs:
        first_tracks = [next(iter(video.tracks().values()), None) for video in pair if video is not None]
        tracks = [track for track in first_tracks if track is not None]
        if any(track.masks is None for track in tracks):
            return "boxes"
        if len(tracks) == 2:
            return "masks"
    return "masks"
