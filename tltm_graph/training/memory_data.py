"""Training graphs between a tracker's memory and the current frame, from cached detections."""

import pickle
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torch_geometric.data import HeteroData
from tqdm import tqdm

from tltm_graph.detectors.centermask import CenterMask
from tltm_graph.detectors.centermask.model import PreviousFrame
from tltm_graph.frame_pairs.sampling import Permutation, seeded_generator
from tltm_graph.graph import TRANSITION, frame_pair_graph
from tltm_graph.metrics import match_to_ground_truth
from tltm_graph.models import load_model
from tltm_graph.models.tltm import detector_of
from tltm_graph.structures import Detections, Frame, Tracks
from tltm_graph.training.sources import LabelledVideo, VideoSource
from tltm_graph.training.training_data import TrainingData, TrainingStream

SAME = ("earlier", "same", "previous")
"""Edge type of a memory graph, from the earlier observations of an object to its last one."""


@dataclass(frozen=True, eq=False)
class CachedFrame:
    """Detections of one frame of a video.

    Args:
        frame: Index of the frame.
        objects: Detections with pooled features (N, C, 14, 14) in half precision and ``ids (N,)`` of
            :func:`tltm_graph.metrics.match_to_ground_truth`; -1 means unknown.
    """

    frame: int
    objects: Detections


@torch.no_grad()
def cache_frames(
    detector: CenterMask, frames: Iterable[Frame], truth: Tracks, chosen: Collection[int]
) -> list[CachedFrame]:
    """Detect the objects of some frames of a video and give them their true ids.

    Args:
        detector: Detector. A frame is fused with the one before if that is chosen too, else with itself.
        frames: Frames of the video, from the first on.
        truth: True tracks of the video.
        chosen: Indices of the frames to cache.
    """
    context: PreviousFrame | None = None
    detections: list[Detections] = []
    for frame in frames:
        if frame.index in chosen:
            objects, context = detector.detect(frame, context)
            assert objects.features is not None
            detections.append(objects.replace(features=objects.features.half()))
        else:
            detections.append(Detections.empty())
            context = None
    # A duplicate looks like its object, so it is no negative for an appearance model: the last False.
    matches = match_to_ground_truth(detections, truth, 0.5, 0.3, False)
    labelled = enumerate(zip(detections, matches, strict=True))
    return [CachedFrame(index, objects.replace(ids=ids)) for index, (objects, (ids, _)) in labelled if index in chosen]


