"""What a model sees in a video, kept: to associate the same objects in many ways, without looking at them again."""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch_geometric.data import HeteroData
from torchvision.ops import clip_boxes_to_image

from tltm_graph.association import LearnedAffinity
from tltm_graph.detectors.centermask import CenterMask
from tltm_graph.io import write_atomically
from tltm_graph.ops import paste_masks
from tltm_graph.structures import Detections, Frame

_FIELDS = ("boxes", "scores", "labels", "features")


@dataclass(frozen=True, eq=False)
class Recording:
    """All that a :class:`TLTM` sees in a video before anything is associated.

    Args:
        objects: Of each frame, with ``features (N, F + R²)``: the nodes of the relation model, then the probabilities
            of the mask head, row by row of its R×R cells; without masks R is 0.
        times: Of each frame, in seconds.
        size: Height and width of the frames.
        num_channels: F.
        class_names: Names of the classes.

    Raises:
        ValueError: If there is not a time for each frame.
    """

    objects: tuple[Detections, ...]
    times: tuple[float, ...]
    size: tuple[int, int]
    num_channels: int
    class_names: tuple[str, ...] | None

    def __post_init__(self) -> None:
        if len(self.times) != len(self.objects):
            raise ValueError(f"Expected a time for each of {len(self.objects)} frames, got {len(self.times)}")

    def __len__(self) -> int:
        return len(self.objects)

    def frames(self) -> Iterator[Frame]:
        """Black frames at the right times: a tracker needs no more."""
        black = torch.zeros((1, 1, 1), dtype=torch.uint8).expand(3, *self.size)
        return (Frame(black, index, time) for index, time in enumerate(self.times))

    def save(self, path: str | Path) -> None:
        """Writes the recording as safetensors. The file is replaced when it is complete."""
        state = {name: torch.cat([getattr(seen, name) for seen in self.objects]).contiguous() for name in _FIELDS}
        state["counts"] = torch.tensor([len(seen) for seen in self.objects])
        state["times"] = torch.tensor(self.times, dtype=torch.float64)
        told = {"size": self.size, "num_channels": self.num_channels, "class_names": self.class_names}
        with write_atomically(path) as temporary:
            save_file(state, temporary, {"recording": json.dumps(told)})

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Reads what :meth:`save` wrote.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If it is no recording.
        """
        if not Path(path).is_file():
            raise FileNotFoundError(f"Expected a recording, found no file '{path}'")
        try:
            with safe_open(path, framework="pt") as file:
                told = json.loads((file.metadata() or {})["recording"])
                state = {name: file.get_tensor(name) for name in (*_FIELDS, "counts", "times")}
        except (SafetensorError, KeyError) as error:
            raise ValueError(f"Expected a recording in '{path}', got another file: {error}") from error
        every = Detections(**{name: state[name] for name in _FIELDS})
        ends = state["counts"].cumsum(dim=0).tolist()
        names = told["class_names"]
        return cls(
            tuple(every[end - count : end] for end, count in zip(ends, state["counts"].tolist(), strict=True)),
            tuple(state["times"].tolist()),
            (told["size"][0], told["size"][1]),
            told["num_channels"],
            None if names is None else tuple(names),
        )


class Recordable(Protocol):
    """What of a :class:`TLTM` is recorded."""

    detector: CenterMask

    def detect(self, frame: Frame, context: Any = None) -> tuple[Detections, Any]:
        """See :meth:`TLTM.detect`."""
        ...

    def encode(self, detections: Detections) -> Tensor:
        """See :meth:`TLTM.encode`."""
        ...


@torch.no_grad()
def record(model: Recordable, frames: Iterable[Frame], masks: bool = True) -> Recording:
    """Looks at every frame of a video.

    Args:
        model: A TLTM, or what looks through one.
        frames: At least one frame, numbered from 0 without a gap.
        masks: Whether masks are kept. Without them a recording is quicker made and smaller, and nothing can be drawn.

    Raises:
        ValueError: If there is no frame, or a number is left out.
    """
    objects: list[Detections] = []
    times: list[float] = []
    size, channels, context = None, 0, None
    for number, frame in enumerate(frames):
        if frame.index != number:
            raise ValueError(f"Expected frame {number}, got {frame.index}: record a video from its first frame on")
        found, context = model.detect(frame, context)
        assert found.features is not None
        nodes = model.encode(found)  # (N, F)
        known = [nodes]
        if masks:
            with model.detector.precision():
                cells = model.detector.mask_logits(found.features, found.labels).float().sigmoid()  # (N, R, R)
            known.append(cells.flatten(1))
        objects.append(found.replace(features=torch.cat(known, dim=1)).to("cpu"))
        times.append(frame.time)
        size, channels = frame.size, nodes.shape[1]
    if size is None:
        raise ValueError("Expected a video of at least one frame, got none")
    return Recording(tuple(objects), tuple(times), size, channels, model.detector.class_names)


class RecordedModel:
    """A recording in place of the model that made it: detector, segmenter and relation of a tracker.

    >>> model = RecordedModel(record(tltm, frames), tltm.score)
    >>> Tracker(model, relation=model).track(model.recording.frames())

    Args:
        recording: What was seen.
        scorer: Gives edge logits (E,) of a graph of recorded nodes: ``score`` of the model that made the recording.
        affinity: That of this model, if it has one.
    """

    def __init__(
        self,
        recording: Recording,
        scorer: Callable[[HeteroData], Tensor],
        affinity: LearnedAffinity | None = None,
    ) -> None:
        self.recording = recording
        self.scorer = scorer
        self.affinity = affinity
        self.class_names = recording.class_names

    def detect(self, frame: Frame, context: object = None) -> tuple[Detections, None]:
        """The objects of the frame with this index.

        Raises:
            ValueError: If the recording ends before, or is of frames of another size.
        """
        if frame.index >= len(self.recording) or frame.size != self.recording.size:
            raise ValueError(
                f"Expected one of {len(self.recording)} frames of {self.recording.size} pixels (H, W), got frame "
                f"{frame.index} of {frame.size}: the recording is of another video"
            )
        return self.recording.objects[frame.index], None

    def segment(self, detections: Detections, size: tuple[int, int]) -> Detections:
        """See :meth:`tltm_graph.detectors.centermask.CenterMask.segment`."""
        boxes = clip_boxes_to_image(detections.boxes, size)
        probability = self._features(detections)[:, self.recording.num_channels :]
        cells = round(probability.shape[1] ** 0.5)
        masks = paste_masks(probability.unflatten(1, (cells, cells)), boxes, size)
        return detections.replace(boxes=boxes, masks=masks)

    def encode(self, detections: Detections) -> Tensor:
        """Node features (N, F)."""
        return self._features(detections)[:, : self.recording.num_channels]

    def score(self, graph: HeteroData) -> Tensor:
        """Edge logits (E,)."""
        return self.scorer(graph)

    def _features(self, detections: Detections) -> Tensor:
        if detections.features is None:
            raise ValueError(f"Expected objects of the recording with their features, got {detections!r}")
        return detections.features

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self.recording)} frames)"
