"""Checkpoints of detectron2, CenterMask2 and the released TLTM code, and the names of their weights."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from tltm_graph.detectors.centermask import CenterMask
from tltm_graph.formats import COCO, YOUTUBE_VIS_2019, read_class_map
from tltm_graph.models.tltm import TLTM

_REFERENCE_NAMES: tuple[tuple[str, str | Callable[[re.Match[str]], str]], ...] = (  # pattern, reference name
    (r"^detector\.backbone\.body\.conv1\.", "backbone.bottom_up.stem.conv1."),
    (r"^detector\.backbone\.body\.bn1\.", "backbone.bottom_up.stem.conv1.norm."),
    (r"^detector\.backbone\.body\.layer(\d)\.(\d+)\.conv(\d)\.", lambda m: f"{_block(m)}.conv{m[3]}."),
    (r"^detector\.backbone\.body\.layer(\d)\.(\d+)\.bn(\d)\.", lambda m: f"{_block(m)}.conv{m[3]}.norm."),
    (r"^detector\.backbone\.body\.layer(\d)\.(\d+)\.downsample\.0\.", lambda m: f"{_block(m)}.shortcut."),
    (r"^detector\.backbone\.body\.layer(\d)\.(\d+)\.downsample\.1\.", lambda m: f"{_block(m)}.shortcut.norm."),
    (r"^detector\.backbone\.fpn\.inner_blocks\.(\d)\.0\.", lambda m: f"backbone.fpn_lateral{int(m[1]) + 3}."),
    (r"^detector\.backbone\.fpn\.layer_blocks\.(\d)\.0\.", lambda m: f"backbone.fpn_output{int(m[1]) + 3}."),
    (r"^detector\.backbone\.fpn\.extra_blocks\.", "backbone.top_block."),
    (r"^detector\.fusers\.(\d)\.", r"proposal_generator.fcos_head.resfuser_\1."),
    (r"^detector\.head\.scales\.(\d)$", r"proposal_generator.fcos_head.scales.\1.scale"),
    (r"^detector\.head\.", "proposal_generator.fcos_head."),
    (r"^detector\.mask_head\.convs\.(\d)\.", lambda m: f"roi_heads.mask_head.mask_fcn{int(m[1]) + 1}."),
    (r"^detector\.mask_head\.attention\.", "roi_heads.mask_head.spatialAtt."),
    (r"^detector\.mask_head\.", "roi_heads.mask_head."),
    (r"^relation\.encoder\.", "obj_encoder."),
    (r"^relation\.gnn\.", "obj2obj_gnn."),
)
_PARTS = (  # prefix of a reference name, and part of the model
    ("backbone.bottom_up.", "backbone"),
    ("backbone.", "pyramid"),
    ("proposal_generator.fcos_head.resfuser_", "ResFuser"),
    ("proposal_generator.fcos_head.", "FCOS head"),
    ("roi_heads.mask_head.", "mask head"),
    ("obj_encoder.", "encoder"),
    ("obj2obj_gnn.", "GNN"),
)
_KINDS = (  # kind of checkpoint, parts of which any one identifies it (first match), and parts it must have
    ("TLTM", {"encoder", "GNN"}, ("backbone", "pyramid", "FCOS head", "mask head", "encoder", "GNN")),
    ("CenterMask", {"FCOS head"}, ("backbone", "pyramid", "FCOS head", "mask head")),
    ("ImageNet", {"backbone"}, ("backbone",)),
)
_UNUSED = r"^(fc1000[._]|fc\.|linear\.|pixel_mean$|pixel_std$|roi_heads\.maskiou_head\.)|momentum"
_BY_CLASS = ("cls_logits.weight", "cls_logits.bias", "predictor.weight", "predictor.bias")


@dataclass(frozen=True)
class CheckpointReport:
    """Report on a loaded checkpoint. Names of weights are those in the file.

    Args:
        path: Path of the file.
        kind: Kind of checkpoint: ``"TLTM"``, ``"CenterMask"`` or ``"ImageNet"``.
        matched: Weights that were loaded unchanged.
        reshaped: Weights of which only the rows of the model's classes were loaded. Other rows stay random.
        ignored: Weights of the file that the model does not use.
        missing: Weights of the model that the file lacks. They stay random and must be trained.
    """

    path: str
    kind: str
    matched: tuple[str, ...]
    reshaped: tuple[str, ...]
    ignored: tuple[str, ...]
    missing: tuple[str, ...]

    def __str__(self) -> str:
        lines = [f"{self.kind} checkpoint {self.path}"]
        groups = {"matched": self.matched, "reshaped": self.reshaped, "ignored": self.ignored, "missing": self.missing}
        for group, names in groups.items():
            parts = sorted({_part(name) or "others" for name in names})
            lines.append(f"  {group:9}{len(names):5}{'  ' if parts else ''}{', '.join(parts)}")
        return "\n".join(lines)


def reference_name(name: str) -> str | None:
    """Return the name that the released code gives to a weight of :class:`TLTM`, None if it has no such weight."""
    for pattern, replacement in _REFERENCE_NAMES:
        reference, count = re.subn(pattern, replacement, name)
        if count:
            return reference
    return None


def load_checkpoint(
    weights: dict[str, Tensor], model: TLTM | CenterMask, path: str | Path = "", stride_in_1x1: bool = True
) -> CheckpointReport:
    """Load weights of detectron2, CenterMask2 or the released TLTM code.

    The checkpoint must have all weights of its kind:

    - TLTM: the whole model;
    - CenterMask: the detector; ResFuser, encoder and GNN of a TLTM stay random;
    - an ImageNet backbone, with Caffe2's or detectron2's names: everything else stays random.

    Weights of MaskIoU heads and ImageNet classifiers are ignored. If the checkpoint has COCO's 80 classes and the model
    those of YouTube-VIS 2019, the rows of the 19 common classes are loaded and the other 21 stay random.

    Args:
        weights: Weights by name, as :func:`tltm_graph.io.read_weights` returns them.
        model: Model to load into, in place. It does not change if an error is raised.
        path: Path of the file, for messages.
        stride_in_1x1: True if a ResNet must have its stride in the first 1×1 convolution, as those of detectron2 have.

    Raises:
        ValueError: If the weights do not fit the model. The message names the first ones.
    """
    weights = official_names(weights)
    kind, required = checkpoint_kind(weights, path)
    prefix = "" if isinstance(model, TLTM) else "detector."
    state = dict(model.state_dict())
    references = {name: reference for name in state if (reference := reference_name(prefix + name))}
    _check_names(weights, list(references.values()), kind, required, path)

    if not any(reference in weights for reference in references.values()):
        raise ValueError(f"Expected weights of this model in '{path}', got a {kind} checkpoint of another architecture")
    if stride_in_1x1 and has_stride_in_1x1(model) is False:
        raise ValueError(
            f"Expected a ResNet whose stride is in the first 1×1 convolution for the weights in '{path}', got one with "
            "the stride in the 3×3: build the model with stride_in_1x1=True, its default"
        )

    reshaped, wrong = [], []
    for name, reference in references.items():
        if reference not in weights:
            continue
        value = weights[reference]
        if value.shape != state[name].shape and reference.endswith(_BY_CLASS):
            rows = _rows_class_filter(value, state[name], model.class_names)
            reshaped += [reference] if rows is not value else []
            value = rows
        wrong += misfits(reference, value, state[name])
        state[name] = value
    if wrong:
        raise ValueError(_misfit_message(path, kind, f"has {len(wrong)} weights of other shapes or values", wrong))
    if kind == "TLTM" and isinstance(model, TLTM):
        state["relation.is_trained"] = torch.tensor(True)
    model.load_state_dict(state)
    used = set(references.values())
    return CheckpointReport(
        str(path),
        kind,
        matched=tuple(r for r in references.values() if r in weights and r not in reshaped),
        reshaped=tuple(reshaped),
        ignored=tuple(name for name in weights if name not in used),
        missing=tuple(r for r in references.values() if r not in weights),
    )


def misfits(name: str, value: Tensor, own: Tensor) -> list[str]:
    """Describe in one text why a value cannot replace the model's own weight; an empty list if it can."""
    if value.shape != own.shape:
        return [f"{name} {tuple(value.shape)} for {tuple(own.shape)}"]
    fits = value.is_floating_point() == own.is_floating_point() and value.isfinite().all()
    return [] if fits else [f"{name} (values)"]


