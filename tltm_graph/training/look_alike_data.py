"""Training graphs of look-alikes: objects of one class in hallucinated views of still images."""

import pickle
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torchvision.transforms.v2.functional as F
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torch_geometric.data import HeteroData
from torchvision.ops import clip_boxes_to_image
from tqdm import tqdm

from tltm_graph.detectors.centermask import CenterMask
from tltm_graph.frame_pairs.annotated_video import AnnotatedVideo, visible_objects
from tltm_graph.frame_pairs.datasets import StillPairs
from tltm_graph.frame_pairs.hallucinated_views import HallucinatedView
from tltm_graph.frame_pairs.sampling import Permutation, chance, integer, seeded_generator, uniform
from tltm_graph.graph import TRANSITION, frame_pair_graph
from tltm_graph.models.appearance import pool_evidence
from tltm_graph.structures import Detections
from tltm_graph.training.memory_data import SAME, load_detector
from tltm_graph.training.sources import PairSource
from tltm_graph.training.training_data import TrainingData, TrainingStream


@dataclass(frozen=True, eq=False)
class CachedView:
    """Pooled evidence of the objects that a view shows.

    Args:
        rows: Row of each object in its image (N,).
        x: Pooled evidence (N, P), in half precision.
    """

    rows: Tensor
    x: Tensor


@dataclass(frozen=True, eq=False)
class CachedImage:
    """Views of the objects of a still image.

    Args:
        labels: Classes of its objects (G,).
        views: One view for each :class:`ViewKind`, in the same order.
    """

    labels: Tensor
    views: tuple[CachedView, ...]


@dataclass(frozen=True)
class ViewKind:
    """Kind of a view.

    Args:
        relit: True for a view in other light.
        elsewhere: True for objects before the background of another image.
        weight: Share of the graphs whose current frame is of this kind, relative to those of the others.
    """

    relit: bool = False
    elsewhere: bool = False
    weight: float = 1.0


VIEW_KINDS = (
    ViewKind(weight=1.5),
    ViewKind(weight=1.5),
    ViewKind(weight=1.5),
    ViewKind(relit=True),
    ViewKind(relit=True),
    ViewKind(elsewhere=True, weight=1.5),
)
"""Kinds of the views of an image. Most look like the next frames of a video."""


def look_alike_graph(
    images: Sequence[CachedImage],
    anchor: int,
    kinds: Sequence[ViewKind],
    generator: torch.Generator,
    max_objects: int = 12,
    missing: float = 0.5,
) -> HeteroData:
    """Sample a graph between look-alikes in two frames.

    The objects are of one class: first those of one image, then those of other images, which are easier to tell apart.
    In a quarter of the graphs they are all objects of the image, of any class. Each frame shows all objects in views
    of one kind, such as relit ones. Some objects are missing in a frame. In half of the graphs previous objects have
    earlier observations.

    Args:
        images: Cached images.
        anchor: Index of the image that supplies the first objects.
        kinds: Kinds of the views.
        generator: Source of all random numbers.
        max_objects: Maximum number of objects.
        missing: Maximum probability that an object is missing in a frame, in [0, 1). Each frame has its own.

    Returns:
        A graph whose nodes have pooled evidence ``x``, and whose edges have ``y (E,)``, 1 where both ends are the same
        object. Nodes ``"earlier"`` and edges :data:`SAME` are those of
        :func:`tltm_graph.training.memory_data.memory_graph`.
    """
    chosen = _choose_objects(images, anchor, generator, max_objects)
    number = torch.multinomial(torch.tensor([kind.weight for kind in kinds]), 1, generator=generator)
    current_view = int(number)
    plain = [k for k, kind in enumerate(kinds) if not (kind.relit or kind.elsewhere) and k != current_view]
    if chance(generator, 0.15):  # the track was seen in other light
        plain = [k for k in range(len(kinds)) if k != current_view]
    order = [plain[k] for k in torch.randperm(len(plain), generator=generator).tolist()]
    num_earlier = integer(generator, 1, 3) if chance(generator, 0.5) else 0
    left_out = [uniform(generator, 0.0, missing) for _ in range(2)]
    previous: list[tuple[int, int, Tensor]] = []
    current: list[tuple[int, int, Tensor]] = []
    earlier, of = [], []
    for identity, (image, row) in enumerate(chosen):
        label = int(images[image].labels[row])
        rows = [(view, _find(images[image].views[view], row)) for view in order]
        rows = [(view, place) for view, place in rows if place is not None]
        if rows and not chance(generator, left_out[0]):
            view, place = rows[0]
            for other, other_place in rows[1 : 1 + num_earlier]:
                earlier.append(images[image].views[other].x[other_place])
                of.append(len(previous))
            previous.append((identity, label, images[image].views[view].x[place]))
        place = _find(images[image].views[current_view], row)
        if place is not None and not chance(generator, left_out[1]):
            current.append((identity, label, images[image].views[current_view].x[place]))
    size = images[anchor].views[0].x.shape[1]
    graph = frame_pair_graph(_nodes(previous), _nodes(current))
    for side, nodes in (("previous", previous), ("current", current)):
        graph[side].x = torch.stack([x for _, _, x in nodes]) if nodes else torch.zeros((0, size), dtype=torch.half)
    graph["earlier"].x = torch.stack(earlier) if earlier else torch.zeros((0, size), dtype=torch.half)
    graph[SAME].edge_index = torch.stack([torch.arange(len(of)), torch.tensor(of, dtype=torch.int64)])
    row, column = graph[TRANSITION].edge_index
    graph[TRANSITION].y = (graph["previous"].ids[row] == graph["current"].ids[column]).float()
    return graph


