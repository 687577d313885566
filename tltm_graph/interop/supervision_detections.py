from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from tltm_graph.extras import missing_extra
from tltm_graph.structures import Detections
from tltm_graph.structures.detections import class_name

try:
    import supervision
except ImportError as error:
    raise missing_extra("supervision", "to convert detections") from error


def to_supervision(detections: Detections, class_names: Sequence[str] | None = None) -> Any:
    """Convert to :class:`supervision.Detections` on the CPU, for its annotators, zones, counters and sinks.

    Args:
        detections: Detections of a frame. Ids become ``tracker_id``. Drop detections without an id before, by
            ``detections[detections.ids >= 0]``, if the next step does not expect -1.
        class_names: Names of the classes, for ``data["class_name"]``.
    """
    detections = detections.to("cpu")
    names = (
        [class_name(label, class_names) for label in detections.labels.tolist()] if class_names is not None else None
    )
    return supervision.Detections(
        xyxy=detections.boxes.float().numpy(),
        mask=None if detections.masks is None else detections.masks.numpy(),
        confidence=detections.scores.float().numpy(),
        class_id=detections.labels.numpy(),
        tracker_id=None if detections.ids is None else detections.ids.numpy(),
        data={} if names is None else {"class_name": np.array(names, dtype=object).astype(str)},
    )


def from_supervision(objects: Any) -> Detections:
    """Convert from :class:`supervision.Detections`, as its connectors to other libraries return them.

    >>> class MyDetector(Detector):
    ...     class_names = ("person", "ball")
    ...     def detect(self, frame, context=None):
    ...         result = model(frame.image.permute(1, 2, 0).numpy())
    ...         return from_supervision(supervision.Detections.from_ultralytics(result)), None

    Args:
        objects: Objects of a frame. Confidence defaults to 1 and class to 0; ``tracker_id`` becomes ids.
    """
    count = len(objects.xyxy)
    scores, labels, ids = objects.confidence, objects.class_id, objects.tracker_id
    return Detections(
        boxes=torch.from_numpy(np.asarray(objects.xyxy, dtype=np.float32).reshape(count, 4)),
        scores=torch.ones(count) if scores is None else torch.from_numpy(np.asarray(scores, dtype=np.float32)),
        labels=torch.zeros(count, dtype=torch.int64)
        if labels is None
        else torch.from_numpy(np.asarray(labels, dtype=np.int64)),
        masks=None if objects.mask is None else torch.from_numpy(np.asarray(objects.mask, dtype=bool)),
        ids=None if ids is None else torch.from_numpy(np.asarray(ids, dtype=np.int64)),
    )