def has_stride_in_1x1(model: nn.Module) -> bool | None:
    """Return True if a ResNet has its stride in the 1×1 convolution, False if in the 3×3, None for other networks."""
    for name, layer in model.named_modules():
        if name.endswith("layer2.0.conv1") and isinstance(layer, nn.Conv2d):
            return layer.stride == (2, 2)
    return None


def official_names(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename weights as detectron2 names them, and complete Caffe2's norms, which have a scale and an offset alone."""
    weights = {_detectron2_name(name): value for name, value in weights.items()}
    for name in [name for name in weights if name.endswith(".norm.weight") and _part(name) == "backbone"]:
        stem = name.removesuffix("weight")
        if f"{stem}running_mean" not in weights and f"{stem}running_var" not in weights:
            weights[f"{stem}running_mean"] = torch.zeros_like(weights[name])
            weights[f"{stem}running_var"] = torch.ones_like(weights[name]) - 1e-5  # the norm adds ε = 1e-5
    return weights


def checkpoint_kind(weights: dict[str, Tensor], path: str | Path = "") -> tuple[str, tuple[str, ...]]:
    """Return the kind of a checkpoint with official names, and the parts that must be complete.

    Raises:
        ValueError: If it is of no known kind.
    """
    parts = {_part(name) for name in weights}
    for kind, identifying, required in _KINDS:
        if identifying & parts:
            return kind, (*required, "ResFuser") if "ResFuser" in parts else required
    raise ValueError(
        f"Expected weights of a ResNet backbone, CenterMask or TLTM in '{path}', got names such as {list(weights)[:3]}"
    )


def _check_names(
    weights: dict[str, Tensor], references: list[str], kind: str, required: tuple[str, ...], path: str | Path
) -> None:
    parts = {_part(name) for name in references}
    if kind == "TLTM":  # a random ResFuser would disturb a model that was trained without one
        required = (*required, "ResFuser")
    missing = [name for name in references if name not in weights and _part(name) in required]
    if missing:
        raise ValueError(_misfit_message(path, kind, f"lacks {len(missing)} of the model's weights", missing))
    unexpected = [
        name
        for name in sorted(set(weights) - set(references))
        if _part(name) in parts or not (_part(name) or re.search(_UNUSED, name))
    ]
    if unexpected:
        raise ValueError(_misfit_message(path, kind, f"has {len(unexpected)} weights that the model lacks", unexpected))


def _detectron2_name(name: str) -> str:
    """Return detectron2's name of a weight. ImageNet files have Caffe2's names, or detectron2's without a prefix."""
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


def _block(match: re.Match[str]) -> str:
    return f"backbone.bottom_up.res{int(match[1]) + 1}.{match[2]}"


def _part(name: str) -> str | None:
    return next((part for prefix, part in _PARTS if name.startswith(prefix)), None)


def _rows_class_filter(value: Tensor, initial: Tensor, class_names: Sequence[str] | None) -> Tensor:
    """Select the rows of COCO's classes for the classes of YouTube-VIS 2019; classes that COCO lacks keep theirs."""
    if value.shape[1:] != initial.shape[1:] or len(value) != len(COCO) or class_names != YOUTUBE_VIS_2019:
        return value
    rows = initial.clone()
    for coco_name, name in read_class_map("coco_to_youtube_vis_2019").items():
        rows[YOUTUBE_VIS_2019.index(name)] = value[COCO.index(coco_name)]
    return rows


def _misfit_message(path: str | Path, kind: str, problem: str, names: Sequence[str]) -> str:
    return (
        f"Expected the weights of this model in '{path}', got a {kind} checkpoint that {problem}: "
        f"{', '.join(names[:3])}{', …' if len(names) > 3 else ''}. Nothing was loaded"
    )
