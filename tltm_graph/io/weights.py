import pickle
import pickletools
import re
import zipfile
from collections import Counter, OrderedDict, defaultdict
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from tltm_graph.io.output import mark_input

_TORCH_MAGIC = 0x1950A86A20F9469CFC6C  # first value in files of torch.save before it wrote zip files


def read_weights(path: str | Path) -> dict[str, Tensor]:
    """Read the weights of a checkpoint, without running any code in the file.

    Args:
        path: A file of ``torch.save`` (``.pth``, ``.pt``), a pickle of arrays as in detectron2's model zoo
            (``.pkl``), or safetensors, recognised by its content. Weights may be nested under ``"model"`` or
            ``"state_dict"``.

    Returns:
        Dense tensors of real numbers on the CPU, by name, without a leading ``module.``.

    Raises:
        FileNotFoundError: If the file does not exist.
        ValueError: If the file is broken, is no checkpoint, or contains anything but plain data.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"Expected a file of weights, found none at '{path}'")
    mark_input(path)
    with path.open("rb") as file:
        start = file.read(9)
    content: Any = _load_safetensors(path) if start[8:] == b"{" else _unpickle(path, is_zip=start[:2] == b"PK")
    for key in ("model", "state_dict"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    if not isinstance(content, dict):
        raise ValueError(f"Expected weights by name in '{path}', got a {type(content).__name__}")
    weights = {
        str(name).removeprefix("module."): value.tensor() if isinstance(value, _Array) else value
        for name, value in content.items()
        if isinstance(value, Tensor | _Array)
    }
    if not weights:
        raise ValueError(f"Expected weights by name in '{path}', got none; its entries are {list(content)[:5]}")
    invalid = [name for name, value in weights.items() if not _is_plain(value)]
    if invalid:
        raise ValueError(f"Expected dense tensors of real numbers in '{path}', got something else in {invalid[:3]}")
    return weights


def _is_plain(value: Tensor) -> bool:
    dense = value.layout == torch.strided and value.device.type == "cpu" and not value.is_quantized
    return dense and not value.is_complex() and value.untyped_storage().nbytes() >= value.numel() * value.itemsize


def _load_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except SafetensorError as error:
        raise ValueError(f"Expected a safetensors file, got a broken one in '{path}': {error}") from error


class _Type:
    """Stand-in for a numpy type in a pickle: numpy's own type trusts the memory layout that the file states."""

    def __init__(self, code: str, align: bool = False, copy: bool = False) -> None:
        self.type = np.dtype(code)
        if self.type.kind not in "fiub" or self.type.itemsize > 8:
            raise pickle.UnpicklingError(f"it has values of type '{code}'")

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.type = self.type.newbyteorder(state[1])


class _Array:
    """Stand-in for a numpy array in a pickle."""

    def __init__(self, *args: Any) -> None:
        self.values = np.zeros(0)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, kind, columns_first, raw = state
        raw = raw.encode("latin1") if isinstance(raw, str) else raw
        self.values = np.frombuffer(raw, kind.type).reshape(shape, order="F" if columns_first else "C")

    @classmethod
    def from_buffer(cls, raw: Any, kind: _Type, shape: tuple[int, ...], order: str) -> "_Array":
        array = cls()
        array.__setstate__((1, shape, kind, order == "F", bytes(raw)))
        return array

    def tensor(self) -> Tensor:
        return torch.from_numpy(self.values.astype(self.values.dtype.newbyteorder("="), order="C"))


def _ignored(*args: Any) -> None:
    """Stand-in for values that are no weights."""


_STAND_INS = {
    ("collections", "OrderedDict"): OrderedDict,
    ("_codecs", "encode"): lambda text, _: text.encode("latin1"),  # the only one that pickles name; others are slow
    ("__builtin__", "bytes"): lambda: b"",  # protocol 2 writes empty bytes so
    ("numpy", "dtype"): _Type,
    ("numpy", "ndarray"): _ignored,  # named as the type of arrays, never called
}
for _home in ("numpy.core", "numpy._core"):
    _STAND_INS[f"{_home}.multiarray", "_reconstruct"] = _Array
    _STAND_INS[f"{_home}.numeric", "_frombuffer"] = _Array.from_buffer
    _STAND_INS[f"{_home}.multiarray", "scalar"] = _ignored


class _PlainUnpickler(pickle.Unpickler):
    """Unpickler of containers and arrays only; anything else is an error."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _STAND_INS:
            raise pickle.UnpicklingError(f"it asks for '{module}.{name}'")
        return _STAND_INS[module, name]


def _check_archive(path: Path) -> None:
    """Check that a file of ``torch.save`` is not packed, as torch never does: few bytes could unpack to any number."""
    with zipfile.ZipFile(path) as file:
        members = file.infolist()
    if any(member.compress_type != zipfile.ZIP_STORED for member in members):
        raise pickle.UnpicklingError("its tensors are compressed, as torch.save never does")
    if sum(member.file_size for member in members) > path.stat().st_size:
        raise pickle.UnpicklingError("its members are larger than the file")


def _check_pickle(file: BinaryIO, size: int) -> None:
    """Check that a pickle asks for no more memory than it has bytes: Python's unpickler allocates what it states."""
    for code, argument, _ in pickletools.genops(file):
        if code.name in ("PUT", "BINPUT", "LONG_BINPUT") and int(argument or 0) > size:
            raise pickle.UnpicklingError("its memo is larger than the file")


def _unpickle(path: Path, is_zip: bool) -> Any:
    try:
        if is_zip:
            _check_archive(path)
        else:
            with path.open("rb") as file:
                _check_pickle(file, path.stat().st_size)
                file.seek(0)
                content = _PlainUnpickler(file, encoding="latin1").load()
            if content != _TORCH_MAGIC:
                return content
        scalar = np.float64(0).__reduce__()[0]  # other entries of a checkpoint may be numpy scalars
        plain: list[Any] = [Counter, defaultdict, scalar, np.dtype, *(type(np.dtype(kind)) for kind in "fdqilB?")]
        # An open file, not a path: torch would choose the format by its suffix.
        with torch.serialization.safe_globals(plain), path.open("rb") as file:
            return torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # pickle and zip readers raise any type on broken files
        asked = re.search(r"GLOBAL ([\w.]+)", str(error))  # in torch's message, below advice to run the code
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        reason = f"it asks for '{asked[1]}'" if asked else first
        raise ValueError(
            f"Expected a checkpoint of plain tensors in '{path}', got a broken file or one with code in it, which was "
            f"not run: {reason}"
        ) from error
