import numpy as np


def box_intersections(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Compute the shared area of boxes (x0, y0, x1, y1), (…, N, 4) with (…, M, 4), in square pixels (…, N, M)."""
    x0, y0, x1, y1 = (boxes[..., :, None, k] for k in range(4))
    u0, v0, u1, v1 = (others[..., None, :, k] for k in range(4))
    width = np.minimum(x1, u1) - np.maximum(x0, u0)
    height = np.minimum(y1, v1) - np.maximum(y0, v0)
    return np.maximum(width, 0) * np.maximum(height, 0)


def pairwise_box_iou(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Compute the IoU of boxes (x0, y0, x1, y1), (…, N, 4) with (…, M, 4), float64 (…, N, M). Widths are x1 - x0.

    Boxes without area have an IoU of 0.
    """
    intersection = box_intersections(boxes, others)
    area, other_area = ((b[..., 2] - b[..., 0]) * (b[..., 3] - b[..., 1]) for b in (boxes, others))
    union = area[..., :, None] + other_area[..., None, :] - intersection
    return np.divide(intersection, union, out=np.zeros_like(intersection), where=union > 0)


def to_centres(boxes: np.ndarray) -> np.ndarray:
    """Convert corners (x0, y0, x1, y1) to centre x, y, width and height (…, 4)."""
    low, high = boxes[..., :2], boxes[..., 2:]
    return np.concatenate([(low + high) / 2, high - low], axis=-1)


def to_corners(places: np.ndarray) -> np.ndarray:
    """Convert centre x, y, width and height to corners (x0, y0, x1, y1), (…, 4)."""
    centre, half = places[..., :2], places[..., 2:] / 2
    return np.concatenate([centre - half, centre + half], axis=-1)
