"""Model of the rendered shapes, a ``tltm_tiny`` trained by ``experiments/configs/tiny_moving_shapes.yaml``."""

from pathlib import Path

TINY = str(Path(__file__).parent / "weights" / "tltm_tiny.safetensors")
