from collections.abc import Sequence
from typing import Any

import torch

from tltm_graph.detectors.detector import Detector, expect_pair
from tltm_graph.structures import Detections, Frame


def check_detector(detector: Detector, frames: Sequence[Frame]) -> None:
    """Runs a detector on a few frames of one video and checks everything a tracker relies on.

    Checked are: the attribute and the method; the type of what comes back; values (finite, boxes the right way round,
    labels within ``class_names``); boxes and masks that lie in the frame; the most confident objects first; the same
    number of objects, or none, with features in every frame; masks that are drawn in a second step; frames left
    unchanged; the same answer when asked again and when two videos take turns.

    Args:
        detector: The detector.
        frames: Two or more frames of one video, in order.

    Raises:
        AssertionError: At the first check that fails; the message says what was expected, what came, and where.
    """
    _expect(
        isinstance(detector, Detector) and not isinstance(detector, type),
        f"an object of a class that inherits from tltm_graph.Detector, got {detector!r}",
    )
    names = detector.class_names
    _expect(names is None or not isinstance(names, str), f"'class_names' as a tuple of names, got the string {names!r}")
    _expect(len(frames) >= 2, f"at least two frames to check with, got {len(frames)}")
    first = _run(detector, frames)
    shapes = {d.features.shape[1:] for d in first if d.features is not None}
    with_features = {d.features is not None for d in first if len(d)}
    _expect(len(shapes) <= 1, f"features of one shape in all frames, got {sorted(map(tuple, shapes))}")
    _expect(len(with_features) <= 1, "features in all frames or in none, got a mixture")

    again = _run(detector, frames)
    for frame, a, b in zip(frames, first, again, strict=True):
        _expect(
            _equal(a, b), f"the same objects when frame {frame.index} is seen again, got others: is there hidden state?"
        )

    contexts: list[Any] = [None, None]
    for frame, expected in zip(frames, first, strict=True):
        for video in (0, 1):
            detections, contexts[video] = detector.detect(frame, contexts[video])
            _expect(
                _equal(detections, expected),
                f"the same objects in frame {frame.index} when two videos take turns, got others: keep what is "
                "remembered of a video in the context, not in the detector",
            )


def _run(detector: Detector, frames: Sequence[Frame]) -> list[Detections]:
    context, outputs = None, []
    for frame in frames:
        before = frame.image.clone()
        try:
            detections, context = expect_pair(detector, detector.detect(frame, context))
        except ValueError as error:
            raise AssertionError(str(error)) from error
        _check_detections(detector, frame, detections)
        _expect(torch.equal(frame.image, before), f"frame {frame.index} unchanged, got other pixels: work on a copy")
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
        _expect(labels == detections.labels[rows].tolist(), f"segmented objects in the order given {where}, got others")
    if detector.class_names is not None and len(detections):
        highest = int(detections.labels.max())
        _expect(highest < len(detector.class_names), f"labels below {len(detector.class_names)} {where}, got {highest}")
    descending = bool((detections.scores[1:] <= detections.scores[:-1]).all())
    _expect(
        descending,
        f"the most confident objects first {where}, got scores {detections.scores.tolist()}: sort them, "
        "detections[detections.scores.argsort(descending=True)]",
    )


def _equal(a: Detections, b: Detections) -> bool:
    def same(x: torch.Tensor | None, y: torch.Tensor | None) -> bool:
        if x is None or y is None:
            return x is y
        return x.shape == y.shape and bool(torch.equal(x, y))

    return all(same(getattr(a, name), getattr(b, name)) for name in ("boxes", "scores", "labels", "masks", "features"))


def _expect(condition: bool, what: str) -> None:
    if not condition:
        raise AssertionError(f"Expected {what}")
