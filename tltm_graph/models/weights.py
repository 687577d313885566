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
from tltm_graph.io import read_weights, write_atomically
from tltm_graph.models.checkpoint import CheckpointReport, checkpoint_kind, load_checkpoint, official_names
from tltm_graph.models.inference import for_inference
from tltm_graph.models.pretrained import load_weights, weights_file
from tltm_graph.models.tltm import TLTM, centermask_r50, centermask_r101, detector_of, tltm_r50, tltm_r101, tltm_tiny

_BUILDERS = {build.__name__: build for build in (tltm_r50, tltm_r101, tltm_tiny, centermask_r50, centermask_r101)}


def save_model(model: TLTM | CenterMask, path: str | Path) -> None:
    """Writes weights as safetensors, and beside them (``.json``) how to build the model. If it has an affinity of its
    own, that is written beside them too (``_affinity.safetensors``).

    Args:
        model: A model of one of the builders.
        path: A path that ends in ``.safetensors``. Files are replaced when they are complete.

    Raises:
        ValueError: If the path ends otherwise, or the model was put together by hand.
    """
    path = Path(path)
    if path.suffix != ".safetensors":
        raise ValueError(f"Expected a path that ends in .safetensors, got '{path}'")
    if model.config is None:
        raise ValueError(
            f"Expected a model of one of {sorted(_BUILDERS)}, got another one or a copy for inference: save "
            "what the copy was made of, or its state_dict"
        )
    detector = detector_of(model)
    config = {
        **model.config,
        "class_names": list(detector.class_names or ()),
        "min_size": detector.min_size,
        "max_size": detector.max_size,
        "decoder": asdict(detector.decoder),
        "affinity": isinstance(model, TLTM) and model.association is not None,
    }
    state = {name: value.detach().contiguous().cpu() for name, value in model.state_dict().items()}
    with write_atomically(path) as weights, write_atomically(path.with_suffix(".json")) as beside:
        save_file(state, weights)
        beside.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    if isinstance(model, TLTM) and model.association is not None:
        save_head(model.association.head, affinity_path(path), model.association.temperature)


def load_model(path: str | Path) -> TLTM | CenterMask:
    """Builds a model that :func:`save_model` wrote, with its weights and, if there is one, its affinity.

    Args:
        path: Of the weights, or the name of a model that comes with the package
            (:data:`tltm_graph.models.SHIPPED_WEIGHTS`).

    Raises:
        FileNotFoundError: If one of the two files is missing.
        ValueError: If one of them is broken, or they do not belong together.
    """
    path = weights_file(path)
    beside = path.with_suffix(".json")
    if not beside.is_file():
        raise FileNotFoundError(
            f"Expected the configuration of '{path}' beside it in '{beside.name}', found none: build the model "
            "yourself and give it weights=PATH, or load a checkpoint of others with load_reference_checkpoint()"
        )
    try:
        config = json.loads(beside.read_text(encoding="utf-8"))
        model = _configured(config)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"Expected a configuration of one of {sorted(_BUILDERS)} in '{beside}', got: {error}"
        ) from error
    load_weights(path, model)
    if isinstance(model, TLTM) and config.get("affinity"):
        model.association = LearnedAffinity.from_file(affinity_path(path))
    return model


def affinity_path(path: Path) -> Path:
    """Where the affinity of a model is, if it has one of its own."""
    return path.with_name(f"{path.stem}_affinity.safetensors")


def _configured(config: dict[str, Any]) -> TLTM | CenterMask:
    build = _BUILDERS[config["architecture"]]
    options: dict[str, Any] = {name: int(config[name]) for name in ("min_size", "max_size")}
    if "stride_in_1x1" in config:
        options["stride_in_1x1"] = bool(config["stride_in_1x1"])
    values = config["decoder"]
    decoder = Decoder(
        score_threshold=float(values["score_threshold"]),
        candidates=int(values["candidates"]),
        nms_iou=float(values["nms_iou"]),
        max_objects=int(values["max_objects"]),
        nms_iou_across=float(values.get("nms_iou_across", 1.0)),
    )
    names = config["class_names"]
    if not isinstance(names, list):
        raise ValueError(f"class_names as a list, not {names!r}")
    return build(tuple(map(str, names)), decoder=decoder, **options)


