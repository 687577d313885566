import json
from importlib.resources import files
from pathlib import Path
from urllib.error import URLError

import torch
from torch import Tensor, nn
from torch.hub import load_state_dict_from_url

from tltm_graph.io import read_weights
from tltm_graph.models.checkpoint import CheckpointReport, load_checkpoint, misfits, stride_in_1x1

KNOWN_WEIGHTS = {
    "imagenet-r50": "https://download.pytorch.org/models/resnet50-0676ba61.pth",
    "imagenet-r101": "https://download.pytorch.org/models/resnet101-63fe2227.pth",
}
"""Where weights are published. A file's name ends with the beginning of its SHA-256."""

SHIPPED_WEIGHTS = {
    "tltm-tiny-moving-shapes": Path(str(files("tltm_graph"))) / "weights" / "tltm_tiny.safetensors",
}
"""Whole models that come with the package: files of :func:`tltm_graph.models.save_model`."""


def weights_file(weights: str | Path) -> Path:
    """Where weights are: the path itself, or that of one of :data:`SHIPPED_WEIGHTS`.

    Raises:
        FileNotFoundError: If there is no file.
    """
    path = SHIPPED_WEIGHTS.get(str(weights), Path(weights))
    if not path.is_file():
        raise FileNotFoundError(
            f"Expected a file of weights or one of {sorted(SHIPPED_WEIGHTS)}, found no file '{path}'; backbones to "
            f"start training from, with load_weights(), are {sorted(KNOWN_WEIGHTS)}"
        )
    return path


def load_weights(weights: str | Path, model: nn.Module) -> CheckpointReport | None:
    """Loads weights into a model, all of them or (after an error) none.

    Args:
        weights: A file that :func:`tltm_graph.models.save_model` wrote; a checkpoint of detectron2, CenterMask2 or the
            released TLTM code (:func:`tltm_graph.models.load_reference_checkpoint`); a ResNet of torchvision; one of
            :data:`SHIPPED_WEIGHTS`, by name; or one of :data:`KNOWN_WEIGHTS`, which is downloaded once, its hash
            checked, and kept where torch keeps downloads.
        model: A TLTM or CenterMask.

    Returns:
        What became of a checkpoint of others, None for one of our own.

    Raises:
        FileNotFoundError: If there is no such file and the name is not known.
        ConnectionError: If the weights are to be downloaded and cannot be.
        ValueError: If the file is broken, or not of this model.
    """
    if str(weights) in KNOWN_WEIGHTS:
        state = _download(str(weights))
    else:
        weights = weights_file(weights)
        state = read_weights(weights)
    if "layer1.0.conv1.weight" in state and "conv1.weight" in state:
        return load_checkpoint(_from_torchvision(state, model, weights), model, weights, strides=False)
    if any(name.startswith(("detector.", "backbone.body.")) for name in state):
        _load_own(state, model, weights)
        return None
    return load_checkpoint(state, model, weights)


def _load_own(state: dict[str, Tensor], model: nn.Module, path: str | Path) -> None:
    beside = Path(path).with_suffix(".json")
    saved = json.loads(beside.read_text(encoding="utf-8")) if beside.is_file() else {}
    if saved.get("stride_in_1x1", stride_in_1x1(model)) != stride_in_1x1(model):
        raise ValueError(
            f"Expected a model with stride_in_1x1={saved['stride_in_1x1']} for the weights in '{path}', as "
            f"'{beside.name}' says, got one with {stride_in_1x1(model)}"
        )
    own = model.state_dict()
    wrong = sorted(own.keys() ^ state.keys())
    wrong = wrong or [misfit for name in own for misfit in misfits(name, state[name], own[name])]
    if wrong:
        raise ValueError(
            f"Expected the weights of this model in '{path}', got those of another one, which differs in {len(wrong)}: "
            f"{', '.join(wrong[:3])}. Nothing was loaded; load_model() builds the model that a file is of"
        )
    model.load_state_dict(state)


def _download(name: str) -> dict[str, Tensor]:
    url = KNOWN_WEIGHTS[name]
    try:
        return load_state_dict_from_url(url, map_location="cpu", check_hash=True, progress=False, weights_only=True)
    except (URLError, OSError) as error:
        raise ConnectionError(
            f"Expected to download '{name}' from {url}, got: {error}. Download the file elsewhere and give its path"
        ) from error
    except RuntimeError as error:  # the hash
        raise ValueError(f"Expected '{name}' with the hash in its name, got another file: {error}") from error


def _from_torchvision(state: dict[str, Tensor], model: nn.Module, path: str | Path) -> dict[str, Tensor]:
    """A ResNet of torchvision under detectron2's names, made to read BGR images minus their mean, 0 to 255."""
    in_1x1 = stride_in_1x1(model)
    if in_1x1 is not False:
        remedy = "this model has none" if in_1x1 is None else "build the model with stride_in_1x1=False"
        raise ValueError(
            f"Expected a ResNet whose stride is in the 3×3 convolution for the weights of torchvision in '{path}': "
            f"{remedy}"
        )
    renamed = {}
    for name, value in state.items():
        name = name.replace("downsample.0.", "shortcut.").replace("downsample.1.", "shortcut.norm.")
        for i in (1, 2, 3):
            name = name.replace(f"bn{i}.", f"conv{i}.norm.").replace(f"layer{i}.", f"res{i + 1}.")
        name = name.replace("layer4.", "res5.")
        name = f"stem.{name}" if name.startswith("conv1.") else name
        if not name.endswith("num_batches_tracked"):
            renamed[name] = value
    deviation = 255 * torch.tensor([0.229, 0.224, 0.225])
    renamed["stem.conv1.weight"] = (renamed["stem.conv1.weight"] / deviation[:, None, None]).flip(1)
    return renamed
