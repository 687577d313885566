"""Sequences of boxes, drawn: a row for each object or detection, a column for each frame."""

from dataclasses import replace

from benchmarks.association_sequences import Sequence
from tltm_graph.structures import Observation, Tracks

SIZE = (100, 200)


def box(place: float) -> tuple[float, float, float, float]:
    return (place, 10.0, place + 20.0, 50.0)


def drawn(*lines: str) -> list[list[int]]:
    """Numbers of the letters in each column: ``a`` is 0, ``.`` nothing, ``-`` -1."""
    columns = zip(*(line.replace(" ", "") for line in lines), strict=True)
    return [[-1 if mark == "-" else ord(mark) - ord("a") for mark in column if mark != "."] for column in columns]


def sequence(truth: list[list[tuple[int, float]]], found: list[list[float]], /, **changes: object) -> Sequence:
    """True objects (id, place) and detections (place) of each frame."""
    rows = [(frame, Observation(i, box(x))) for frame, seen in enumerate(truth) for i, x in seen]
    detections = tuple(tuple(Observation(i, box(x)) for i, x in enumerate(places)) for places in found)
    one = Sequence("one", SIZE, 10.0, detections, Tracks.from_observations(rows, SIZE, len(truth)), "boxes")
    return replace(one, **changes)
