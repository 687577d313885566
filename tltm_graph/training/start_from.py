"""Weights to start training from, also of a model with other parts or classes."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from tltm_graph.detectors.centermask import CenterMask
from tltm_graph.io import read_weights
from tltm_graph.io.text import read_json
from tltm_graph.models import TLTM
from tltm_graph.models.checkpoint import CheckpointReport, misfits
from tltm_graph.models.pretrained import KNOWN_WEIGHTS, OWN_PREFIXES, load_weights, weights_file
from tltm_graph.models.tltm import detector_of

_FLAG = "relation.is_trained"  # a buffer, but no weight
_BY_CLASS = ("head.cls_logits.", "mask_head.predictor.")


@dataclass(frozen=True)
class StartReport:
    """Report of the weights that training starts from.

    Args:
        path: Path of the file.
        copied: Names of the copied weights.
        classes: Classes that model and file have in common, whose rows were copied.
        new_classes: Classes that the file does not have, whose rows stay random.
        new: Names of the weights that the file does not have, which stay random.
        left_out: Names of weights of the file that the model does not have.
    """

    path: str
    copied: tuple[str, ...]
    classes: tuple[str, ...]
    new_classes: tuple[str, ...]
    new: tuple[str, ...]
    left_out: tuple[str, ...]

    def __str__(self) -> str:
        lines = [f"start from {self.path}: {len(self.copied)} weights copied"]
        if self.new_classes:
            lines.append(
                f"  classes: {len(self.classes)} copied by name ({_shortened(self.classes)}), "
                f"{len(self.new_classes)} random ({_shortened(self.new_classes)})"
            )
        for names, kind in ((self.new, "not in the file, random"), (self.left_out, "not in the model, left out")):
            if names:
                lines.append(f"  {len(names)} {kind}: {', '.join(sorted({_part(name) for name in names}))}")
        return "\n".join(lines)


def start_from(weights: str | Path, model: TLTM | CenterMask) -> StartReport | CheckpointReport | None:
    """Load weights to start training from, also of a model with other parts or classes.

    A TLTM can start from a CenterMask, and a CenterMask from a TLTM; parts that are missing in the file stay random.
    The rows of the heads are copied by class name; rows of other classes stay random. All other weights must fit.

    Args:
        weights: File of :func:`tltm_graph.models.save_model`, or anything that
            :func:`tltm_graph.models.pretrained.load_weights`
            loads.
        model: The model, changed in place; after an error it is unchanged.

    Returns:
        A report, or that of :func:`tltm_graph.models.pretrained.load_weights`.

    Raises:
        FileNotFoundError: If there is no such file or name of weights, or the configuration of the file is missing.
        ValueError: If the weights do not fit.
    """
    if str(weights) in KNOWN_WEIGHTS:
        return load_weights(weights, model)
    path = weights_file(weights)
    state = read_weights(path)
    if not any(name.startswith(OWN_PREFIXES) for name in state):
        return load_weights(weights, model)
    return _start_from_own(state, path, model)


def _start_from_own(state: dict[str, Tensor], path: Path, model: TLTM | CenterMask) -> StartReport:
    file_names = _class_names(path)
    state = {_tltm_name(name): value for name, value in state.items()}
    own = model.state_dict()
    names = tuple(detector_of(model).class_names or ())
    own_names = {_tltm_name(name): name for name in own}
    wrong: list[str] = []
    for common, name in own_names.items():
        if common not in state:
            continue
        value = state[common]
        if common.removeprefix("detector.").startswith(_BY_CLASS):
            value = _rows_by_name(value, own[name], file_names, names)
        wrong += misfits(name, value, own[name])
        own[name] = value
    if wrong or not own_names.keys() & state.keys():
        raise ValueError(
            f"Expected weights of this model, except for its classes, in '{path}', got those of another one: "
            f"{', '.join(wrong[:3]) or 'no common names'}. Nothing was loaded"
        )
    model.load_state_dict(own)
    return StartReport(
        str(path),
        copied=tuple(name for common, name in own_names.items() if common in state),
        classes=tuple(name for name in names if name in file_names),
        new_classes=tuple(name for name in names if name not in file_names),
        new=tuple(name for common, name in own_names.items() if common not in state and common != _FLAG),
        left_out=tuple(common for common in state if common not in own_names and common != _FLAG),
    )


def _class_names(path: Path) -> tuple[str, ...]:
    configuration = path.with_suffix(".json")
    if not configuration.is_file():
        raise FileNotFoundError(
            f"Expected '{configuration.name}', which names the classes, beside '{path}', got none: copy it there too"
        )
    try:
        return tuple(map(str, read_json(configuration, "a configuration")["class_names"]))
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"Expected a configuration with class_names in '{configuration}', got: {error!r}") from error


def _tltm_name(name: str) -> str:
    """Return the name of a weight in a TLTM."""
    return name if name.startswith(("detector.", "relation.")) else f"detector.{name}"


def _rows_by_name(value: Tensor, initial: Tensor, file_names: Sequence[str], names: Sequence[str]) -> Tensor:
    """Copy the rows of the classes in the file; keep the initial rows of other classes."""
    if value.shape[1:] != initial.shape[1:] or len(value) != len(file_names):
        return value  # the caller reports that it does not fit
    rows = initial.clone()
    for row, name in enumerate(names):
        if name in file_names:
            rows[row] = value[file_names.index(name)]
    return rows


def _part(name: str) -> str:
    parts = _tltm_name(name).split(".")
    return parts[1] if parts[0] == "detector" else f"relation.{parts[1]}"


def _shortened(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (", …" if len(names) > 5 else "") if names else "none"