def sample_runs(num_frames: int, runs: int, run_length: int, generator: torch.Generator) -> frozenset[int]:
    """Sample frame indices: up to ``runs`` disjoint runs of ``run_length`` frames."""
    slots = torch.randperm(max(1, num_frames // run_length), generator=generator)[:runs]
    return frozenset((slots[:, None] * run_length + torch.arange(run_length)).flatten().tolist())


def memory_graph(video: Sequence[CachedFrame], now: int, first: int = 0) -> HeteroData:
    """Build the complete graph between the memory of a video and the current frame.

    Previous nodes are the last observations of all known identities. They have ``time_since_update`` in frames. Both
    sides have pooled features ``x`` (…, C, 14, 14). Edges have ``y (E,)``, 1 where both ends are the same object, and
    ``known (E,)``, False where the current identity is unknown. Nodes ``"earlier"`` with ``x`` are the observations
    before the last; edges :data:`SAME` lead from them to the last.

    Args:
        video: Cached frames of one video.
        now: Index in ``video`` of the current frame.
        first: Index in ``video`` of the first frame in memory.
    """
    observations: dict[int, list[tuple[int, Detections]]] = {}  # by identity: index in the video, and the detection
    for index in range(first, now):
        ids = video[index].objects.ids
        assert ids is not None
        for row, identity in enumerate(ids.tolist()):
            if identity >= 0:
                detection = video[index].objects[torch.tensor([row])]
                observations.setdefault(identity, []).append((index, detection))
    current = video[now].objects
    tracks = list(observations.values())
    previous = Detections.cat([track[-1][1] for track in tracks]) if tracks else current[:0]
    graph = frame_pair_graph(previous.replace(features=None), current.replace(features=None))
    graph["previous"].x, graph["current"].x = previous.features, current.features
    gaps = [float(video[now].frame - video[track[-1][0]].frame) for track in tracks]
    graph["previous"].time_since_update = torch.tensor(gaps)
    earlier = [detection.replace(ids=None) for track in tracks for _, detection in track[:-1]]
    graph["earlier"].x = Detections.cat([current[:0].replace(ids=None), *earlier]).features
    counts = torch.tensor([len(track) - 1 for track in tracks], dtype=torch.int64)
    last = torch.arange(len(previous)).repeat_interleave(counts)
    graph[SAME].edge_index = torch.stack([torch.arange(len(earlier)), last])
    row, column = graph[TRANSITION].edge_index
    before, after = graph["previous"].ids[row], graph["current"].ids[column]
    graph[TRANSITION].y, graph[TRANSITION].known = (before == after).float(), after >= 0
    return graph


def load_detector(weights: str, class_names: Sequence[str]) -> CenterMask:
    """Load the frozen detector of a model.

    Args:
        weights: Weights, see :func:`tltm_graph.models.load_model`.
        class_names: Classes that it must have.

    Raises:
        FileNotFoundError: If there are no weights.
        ValueError: If the weights are of other classes.
    """
    detector = detector_of(load_model(weights)).eval()
    if detector.class_names != tuple(class_names):
        raise ValueError(
            f"Expected a detector of the classes {list(class_names)} in '{weights}', got one of "
            f"{list(detector.class_names or ())}"
        )
    return detector


class MemoryData(TrainingData):
    """Memory graphs of videos whose detections are cached once, with a finished detector.

    Of each video some runs of consecutive frames are used. Within a run objects change little; between runs only their
    appearance re-identifies them. In a third of the samples memory starts later than the video.

    Args:
        videos: Source of the videos.
        detector: Weights of the model with the detector, see :func:`tltm_graph.models.load_model`.
        score_threshold: Score threshold of the detector; None for its own.
        runs: Number of runs of each video.
        run_length: Number of frames of a run.
        batch_size: Graphs of a step.
        num_workers: Processes that detect objects before training starts.
    """

    def __init__(
        self,
        videos: VideoSource,
        detector: str,
        score_threshold: float | None = None,
        runs: int = 5,
        run_length: int = 3,
        batch_size: int = 16,
        num_workers: int = 2,
    ) -> None:
        super().__init__(batch_size, num_workers)
        if runs < 1 or run_length < 1 or runs * run_length < 2:
            raise ValueError(f"Expected at least two frames of each video, got {runs} runs of {run_length}")
        self.videos, self.detector, self.score_threshold = videos, detector, score_threshold
        self.runs, self.run_length = runs, run_length

    def open(self, class_names: Sequence[str], seed: int = 0) -> TrainingStream:
        """Detect the objects of all videos, see :meth:`TrainingData.open`.

        Raises:
            FileNotFoundError: If there are no weights.
            ValueError: If there is nothing to learn from, or the weights are of other classes.
        """
        detector = load_detector(self.detector, class_names)
        if self.score_threshold is not None:
            detector.decoder = replace(detector.decoder, score_threshold=self.score_threshold)
        cached = _CachedVideos(detector, self.videos.videos(tuple(class_names)), self.runs, self.run_length, seed)
        loader = DataLoader(cached, batch_size=None, num_workers=self.num_workers)
        videos = [pickle.loads(part) for part in tqdm(loader, desc="detecting objects", unit=" videos")]
        samples = _MemoryGraphs(videos, seed)
        if not len(samples):
            raise ValueError("Expected videos with objects in more than one frame to learn from, got none")
        count = sum(len(frame.objects) for video in videos for frame in video)
        report = f"{len(videos)} videos: {count:,} objects seen in {sum(map(len, videos)):,} frames"
        return TrainingStream(samples, self.batch_size, 0, (report,))


class _CachedVideos(Dataset[bytes]):
    """Cached frames of each video, pickled: between processes each tensor would take a file handle."""

    def __init__(
        self, detector: CenterMask, videos: Sequence[LabelledVideo], runs: int, run_length: int, seed: int
    ) -> None:
        self.detector, self.videos, self.seed = detector, videos, seed
        self.runs, self.run_length = runs, run_length

    def __len__(self) -> int:
        return len(self.videos)

    def __getitem__(self, index: int) -> bytes:
        video = self.videos[index]
        truth = video.truth()
        chosen = sample_runs(truth.num_frames, self.runs, self.run_length, seeded_generator(self.seed, index))
        return pickle.dumps(cache_frames(self.detector, video.frames(), truth, chosen))


class _MemoryGraphs(Dataset[HeteroData]):
    """Endless shuffled graphs of all frames that have a memory, in another order in each epoch."""

    def __init__(self, videos: Sequence[Sequence[CachedFrame]], seed: int) -> None:
        self.videos, self.seed = videos, seed
        self.places = [
            (number, now)
            for number, video in enumerate(videos)
            for now in range(1, len(video))
            if len(video[now].objects) and any(_has_known_id(frame) for frame in video[:now])
        ]

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: int) -> HeteroData:
        epoch, position = divmod(index, len(self.places))
        number, now = self.places[Permutation(len(self.places), self.seed, epoch)[position]]
        generator = seeded_generator(self.seed, index)
        late = float(torch.rand(1, generator=generator)) < 1 / 3
        first = int(torch.randint(now, (1,), generator=generator)) if late else 0
        return memory_graph(self.videos[number], now, first)


def _has_known_id(frame: CachedFrame) -> bool:
    ids: Tensor | None = frame.objects.ids
    return ids is not None and bool((ids >= 0).any())
