"""Weights of detectron2, CenterMask2 and the released TLTM code."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from tltm_graph.formats import COCO, YOUTUBE_VIS_2019, read_class_map
from tltm_graph.models.reference_names import reference_name

_PARTS = (  # the beginnings of names, and the part of a model that they belong to
    ("backbone.bottom_up.", "backbone"),
    ("backbone.", "pyramid"),
    ("proposal_generator.fcos_head.resfuser_", "ResFuser"),
    ("proposal_generator.fcos_head.", "FCOS head"),
    ("roi_heads.mask_head.", "mask head"),
    ("obj_encoder.", "encoder"),
    ("obj2obj_gnn.", "GNN"),
)
_KINDS = (  # the first one of whose telling parts there is any; a file of a kind must have all of its parts
    ("TLTM", {"encoder", "GNN"}, ("backbone", "pyramid", "FCOS head", "mask head", "encoder", "GNN")),
    ("CenterMask", {"FCOS head"}, ("backbone", "pyramid", "FCOS head", "mask head")),
    ("ImageNet", {"backbone"}, ("backbone",)),
)
_OF_NO_USE = r"^(fc1000[._]|fc\.|linear\.|pixel_mean$|pixel_std$|roi_heads\.maskiou_head\.)|momentum"
_BY_CLASS = ("cls_logits.weight", "cls_logits.bias", "predictor.weight", "predictor.bias")


@dataclass(frozen=True)
class CheckpointReport:
    """What became of a checkpoint. All names are those in the file.

    Args:
        path: The file.
        kind: ``"TLTM"``, ``"CenterMask"`` or ``"ImageNet"``.
        matched: Loaded as they are.
        reshaped: Loaded in part: rows of classes that the model knows, the rest drawn anew.
        ignored: In the file, of no use to the model.
        missing: In the model, not in the file: drawn anew, to be trained.
    """

    path: str
    kind: str
    matched: tuple[str, ...]
    reshaped: tuple[str, ...]
    ignored: tuple[str, ...]
    missing: tuple[str, ...]

    def __str__(self) -> str:
        lines = [f"{self.kind} checkpoint {self.path}"]
        for group in ("matched", "reshaped", "ignored", "missing"):
            names = getattr(self, group)
            parts = sorted({_part(name) or "others" for name in names})
            lines.append(f"  {group:9}{len(names):5}{'  ' if parts else ''}{', '.join(parts)}")
        return "\n".join(lines)


def load_checkpoint(
    weights: dict[str, Tensor], model: nn.Module, path: str | Path = "", strides: bool = True
) -> CheckpointReport:
    """Loads weights of detectron2, CenterMask2 or the released TLTM code.

    A checkpoint of a kind must have every weight of that kind: of TLTM, of CenterMask (which leaves ResFuser, encoder
    and GNN of a TLTM to be trained), or of an ImageNet backbone (Caffe2 or detectron2 names; leaves all the rest).
    Weights of MaskIoU heads and classifiers are ignored. If it knows COCO's 80 classes and the model YouTube-VIS's 40,
    the 19 that both know are taken over and the other 21 drawn anew.

    Args:
        weights: As :func:`tltm_graph.io.read_weights` gives them.
        model: A TLTM or CenterMask, changed in place, all of it or (after an error) not at all.
        path: For messages.
        strides: Whether a ResNet must go to half the size where those of detectron2 do, in the first 1×1 convolution.

    Returns:
        What became of the weights.

    Raises:
        ValueError: If the weights are not those of the model: names the first that do not fit.
    """
    weights = official_names(weights)
    kind, required = checkpoint_kind(weights, path)
    prefix = "" if hasattr(model, "relation") else "detector."
    state = dict(model.state_dict())
    wanted = {name: reference for name in state if (reference := reference_name(prefix + name))}
    _check_names(weights, list(wanted.values()), kind, required, path)

    if not any(reference in weights for reference in wanted.values()):
        raise ValueError(f"Expected weights of this model in '{path}', got a {kind} checkpoint of another architecture")
    if strides:
        _check_stride(model, path)

    reshaped, misshapen = [], []
    for name, reference in wanted.items():
        if reference not in weights:
            continue
        value = weights[reference]
        if value.shape != state[name].shape and reference.endswith(_BY_CLASS):
            gathered = _gathered(value, state[name], getattr(model, "class_names", None))
            reshaped += [reference] if gathered is not value else []
            value = gathered
        misshapen += misfits(reference, value, state[name])
        state[name] = value
    if misshapen:
        raise ValueError(_complaint(path, kind, f"has {len(misshapen)} weights of other shapes or values", misshapen))
    if kind == "TLTM" and "relation.is_trained" in state:
        state["relation.is_trained"] = torch.tensor(True)
    model.load_state_dict(state)
    references = set(wanted.values())
    return CheckpointReport(
        str(path),
        kind,
        matched=tuple(r for r in wanted.values() if r in weights and r not in reshaped),
        reshaped=tuple(reshaped),
        ignored=tuple(name for name in weights if name not in references),
        missing=tuple(r for r in wanted.values() if r not in weights),
    )


def misfits(name: str, value: Tensor, own: Tensor) -> list[str]:
    """What is wrong with the value of a weight, if anything."""
    if value.shape != own.shape:
        return [f"{name} {tuple(value.shape)} for {tuple(own.shape)}"]
    return (
        [] if value.is_floating_point() == own.is_floating_point() and value.isfinite().all() else [f"{name} (values)"]
    )


def stride_in_1x1(model: nn.Module) -> bool | None:
    """Where a ResNet goes to half the size, None for other networks."""
    for name, layer in model.named_modules():
        if name.endswith("layer2.0.conv1") and isinstance(layer, nn.Conv2d):
            return layer.stride == (2, 2)
    return None


def _check_stride(model: nn.Module, path: str | Path) -> None:
    if stride_in_1x1(model) is False:
        raise ValueError(
            f"Expected a ResNet whose stride is in the first 1×1 convolution for the weights in '{path}', got one with "
            "the stride in the 3×3: build the model with stride_in_1x1=True, its default"
        )


def official_names(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights under the names that detectron2 gives them; Caffe2's norms with statistics that change nothing."""
    weights = {_detectron2_name(name): value for name, value in weights.items()}
    _complete_affine_norms(weights)
    return weights


