"""What each part of a tracker costs: the tracks it would have made, had that part been perfect.

All four compare detections with the truth frame by frame: pairs with an IoU of at least a half (for association a
tenth, as poor detections have to be joined too), the greatest sum of it, class not looked at. What is not matched stays
as it is, unless it is just what the part would have got right.
"""

from collections import Counter
from collections.abc import Iterator

from tltm_graph.metrics.matching import match_overlap
from tltm_graph.metrics.overlap import On, check_same_video, overlap, padded
from tltm_graph.structures import Observation, Tracks


def with_true_detection(truth: Tracks, predicted: Tracks, on: On) -> Tracks:
    """The predicted tracks with what was missed put in and what is nothing taken out; ids, classes and shapes stay.

    A missed observation joins the track that its object was last on, or comes to be on first; an object that was never
    found makes a track of its own, of its true class. Its score is that of the track there, 1 without one.
    """
    pairs = list(_matched(truth, predicted, on))
    first_of: dict[int, Observation] = {}
    for _, matches, _, _ in pairs:
        for true, found in matches:
            first_of.setdefault(true.id, found)
    next_id = max(predicted, default=-1) + 1
    last_of: dict[int, Observation] = {}
    rows: list[tuple[int, Observation]] = []
    for frame, matches, missed, _ in pairs:
        taken = {found.id for _, found in matches}
        for true, found in matches:
            last_of[true.id] = found
            rows.append((frame, found))
        for true in missed:
            like = last_of.get(true.id) or first_of.get(true.id)
            if like is None:
                like = first_of[true.id] = Observation(next_id, true.box, 1.0, true.label)
                next_id += 1
            if like.id in taken:  # its track is on another object meanwhile: a switch that is not detection's fault
                like = first_of[true.id] = last_of[true.id] = like._replace(id=next_id)
                next_id += 1
            taken.add(like.id)
            rows.append((frame, like._replace(box=true.box, mask=true.mask)))
    return Tracks.from_observations(rows, predicted.size or truth.size, truth.num_frames)


def with_true_association(truth: Tracks, predicted: Tracks, on: On) -> Tracks:
    """The predicted detections, joined to one track for each true object; false positives keep their own."""
    offset = max(truth, default=-1) + 1
    rows: list[tuple[int, Observation]] = []
    for frame, matches, _, false in _matched(truth, predicted, on, least=0.1):
        rows += [(frame, found._replace(id=true.id)) for true, found in matches]
        rows += [(frame, found._replace(id=found.id + offset)) for found in false]
    return Tracks.from_observations(rows, predicted.size or truth.size, truth.num_frames)


def with_true_classes(truth: Tracks, predicted: Tracks, on: On) -> Tracks:
    """The predicted tracks, each observation of the class of the true object it is on.

    What is on nothing gets the class that its track is most often on, the smallest of those it is equally often on;
    tracks that are never on an object keep theirs.
    """
    labels: dict[tuple[int, int], int] = {}
    votes: dict[int, Counter[int]] = {}
    for frame, matches, _, _ in _matched(truth, predicted, on):
        for true, found in matches:
            labels[frame, found.id] = true.label
            votes.setdefault(found.id, Counter())[true.label] += 1
    mostly = {track_id: min(of, key=lambda label: (-of[label], label)) for track_id, of in votes.items()}
    rows = []
    for frame, seen in padded(predicted, truth.num_frames):
        for row in seen:
            label = labels.get((frame, row.id), mostly.get(row.id, row.label))
            rows.append((frame, row._replace(label=label)))
    return Tracks.from_observations(rows, predicted.size or truth.size, truth.num_frames)


def with_true_masks(truth: Tracks, predicted: Tracks, on: On) -> Tracks:
    """The predicted tracks with the true outline wherever they are on a true object."""
    rows: list[tuple[int, Observation]] = []
    for frame, matches, _, false in _matched(truth, predicted, on):
        rows += [(frame, found._replace(box=true.box, mask=true.mask)) for true, found in matches]
        rows += [(frame, found) for found in false]
    return Tracks.from_observations(rows, predicted.size or truth.size, truth.num_frames)


ORACLES = {
    "detection": with_true_detection,
    "association": with_true_association,
    "class": with_true_classes,
    "mask": with_true_masks,
}
"""The part that each makes perfect."""


def _matched(
    truth: Tracks, predicted: Tracks, on: On, least: float = 0.5
) -> Iterator[tuple[int, list[tuple[Observation, Observation]], list[Observation], list[Observation]]]:
    """Each frame with its matches (true, found), the true objects that were missed and the detections of none.

    A crowd is no object; whether what is on it counts is left to the metric. On boxes, masks are left out.
    """
    check_same_video(truth, predicted)
    for (frame, true), (_, found) in zip(truth.observations(), padded(predicted, truth.num_frames), strict=True):
        if on == "boxes":
            true, found = ([row._replace(mask=None, area=None) for row in rows] for rows in (true, found))
        true = [row for row in true if not row.crowd]
        rows, columns = match_overlap(overlap(true, found, on), least)
        matches = [(true[i], found[j]) for i, j in zip(rows.tolist(), columns.tolist(), strict=True)]
        missed = [row for i, row in enumerate(true) if i not in set(rows.tolist())]
        false = [row for j, row in enumerate(found) if j not in set(columns.tolist())]
        yield frame, matches, missed, false
