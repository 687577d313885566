"""Convert the ONNX file of PicoDet-S to a CenterMask whose mask head is random, to start training from.

    python experiments/convert_picodet.py picodet_s_416_coco.onnx out/picodet/detector.safetensors

Batch norm is folded into the convolutions of the file. Needs the extra "onnx".
"""

import argparse
import sys
from pathlib import Path

import torch
from torch import Tensor, nn

from tltm_graph.detectors.centermask import CenterMask
from tltm_graph.extras import missing_extra
from tltm_graph.io.output import output_folder
from tltm_graph.models import centermask_pico, save_model

try:
    import onnx
    from onnx import numpy_helper
except ImportError as error:
    raise missing_extra("onnx", "to convert an ONNX file", extra="onnx") from error


def convert(path: Path) -> CenterMask:
    """Build a CenterMask with the detector of an ONNX file.

    Convolutions are matched by their order: PicoDet's graph computes them in the order of the module's forward pass.

    Raises:
        ValueError: If the file has other convolutions.
    """
    model = centermask_pico()
    convolutions = _in_order(model.backbone, model.head)
    values = _convolutions(path)
    if len(values) != len(convolutions):
        raise ValueError(f"Expected the {len(convolutions)} convolutions of PicoDet-S in '{path}', got {len(values)}")
    for number, (module, (weight, _)) in enumerate(zip(convolutions, values, strict=True)):
        if module.weight.shape != weight.shape:
            raise ValueError(
                f"Expected a weight of shape {tuple(module.weight.shape)} in convolution {number} of '{path}', got "
                f"{tuple(weight.shape)}: it is another size of PicoDet"
            )
    for module, (weight, bias) in zip(convolutions, values, strict=True):
        module.weight.data.copy_(weight)
        assert module.bias is not None
        module.bias.data.copy_(bias.flatten())
    # The file takes RGB / 255 with a mean and a deviation; the model takes BGR pixels minus the same mean.
    stem = convolutions[0]
    deviation = 255 * torch.tensor([0.229, 0.224, 0.225])
    stem.weight.data = (stem.weight.data / deviation[:, None, None]).flip(1)
    return model


def _convolutions(path: Path) -> list[tuple[Tensor, Tensor]]:
    """Read the weight and bias of each convolution, in the order of the graph."""
    graph = onnx.load(path).graph
    values = {value.name: value for value in graph.initializer}
    values |= {
        node.output[0]: node.attribute[0].t
        for node in graph.node
        if node.op_type == "Constant" and node.attribute[0].HasField("t")
    }
    tensors = {name: torch.tensor(numpy_helper.to_array(value)) for name, value in values.items()}
    convolutions = [node.input for node in graph.node if node.op_type == "Conv"]
    if any(len(names) != 3 or not tensors.keys() >= set(names[1:]) for names in convolutions):
        raise ValueError(f"Expected convolutions with constant weights and biases in '{path}', got others")
    return [(tensors[weight], tensors[bias]) for _, weight, bias in convolutions]


def _in_order(backbone: nn.Module, head: nn.Module) -> list[nn.Conv2d]:
    """List the convolutions in the order of the forward pass."""
    found: list[nn.Conv2d] = []
    modules = [module for part in (backbone, head) for module in part.modules() if isinstance(module, nn.Conv2d)]
    hooks = [module.register_forward_hook(lambda module, *_: found.append(module)) for module in modules]
    with torch.no_grad():
        head(backbone(torch.zeros(1, 3, 64, 64))[-4:])
    for hook in hooks:
        hook.remove()
    return found


def main() -> int:
    """Read the command line, convert and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("onnx", type=Path, help="file of PicoDet-S, with normalised RGB input of 416×416")
    parser.add_argument("output", type=Path, help="path that ends in .safetensors")
    arguments = parser.parse_args()
    with output_folder(arguments.output.parent):
        save_model(convert(arguments.onnx), arguments.output)
    print(f"wrote {arguments.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
