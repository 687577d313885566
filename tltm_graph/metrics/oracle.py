"""Tracks that a tracker would have made if one of its parts had been perfect.

All four match predictions to true objects frame by frame: one-to-one, of pairs with an IoU of at least 0.5, for the
greatest sum of IoU. Association uses 0.1, since poor detections have to be joined as well. Classes are not compared.
Unmatched predictions stay as they are, unless the part itself would have been responsible.
"""

from collections import Counter
from collections.abc import Iterator

from tltm_graph.metrics.matching import match_overlap
from tltm_graph.metrics.overlap import On, paired_observations, pairwise_iou
from tltm_graph.structures import Observation, Tracks


def with_true_detection(truth: Tracks, predicted: Tracks, on: On) -> Tracks:
    """Add missed objects to the predicted tracks and remove false positives; ids, classes and shapes stay.

    A missed observation joins the last track of its object, or the first one if there is none yet. An object without
    any match makes a track of its own, with its true class. The observation has the score of the track there, or 1.
    """
    frames = list(_matched(truth, predicted, on))
    first_of: dict[int, Observation] = {}  # object -> its first match
    for _, matches, _, _ in frames:
        for true, found in matches:
            first_of.setdefault(true.id, found)
    next_id = max(predicted, default=-1) + 1
    last_of: dict[int, Observation] = {}  # object -> its last match
    rows: list[tuple[int, Observation]] = []
    for frame, matches, missed, _ in frames:
        taken = {found.id for _, found in matches}
        for true, found in matches:
            last_of[true.id] = found
            rows.append((frame, found))
        for true in missed:
            template = last_of.get(true.id) or first_of.get(true.id)
            if template is None:
                template = first_of[true.id] = Observation(next_id, true.box, 1.0, true.label)
                next_id += 1
            if template.id in taken:  # the track is on another object in this frame: an ID switch, which stays
                template = first_of[true.id] = last_of[true.id] = template._replace(id=next_id)
                next_id += 1
            taken.add(template.id)
            rows.append((frame, template._replace(box=true.box, mask=true.mask)))
    return Tracks.from_observations(rows, predicted.size or truth.size, truth.num_frames)


def with_true_association(truth: Tracks, predicted: Tracks, on: On) -> Tracks:
    """Join the predicted detections to one track for each true object. False positives keep their tracks."""
    offset = max(truth, default=-1) + 1
    rows: list[tuple[int, Observation]] = []
    for frame, matches, _, unmatched in _matched(truth, predicted, on, min_iou=0.1):
        rows += [(frame, found._replace(id=true.id)) for true, found in matches]
        rows += [(frame, found._replace(id=found.id + offset)) for found in unmatched]
    return Tracks.from_observations(rows, predicted.size or truth.size, truth.num_frames)


def with_true_classes(truth: Tracks, predicted: Tracks, on: On) -> Tracks:
    """Give each predicted observation the class of the true object that it matches.

    Unmatched observations get the class that the matches of their track have most often, the smallest of several.
    Tracks without a match keep their classes.
    """
    labels: dict[tuple[int, int], int] = {}  # frame, track -> true label
    counts: dict[int, Counter[int]] = {}  # track -> number of matches by true label
    for frame, matches, _, _ in _matched(truth, predicted, on):
        for true, found in matches:
            labels[frame, found.id] = true.label
            counts.setdefault(found.id, Counter())[true.label] += 1
    most_frequent = {track_id: min(of, key=lambda label: (-of[label], label)) for track_id, of in counts.items()}
    rows = []
    for frame, _, predicted_rows in paired_observations(truth, predicted):
        for row in predicted_rows:
            label = labels.get((frame, row.id), most_frequent.get(row.id, row.label))
            rows.append((frame, row._replace(label=label)))
    return Tracks.from_observations(rows, predicted.size or truth.size, truth.num_frames)


def with_true_masks(truth: Tracks, predicted: Tracks, on: On) -> Tracks:
    """Give each predicted observation the box and mask of the true object that it matches."""
    rows: list[tuple[int, Observation]] = []
    for frame, matches, _, unmatched in _matched(truth, predicted, on):
        rows += [(frame, found._replace(box=true.box, mask=true.mask)) for true, found in matches]
        rows += [(frame, found) for found in unmatched]
    return Tracks.from_observations(rows, predicted.size or truth.size, truth.num_frames)


ORACLES = {
    "detection": with_true_detection,
    "association": with_true_association,
    "class": with_true_classes,
    "mask": with_true_masks,
}
"""Functions ``(truth, predicted, on)`` that return the tracks with one part made perfect, by the name of the part."""


def _matched(
    truth: Tracks, predicted: Tracks, on: On, min_iou: float = 0.5
) -> Iterator[tuple[int, list[tuple[Observation, Observation]], list[Observation], list[Observation]]]:
    """Yield each frame with its matches (true, predicted), the missed objects and the unmatched predictions.

    Crowds are no objects; the metric decides about predictions on them. On boxes, masks are removed.
    """
    for frame, true_rows, predicted_rows in paired_observations(truth, predicted):
        if on == "boxes":
            true_rows, predicted_rows = (
                [row._replace(mask=None, area=None) for row in rows] for rows in (true_rows, predicted_rows)
            )
        true_rows = [row for row in true_rows if not row.crowd]
        rows, columns = match_overlap(pairwise_iou(true_rows, predicted_rows, on), min_iou)
        matches = [(true_rows[i], predicted_rows[j]) for i, j in zip(rows.tolist(), columns.tolist(), strict=True)]
        missed = [row for i, row in enumerate(true_rows) if i not in set(rows.tolist())]
        unmatched = [row for j, row in enumerate(predicted_rows) if j not in set(columns.tolist())]
        yield frame, matches, missed, unmatched
