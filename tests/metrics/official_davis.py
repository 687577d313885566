"""Plain transcription of the official J and F: the reference of the tests and the baseline of the benchmark.

It follows davis2017-evaluation (BSD 3-Clause; Caelles et al. 2019), with its cost in time and memory: all frames of a
video as float64, one layer for each object, boundaries and dilations of whole frames for every pair. Two errors are
kept: limits of the decay's bins are uint8, and the unsupervised result is in the order of the proposals.
"""

import warnings
from pathlib import Path

import cv2
import numpy as np
from PIL import Image
from scipy.optimize import linear_sum_assignment


def iou(truth: np.ndarray, predicted: np.ndarray, void: np.ndarray | None = None) -> np.ndarray:
    """J of masks (..., H, W)."""
    truth, predicted = truth.astype(bool), predicted.astype(bool)
    keep = np.logical_not(np.zeros_like(truth) if void is None else void.astype(bool))
    intersection = np.sum((truth & predicted) & keep, axis=(-2, -1))
    union = np.sum((truth | predicted) & keep, axis=(-2, -1))
    with np.errstate(invalid="ignore"):
        result = np.asarray(intersection / union)
    result[np.isclose(union, 0)] = 1
    return result


def contour(mask: np.ndarray) -> np.ndarray:
    """Pixels that differ from the right, lower or lower right neighbour; the last row and column look one way."""
    mask = mask.astype(bool)
    right, down, diagonal = np.zeros_like(mask), np.zeros_like(mask), np.zeros_like(mask)
    right[:, :-1] = mask[:, 1:]
    down[:-1, :] = mask[1:, :]
    diagonal[:-1, :-1] = mask[1:, 1:]
    edge = mask ^ right | mask ^ down | mask ^ diagonal
    edge[-1, :] = mask[-1, :] ^ right[-1, :]
    edge[:, -1] = mask[:, -1] ^ down[:, -1]
    edge[-1, -1] = False
    return edge


def f_measure(predicted: np.ndarray, truth: np.ndarray, void: np.ndarray | None = None) -> float:
    """F of two masks (H, W)."""
    void = np.zeros_like(predicted).astype(bool) if void is None else void.astype(bool)
    radius = int(np.ceil(0.008 * np.linalg.norm(predicted.shape)))
    predicted_edge = contour(predicted * np.logical_not(void))
    truth_edge = contour(truth * np.logical_not(void))
    grid = np.arange(-radius, radius + 1)
    disk = (grid[:, None] ** 2 + grid[None, :] ** 2 <= radius**2).astype(np.uint8)
    predicted_near = cv2.dilate(predicted_edge.astype(np.uint8), disk)
    truth_near = cv2.dilate(truth_edge.astype(np.uint8), disk)
    truth_match, predicted_match = truth_edge * predicted_near, predicted_edge * truth_near
    num_predicted, num_truth = np.sum(predicted_edge), np.sum(truth_edge)
    if num_predicted == 0 and num_truth > 0:
        precision, recall = 1.0, 0.0
    elif num_predicted > 0 and num_truth == 0:
        precision, recall = 0.0, 1.0
    elif num_predicted == 0 and num_truth == 0:
        precision, recall = 1.0, 1.0
    else:
        precision = np.sum(predicted_match) / float(num_predicted)
        recall = np.sum(truth_match) / float(num_truth)
    return 0.0 if precision + recall == 0 else float(2 * precision * recall / (precision + recall))


def boundary(truth: np.ndarray, predicted: np.ndarray, void: np.ndarray | None = None) -> np.ndarray:
    """F of masks (T, H, W)."""
    result = np.zeros(len(truth))
    for frame in range(len(truth)):
        result[frame] = f_measure(predicted[frame], truth[frame], None if void is None else void[frame])
    return result


def read_stack(files: list[Path]) -> np.ndarray:
    """Label maps of all frames, float64 (T, H, W)."""
    stack = np.zeros((len(files), *np.array(Image.open(files[0])).shape))
    for frame, file in enumerate(files):
        stack[frame] = np.array(Image.open(file))
    return stack


def one_hot(stack: np.ndarray, num_objects: int) -> np.ndarray:
    """Layers of the objects 1, 2, … of label maps (T, H, W): (N, T, H, W)."""
    ids = np.ones((num_objects, *stack.shape))
    ids = ids * np.arange(1, num_objects + 1)[:, None, None, None]
    return (ids == stack[None, ...]) > 0


def truth_layers(stack: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The objects of the true label maps, as many as the first one says, and the void pixels."""
    void = np.zeros_like(stack)
    void[stack == 255] = 1
    stack = stack.copy()
    stack[stack == 255] = 0
    return one_hot(stack, int(np.max(stack[0]))), void


def semi_supervised(truth: np.ndarray, predicted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """J and F (N, T - 2) of label maps: ``truth`` of all frames, ``predicted`` of all but the first and the last."""
    objects = truth_layers(truth)[0][:, 1:-1]
    found = one_hot(predicted, int(np.max(predicted)))
    assert len(found) <= len(objects)
    found = np.concatenate([found, np.zeros((len(objects) - len(found), *found.shape[1:]))], axis=0)
    region, edge = np.zeros(objects.shape[:2]), np.zeros(objects.shape[:2])
    for i in range(len(objects)):
        region[i] = iou(objects[i], found[i])
        edge[i] = boundary(objects[i], found[i])
    return region, edge


def unsupervised(truth: np.ndarray, predicted: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """J and F (N, T) in the order of the proposals, and the object that each row belongs to."""
    objects, void = truth_layers(truth)
    found = one_hot(predicted, int(np.max(predicted)))
    assert len(found) <= 20
    if len(found) < len(objects):
        found = np.concatenate([found, np.zeros((len(objects) - len(found), *found.shape[1:]))], axis=0)
    region, edge = np.zeros((2, len(found), len(objects), len(truth)))
    for i in range(len(objects)):
        for j in range(len(found)):
            region[j, i] = iou(objects[i], found[j], void)
            edge[j, i] = boundary(objects[i], found[j], void)
    both = (np.mean(region, axis=2) + np.mean(edge, axis=2)) / 2
    rows, columns = linear_sum_assignment(-both)
    return region[rows, columns], edge[rows, columns], columns


def statistics(values: np.ndarray) -> tuple[float, float, float]:
    """Mean, recall and decay of an object's values (T,)."""
    limits = np.round(np.linspace(1, len(values), 5) + 1e-10) - 1
    limits = limits.astype(np.uint8)
    bins = [values[limits[i] : limits[i + 1] + 1] for i in range(4)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a bin is empty where 8 bits were too few
        return float(np.nanmean(values)), float(np.mean(values > 0.5)), float(np.nanmean(bins[0]) - np.nanmean(bins[3]))


def semi_supervised_from_files(truth: Path, results: Path) -> tuple[np.ndarray, np.ndarray]:
    """J and F of one video, from folders with a PNG for each frame."""
    files = sorted(truth.glob("*.png"))
    return semi_supervised(read_stack(files), read_stack([results / file.name for file in files[1:-1]]))


def unsupervised_from_files(truth: Path, results: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The same for :func:`unsupervised`."""
    files = sorted(truth.glob("*.png"))
    return unsupervised(read_stack(files), read_stack([results / file.name for file in files]))
