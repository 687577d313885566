import pickle
import re
from collections import Counter, OrderedDict, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

_TORCH_MAGIC = 0x1950A86A20F9469CFC6C  # what torch.save wrote first before it wrote zip files
_array, _number = np.zeros(0).__reduce__()[0], np.float64(0).__reduce__()[0]  # what rebuilds arrays and numbers
_ALLOWED = {
    ("collections", "OrderedDict"): OrderedDict,
    ("_codecs", "encode"): lambda text, encoding: text.encode(encoding),
    ("numpy", "dtype"): np.dtype,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy.core.multiarray", "_reconstruct"): _array,
    ("numpy._core.multiarray", "_reconstruct"): _array,
    ("numpy.core.multiarray", "scalar"): _number,
    ("numpy._core.multiarray", "scalar"): _number,
}


def read_weights(path: str | Path) -> dict[str, Tensor]:
    """Reads the weights in a checkpoint, and nothing else of it. Code in the file is never run.

    Args:
        path: A file of ``torch.save`` (``.pth``, ``.pt``), a pickle of arrays as detectron2 keeps its model zoo
            (``.pkl``), or safetensors. What it is is told from its content. Weights may lie under ``"model"`` or
            ``"state_dict"``.

    Returns:
        The tensors by name, on the CPU, a leading ``module.`` taken off.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is broken or no checkpoint, or holds anything but plain data.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"Expected a file of weights, found none at '{path}'")
    content: Any = load_safetensors(path) if path.suffix == ".safetensors" else _unpickle(path)
    for key in ("model", "state_dict"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    if not isinstance(content, dict):
        raise ValueError(f"Expected weights by name in '{path}', got a {type(content).__name__}")
    weights = {
        str(name).removeprefix("module."): torch.from_numpy(value) if isinstance(value, np.ndarray) else value
        for name, value in content.items()
        if isinstance(value, Tensor) or (isinstance(value, np.ndarray) and value.dtype.kind in "fiub")
    }
    if not weights:
        raise ValueError(f"Expected weights by name in '{path}', got none; its entries are {list(content)[:5]}")
    return weights


def load_safetensors(path: str | Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file.

    Raises:
        ValueError: If the file is broken.
    """
    try:
        return load_file(path)
    except SafetensorError as error:
        raise ValueError(f"Expected a safetensors file, got a broken one in '{path}': {error}") from error


class _PlainUnpickler(pickle.Unpickler):
    """Builds arrays and containers; anything else is an error."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it asks for '{module}.{name}'")
        return _ALLOWED[module, name]


def _unpickle(path: Path) -> Any:
    try:
        with path.open("rb") as file:
            is_zip = file.read(2) == b"PK"
        if not is_zip:
            with path.open("rb") as file:
                content = _PlainUnpickler(file, encoding="latin1").load()
            if content != _TORCH_MAGIC:
                return content
        plain: list[Any] = [Counter, defaultdict, _number, np.dtype, *(type(np.dtype(kind)) for kind in "fdqilB?")]
        with torch.serialization.safe_globals(plain):
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a broken file makes pickle and zip readers raise anything
        asked = re.search(r"GLOBAL ([\w.]+)", str(error))  # torch's way to say it, below advice to run the code
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        reason = f"it asks for '{asked[1]}'" if asked else first
        raise ValueError(
            f"Expected a checkpoint of plain tensors in '{path}', got a broken file or one with code in it, which was "
            f"not run: {reason}"
        ) from error
