from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Self

import torch
from torch import Tensor


def class_name(label: int, class_names: Sequence[str] | None) -> str:
    """Name of a class, ``"class 7"`` if no name is known."""
    return class_names[label] if class_names and label < len(class_names) else f"class {label}"


_LARGEST = 1e7  # keeps areas exact enough in single precision


@dataclass(frozen=True, eq=False)
class Detections:
    """Objects of one frame: ground truth, detector output and tracker output are all of this type.

    Args:
        boxes: Corners (x0, y0, x1, y1) in pixels of the frame, floating point (N, 4), x0 ≤ x1 and y0 ≤ y1. Boxes may
            extend beyond the image.
        scores: Confidence (N,). In [0, 1] for every detector of this package; files may contain other values.
        labels: Class indices from 0, int64 (N,).
        masks: Bool (N, H, W), or None for boxes alone.
        features: Detector's own description of each object (N, …), floating point, such as pooled RoI features; or
            None. Only the detector and the encoder of an affinity read it.
        ids: Track of each object, int64 (N,), -1 for none; or None before tracking.
        embeddings: Appearance embedding of each object (N, F), floating point, the node features ``x`` of the
            frame-pair graph; or None. An affinity computes them unless the detector already provides them.

    Raises:
        ValueError: If a field has another type or shape, or the lengths differ. For tensors on the CPU also if a value
            is not finite, a box is inverted, a label is negative or an id occurs twice; :meth:`check_values` checks
            this on any device.
    """

    boxes: Tensor
    scores: Tensor
    labels: Tensor
    masks: Tensor | None = None
    features: Tensor | None = None
    ids: Tensor | None = None
    embeddings: Tensor | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.boxes, Tensor):
            raise ValueError(
                f"Expected 'boxes' as a tensor, got {type(self.boxes).__name__}: torch.as_tensor makes one"
            )
        n = self.boxes.shape[0]
        _expect("boxes", self.boxes, (n, 4), floating=True)
        _expect("scores", self.scores, (n,), floating=True)
        _expect("labels", self.labels, (n,), dtype=torch.int64)
        if self.masks is not None:
            _expect("masks", self.masks, (n, *self.masks.shape[-2:]), dtype=torch.bool)
        if self.features is not None:
            _expect("features", self.features, (n, *self.features.shape[1:]), floating=True)
        if self.ids is not None:
            _expect("ids", self.ids, (n,), dtype=torch.int64)
        if self.embeddings is not None:
            _expect("embeddings", self.embeddings, (n, self.embeddings.shape[-1]), floating=True)
        if self.boxes.device.type == "cpu":
            self.check_values()

    def check_values(self) -> None:
        """Raise ValueError for values that no later step can use."""
        if len(self) == 0 or self._is_valid():
            return
        for name, values in (("boxes", self.boxes), ("scores", self.scores)):
            bad = ~(values.reshape(len(self), -1).abs() < _LARGEST).all(dim=1)  # NaN is bad
            if bad.any():
                row = int(bad.nonzero()[0])
                raise ValueError(f"Expected finite '{name}', got {values[row].tolist()} in row {row}")
        inverted = (self.boxes[:, 2:] < self.boxes[:, :2]).any(dim=1)
        if inverted.any():
            row = int(inverted.nonzero()[0])
            raise ValueError(
                f"Expected 'boxes' as corners (x0, y0, x1, y1) with x0 <= x1 and y0 <= y1, "
                f"got {self.boxes[row].tolist()} in row {row}; boxes given as (x, y, width, height) need converting"
            )
        if (self.labels < 0).any():
            raise ValueError(f"Expected 'labels' counted from 0, got {int(self.labels.min())}")
        if self.ids is not None:
            known = self.ids[self.ids >= 0]
            if known.unique().numel() != known.numel():
                raise ValueError(f"Expected each of 'ids' at most once in a frame, got {self.ids.tolist()}")

    def _is_valid(self) -> bool:
        """Check CPU tensors with NumPy, in a fifth of the time; detections are constructed many times a frame."""
        if self.boxes.device.type != "cpu" or {self.boxes.dtype, self.scores.dtype} - {torch.float32, torch.float64}:
            return False
        boxes, scores, labels = (value.detach().numpy() for value in (self.boxes, self.scores, self.labels))
        ids = [] if self.ids is None else [i for i in self.ids.tolist() if i >= 0]
        return bool(
            max(boxes.max(), -boxes.min()) < _LARGEST  # NaN is not
            and max(scores.max(), -scores.min()) < _LARGEST
            and (boxes[:, 2:] >= boxes[:, :2]).all()
            and labels.min() >= 0
            and len(set(ids)) == len(ids)
        )

    @classmethod
    def empty(cls, device: torch.device | str = "cpu") -> Self:
        """Detections of a frame without objects."""
        return cls(
            boxes=torch.zeros((0, 4), device=device),
            scores=torch.zeros(0, device=device),
            labels=torch.zeros(0, dtype=torch.int64, device=device),
        )

    @classmethod
    def cat(cls, parts: Sequence[Self]) -> Self:
        """Concatenate detections in order. Parts without objects may lack optional fields.

        Raises:
            ValueError: If an optional field is present for some of the objects only.
        """
        if not parts:
            raise ValueError("Expected at least one part to concatenate, got none: use Detections.empty()")
        parts = [part for part in parts if len(part)] or list(parts[:1])
        values: dict[str, Any] = {}
        for name in (field.name for field in fields(cls)):
            known = [getattr(part, name) for part in parts if getattr(part, name) is not None]
            if known and len(known) < len(parts):
                raise ValueError(
                    f"Expected '{name}' for all objects or for none, got them for some: give all parts the field"
                )
            values[name] = torch.cat(known) if known else None
        return cls(**values)

    def __len__(self) -> int:
        return self.boxes.shape[0]

    def __getitem__(self, rows: Tensor | slice | Sequence[int]) -> Self:
        """Select objects by indices, a bool mask (N,) or a slice; a single integer is refused."""
        if not isinstance(rows, slice):
            rows = torch.as_tensor(rows, device=self.boxes.device)
            if rows.ndim != 1:
                raise TypeError("Expected several rows, as a slice, a list or a 1-D tensor; for row i write [i:i + 1]")
            if rows.numel() == 0 and rows.dtype != torch.bool:
                rows = rows.long()
        return self._map(lambda value: value[rows])

    def replace(self, **changes: Any) -> Self:
        """Copy with some fields replaced."""
        return replace(self, **changes)

    def to(self, device: torch.device | str) -> Self:
        """Copy with every tensor on ``device``."""
        return self._map(lambda value: value.to(device))

    def outside(self, size: tuple[int, int]) -> Tensor:
        """Bool (N,): True for boxes that do not touch an image of ``size`` (H, W)."""
        height, width = size
        x0, y0, x1, y1 = self.boxes.unbind(dim=1)
        return (x1 < 0) | (y1 < 0) | (x0 > width) | (y0 > height)

    def _map(self, function: Callable[[Tensor], Tensor]) -> Self:
        changed: dict[str, Any] = {}
        for name in (field.name for field in fields(self)):
            value = getattr(self, name)
            changed[name] = None if value is None else function(value)
        return type(self)(**changed)

    def __repr__(self) -> str:
        optional = [name for name in ("masks", "features", "ids", "embeddings") if getattr(self, name) is not None]
        return f"{type(self).__name__}({len(self)} objects{', with ' + ', '.join(optional) if optional else ''})"


def _expect(
    name: str, value: Tensor, shape: tuple[int, ...], dtype: torch.dtype | None = None, floating: bool = False
) -> None:
    if not isinstance(value, Tensor):
        raise ValueError(f"Expected '{name}' as a tensor, got {type(value).__name__}: torch.as_tensor makes one")
    wrong_type = value.dtype != dtype if dtype else floating and not value.is_floating_point()
    if tuple(value.shape) != shape or wrong_type:
        wanted = {"boxes": "(N, 4)", "masks": "(N, H, W)", "features": "(N, …)", "embeddings": "(N, F)"}.get(
            name, "(N,)"
        )
        kind = str(dtype).removeprefix("torch.") if dtype else "floating point"
        raise ValueError(
            f"Expected '{name}' of shape {wanted} with N = {shape[0]} and type {kind}, "
            f"got {tuple(value.shape)} and {str(value.dtype).removeprefix('torch.')}"
        )
