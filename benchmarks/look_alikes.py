"""Upper bound of association by appearance, where look-alikes leave and return."""

from collections.abc import Sequence

import numpy as np

from tltm_graph.structures import Observation, Tracks


def with_look_alikes_confused(tracks: Tracks, looks: Sequence[int], absence: int = 10, seed: int = 0) -> Tracks:
    """Confuse look-alikes that return, in tracks with true identities.

    An object that returns after more than ``absence`` frames gets its own identity or that of one of its look-alikes
    that are absent for as long, with equal probability. The bound is optimistic: an object is never confused at its
    first observation, nor after shorter absences.

    Args:
        tracks: True tracks by object number; ids of N and above do not change.
        looks: Appearance group of each object (N,): objects of one group look the same.
        absence: Longest absence, in frames, after which an object is not confused.
        seed: Random seed of the guesses.
    """
    random = np.random.default_rng(seed)
    shown_as = list(range(len(looks)))
    last: dict[int, int] = {}
    rows: list[tuple[int, Observation]] = []
    for frame, present in tracks.observations():
        for row in present:
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
