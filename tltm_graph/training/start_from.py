import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from tltm_graph.detectors.centermask import CenterMask
from tltm_graph.io import read_weights
from tltm_graph.models import TLTM, load_weights
from tltm_graph.models.checkpoint import CheckpointReport, misfits
from tltm_graph.models.pretrained import KNOWN_WEIGHTS, weights_file
from tltm_graph.models.tltm import detector_of

_FLAG = "relation.is_trained"  # no weight
_BY_CLASS = ("head.cls_logits.", "mask_head.predictor.")


@dataclass(frozen=True)
class StartReport:
    """What became of weights that training starts from.

    Args:
        path: The file.
        copied: Names of the weights that were taken over.
        classes: Those of the model that the file knows too: their rows were taken over.
        new_classes: Those that it does not know: their rows stay as drawn.
        new: Names of weights of the model that the file does not have; they stay as drawn.
        left_out: Names of weights in the file that the model does not have.
    """

    path: str
    copied: tuple[str, ...]
    classes: tuple[str, ...]
    new_classes: tuple[str, ...]
    new: tuple[str, ...]
    left_out: tuple[str, ...]

    def __str__(self) -> str:
        lines = [f"start from {self.path}: {len(self.copied)} weights taken over"]
        if self.new_classes:
            lines.append(
                f"  classes: {len(self.classes)} taken over by name ({_some(self.classes)}), "
                f"{len(self.new_classes)} drawn anew ({_some(self.new_classes)})"
            )
        for names, what in ((self.new, "not in the file, drawn anew"), (self.left_out, "not in the model, left out")):
            if names:
                lines.append(f"  {len(names)} {what}: {', '.join(sorted({_part(name) for name in names}))}")
        return "\n".join(lines)


def start_from(weights: str | Path, model: TLTM | CenterMask) -> StartReport | CheckpointReport | None:
    """Loads weights to start training from, which need not be of quite the same model.

    A TLTM may start from a CenterMask, whose fusers, encoder and GNN stay as drawn, and the other way round. Classes
    are told by their names: of those that the file knows the rows of the heads are taken over, the others stay as
    drawn. Everything else must fit.

    Args:
        weights: A file of :func:`tltm_graph.models.save_model`, or whatever :func:`tltm_graph.models.load_weights`
            loads.
        model: The model, changed in place, all of it or (after an error) not at all.

    Returns:
        What became of the weights.

    Raises:
        FileNotFoundError: If there is no such file and no weights are known by that name, or the configuration beside
            the file is missing.
        ValueError: If the weights do not fit.
    """
    if str(weights) in KNOWN_WEIGHTS:
        return load_weights(weights, model)
    path = weights_file(weights)
    state = read_weights(path)
    if not any(name.startswith(("detector.", "backbone.body.")) for name in state):
        return load_weights(weights, model)
    return _start_from_own(state, path, model)


def _start_from_own(state: dict[str, Tensor], path: Path, model: TLTM | CenterMask) -> StartReport:
    file_names = _class_names(path)
    state = {_of_tltm(name): value for name, value in state.items()}
    own = model.state_dict()
    names = tuple(detector_of(model).class_names or ())
    wanted = {_of_tltm(name): name for name in own}
    wrong: list[str] = []
    for common, name in wanted.items():
        if common not in state:
            continue
        value = state[common]
        if common.removeprefix("detector.").startswith(_BY_CLASS):
            value = _rows_by_name(value, own[name], file_names, names)
        wrong += misfits(name, value, own[name])
        own[name] = value
    if wrong or not wanted.keys() & state.keys():
        raise ValueError(
            f"Expected weights of this model, classes apart, in '{path}', got those of another one: "
            f"{', '.join(wrong[:3]) or 'no name is the same'}. Nothing was loaded"
        )
    model.load_state_dict(own)
    return StartReport(
        str(path),
        copied=tuple(name for common, name in wanted.items() if common in state),
        classes=tuple(name for name in names if name in file_names),
        new_classes=tuple(name for name in names if name not in file_names),
        new=tuple(name for common, name in wanted.items() if common not in state and common != _FLAG),
        left_out=tuple(common for common in state if common not in wanted and common != _FLAG),
    )


def _class_names(path: Path) -> tuple[str, ...]:
    beside = path.with_suffix(".json")
    if not beside.is_file():
        raise FileNotFoundError(
            f"Expected the configuration of '{path}' beside it in '{beside.name}', found none: it names the classes"
        )
    try:
        return tuple(map(str, json.loads(beside.read_text(encoding="utf-8"))["class_names"]))
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"Expected a configuration with class_names in '{beside}', got: {error!r}") from error


def _of_tltm(name: str) -> str:
    """The name that a weight has in a TLTM."""
    return name if name.startswith(("detector.", "relation.")) else f"detector.{name}"


def _rows_by_name(value: Tensor, initial: Tensor, file_names: Sequence[str], names: Sequence[str]) -> Tensor:
    """The rows of the classes that the file knows, the initial ones of others."""
    if value.shape[1:] != initial.shape[1:] or len(value) != len(file_names):
        return value  # which does not fit
    rows = initial.clone()
    for row, name in enumerate(names):
        if name in file_names:
            rows[row] = value[file_names.index(name)]
    return rows


def _part(name: str) -> str:
    parts = _of_tltm(name).split(".")
    return parts[1] if parts[0] == "detector" else f"relation.{parts[1]}"


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (", …" if len(names) > 5 else "") if names else "none"
