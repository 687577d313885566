from importlib.resources import files
from pathlib import Path
from urllib.error import URLError

import torch
from torch import Tensor
from torch.hub import load_state_dict_from_url

from tltm_graph.detectors.centermask import CenterMask
from tltm_graph.io import read_weights
from tltm_graph.io.json_schema import field, flag
from tltm_graph.io.text import read_json
from tltm_graph.models.checkpoint import CheckpointReport, has_stride_in_1x1, load_checkpoint, misfits
from tltm_graph.models.tltm import TLTM
from tltm_graph.printable import one_line

KNOWN_WEIGHTS = {
    "imagenet-r50": "https://download.pytorch.org/models/resnet50-0676ba61.pth",
    "imagenet-r101": "https://download.pytorch.org/models/resnet101-63fe2227.pth",
}
"""Addresses of published backbones. The name of a file ends with the first digits of its SHA-256."""

SHIPPED_WEIGHTS = {
    "centermask-pico": Path(str(files("tltm_graph"))) / "weights" / "centermask_pico.safetensors",
    "tltm-pico": Path(str(files("tltm_graph"))) / "weights" / "tltm_pico.safetensors",
}
"""Models that are part of the package, written by :func:`tltm_graph.models.save_model`."""

OWN_PREFIXES = ("detector.", "mask_head.")
"""Beginnings of names that only files of :func:`tltm_graph.models.save_model` have."""


def weights_file(weights: str | Path) -> Path:
    """Return the path of weights: the argument itself, or the file of a name in :data:`SHIPPED_WEIGHTS`.

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


def load_weights(weights: str | Path, model: TLTM | CenterMask) -> CheckpointReport | None:
    """Load weights into a model.

    Args:
        weights: One of these:

            - a file that :func:`tltm_graph.models.save_model` wrote;
            - a checkpoint of detectron2, CenterMask2 or the released TLTM code
              (:func:`tltm_graph.models.load_reference_checkpoint`);
            - a ResNet of torchvision;
            - the name of a shipped model, ``"tltm-pico"`` or ``"centermask-pico"``, its detector alone;
            - ``"imagenet-r50"`` or ``"imagenet-r101"``: the file is downloaded once, its hash is checked, and torch
              keeps it with its other downloads.
        model: Model to load into, in place. It does not change if an error is raised.

    Returns:
        Report on a checkpoint of other code, None for a file of :func:`tltm_graph.models.save_model`.

    Raises:
        FileNotFoundError: If there is no such file and the name is not known.
        ConnectionError: If the weights cannot be downloaded.
        ValueError: If the file is damaged, or its weights do not fit the model.
    """
    if str(weights) in KNOWN_WEIGHTS:
        state = _download(str(weights))
    else:
        weights = weights_file(weights)
        state = read_weights(weights)
    if "layer1.0.conv1.weight" in state and "conv1.weight" in state:
        return load_checkpoint(_from_torchvision(state, model, weights), model, weights, stride_in_1x1=False)
    if any(name.startswith(OWN_PREFIXES) for name in state):
        _load_own(state, model, weights)
        return None
    return load_checkpoint(state, model, weights)


def _load_own(state: dict[str, Tensor], model: TLTM | CenterMask, path: str | Path) -> None:
    config_path = Path(path).with_suffix(".json")
    config = read_json(config_path, "a configuration") if config_path.is_file() else {}
    in_1x1 = has_stride_in_1x1(model)
    stated = field(config, "stride_in_1x1", flag(), f"the configuration '{config_path}'", in_1x1)
    if stated != in_1x1:
        raise ValueError(
            f"Expected a model with stride_in_1x1={stated} for the weights in '{path}', as "
            f"'{config_path.name}' says, got one with {in_1x1}: build the model with that option"
        )
    own = model.state_dict()
    wrong = sorted(own.keys() ^ state.keys())
    wrong = wrong or [misfit for name in own for misfit in misfits(name, state[name], own[name])]
    if wrong:
        first = one_line(", ".join(wrong[:3])[:300])
        raise ValueError(
            f"Expected the weights of this model in '{path}', got those of another one, which differs in {len(wrong)}: "
            f"{first}. Nothing was loaded; load_model() builds the model that a file is of"
        )
    model.load_state_dict(state)


def _download(name: str) -> dict[str, Tensor]:
    url = KNOWN_WEIGHTS[name]
    try:
        return load_state_dict_from_url(url, map_location="cpu", check_hash=True, progress=False, weights_only=True)
    except (URLError, OSError) as error:
        raise ConnectionError(
            f"Expected to download '{name}' from {url}, got: {error}. Download the file on another machine "
            "and give its path"
        ) from error
    except RuntimeError as error:  # another hash
        raise ValueError(f"Expected '{name}' with the hash in its name, got another file: {error}") from error


def _from_torchvision(state: dict[str, Tensor], model: TLTM | CenterMask, path: str | Path) -> dict[str, Tensor]:
    """Rename the weights of torchvision's ResNet as in detectron2, and adapt them to BGR images with values to 255."""
    in_1x1 = has_stride_in_1x1(model)
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
