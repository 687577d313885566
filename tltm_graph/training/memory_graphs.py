"""What a tracker asks a relation model: what of all that is remembered, some of it for long, is what is seen now."""

import pickle
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torch_geometric.data import HeteroData
from tqdm import tqdm

from tltm_graph.detectors.centermask.model import CenterMask, Pyramid
from tltm_graph.frame_pairs.sampling import Permutation, hash_integers
from tltm_graph.graph import TRANSITION, frame_pair_graph
from tltm_graph.metrics.matching import match_to_ground_truth
from tltm_graph.models import load_model
from tltm_graph.models.tltm import detector_of
from tltm_graph.structures import Detections, Frame, Tracks
from tltm_graph.training.pair_data import PairData, TrainingData
from tltm_graph.training.sources import LabelledVideo, VideoDescription

SAME = ("earlier", "same", "previous")
"""The edge type of a memory graph from the earlier observations of an object to the last one."""


@dataclass(frozen=True, eq=False)
class Seen:
    """What a detector saw in one frame of a video.

    Args:
        frame: Index of the frame.
        objects: What it found, with pooled features (N, C, 14, 14) in half precision and ``ids (N,)``: those of
            :func:`tltm_graph.metrics.match_to_ground_truth`, -1 where nobody knows.
    """

    frame: int
    objects: Detections


@torch.no_grad()
def watch(detector: CenterMask, frames: Iterable[Frame], truth: Tracks, chosen: Collection[int]) -> list[Seen]:
    """Looks at some frames of a video.

    Args:
        detector: Looks. A frame is fused with the one before, if that was looked at too, else with itself.
        frames: Those of the video, from the first on.
        truth: The true tracks.
        chosen: Indices of the frames to look at.
    """
    context: Pyramid | None = None
    found: list[Detections] = []
    for frame in frames:
        if frame.index in chosen:
            objects, context = detector.detect(frame, context)
            assert objects.features is not None
            found.append(objects.replace(features=objects.features.half()))
        else:
            found.append(Detections.empty())
            context = None
    told = enumerate(zip(found, match_to_ground_truth(found, truth, duplicates_are_false_positives=False), strict=True))
    return [Seen(index, objects.replace(ids=ids)) for index, (objects, (ids, _)) in told if index in chosen]


