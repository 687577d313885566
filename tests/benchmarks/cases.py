"""Sequences of boxes, drawn: a row for each object or detection, a column for each frame."""

from dataclasses import replace

from benchmarks.association_groups import Sequence
from tltm_graph.structures import Observation, Tracks

SIZE = (100, 200)


def box(place: float) -> tuple[float, float, float, float]:
    return (place, 10.0, place + 20.0, 50.0)


def drawn(*lines: str) -> list[list[int]]:
    """Numbers of the letters in each column: ``a`` is 0, ``.`` nothing, ``-`` -1."""
    columns = zip(*(line.replace(" ", "") for line in lines), strict=True)
    return [[-1 if mark == "-" else ord(mark) - ord("a") for mark in column if mark != "."] for column in columns]


def sequence(truth: list[list[tuple[int, float]]], places: list[list[float]], /, **changes: object) -> Sequence:
    """Sequence of true objects (id, place) and detections (place) in each frame."""
    rows = [(frame, Observation(i, box(x))) for frame, present in enumerate(truth) for i, x in present]
    detections = tuple(tuple(Observation(i, box(x)) for i, x in enumerate(row)) for row in places)
    one = Sequence("one", SIZE, 10.0, detections, Tracks.from_observations(rows, SIZE, len(truth)), "boxes")
    return replace(one, **changes)
