"""Schemas of tensors in files: types, shapes and ranges, checked before anything computes with them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from tltm_graph.printable import one_line

LARGEST_BOX = 1e7
"""Largest absolute value of a coordinate or a score, as in :class:`tltm_graph.structures.Detections`."""

LARGEST = 1e30
"""Largest absolute value of other numbers, whose sums are then finite in single precision."""

_TYPES = {
    "float": (torch.float32, torch.float64, torch.float16, torch.bfloat16),
    "int": (torch.int64, torch.int32),
    "bool": (torch.bool,),
    "byte": (torch.uint8,),
}


@dataclass(frozen=True)
class TensorField:
    """Expected tensor of a file.

    Args:
        kind: Type of its values.
        shape: Lengths, as numbers or by names that stand for one length in all fields.
        low: Lowest value.
        high: Highest value.
        optional: True if it may be missing.
    """

    kind: Literal["float", "int", "bool", "byte"]
    shape: tuple[int | str, ...]
    low: float = -LARGEST
    high: float = LARGEST
    optional: bool = False


def boxes_field(rows: str, optional: bool = False) -> TensorField:
    """Corners of boxes (N, 4); :func:`check_boxes` checks their order."""
    return TensorField("float", (rows, 4), -LARGEST_BOX, LARGEST_BOX, optional)


def packed_mask_fields(rows: str) -> dict[str, TensorField]:
    """Masks of :func:`tltm_graph.ops.rle.rles_to_tensors`; :func:`check_packed_masks` checks what relates them."""
    return {
        "mask.length": TensorField("int", (rows,), 0, 2**31 - 1, optional=True),
        "mask.text": TensorField("byte", ("text",), 0, 127, optional=True),
        "mask.size": TensorField("int", (2,), 1, 2**31 - 1, optional=True),
    }


def load_tensors(content: bytes, where: str) -> dict[str, Tensor]:
    """Read the tensors of a safetensors file.

    Args:
        content: Content of the file.
        where: Origin of the content, for the error message.

    Raises:
        ValueError: If it is another file, damaged, or has types that torch lacks.
    """
    try:
        return load(content)
    except (SafetensorError, KeyError, RuntimeError, TypeError, ValueError, OverflowError) as error:
        raise ValueError(
            f"Expected tensors in {where}, got a damaged or different file: {one_line(str(error)[:200])}"
        ) from error


def canonical(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Convert checked tensors to the types that this package computes with: numbers in single precision, but times and
    the motion and evidence of tracks in double precision, and integers of 64 bits."""
    converted = {}
    for name, value in tensors.items():
        if value.is_floating_point():
            double = name in ("time", "times") or name.startswith(
                ("memory.motion.", "memory.evidence", "memory.certainty", "memory.curve.")
            )
            converted[name] = value.double() if double else value.float()
        else:
            converted[name] = value if value.dtype in (torch.bool, torch.uint8) else value.long()
    return converted


def check_tensors(
    tensors: Mapping[str, Tensor], fields: Mapping[str, TensorField], sizes: dict[str, int], where: str
) -> None:
    """Check the types, shapes and ranges of tensors. NaN is in no range.

    Args:
        tensors: Tensors by name.
        fields: Expected tensors by name; there may be no others.
        sizes: Known lengths by name. Lengths that are first met here are added.
        where: Origin of the tensors, for the error message.

    Raises:
        ValueError: If a tensor is missing, unknown, or not as expected. The message names it.
    """
    unknown = sorted(tensors.keys() - fields.keys())
    if unknown:
        raise ValueError(
            f"Expected no tensor {unknown[0][:80]!r} in {where}, got one of {tuple(tensors[unknown[0]].shape)}: the "
            "file is of other code"
        )
    for name, field in fields.items():
        if name in tensors:
            _check(tensors[name], field, sizes, f"'{name}' in {where}")
        elif not field.optional:
            raise ValueError(f"Expected the tensor '{name}' in {where}, got none: the file is damaged")


