"""Situations that tests share, drawn. Time runs down; a letter is an object, its column the place on a line."""

from pathlib import Path

import torch

from tests.parity import seeded
from tltm_graph import Detections, Detector, Frame
from tltm_graph.association import AppearanceModel
from tltm_graph.graph import TRANSITION
from tltm_graph.io.output import LEDGER

SIZE = (40, 200)

CROSSING = """
    a.......b
    .a.....b.
    ..a...b..
    ...a.b...
    ....b....  a is hidden behind b
    ...b.a...
    ..b...a..
    .b.....a.
"""

LEAVING = """
    a....b
    a....b
    a.....
    a.....
    a.....
    a....b
    a....b
"""

EMPTY_FRAMES = """
    ......
    a.....
    ......
    .a....
"""


def drawn(picture: str, label: dict[str, int] | None = None) -> list[Detections]:
    """The detections of each line: boxes of 40×20 every 16 pixels, ids by letter (a is 0)."""
    frames = []
    for line in picture.strip().splitlines():
        cells = line.split()[0]
        seen = sorted((letter, place) for place, letter in enumerate(cells) if letter != ".")
        boxes = [(16.0 * place, 10.0, 16.0 * place + 40, 30.0) for _, place in seen]
        frames.append(
            Detections(
                boxes=torch.tensor(boxes).reshape(-1, 4),
                scores=torch.full((len(seen),), 0.9),
                labels=torch.tensor([(label or {}).get(letter, 0) for letter, _ in seen], dtype=torch.int64),
                ids=torch.tensor([ord(letter) - ord("a") for letter, _ in seen], dtype=torch.int64),
            )
        )
    return frames


def names_in(folder: Path) -> list[str]:
    """Sorted names of the entries of a folder, without the list of the files that the package wrote."""
    return sorted(path.name for path in folder.iterdir() if path.name != LEDGER)


def contents(folder: Path) -> dict[str, bytes]:
    """Content of every file in a folder and its folders, by path; folders and pipes have none."""
    paths = (path for path in sorted(folder.rglob("*")) if path.name != LEDGER)
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else b"" for path in paths}


def blank(index: int, size: tuple[int, int] = SIZE) -> Frame:
    """A black frame."""
    return Frame(torch.zeros(3, *size, dtype=torch.uint8), index, index / 25)


class Script(Detector):
    """Detector that returns one entry of a list for each frame, without ids."""

    class_names = ("one", "two", "three")

    def __init__(self, frames: list[Detections]) -> None:
        self.frames = frames

    def detect(self, frame: Frame, context=None) -> tuple[Detections, None]:
        return self.frames[frame.index].replace(ids=None), None


class FixedLogits:
    """Appearance model that returns the same edge logits for every graph."""

    def __init__(self, logits: torch.Tensor) -> None:
        self.logits = logits

    def encode(self, detections: Detections) -> torch.Tensor:
        return detections.boxes

    def score(self, graph) -> torch.Tensor:
        return self.logits


def with_embeddings(frames: list[Detections]) -> list[Detections]:
    """Objects with the same embedding in every frame, by id."""
    return [f.replace(embeddings=torch.stack([seeded(f"look {i}", (8,)) for i in f.ids.tolist()])) for f in frames]


class SameAppearance(AppearanceModel):
    """An appearance model with confident logits from the similarity of embeddings."""

    def encode(self, detections: Detections) -> torch.Tensor:
        return detections.embeddings

    def score(self, graph) -> torch.Tensor:
        row, column = graph[TRANSITION].edge_index
        similarity = torch.cosine_similarity(graph["previous"].x[row], graph["current"].x[column])
        return 80 * (similarity - 0.9)

    def evidence(self, graph) -> dict[str, torch.Tensor]:
        logits = self.score(graph)
        return {"colour": logits / 4, "texture": 3 * logits / 4}
