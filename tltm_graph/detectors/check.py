from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from tltm_graph.detectors.detector import Detector, expect_pair
from tltm_graph.structures import Detections, Frame


def check_detector(detector: Detector, frames: Sequence[Frame]) -> None:
    """Run a detector on a few frames of one video and check everything that a tracker relies on.

    - The detector inherits from :class:`tltm_graph.Detector`, and :meth:`~tltm_graph.Detector.detect` returns a pair
      (detections, context).
    - Values are finite, corners of boxes are ordered, labels index ``class_names``.
    - Boxes and masks lie in the frame. Detections are sorted by score, highest first.
    - Features have the same shape in all frames, or there are none.
    - Masks on demand are drawn for any selection of the detections.
    - Frames are not modified.
    - Results do not change when a video is processed again, or when two videos alternate.

    Args:
        detector: Detector to check.
        frames: Two or more frames of one video, in order.

    Raises:
        AssertionError: At the first check that fails. The message gives what was expected, what came, and the frame.
    """
    _expect(
        isinstance(detector, Detector) and not isinstance(detector, type),
        f"an object of a class that inherits from tltm_graph.Detector, got {detector!r}",
    )
    names = detector.class_names
    _expect(names is None or not isinstance(names, str), f"'class_names' as a tuple of names, got the string {names!r}")
    _expect(len(frames) >= 2, f"at least two frames to check with, got {len(frames)}")
    first = _detect_all(detector, frames)
    shapes = {d.features.shape[1:] for d in first if d.features is not None}
    has_features = {d.features is not None for d in first if len(d)}
    _expect(len(shapes) <= 1, f"features of one shape in all frames, got {sorted(map(tuple, shapes))}")
    _expect(len(has_features) <= 1, "features in all frames or in none, got a mixture")

    second = _detect_all(detector, frames)
    for frame, expected, repeated in zip(frames, first, second, strict=True):
        _expect(
            _equal(expected, repeated),
            f"the same objects when frame {frame.index} is processed again, got others: is there hidden state?",
        )

    contexts: list[Any] = [None, None]
    for frame, expected in zip(frames, first, strict=True):
        for video in (0, 1):
            detections, contexts[video] = detector.detect(frame, contexts[video])
            _expect(
                _equal(detections, expected),
                f"the same objects in frame {frame.index} when two videos alternate, got others: keep the memory of "
                "a video in the context, not in the detector",
            )


def _detect_all(detector: Detector, frames: Sequence[Frame]) -> list[Detections]:
    context, outputs = None, []
    for frame in frames:
        image = frame.image.clone()
        try:
            detections, context = expect_pair(detector, detector.detect(frame, context))
        except ValueError as error:
            raise AssertionError(str(error)) from error
        _check_detections(detector, frame, detections)
        _expect(torch.equal(frame.image, image), f"frame {frame.index} unchanged, got other pixels: work on a copy")
        outputs.append(detections)
    return outputs


def _check_detections(detector: Detector, frame: Frame, detections: Detections) -> None:
    where = f"in frame {frame.index}"
    try:
        detections.check_values()
    except ValueError as error:
        raise AssertionError(f"{error} {where}") from error
    _expect(not detections.outside(frame.size).any().item(), f"boxes that meet the image {where}, got one outside")
    if detections.masks is not None:
        size = tuple(detections.masks.shape[1:])
        _expect(size == frame.size, f"masks of the size {frame.size} of the frame {where}, got {size}")
    if detector.masks_on_demand:
        rows = torch.arange(len(detections) - 1, -1, -2)  # some of them, in another order
        segmented = detector.segment(detections[rows], frame.size)
        shape = None if segmented.masks is None else tuple(segmented.masks.shape)
        _expect(shape == (len(rows), *frame.size), f"masks of shape {(len(rows), *frame.size)} {where}, got {shape}")
        labels = segmented.labels.tolist()
        _expect(labels == detections.labels[rows].tolist(), f"segmented objects in the given order {where}, got others")
    if detector.class_names is not None and len(detections):
        highest = int(detections.labels.max())
        _expect(highest < len(detector.class_names), f"labels below {len(detector.class_names)} {where}, got {highest}")
    descending = bool((detections.scores[1:] <= detections.scores[:-1]).all())
    _expect(
        descending,
        f"the highest scores first {where}, got scores {detections.scores.tolist()}: sort them, "
        "detections[detections.scores.argsort(descending=True)]",
    )


def _equal(a: Detections, b: Detections) -> bool:
    fields = ((a.boxes, b.boxes), (a.scores, b.scores), (a.labels, b.labels), (a.masks, b.masks))
    return all(_same(x, y) for x, y in (*fields, (a.features, b.features)))


def _same(x: Tensor | None, y: Tensor | None) -> bool:
    if x is None or y is None:
        return x is y
    return torch.equal(x, y)


def _expect(condition: bool, what: str) -> None:
    if not condition:
        raise AssertionError(f"Expected {what}")