def _choose_objects(
    images: Sequence[CachedImage], anchor: int, generator: torch.Generator, max_objects: int
) -> list[tuple[int, int]]:
    """Choose objects, as pairs of image and row."""
    labels = images[anchor].labels
    rows = torch.randperm(len(labels), generator=generator)
    if chance(generator, 0.25) and len(labels) > 1:
        return [(anchor, row) for row in rows[:max_objects].tolist()]
    label = labels[rows[0]]
    most = integer(generator, 2, max_objects)
    chosen = [(anchor, row) for row in rows[labels[rows] == label][:most].tolist()]
    own = len(chosen)
    if own > 1 and chance(generator, 0.5):
        return chosen  # look-alikes of one image alone, the hardest
    start = integer(generator, 0, len(images) - 1)
    for step in range(len(images)):
        other = (start + step) % len(images)
        if len(chosen) >= most or step > 200:
            break
        if other != anchor:
            same = (images[other].labels == label).nonzero().flatten()
            chosen += [(other, row) for row in same[: most - len(chosen)].tolist()]
    return chosen


def _find(view: CachedView, row: int) -> int | None:
    place = (view.rows == row).nonzero().flatten()
    return int(place[0]) if len(place) else None


def _nodes(nodes: Sequence[tuple[int, int, Tensor]]) -> Detections:
    n = len(nodes)
    ids = torch.tensor([identity for identity, _, _ in nodes], dtype=torch.int64)
    labels = torch.tensor([label for _, label, _ in nodes], dtype=torch.int64)
    return Detections(torch.zeros((n, 4)), torch.ones(n), labels, ids=ids)


@torch.no_grad()
def object_evidence(detector: CenterMask, image: Tensor, boxes: Tensor, labels: Tensor) -> Tensor:
    """Pool the evidence (N, P) of given objects as detection does: :func:`tltm_graph.models.appearance.pool_evidence`.

    Args:
        detector: Detector whose maps and masks are used.
        image: RGB pixels at the network's size (3, H, W), uint8.
        boxes: Boxes xyxy in pixels of the image (N, 4).
        labels: Classes (N,).
    """
    images = detector.prepare([image])
    pyramid = detector.backbone(images)
    if detector.recurrent:
        pyramid = detector.fuse(pyramid, pyramid)
    features = detector.pool(pyramid, [boxes], [(image.shape[1], image.shape[2])], images).float()
    return pool_evidence(pyramid, image, boxes, detector.mask_logits(features, labels).float().sigmoid())