def load_reference_checkpoint(
    path: str | Path, model: TLTM | CenterMask | None = None, class_names: Sequence[str] | None = None
) -> tuple[TLTM | CenterMask, CheckpointReport]:
    """Loads a checkpoint of detectron2, CenterMask2 or the released TLTM code; see :func:`load_checkpoint`.

    Args:
        path: What :func:`tltm_graph.io.read_weights` reads: ``.pth`` or ``.pkl``.
        model: The model to load into, in place; None builds the one that the checkpoint is of.
        class_names: Of a model to be built; by default told from their number (80 of COCO, 40 of YouTube-VIS 2019).

    Returns:
        The model, and what became of the checkpoint.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is broken, has code in it (which is not run), or its weights are not those of the model:
            names the first that do not fit. Nothing is loaded then.
    """
    weights = read_weights(path)
    if model is None:
        model = _matching_model(official_names(weights), class_names, path)
    return model, load_checkpoint(weights, model, path)


def model_for_tracking(
    path: str,
    device: str = "cpu",
    score_threshold: float | None = None,
    max_objects: int | None = None,
    min_size: int | None = None,
    max_size: int | None = None,
    precision: str = "float32",
) -> TLTM | CenterMask:
    """A model from a file, ready to detect and, if it is a TLTM, to relate.

    Args:
        path: Weights of :func:`save_model` or the name of shipped ones, see :func:`load_model`; or a checkpoint
            (:func:`load_reference_checkpoint`).
        device: Where it runs.
        score_threshold: Least probability of a class; None for that of the file, or 0.05.
        max_objects: At most so many objects a frame; None for that of the file, or 50.
        min_size: Length of an image's shorter side; None for that of the file, or 800.
        max_size: Most of its longer side; None for that of the file, or 1333.
        precision: ``"float32"``, ``"bfloat16"`` or ``"float16"``.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not of a model known here, or the precision is none.
    """
    if precision not in ("float32", "bfloat16", "float16"):
        raise ValueError(f"Expected the precision 'float32', 'bfloat16' or 'float16', got '{precision}'")
    weights = weights_file(path)
    own = weights.with_suffix(".json").is_file()
    model = load_model(weights) if own else load_reference_checkpoint(weights)[0]
    model = for_inference(model)
    detector = detector_of(model)
    detector.autocast = None if precision == "float32" else getattr(torch, precision)
    for name, pixels in (("min_size", min_size), ("max_size", max_size)):
        if pixels is not None and pixels < 1:
            raise ValueError(f"Expected {name} of at least 1, got {pixels}")
        setattr(detector, name, getattr(detector, name) if pixels is None else pixels)
    if score_threshold is not None:
        detector.decoder = replace(detector.decoder, score_threshold=score_threshold)
    if max_objects is not None:
        detector.decoder = replace(detector.decoder, max_objects=max_objects)
    return model.to(device)


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
        known = {len(names): names for names in (COCO, YOUTUBE_VIS_2019)}
        class_names = known.get(len(biases), tuple(f"class {i}" for i in range(len(biases))))
    blocks = {name.split(".")[3] for name in weights if name.startswith("backbone.bottom_up.res4.")}
    builders = (tltm_r50, tltm_r101) if kind == "TLTM" else (centermask_r50, centermask_r101)
    model = builders[len(blocks) > 6](class_names)
    if isinstance(model, TLTM) and not any("resfuser" in name for name in weights):
        model.detector.fusers = None  # as the published baseline was trained
        model.config = None
    return model
