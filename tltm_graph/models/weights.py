import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from tltm_graph.association import LearnedAffinity, save_head
from tltm_graph.detectors.centermask import CenterMask, Decoder
from tltm_graph.formats import COCO, YOUTUBE_VIS_2019
from tltm_graph.io import read_weights
from tltm_graph.io.json_schema import choice, field, flag, integer, json_object, list_of, number, optional, text
from tltm_graph.io.output import write_atomically
from tltm_graph.io.text import read_json
from tltm_graph.models.builders import (
    centermask_pico,
    centermask_r50,
    centermask_r101,
    tltm_pico,
    tltm_r50,
    tltm_r101,
    tltm_tiny,
)
from tltm_graph.models.checkpoint import CheckpointReport, checkpoint_kind, load_checkpoint, official_names
from tltm_graph.models.pretrained import load_weights, weights_file
from tltm_graph.models.tltm import TLTM, detector_of, for_inference

_BUILDERS = {
    build.__name__: build
    for build in (
        tltm_r50,
        tltm_r101,
        tltm_tiny,
        tltm_pico,
        centermask_r50,
        centermask_r101,
        centermask_pico,
    )
}
_SIDE = integer(1, 16384)  # pixels
_MAX_CLASSES = 20_000  # the largest data set with masks has 1,203
_PRECISIONS = {"float32": None, "bfloat16": torch.bfloat16, "float16": torch.float16}


def save_model(model: TLTM | CenterMask, path: str | Path, dtype: torch.dtype | None = None) -> None:
    """Write the weights of a model as safetensors, and its configuration to the same path with the suffix ``.json``.

    If the model has its own association head, it is written to the same folder, as ``NAME_affinity.safetensors``.

    Args:
        model: Model of one of the builders, such as :func:`tltm_r50`.
        path: Path that ends in ``.safetensors``. Existing files are replaced when the new ones are complete.
        dtype: Data type of the weights in the file, ``torch.float16`` for half the size; None for that of the model.

    Raises:
        ValueError: If the path has another suffix, or no builder made the model.
    """
    path = Path(path)
    if path.suffix != ".safetensors":
        raise ValueError(f"Expected a path that ends in .safetensors, got '{path}'")
    if model.config is None:
        raise ValueError(
            f"Expected a model of one of {sorted(_BUILDERS)}, got another one or a copy for inference: save the model "
            "that was copied, or its state_dict"
        )
    detector = detector_of(model)
    config = {
        **model.config,
        "class_names": list(detector.class_names or ()),
        "min_size": detector.min_size,
        "max_size": detector.max_size,
        "stretch": detector.stretch,
        "masks_on_demand": detector.masks_on_demand,
        "mask_threshold": detector.mask_threshold,
        "new_track_threshold": detector.new_track_threshold,
        "decoder": asdict(detector.decoder),
        "affinity": isinstance(model, TLTM) and model.association is not None,
    }
    state = {
        name: value.detach().contiguous().cpu().to(dtype if value.is_floating_point() else None)
        for name, value in model.state_dict().items()
    }
    with write_atomically(path) as weights, write_atomically(path.with_suffix(".json")) as config_path:
        save_file(state, weights)
        config_path.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    if isinstance(model, TLTM) and model.association is not None:
        save_head(model.association.head, affinity_path(path), model.association.temperature)


def load_model(path: str | Path) -> TLTM | CenterMask:
    """Load a model that :func:`save_model` wrote, with its association head if it has its own.

    Args:
        path: Path of the weights, or the name of a shipped model, ``"tltm-pico"`` or ``"centermask-pico"``.

    Raises:
        FileNotFoundError: If the weights or the configuration are missing.
        ValueError: If one of the files is damaged, or they do not belong together.
    """
    path = weights_file(path)
    config_path = path.with_suffix(".json")
    if not config_path.is_file():
        raise FileNotFoundError(
            f"Expected the configuration of '{path}' in '{config_path.name}', found none: build the model with "
            "weights=PATH, or load a checkpoint of other code with load_reference_checkpoint()"
        )
    config = read_json(config_path, f"the configuration of one of {sorted(_BUILDERS)}")
    model = _configured(config, f"the configuration '{config_path}'")
    load_weights(path, model)
    if isinstance(model, TLTM) and config.get("affinity"):
        model.association = LearnedAffinity.from_file(affinity_path(path))
    return model


