import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from tltm_graph.association import Affinity
from tltm_graph.detectors.detector import Detector
from tltm_graph.io.json_schema import class_names_field, field, flag, integer, list_of, number, optional
from tltm_graph.io.output import mark_input, write_atomically
from tltm_graph.io.tensor_schema import (
    LARGEST_BOX,
    TensorField,
    boxes_field,
    canonical,
    check_boxes,
    check_counts,
    check_labels,
    check_packed_masks,
    check_tensors,
    packed_mask_fields,
)
from tltm_graph.io.text import check_file, parse_json
from tltm_graph.limits import check_length, check_pixels
from tltm_graph.ops.rle import Rle, check_rles, decode_rle, encode_rle, rles_from_tensors, rles_to_tensors
from tltm_graph.printable import one_line
from tltm_graph.structures import Detections, Frame

_FIELDS = ("boxes", "scores", "labels", "embeddings")


@dataclass(frozen=True, eq=False)
class DetectionCache:
    """Detections of a whole video, to associate them repeatedly: :class:`ReplayDetector` replays them.

    Args:
        frames: Detections of each frame, with embeddings if the affinity has some, without masks.
        drawn_boxes: Boxes of each frame as shown with masks (N, 4) in pixels.
        masks: Run-length encoded masks of each frame (N); None without masks.
        times: Time of each frame in seconds.
        size: Height and width of the frames in pixels.
        class_names: Names of the classes, None if unknown.
        masks_on_demand: True if the association does not see masks, as with the cached detector.
        scale: Ratio of the detector's input size to the size of the frames.
        new_track_threshold: Minimum score that should start a track, None for the default of the tracker.

    Raises:
        ValueError: If there is not one time for each frame.
    """

    frames: tuple[Detections, ...]
    drawn_boxes: tuple[Tensor, ...]
    masks: tuple[list[Rle], ...] | None
    times: tuple[float, ...]
    size: tuple[int, int]
    class_names: tuple[str, ...] | None
    masks_on_demand: bool = True
    scale: float = 1.0
    new_track_threshold: float | None = None

    def __post_init__(self) -> None:
        if len(self.times) != len(self.frames):
            raise ValueError(f"Expected a time for each of {len(self.frames)} frames, got {len(self.times)}")

    def __len__(self) -> int:
        return len(self.frames)

    def detections(self, frame: int) -> Detections:
        """Return the detections of a frame as the association sees them.

        Raises:
            ValueError: If the video has no such frame.
        """
        self._check(frame)
        return self.frames[frame] if self.masks_on_demand else self.drawn(frame)

    def drawn(self, frame: int) -> Detections:
        """Return the detections of a frame as they are shown, with masks if they were cached."""
        self._check(frame)
        shown = self.frames[frame].replace(boxes=self.drawn_boxes[frame])
        return shown if self.masks is None else shown.replace(masks=decode_rle(self.masks[frame], self.size))

    def blank_frames(self) -> Iterator[Frame]:
        """Yield a black frame for each time: replayed detections need no pixels."""
        black = torch.zeros((1, 1, 1), dtype=torch.uint8).expand(3, *self.size)
        return (Frame(black, index, time) for index, time in enumerate(self.times))

    def save(self, path: str | Path) -> None:
        """Write the cache as safetensors. The file is replaced when it is complete."""
        kept = [name for name in _FIELDS if all(getattr(frame, name) is not None for frame in self.frames)]
        tensors = {name: torch.cat([getattr(frame, name) for frame in self.frames]).contiguous() for name in kept}
        tensors["drawn_boxes"] = torch.cat(self.drawn_boxes)
        tensors["counts"] = torch.tensor([len(frame) for frame in self.frames])
        tensors["times"] = torch.tensor(self.times, dtype=torch.float64)
        if self.masks is not None:
            packed = rles_to_tensors([rle for frame in self.masks for rle in frame])
            tensors |= {f"mask.{name}": value for name, value in packed.items()}
        settings = {
            "size": self.size,
            "class_names": self.class_names,
            "masks_on_demand": self.masks_on_demand,
            "scale": self.scale,
            "new_track_threshold": self.new_track_threshold,
        }
        with write_atomically(path) as temporary:
            save_file(tensors, temporary, {"detection_cache": json.dumps(settings, allow_nan=False)})

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a cache that :meth:`save` wrote.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If it is another kind of file, or damaged. The message names the first wrong value.
        """
        where = f"'{path}'"
        check_file(path, "cached detections")
        mark_input(path)
        try:
            with safe_open(path, framework="pt") as file:
                metadata = file.metadata() or {}
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  not a dict
        except (SafetensorError, KeyError, RuntimeError, TypeError, ValueError, OverflowError, OSError) as error:
            reason = one_line(str(error)[:200])
            raise ValueError(f"Expected cached detections in {where}, got a damaged or other file: {reason}") from error
        if "detection_cache" not in metadata:
            raise ValueError(f"Expected cached detections in {where}, got another file: cache_detections makes one")
        settings = parse_json(metadata["detection_cache"], path, "the settings of cached detections")
        size = field(settings, "size", list_of(integer(1), 2, 2), where)
        check_pixels(size[0], size[1], f"the frames of {where}")
        names = class_names_field(settings, where)
        on_demand = field(settings, "masks_on_demand", flag(), where)
        scale = field(settings, "scale", number(1e-6, 1e6), where)
        threshold = field(settings, "new_track_threshold", optional(number()), where, None)
        _check_cache(tensors, names, where)
        tensors = canonical(tensors)
        counts = tensors["counts"].tolist()
        check_length(len(counts), where)
        ends = tensors["counts"].cumsum(0).tolist()
        parts = [slice(end - count, end) for end, count in zip(ends, counts, strict=True)]
        boxes, scores, labels = (tensors[name] for name in _FIELDS[:3])
        all_frames = Detections(boxes, scores, labels.long(), embeddings=tensors.get("embeddings"))
        rles = None
        if "mask.text" in tensors:
            rles = rles_from_tensors({name: tensors[f"mask.{name}"] for name in ("length", "text", "size")})
            check_rles(rles, (size[0], size[1]), lambda row: f"row {row} of 'mask.text' in {where}")
        return cls(
            frames=tuple(all_frames[part] for part in parts),
            drawn_boxes=tuple(tensors["drawn_boxes"][part] for part in parts),
            masks=None if rles is None else tuple(rles[part] for part in parts),
            times=tuple(tensors["times"].tolist()),
            size=(size[0], size[1]),
            class_names=names,
            masks_on_demand=on_demand,
            scale=float(scale),
            new_track_threshold=None if threshold is None else float(threshold),
        )

    def _check(self, frame: int) -> None:
        if not 0 <= frame < len(self):
            raise ValueError(f"Expected one of {len(self)} cached frames, got frame {frame}: they are of another video")

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self)} frames)"


_TENSORS = {
    "boxes": boxes_field("objects"),
    "scores": TensorField("float", ("objects",), -LARGEST_BOX, LARGEST_BOX),
    "labels": TensorField("int", ("objects",), 0, 1e6),
    "embeddings": TensorField("float", ("objects", "channels"), optional=True),
    "drawn_boxes": boxes_field("objects"),
    "counts": TensorField("int", ("frames",), 0, 1e9),
    "times": TensorField("float", ("frames",), -1e12, 1e12),
    **packed_mask_fields("objects"),
}


def _check_cache(tensors: dict[str, Tensor], class_names: tuple[str, ...] | None, where: str) -> None:
    sizes: dict[str, int] = {}
    check_tensors(tensors, _TENSORS, sizes, where)
    check_counts(tensors["counts"], sizes["objects"], f"'counts' in {where}")
    for name in ("boxes", "drawn_boxes"):
        check_boxes(tensors[name], f"'{name}' in {where}")
    check_labels(tensors["labels"], class_names, f"'labels' in {where}")
    check_packed_masks(tensors, where)


@torch.no_grad()
def cache_detections(
    detector: Detector, frames: Iterable[Frame], affinity: Affinity | None = None, masks: bool = True
) -> DetectionCache:
    """Detect and encode the objects of every frame of a video.

    Args:
        detector: Detector to run.
        frames: At least one frame, numbered from 0 without gaps.
        affinity: Affinity whose encoder computes the embeddings; by default that of the detector, if it has one.
        masks: True to keep masks. Without them caching is faster and the cache smaller, but nothing can be drawn.

    Raises:
        ValueError: If there is no frame, or a number is missing.
    """
    affinity = affinity or detector.affinity()
    detections: list[Detections] = []
    drawn_boxes: list[Tensor] = []
    rles: list[list[Rle]] = []
    times: list[float] = []
    size, context = None, None
    for index, frame in enumerate(frames):
        if frame.index != index:
            raise ValueError(f"Expected frame {index}, got {frame.index}: cache a video from its first frame on")
        detected, context = detector.detect(frame, context)
        embeddings = detected.embeddings
        if embeddings is None and affinity is not None:
            embeddings = affinity.encode(detected)
        drawn = detector.segment(detected, frame.size) if masks and detector.masks_on_demand else detected
        if masks and drawn.masks is not None:
            rles.append(encode_rle(drawn.masks))
        drawn_boxes.append(drawn.boxes.cpu())
        detections.append(detected.replace(features=None, masks=None, ids=None, embeddings=embeddings).to("cpu"))
        times.append(frame.time)
        size = frame.size
    if size is None:
        raise ValueError("Expected a video of at least one frame, got none")
    return DetectionCache(
        frames=tuple(detections),
        drawn_boxes=tuple(drawn_boxes),
        masks=tuple(rles) if len(rles) == len(detections) else None,
        times=tuple(times),
        size=size,
        class_names=detector.class_names,
        masks_on_demand=detector.masks_on_demand,
        scale=detector.scale(size),
        new_track_threshold=detector.new_track_threshold,
    )


class RecordedDetections(Protocol):
    """Detections of a video that were recorded: a :class:`DetectionCache` or a saved graph."""

    @property
    def class_names(self) -> tuple[str, ...] | None: ...
    @property
    def size(self) -> tuple[int, int] | None: ...
    @property
    def masks_on_demand(self) -> bool: ...
    @property
    def scale(self) -> float: ...
    @property
    def new_track_threshold(self) -> float | None: ...

    def detections(self, frame: int) -> Detections:
        """Read the detections of a frame, with embeddings if there are some."""
        ...

    def drawn(self, frame: int) -> Detections:
        """Read the same objects as they are shown, with masks."""
        ...


class ReplayDetector(Detector):
    """Detector that replays recorded detections, without looking at the frames.

    Args:
        recording: Recorded detections.
        score_threshold: Minimum score of a replayed detection, in [0, 1].

    Raises:
        ValueError: If the threshold is not finite.
    """

    def __init__(self, recording: RecordedDetections, score_threshold: float = 0.0) -> None:
        if not math.isfinite(score_threshold):
            raise ValueError(f"Expected a finite score_threshold, got {score_threshold}: 0 keeps all detections")
        self.recording = recording
        self.score_threshold = score_threshold
        self.class_names = recording.class_names
        self.masks_on_demand = recording.masks_on_demand
        self.new_track_threshold = recording.new_track_threshold

    def detect(self, frame: Frame, context: Any = None) -> tuple[Detections, None]:
        """Return the recorded detections of the frame with this index.

        Raises:
            ValueError: If the frame was not recorded, or has another size.
        """
        if self.recording.size is not None and frame.size != self.recording.size:
            raise ValueError(
                f"Expected frames of {self.recording.size} pixels (H, W), got frame {frame.index} of {frame.size}: the "
                "recording is of another video"
            )
        detections = self.recording.detections(frame.index)
        # segment() finds an object again by its frame and row.
        rows = torch.arange(len(detections), dtype=torch.float64)
        places = torch.stack([torch.full_like(rows, frame.index), rows], dim=1)
        kept = (detections.scores >= self.score_threshold) if self.score_threshold > 0 else slice(None)
        return detections.replace(features=places)[kept], None

    def segment(self, detections: Detections, size: tuple[int, int]) -> Detections:
        """Return the recorded masks and boxes of detections that :meth:`detect` returned."""
        places = detections.features
        if places is None:
            raise ValueError(
                f"Expected detections of this detector, got {detections!r} without their places: segment what detect() "
                "returned"
            )
        if len(places) == 0:
            return detections.replace(masks=torch.zeros((0, *size), dtype=torch.bool))
        drawn = self.recording.drawn(int(places[0, 0]))[places[:, 1].long()]
        masks = torch.zeros((len(places), *size), dtype=torch.bool) if drawn.masks is None else drawn.masks
        return detections.replace(boxes=drawn.boxes, masks=masks)

    def scale(self, size: tuple[int, int]) -> float:
        """Ratio of the recorded detector's input size to the size of the frames."""
        return self.recording.scale

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.recording!r}, score_threshold={self.score_threshold})"
