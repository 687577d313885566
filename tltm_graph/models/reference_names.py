"""The names of the released code's weights."""

import re
from collections.abc import Callable

_RULES: tuple[tuple[str, str | Callable[[re.Match[str]], str]], ...] = (
    (r"^detector\.backbone\.body\.conv1\.", "backbone.bottom_up.stem.conv1."),
    (r"^detector\.backbone\.body\.bn1\.", "backbone.bottom_up.stem.conv1.norm."),
    (r"^detector\.backbone\.body\.layer(\d)\.(\d+)\.conv(\d)\.", lambda m: f"{_block(m)}.conv{m[3]}."),
    (r"^detector\.backbone\.body\.layer(\d)\.(\d+)\.bn(\d)\.", lambda m: f"{_block(m)}.conv{m[3]}.norm."),
    (r"^detector\.backbone\.body\.layer(\d)\.(\d+)\.downsample\.0\.", lambda m: f"{_block(m)}.shortcut."),
    (r"^detector\.backbone\.body\.layer(\d)\.(\d+)\.downsample\.1\.", lambda m: f"{_block(m)}.shortcut.norm."),
    (r"^detector\.backbone\.fpn\.inner_blocks\.(\d)\.0\.", lambda m: f"backbone.fpn_lateral{int(m[1]) + 3}."),
    (r"^detector\.backbone\.fpn\.layer_blocks\.(\d)\.0\.", lambda m: f"backbone.fpn_output{int(m[1]) + 3}."),
    (r"^detector\.backbone\.fpn\.extra_blocks\.", "backbone.top_block."),
    (r"^detector\.fusers\.(\d)\.", r"proposal_generator.fcos_head.resfuser_\1."),
    (r"^detector\.head\.scales\.(\d)$", r"proposal_generator.fcos_head.scales.\1.scale"),
    (r"^detector\.head\.", "proposal_generator.fcos_head."),
    (r"^detector\.mask_head\.convs\.(\d)\.", lambda m: f"roi_heads.mask_head.mask_fcn{int(m[1]) + 1}."),
    (r"^detector\.mask_head\.attention\.", "roi_heads.mask_head.spatialAtt."),
    (r"^detector\.mask_head\.", "roi_heads.mask_head."),
    (r"^relation\.encoder\.", "obj_encoder."),
    (r"^relation\.gnn\.", "obj2obj_gnn."),
)


def reference_name(name: str) -> str | None:
    """What the released code calls a weight of :class:`TLTM`, or None if it has no such weight."""
    for pattern, replacement in _RULES:
        found, count = re.subn(pattern, replacement, name)
        if count:
            return found
    return None


def _block(match: re.Match[str]) -> str:
    return f"backbone.bottom_up.res{int(match[1]) + 1}.{match[2]}"
