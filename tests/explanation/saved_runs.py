"""Runs that are saved, for tests of what can be done with them."""

import hashlib
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load, save

from tltm_graph import TLTM, GraphWriter, MovingShapes, SavedGraph, Tracker
from tltm_graph.detectors import OracleDetector
from tltm_graph.detectors.centermask import Decoder
from tltm_graph.models import tltm_tiny

SIZE = (64, 96)


def scene(num_frames: int = 14, seed: int = 3) -> MovingShapes:
    return MovingShapes(size=SIZE, num_frames=num_frames, num_objects=4, seed=seed)


def oracle(frames: MovingShapes, seed: int = 0) -> OracleDetector:
    """Objects with masks, some missed, some of another class, boxes that jump."""
    noise = {"miss_rate": 0.2, "jitter": 0.06, "false_positives": 0.3, "class_noise": 0.1}
    return OracleDetector(frames.truth, frames.class_names, seed=seed, **noise)


def related() -> TLTM:
    """A model with random weights that counts as trained and detects something everywhere."""
    torch.manual_seed(0)
    decoder = Decoder(score_threshold=0.2, max_objects=8)
    model = tltm_tiny(MovingShapes.class_names, min_size=64, max_size=96, decoder=decoder).eval()
    model.relation.is_trained.fill_(True)
    with torch.no_grad():
        model.detector.head.cls_logits.bias.fill_(0.0)
    return model


def saved(tracker: Tracker, frames, path, **options):
    """A run saved, and the state and objects of each of its frames."""
    state, steps = tracker.start(), []
    with GraphWriter(path, tracker, **options) as writer:
        for frame in frames:
            state, detections = tracker.step(state, frame)
            writer.write(state)
            steps.append((state, detections))
    return SavedGraph(path), steps


def contents(path: Path) -> dict[str, bytes]:
    """Members of an archive."""
    with zipfile.ZipFile(path) as file:
        return {name: file.read(name) for name in file.namelist()}


def change(
    path: Path,
    header: Callable[[dict[str, Any]], object] = dict,
    index: Callable[[dict[str, Any]], object] = dict,
    tensors: Callable[[dict[str, torch.Tensor]], object] = dict,
    part: int = 0,
) -> Path:
    """Change a saved graph in place as an attacker would: all checksums are right again.

    Args:
        path: The graph.
        header: Changes the header.
        index: Changes the index, before the checksums are entered.
        tensors: Changes the tensors of a part.
        part: Number of this part.
    """
    members = contents(path)
    about, listed = json.loads(members["header.json"]), json.loads(members["index.json"])
    header(about)
    members["header.json"] = json.dumps(about).encode()
    if listed["parts"]:
        name = listed["parts"][part]["name"]
        values = load(members[name])
        tensors(values)
        members[name] = save({key: value.contiguous() for key, value in values.items()})
    listed["header_sha256"] = hashlib.sha256(members["header.json"]).hexdigest()
    for entry in listed["parts"]:
        entry["sha256"] = hashlib.sha256(members[entry["name"]]).hexdigest()
    index(listed)
    members["index.json"] = json.dumps(listed).encode()
    with zipfile.ZipFile(path, "w") as file:
        for name, content in members.items():
            file.writestr(name, content)
    return path