def checkpoint_kind(weights: dict[str, Tensor], path: str | Path = "") -> tuple[str, tuple[str, ...]]:
    """What weights with official names are of, and the parts that must be complete.

    Raises:
        ValueError: If they are of nothing known here.
    """
    parts = {_part(name) for name in weights}
    for kind, telling, required in _KINDS:
        if telling & parts:
            return kind, (*required, "ResFuser") if "ResFuser" in parts else required
    raise ValueError(
        f"Expected weights of a ResNet backbone, CenterMask or TLTM in '{path}', got names such as {list(weights)[:3]}"
    )


def _check_names(
    weights: dict[str, Tensor], wanted: list[str], kind: str, required: tuple[str, ...], path: str | Path
) -> None:
    parts = {_part(name) for name in wanted}
    if kind == "TLTM":  # what was trained without ResFuser would be disturbed by a random one
        required = (*required, "ResFuser")
    absent = [name for name in wanted if name not in weights and _part(name) in required]
    if absent:
        raise ValueError(_complaint(path, kind, f"lacks {len(absent)} of the model's weights", absent))
    strange = [
        name
        for name in sorted(set(weights) - set(wanted))
        if _part(name) in parts or not (_part(name) or re.search(_OF_NO_USE, name))
    ]
    if strange:
        raise ValueError(_complaint(path, kind, f"has {len(strange)} weights that the model lacks", strange))


def _detectron2_name(name: str) -> str:
    """The name that detectron2 gives to a weight of its ImageNet files, which are named as in Caffe2 or too shortly."""
    if re.match(r"^(conv1|res_conv1|res\d_\d+_branch\w+?)_(bn_)?(w|b|s|rm|riv)$", name):
        stem, kind = re.fullmatch(r"(.+?)_((?:bn_)?(?:w|b|s|rm|riv))", name).groups()  # type: ignore[union-attr]
        suffix = {"w": "weight", "b": "bias", "bn_s": "norm.weight", "bn_b": "norm.bias"} | {
            "bn_rm": "norm.running_mean",
            "bn_riv": "norm.running_var",
        }
        stem = re.sub(r"^(res_)?conv1$", "stem.conv1", stem).replace("_", ".")
        for branch, layer in (("1", "shortcut"), ("2a", "conv1"), ("2b", "conv2"), ("2c", "conv3")):
            stem = re.sub(rf"\.branch{branch}$", f".{layer}", stem)
        name = f"{stem}.{suffix[kind]}"
    return f"backbone.bottom_up.{name}" if re.match(r"^(stem|res[2-5])\.", name) else name


def _complete_affine_norms(weights: dict[str, Tensor]) -> None:
    """Caffe2's norms are a scale and an offset: statistics that change nothing are added."""
    for name in [name for name in weights if name.endswith(".norm.weight") and _part(name) == "backbone"]:
        stem = name.removesuffix("weight")
        if f"{stem}running_mean" not in weights and f"{stem}running_var" not in weights:
            weights[f"{stem}running_mean"] = torch.zeros_like(weights[name])
            weights[f"{stem}running_var"] = torch.ones_like(weights[name]) - 1e-5  # the ε of the norm


def _part(name: str) -> str | None:
    return next((part for beginning, part in _PARTS if name.startswith(beginning)), None)


def _gathered(value: Tensor, initial: Tensor, class_names: Sequence[str] | None) -> Tensor:
    """The rows of the model's classes, where COCO has them; the initial ones elsewhere."""
    if value.shape[1:] != initial.shape[1:] or len(value) != len(COCO) or class_names != YOUTUBE_VIS_2019:
        return value
    rows = initial.clone()
    for coco_name, name in read_class_map("coco_to_youtube_vis_2019").items():
        rows[YOUTUBE_VIS_2019.index(name)] = value[COCO.index(coco_name)]
    return rows


def _complaint(path: str | Path, kind: str, what: str, names: Sequence[str]) -> str:
    return (
        f"Expected the weights of this model in '{path}', got a {kind} checkpoint that {what}: "
        f"{', '.join(names[:3])}{', …' if len(names) > 3 else ''}. Nothing was loaded"
    )
