"""Real tracks and the scores that official code gave them, read plainly: needs the folder 'shared'."""

import gzip
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tltm_graph.ops.rle import Rle
from tltm_graph.structures import Observation, Tracks

DATA = Path(__file__).parents[2].parent / "shared" / "data"
needs_shared = pytest.mark.skipif(not DATA.exists(), reason="needs the folder 'shared' beside the project")

BDD_CLASSES = ("pedestrian", "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle")


def expected(path: str) -> dict[str, Any]:
    return json.loads((DATA / path).read_text())


def mot(path: str, num_frames: int, of: Callable[[np.ndarray], dict[str, Any]] = lambda row: {}) -> Tracks:
    """Boxes of a MOT file; ``of`` gives score and label of a row."""
    rows = np.loadtxt(DATA / path, delimiter=",")
    observations = (
        (int(row[0]) - 1, Observation(int(row[1]), (row[2], row[3], row[2] + row[4], row[3] + row[5]), **of(row)))
        for row in rows
    )
    return Tracks.from_observations(observations, None, num_frames)


def mot17(sequence: str) -> tuple[Tracks, Tracks]:
    lines = (DATA / f"mot17/{sequence}/seqinfo.ini").read_text().splitlines()
    length = int(next(line.split("=")[1] for line in lines if line.lower().startswith("seqlength")))
    truth = mot(f"mot17/{sequence}/gt/gt.txt.gz", length, lambda row: {"score": row[6], "label": int(row[7]) - 1})
    return truth, mot(f"mot17/reference_tracker/{sequence}.txt.gz", length)


def tud(sequence: str, num_frames: int) -> tuple[Tracks, Tracks]:
    truth = mot(f"tud/gt/{sequence}.txt", num_frames, lambda row: {"score": row[6]})
    return truth, mot(f"tud/results/{sequence}.txt", num_frames)


def mots(path: str) -> Tracks:
    """Masks of a MOTS file; class 10 is the ignore region."""

    def observations() -> Iterator[tuple[int, Observation]]:
        for line in gzip.decompress((DATA / path).read_bytes()).decode().splitlines():
            frame, number, kind, height, width, counts = line.split()
            mask = Rle(size=[int(height), int(width)], counts=counts)
            crowd = kind == "10"
            yield int(frame) - 1, Observation(int(number), (0, 0, 1, 1), label=int(kind) - 1, mask=mask, crowd=crowd)

    return Tracks.from_observations(observations(), (480, 640), 837)


def bdd100k(name: str) -> Tracks:
    """Masks of a file of Scalabel."""

    def observations() -> Iterator[tuple[int, Observation]]:
        for frame in json.loads(gzip.decompress((DATA / f"bdd100k_masks/seg_track/{name}.json.gz").read_bytes())):
            for label in frame["labels"] or ():
                attributes = label["attributes"] or {}
                yield (
                    frame["frameIndex"],
                    Observation(
                        int(label["id"]),
                        (0, 0, 1, 1),
                        label=BDD_CLASSES.index(label["category"]),
                        mask=Rle(**label["rle"]),
                        crowd=bool(attributes.get("crowd")),
                    ),
                )

    return Tracks.from_observations(observations(), (720, 1280), 100)