def affinity_path(path: Path) -> Path:
    """Return the path of a model's own association head, given that of its weights."""
    return path.with_name(f"{path.stem}_affinity.safetensors")


def files_of_model(path: Path) -> tuple[Path, ...]:
    """Return the paths of all files that :func:`load_model` may read, given that of the weights."""
    head = affinity_path(path)
    return path, path.with_suffix(".json"), head, head.with_suffix(".json")


def _configured(config: Any, where: str) -> TLTM | CenterMask:
    build = _BUILDERS[field(config, "architecture", choice(tuple(_BUILDERS)), where)]
    kinds = {
        "min_size": _SIDE,
        "max_size": _SIDE,
        "mask_threshold": number(0, 1),
        "new_track_threshold": optional(number(0, 1)),
        "stride_in_1x1": flag(),
        "stretch": flag(),
        "fused": flag(),
        "masks_on_demand": flag(),
    }
    required = ("min_size", "max_size")
    options = {
        name: field(config, name, kind, where) for name, kind in kinds.items() if name in config or name in required
    }
    values, of = field(config, "decoder", json_object(), where), f"'decoder' of {where}"
    decoder = Decoder(
        score_threshold=float(field(values, "score_threshold", number(0, 1), of)),
        candidates=field(values, "candidates", integer(1, 10**6), of),
        nms_iou=float(field(values, "nms_iou", number(0, 1), of)),
        max_objects=field(values, "max_objects", integer(1, 10**6), of),
        nms_iou_across=float(field(values, "nms_iou_across", number(0, 1), of, 1.0)),
    )
    names = field(config, "class_names", list_of(text(1000), max_length=_MAX_CLASSES), where)
    return build(tuple(names), decoder=decoder, **options)


def load_reference_checkpoint(
    path: str | Path, model: TLTM | CenterMask | None = None, class_names: Sequence[str] | None = None
) -> tuple[TLTM | CenterMask, CheckpointReport]:
    """Load a checkpoint of detectron2, CenterMask2 or the released TLTM code.

    A CenterMask or an ImageNet backbone can be loaded into a TLTM; its other weights stay random. Classes of COCO are
    mapped to those of YouTube-VIS 2019 by name.

    Args:
        path: Path of the checkpoint, ``.pth`` or ``.pkl``, for :func:`tltm_graph.io.read_weights`.
        model: Model to load into, in place; None to build the model of the checkpoint.
        class_names: Names of the classes of a model to build; None to choose by their number (80 for COCO, 40 for
            YouTube-VIS 2019).

    Returns:
        The model, and a report that lists the weights that were loaded, ignored and missing.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is damaged, contains code (which is not run), or does not fit the model. The message
            names the first weights that do not fit, and nothing is loaded.
    """
    weights = read_weights(path)
    if model is None:
        model = _matching_model(official_names(weights), class_names, path)
    return model, load_checkpoint(weights, model, path)