class LookAlikeData(TrainingData):
    """Graphs of look-alikes in hallucinated views of still images, whose evidence is pooled once.

    An epoch begins a graph with every object, but with at most eight of an image.

    Args:
        images: Sources of annotated still images, such as :class:`ImageFiles`; their motion is not used.
        detector: Weights of the model with the detector, see :func:`tltm_graph.models.load_model`.
        view: Changes between the views; None for the default ones.
        box_noise: Deviation of the sides of the boxes, as a fraction of the size.
        max_objects: Maximum number of objects of a graph.
        batch_size: Graphs of a step.
        num_workers: Processes that pool evidence before training starts.
    """

    def __init__(
        self,
        images: list[PairSource],
        detector: str,
        view: HallucinatedView | None = None,
        box_noise: float = 0.04,
        max_objects: int = 12,
        batch_size: int = 12,
        num_workers: int = 1,
    ) -> None:
        super().__init__(batch_size, num_workers)
        if max_objects < 2:
            raise ValueError(f"Expected max_objects of at least 2, to tell them apart, got {max_objects}")
        self.images, self.detector, self.view = images, detector, view or HallucinatedView()
        self.box_noise, self.max_objects = box_noise, max_objects

    def open(self, class_names: Sequence[str], seed: int = 0) -> TrainingStream:
        """Make all views and pool the evidence of their objects, see :meth:`TrainingData.open`.

        Raises:
            FileNotFoundError: If there are no weights.
            ValueError: If there is nothing to learn from, or the weights are of other classes.
        """
        detector = load_detector(self.detector, class_names)
        opened = [source.open(tuple(class_names)) for source in self.images]
        stills: list[AnnotatedVideo] = []
        for source in opened:
            if not isinstance(source.pairs, StillPairs):
                raise ValueError(f"Expected still images, got '{source.name}' with {source.contents}: use ImageFiles")
            stills += source.pairs.videos
        views = _Views(detector, stills, self.view, self.box_noise, seed)
        loader = DataLoader(views, batch_size=None, num_workers=self.num_workers)
        cached: list[CachedImage] = [pickle.loads(part) for part in tqdm(loader, desc="pooling", unit=" images")]
        images = [image for image in cached if len(image.labels)]
        if not images:
            raise ValueError("Expected still images with objects to learn from, got none")
        count = sum(len(image.labels) for image in images)
        report = f"{count:,} objects in {len(images):,} images, {len(VIEW_KINDS)} views of each"
        samples = _LookAlikeGraphs(images, self.max_objects, seed)
        return TrainingStream(samples, self.batch_size, 0, (*map(str, opened), report))


class _Views(Dataset[bytes]):
    """Cached views of each image, pickled: between processes each tensor would take a file handle."""

    def __init__(
        self,
        detector: CenterMask,
        images: Sequence[AnnotatedVideo],
        view: HallucinatedView,
        box_noise: float,
        seed: int,
    ) -> None:
        self.detector, self.images, self.view = detector, images, view
        self.box_noise, self.seed = box_noise, seed

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> bytes:
        generator = seeded_generator(self.seed, index)
        image, objects = stretched_image(self.detector, self.images[index])
        other = self.images[integer(generator, 0, len(self.images) - 1)]
        background = self.detector.resize(other.frame(0).image)
        views = []
        for number, kind in enumerate(VIEW_KINDS):
            pixels, shown = image, objects
            if number:  # the first view is the image itself
                pixels, shown = self.view(image, objects, generator, background if kind.elsewhere else None, kind.relit)
            boxes = _jittered(shown.boxes, self.box_noise, pixels.shape[1:], generator)
            assert shown.ids is not None
            x = object_evidence(self.detector, pixels, boxes, shown.labels)
            views.append(CachedView(shown.ids, x.half()))
        return pickle.dumps(CachedImage(objects.labels, tuple(views)))


def stretched_image(detector: CenterMask, still: AnnotatedVideo) -> tuple[Tensor, Detections]:
    """Resize a still image to the network's size, and its objects, whose ids become their rows."""
    frame, truth = still.frame(0), still.truth(0)
    image = detector.resize(frame.image)
    if truth.masks is None:
        return image, truth.replace(ids=truth.labels)  # no objects
    size = list(image.shape[1:])
    masks = F.resize(truth.masks.to(torch.uint8), size, interpolation=F.InterpolationMode.NEAREST_EXACT).bool()
    objects = visible_objects(truth, masks)
    return image, objects.replace(ids=torch.arange(len(objects)))


def _jittered(boxes: Tensor, deviation: float, size: Sequence[int], generator: torch.Generator) -> Tensor:
    """Boxes with moved sides, of at least one pixel."""
    sizes = (boxes[:, 2:] - boxes[:, :2]).repeat(1, 2)
    moved = boxes + deviation * sizes * torch.randn(boxes.shape, generator=generator)
    moved = clip_boxes_to_image(moved, (size[0] - 1, size[1] - 1))
    return torch.cat([moved[:, :2], torch.maximum(moved[:, 2:], moved[:, :2] + 1)], dim=1)


class _LookAlikeGraphs(Dataset[HeteroData]):
    """Endless shuffled graphs that begin with each object, in another order in each epoch."""

    def __init__(self, images: Sequence[CachedImage], max_objects: int, seed: int) -> None:
        self.images, self.max_objects, self.seed = images, max_objects, seed
        self.anchors = [number for number, image in enumerate(images) for _ in range(min(8, len(image.labels)))]

    def __len__(self) -> int:
        return len(self.anchors)

    def __getitem__(self, index: int) -> HeteroData:
        epoch, position = divmod(index, len(self.anchors))
        anchor = self.anchors[Permutation(len(self.anchors), self.seed, epoch)[position]]
        return look_alike_graph(self.images, anchor, VIEW_KINDS, seeded_generator(self.seed, index), self.max_objects)