def some_frames(num_frames: int, runs: int, run_length: int, generator: torch.Generator) -> frozenset[int]:
    """Indices of frames of a video to look at: runs of ``run_length`` frames each, drawn without overlap."""
    slots = torch.randperm(max(1, num_frames // run_length), generator=generator)[:runs]
    return frozenset((slots[:, None] * run_length + torch.arange(run_length)).flatten().tolist())


def memory_graph(seen: Sequence[Seen], now: int, first: int = 0) -> HeteroData:
    """The graph between all that was seen before a frame and what is seen there.

    Args:
        seen: Of one video.
        now: Which of ``seen`` is the current frame.
        first: With which of ``seen`` memory begins.

    Returns:
        The complete graph; previous nodes are the last observation of each identity, those whose identity nobody knows are
        not remembered. With pooled features ``x`` (…, C, 14, 14) of both sides, ``previous.time_since_update`` in frames, ``y (E,)``
        (1 where both ends are the same) and ``known (E,)``, false where nobody knows. Nodes ``"earlier"`` with ``x``
        are the observations before the last, edges :data:`SAME` lead from them to the last.
    """
    observations: dict[int, list[tuple[int, Detections]]] = {}  # of each identity: place, and what was seen
    for place in range(first, now):
        ids = seen[place].objects.ids
        assert ids is not None
        for row, ident in enumerate(ids.tolist()):
            if ident >= 0:
                one = seen[place].objects[torch.tensor([row])]
                observations.setdefault(ident, []).append((place, one))
    current = seen[now].objects
    previous = Detections.cat([of[-1][1] for of in observations.values()]) if observations else current[:0]
    features = [side.features for side in (previous, current)]
    graph = frame_pair_graph(*(side.replace(features=None) for side in (previous, current)))
    graph["previous"].x, graph["current"].x = features
    gaps = [float(seen[now].frame - seen[of[-1][0]].frame) for of in observations.values()]
    graph["previous"].time_since_update = torch.tensor(gaps)
    earlier = [one.replace(ids=None) for of in observations.values() for _, one in of[:-1]]
    graph["earlier"].x = Detections.cat([current[:0].replace(ids=None), *earlier]).features
    counts = torch.tensor([len(of) - 1 for of in observations.values()], dtype=torch.int64)
    graph[SAME].edge_index = torch.stack(
        [torch.arange(len(earlier)), torch.arange(len(previous)).repeat_interleave(counts)]
    )
    row, column = graph[TRANSITION].edge_index
    before, after = graph["previous"].ids[row], graph["current"].ids[column]
    graph[TRANSITION].y, graph[TRANSITION].known = (before == after).float(), after >= 0
    return graph


class MemoryData(PairData):
    """Memories and frames that follow, of videos that a finished detector has looked at once and for all.

    Of each video some runs of frames in a row are looked at, at places drawn at random: from frame to frame little
    changes, from run to run objects must be told by their looks. In a third of the samples memory begins late.

    Args:
        videos: The videos.
        detector: Weights of the model whose detector looks; see :func:`tltm_graph.models.load_model`.
        score_threshold: Of that detector; None for its own.
        runs: How many runs of each video.
        run_length: Frames of each.
        batch_size: Graphs of a step.
        num_workers: Processes that look at videos before training starts.
    """

    def __init__(
        self,
        videos: VideoDescription,
        detector: str,
        score_threshold: float | None = None,
        runs: int = 5,
        run_length: int = 3,
        batch_size: int = 16,
        num_workers: int = 2,
    ) -> None:
        super().__init__([], None, batch_size, num_workers)
        if runs < 1 or run_length < 1 or runs * run_length < 2:
            raise ValueError(f"Expected at least two frames of each video, got {runs} runs of {run_length}")
        self.videos, self.detector, self.score_threshold = videos, detector, score_threshold
        self.runs, self.run_length = runs, run_length

    def open(self, class_names: Sequence[str], seed: int = 0) -> TrainingData:
        """Looks at all videos.

        Args:
            class_names: What labels shall count in, the classes of the model.
            seed: Of the runs and of the order.

        Raises:
            FileNotFoundError: If there are no weights.
            ValueError: If there is nothing to learn from, or the weights are of other classes.
        """
        model = load_model(self.detector)
        detector = detector_of(model).eval()
        if detector.class_names != tuple(class_names):
            raise ValueError(
                f"Expected a detector of the classes {list(class_names)} in '{self.detector}', got one of "
                f"{list(detector.class_names or ())}"
            )
        if self.score_threshold is not None:
            detector.decoder = replace(detector.decoder, score_threshold=self.score_threshold)
        watched = _Watched(detector, self.videos.videos(tuple(class_names)), self.runs, self.run_length, seed)
        loader = DataLoader(watched, batch_size=None, num_workers=self.num_workers)
        videos = [pickle.loads(part) for part in tqdm(loader, desc="looking at videos", unit=" videos")]
        stream = _MemoryStream(videos, seed)
        if not len(stream.places):
            raise ValueError("Expected videos with objects in more than one frame to learn from, got none")
        count = sum(len(seen.objects) for video in videos for seen in video)
        report = f"{len(videos)} videos: {count:,} objects seen in {sum(map(len, videos)):,} frames"
        return TrainingData(stream, self.batch_size, 0, (report,))


class _Watched(Dataset[bytes]):
    """What was seen in each video, pickled: each tensor would take a file handle on its way between processes."""

    def __init__(
        self, detector: CenterMask, videos: Sequence[LabelledVideo], runs: int, run_length: int, seed: int
    ) -> None:
        self.detector, self.videos, self.seed = detector, videos, seed
        self.runs, self.run_length = runs, run_length

    def __len__(self) -> int:
        return len(self.videos)

    def __getitem__(self, index: int) -> bytes:
        video = self.videos[index]
        generator = torch.Generator().manual_seed(hash_integers(self.seed, index))
        truth = video.truth()
        chosen = some_frames(truth.num_frames, self.runs, self.run_length, generator)
        return pickle.dumps(watch(self.detector, video.frames(), truth, chosen))


class _MemoryStream(Dataset[HeteroData]):
    """Sample k of an endless run through all frames with a memory, in a new order each time."""

    def __init__(self, videos: Sequence[Sequence[Seen]], seed: int) -> None:
        self.videos, self.seed = videos, seed
        self.places = [
            (number, now)
            for number, video in enumerate(videos)
            for now in range(1, len(video))
            if len(video[now].objects) and any(_any_known(seen) for seen in video[:now])
        ]

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: int) -> HeteroData:
        epoch, place = divmod(index, len(self.places))
        number, now = self.places[Permutation(len(self.places), self.seed, epoch)[place]]
        generator = torch.Generator().manual_seed(hash_integers(self.seed, index))
        late = float(torch.rand(1, generator=generator)) < 1 / 3
        first = int(torch.randint(now, (1,), generator=generator)) if late else 0
        return memory_graph(self.videos[number], now, first)


def _any_known(seen: Seen) -> bool:
    ids: Tensor | None = seen.objects.ids
    return ids is not None and bool((ids >= 0).any())