def model_for_tracking(
    path: str,
    device: str = "cpu",
    score_threshold: float | None = None,
    new_track_threshold: float | None = None,
    max_objects: int | None = None,
    min_size: int | None = None,
    max_size: int | None = None,
    precision: str = "float32",
    backend: str = "torch",
    fusion: bool = True,
    appearance: bool = True,
) -> TLTM | CenterMask:
    """Load a model for tracking: optimised for inference, on a device, with settings other than those of the file.

    Args:
        path: Weights of :func:`save_model`, the name of the shipped model (:func:`load_model`), or a checkpoint
            (:func:`load_reference_checkpoint`).
        device: Device of the model.
        score_threshold: Minimum probability of a class; None for the model's own.
        new_track_threshold: Minimum score, in [0, 1], that starts a track; None for the model's own.
        max_objects: Maximum number of detections per frame; None for the model's own.
        min_size: Length of the shorter side of the input in pixels; None for the model's own.
        max_size: Maximum length of the longer side in pixels; None for the model's own.
        precision: ``"float32"``, ``"bfloat16"`` or ``"float16"``.
        backend: ``"torch"`` or ``"openvino"``, which runs the network faster on a CPU and needs the extra of its name.
        fusion: False to process each frame alone.
        appearance: False to track without the model's own appearance model.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file has no known model, or a setting is not valid.
    """
    if precision not in _PRECISIONS:
        raise ValueError(f"Expected the precision 'float32', 'bfloat16' or 'float16', got '{precision}'")
    if backend not in ("torch", "openvino"):
        raise ValueError(f"Expected the backend 'torch' or 'openvino', got '{backend}'")
    given = {"score_threshold": score_threshold, "new_track_threshold": new_track_threshold}
    settings = {**given, "max_objects": max_objects, "min_size": min_size, "max_size": max_size}
    kinds = {
        **dict.fromkeys(given, number(0, 1)),
        "max_objects": integer(1, 10**6),
        "min_size": _SIDE,
        "max_size": _SIDE,
    }
    for name, value in settings.items():
        if value is not None and not kinds[name].accepts(value):
            raise ValueError(f"Expected {name} as {kinds[name].expected}, got {value}")
    weights = weights_file(path)
    is_own = weights.with_suffix(".json").is_file()
    model = for_inference(load_model(weights) if is_own else load_reference_checkpoint(weights)[0])
    detector = detector_of(model)
    detector.autocast = _PRECISIONS[precision]
    if not fusion:
        detector.fusers = detector.alignment = None
    if not appearance and isinstance(model, TLTM):
        model.relation.is_trained.fill_(False)  # an appearance model that is not trained is not used
    if min_size is not None:
        detector.min_size = min_size
    if max_size is not None:
        detector.max_size = max_size
    if score_threshold is not None:
        detector.decoder = replace(detector.decoder, score_threshold=score_threshold)
    if new_track_threshold is not None:
        detector.new_track_threshold = new_track_threshold
    if max_objects is not None:
        detector.decoder = replace(detector.decoder, max_objects=max_objects)
    model.to(device)
    if backend == "openvino":
        from tltm_graph.detectors.centermask.openvino_backend import OpenVinoBackend

        detector.backend = OpenVinoBackend(detector)
    return model


def _matching_model(
    weights: dict[str, torch.Tensor], class_names: Sequence[str] | None, path: str | Path
) -> TLTM | CenterMask:
    kind, _ = checkpoint_kind(weights, path)
    biases = weights.get("proposal_generator.fcos_head.cls_logits.bias")
    if biases is None:
        raise ValueError(
            f"Expected a whole model in '{path}', got a {kind} checkpoint without a head: to start training from it, "
            f"name the model it goes into, as in load_reference_checkpoint(path, tltm_r50())"
        )
    if class_names is None:
        by_number = {len(names): names for names in (COCO, YOUTUBE_VIS_2019)}
        class_names = by_number.get(len(biases), tuple(f"class {i}" for i in range(len(biases))))
    blocks = {name.split(".")[3] for name in weights if name.startswith("backbone.bottom_up.res4.")}
    builders = (tltm_r50, tltm_r101) if kind == "TLTM" else (centermask_r50, centermask_r101)
    model = builders[len(blocks) > 6](class_names)
    if isinstance(model, TLTM) and not any("resfuser" in name for name in weights):
        model.detector.fusers = None  # the published baseline was trained without
        model.config = None
    return model
