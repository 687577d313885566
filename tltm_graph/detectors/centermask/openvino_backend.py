import sys
import warnings
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from tltm_graph.detectors.centermask.fcos import DenseOutput
from tltm_graph.detectors.centermask.model import CenterMask, Pyramid
from tltm_graph.detectors.centermask.pico_head import PicoHead
from tltm_graph.extras import missing_extra

# OpenVINO reports its use to its maker over the network, unless this package of it is missing.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
try:
    import openvino
except ImportError as error:
    raise missing_extra("openvino", "for the backend 'openvino'", extra="openvino") from error

_PRECISIONS = {None: "f32", torch.bfloat16: "bf16", torch.float16: "f16"}


class OpenVinoBackend:
    """Network of a :class:`CenterMask` that OpenVINO runs on the CPU.

    It is converted for each size of images, at the first frame of that size, with the weights that the detector has
    then. The first frame of a video with ResFuser is computed by torch, because it has no previous frame. The data type
    is that of ``autocast``, else float32.

    Args:
        detector: Detector with its weights, on the CPU.

    Raises:
        ValueError: If the detector is on another device, or its backbone has group norm, with which OpenVINO crashes.
    """

    def __init__(self, detector: CenterMask) -> None:
        if detector.pixel_mean.device.type != "cpu":
            raise ValueError(
                f"Expected a model on the CPU for OpenVINO, got one on '{detector.pixel_mean.device}': choose the "
                "device 'cpu', or the backend 'torch'"
            )
        if any(isinstance(module, nn.GroupNorm) for module in detector.backbone.modules()):
            # Seen in 2026.4: compile_model() ends the process on a chain of residual blocks with group norm.
            raise ValueError(
                "Expected a backbone without group norm for OpenVINO, which crashes with it, got "
                f"{detector.backbone!r}: use the backend 'torch'"
            )
        # Not a module: it must be no part of the detector that holds this backend.
        self._dense, self._masks = _Dense(detector), _Masks(detector)
        self._compiled: dict[Any, Any] = {}
        self._detector = detector

    def dense(self, images: Tensor, previous: Pyramid | None = None) -> tuple[Pyramid, list[DenseOutput]]:
        """Compute :meth:`CenterMask.dense`."""
        if self._detector.fusers is not None and previous is None:
            return self._detector.dense(images)
        inputs = [images, *(previous or ())] if self._detector.fusers is not None else [images]
        outputs = self._run(self._dense, inputs, dynamic=False)
        num_levels = len(self._detector.backbone.strides)
        num_fields = 2 if isinstance(self._detector.head, PicoHead) else 3
        num_maps = len(outputs) - num_fields * num_levels
        rest = outputs[num_maps:]
        parts = [rest[i::num_levels] for i in range(num_levels)]
        return outputs[:num_maps], [DenseOutput(*part) for part in parts]

    def mask_logits(self, features: Tensor, labels: Tensor) -> Tensor:
        """Compute :meth:`CenterMask.mask_logits`."""
        if len(features) == 0:
            return self._detector.mask_logits(features, labels)
        features = features[:, : self._detector.mask_head.in_channels]
        return self._run(self._masks, [features, labels], dynamic=True)[0]

    def _run(self, network: nn.Module, inputs: Sequence[Tensor], dynamic: bool) -> list[Tensor]:
        """Run a network, converted for the shapes of its inputs or for any number of rows."""
        inputs = [x.float() if x.is_floating_point() else x for x in inputs]
        shapes = tuple((-1 if dynamic else len(x), *x.shape[1:]) for x in inputs)
        precision = _PRECISIONS[self._detector.autocast]
        key = type(network), shapes, precision
        if key not in self._compiled:
            self._compiled[key] = _compile(network, inputs, shapes, precision)
        arrays = [np.ascontiguousarray(x.detach().numpy()) for x in inputs]
        results = self._compiled[key](arrays)
        return [torch.from_numpy(results[i]) for i in range(len(results))]


class _Dense(nn.Module):
    """Network of :meth:`CenterMask.dense` with tensors as inputs and outputs."""

    def __init__(self, detector: CenterMask) -> None:
        super().__init__()
        self.detector = detector

    def forward(self, images: Tensor, *previous: Tensor) -> tuple[Tensor, ...]:
        pyramid, outputs = self.detector.dense(images, previous or None)
        fields = ("logits", "distances") if outputs[0].centerness is None else ("logits", "distances", "centerness")
        return (*pyramid, *(getattr(output, field) for field in fields for output in outputs))


class _Masks(nn.Module):
    """Network of :meth:`CenterMask.mask_logits`."""

    def __init__(self, detector: CenterMask) -> None:
        super().__init__()
        self.detector = detector

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        return self.detector.mask_logits(features, labels)


def _compile(network: nn.Module, inputs: Sequence[Tensor], shapes: Sequence[Any], precision: str) -> Any:
    # OpenVINO chooses the precision of each operation. Tracing warns of checks of shapes, which are constant here.
    with torch.no_grad(), torch.autocast("cpu", enabled=False), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = openvino.convert_model(network, example_input=tuple(x.contiguous() for x in inputs))
    model.reshape({model.inputs[i].any_name: list(shape) for i, shape in enumerate(shapes)})
    options = {
        "INFERENCE_PRECISION_HINT": precision,
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "PERFORMANCE_HINT": "LATENCY",
    }
    return _core().compile_model(model, "CPU", options)


@cache
def _core() -> Any:
    """The only core of the process, which is never freed.

    Each core installs a signal stack. Two that are freed in the order in which they were made leave a freed stack
    behind, and the next signal, such as the end of a child process, ends the process (seen in 2026.4).
    """
    return openvino.Core()