def _check(tensor: Tensor, field: TensorField, sizes: dict[str, int], where: str) -> None:
    wanted = [
        sizes.setdefault(length, got) if isinstance(length, str) else length
        for length, got in zip(field.shape, tensor.shape, strict=False)
    ]
    if tensor.ndim != len(field.shape) or tensor.dtype not in _TYPES[field.kind] or wanted != list(tensor.shape):
        shape = ", ".join(
            str(sizes.get(length, length) if isinstance(length, str) else length) for length in field.shape
        )
        raise ValueError(
            f"Expected {field.kind} values of shape ({shape}) for {where}, got "
            f"{str(tensor.dtype).removeprefix('torch.')} of {tuple(tensor.shape)}: the file is damaged"
        )
    if tensor.numel() and field.kind != "bool":
        low, high = (float(value) for value in tensor.aminmax())
        if not (field.low <= low and high <= field.high):  # both are NaN if a value is
            raise ValueError(
                f"Expected values from {field.low:g} to {field.high:g} for {where}, got values from {low:g} to "
                f"{high:g}: the file is damaged"
            )


def check_boxes(boxes: Tensor, where: str) -> None:
    """Raise a ValueError if the corners of a box are in the wrong order.

    Args:
        boxes: Corners (x0, y0, x1, y1), finite (N, 4).
        where: Origin of the boxes, for the error message.
    """
    if (boxes[:, 2:] < boxes[:, :2]).any():
        row = int((boxes[:, 2:] < boxes[:, :2]).any(dim=1).nonzero()[0])
        raise ValueError(
            f"Expected corners x0 <= x1 and y0 <= y1 for {where}, got {boxes[row].tolist()} in row {row}: the file is "
            "damaged"
        )


def check_counts(counts: Tensor, rows: int, where: str) -> None:
    """Raise a ValueError if numbers of rows, each from 0 to ``rows``, do not add up to ``rows``."""
    total = int(counts.sum())
    if total != rows:
        raise ValueError(f"Expected numbers that add up to {rows} rows for {where}, got {total}: the file is damaged")


def check_packed_masks(tensors: Mapping[str, Tensor], where: str) -> None:
    """Raise a ValueError unless the tensors of masks are all there, with lengths that add up, or none is."""
    known = [name for name in packed_mask_fields("") if name in tensors]
    if known and len(known) < 3:
        raise ValueError(
            f"Expected 'mask.length', 'mask.text' and 'mask.size' together in {where}, got {known} alone: the file is "
            "damaged"
        )
    if known:
        rows = len(tensors["mask.length"])
        check_counts(tensors["mask.length"], len(tensors["mask.text"]) if rows else 0, f"'mask.length' in {where}")


def check_labels(labels: Tensor, class_names: Sequence[str] | None, where: str) -> None:
    """Raise a ValueError for a label without a name, if names are known."""
    if class_names is not None and len(labels) and int(labels.max()) >= len(class_names):
        raise ValueError(
            f"Expected labels below {len(class_names)}, the number of classes, for {where}, got {int(labels.max())}: "
            "the file is damaged"
        )


def check_unique(group: Tensor, values: Tensor, where: str) -> None:
    """Raise a ValueError if a value of at least 0 occurs twice in a group.

    Args:
        group: Group of each value (N,), int64.
        values: Integers (N,); negative ones are left out.
        where: Origin of the values, for the error message.
    """
    kept = values >= 0
    pairs = torch.stack([group[kept], values[kept].long()], dim=1)
    keys = pairs[:, 0] * (int(pairs[:, 1].max()) + 1 if len(pairs) else 1) + pairs[:, 1]
    order = keys.sort().values
    if (order[1:] == order[:-1]).any():
        raise ValueError(f"Expected each number at most once for {where}, got one twice: the file is damaged")
