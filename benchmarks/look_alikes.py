"""The best that anybody can do where two things look the same and both were away."""

from collections.abc import Sequence

import numpy as np

from tltm_graph.structures import Observation, Tracks


def with_look_alikes_confused(tracks: Tracks, looks: Sequence[int], absence: int = 10, seed: int = 0) -> Tracks:
    """Tracks of objects as whoever knows everything would draw them who cannot tell look-alikes by their looks.

    An object that comes back after more than ``absence`` frames gets its own identity or that of one of its
    look-alikes which are away for as long, all of them equally likely. In favour of whoever is compared with this,
    nobody takes an object for another that is seen for the first time, and after shorter absences all is known.

    Args:
        tracks: Of the objects, by number; others stay as they are.
        looks: Of each object (N,): equal ones cannot be told apart.
        absence: Frames.
        seed: Of the guesses.
    """
    random = np.random.default_rng(seed)
    shown_as = list(range(len(looks)))
    last: dict[int, int] = {}
    rows: list[tuple[int, Observation]] = []
    for frame, seen in tracks.observations():
        for row in seen:
            number = row.id
            if number < len(looks):
                if number in last and frame - last[number] > absence:
                    rivals = [
                        other
                        for other, before in last.items()
                        if other != number and looks[other] == looks[number] and frame - before > absence
                    ]
                    other = int(random.choice([number, *rivals]))
                    shown_as[number], shown_as[other] = shown_as[other], shown_as[number]
                last[number] = frame
                row = row._replace(id=shown_as[number])
            rows.append((frame, row))
    return Tracks.from_observations(rows, tracks.size, tracks.num_frames)
