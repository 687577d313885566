"""Sources of training pairs and validation videos, described in a configuration and opened when training starts."""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from functools import lru_cache, partial

from torchvision.transforms.v2.functional import resize

from tltm_graph.formats import Video, VideoSet, local_split, map_classes, open_videos, read_class_map
from tltm_graph.formats.class_maps import same_classes
from tltm_graph.formats.video import Part
from tltm_graph.frame_pairs import HallucinatedMotion, StillPairs, VideoPairs, annotated_videos
from tltm_graph.frame_pairs.datasets import PairDataset
from tltm_graph.io import read_frames
from tltm_graph.structures import Detections, Frame, Tracks
from tltm_graph.synthetic import MovingShapes, moving_shapes
from tltm_graph.synthetic.difficulty import DIFFICULTIES
from tltm_graph.synthetic.scenes import SPLITS, Scenes


@dataclass(frozen=True)
class FrameGaps:
    """Distances between the two frames of a pair, see :class:`tltm_graph.frame_pairs.VideoPairs`.

    The released code of arXiv 2210.16795 uses a ``max_gap`` of 3 and a ``wide_probability`` of 0.

    Args:
        max_gap: Largest distance, in annotated frames.
        wide_gap: Largest distance in the wide range, in annotated frames.
        wide_probability: Probability of the wide range, in [0, 1].
    """

    max_gap: int = 3
    wide_gap: int = 20
    wide_probability: float = 0.1


@dataclass(frozen=True)
class OpenedPairs:
    """Pairs of an opened source, with a summary of its contents.

    Args:
        name: Name of the source, such as its path.
        pairs: Dataset of the pairs.
        contents: Number and kind of the items that are used, such as "12 videos".
        skipped: Number of skipped videos or images, by reason.
    """

    name: str
    pairs: PairDataset
    contents: str
    skipped: dict[str, int] = field(default_factory=dict)

    def __str__(self) -> str:
        skipped = f"; skipped: {_counts(self.skipped)}" if self.skipped else ""
        return f"{self.name}: {self.contents}, {len(self.pairs)} pairs{skipped}"


@dataclass(frozen=True, eq=False)
class LabelledVideo:
    """A video with ground truth.

    Args:
        name: Name of the video.
        frames: Function that reads its frames in order.
        truth: Function that reads its true tracks.
    """

    name: str
    frames: Callable[[], Iterable[Frame]]
    truth: Callable[[], Tracks]


class PairSource(ABC):
    """A source of frame pairs.

    Args:
        repeat: Number of passes through the source in an epoch; may be a fraction.
    """

    def __init__(self, repeat: float = 1.0) -> None:
        self.repeat = repeat

    @abstractmethod
    def open(self, class_names: tuple[str, ...]) -> OpenedPairs:
        """Open the pairs, with labels that are indices into ``class_names``.

        Raises:
            ValueError: If there are no pairs, or their classes do not fit.
            OSError: If a file is missing.
        """


class VideoSource(PairSource):
    """A source of whole videos, which also gives frame pairs."""

    @abstractmethod
    def videos(self, class_names: tuple[str, ...]) -> Sequence[LabelledVideo]:
        """Open the videos, with labels that are indices into ``class_names``.

        Raises:
            ValueError: If there are no videos, or their classes do not fit.
            OSError: If a file is missing.
        """


class RenderedVideos(VideoSource):
    """Scenes of :func:`tltm_graph.synthetic.moving_shapes`, rendered when they are read.

    Args:
        difficulty: Preset: ``"easy"``, ``"standard"`` or ``"hard"``.
        split: ``"train"``, ``"val"`` or ``"test"``.
        num_scenes: Number of scenes, from the first one on; None for all.
        num_frames: Number of frames of each scene.
        size: Height and width in pixels.
        gaps: Distances between the two frames of a pair.
        repeat: Number of passes in an epoch.

    Raises:
        ValueError: If there is no such preset or split.
    """

    def __init__(
        self,
        difficulty: str = "standard",
        split: str = "train",
        num_scenes: int | None = None,
        num_frames: int = 60,
        size: tuple[int, int] = (192, 320),
        gaps: FrameGaps = FrameGaps(),
        repeat: float = 1.0,
    ) -> None:
        super().__init__(repeat)
        if difficulty not in DIFFICULTIES or split not in SPLITS:
            raise ValueError(
                f"Expected a difficulty of {sorted(DIFFICULTIES)} and a split of {sorted(SPLITS)}, got '{difficulty}' "
                f"and '{split}'"
            )
        self.name = f"rendered scenes ({difficulty}, {split})"
        self.scenes = moving_shapes(DIFFICULTIES[difficulty], SPLITS[split], num_frames, size)
        self.num_scenes = len(self.scenes) if num_scenes is None else min(num_scenes, len(self.scenes))
        self.gaps = gaps

    def open(self, class_names: tuple[str, ...]) -> OpenedPairs:
        """Open the pairs, see :meth:`PairSource.open`."""
        self._check(class_names)
        scenes = [_Scene(self.scenes, index) for index in range(self.num_scenes)]
        return OpenedPairs(self.name, VideoPairs(scenes, **asdict(self.gaps)), f"{self.num_scenes} videos")

    def videos(self, class_names: tuple[str, ...]) -> Sequence[LabelledVideo]:
        """Open the videos, see :meth:`VideoSource.videos`."""
        self._check(class_names)
        return [
            LabelledVideo(
                f"scene {index}", partial(self.scenes.__getitem__, index), partial(_scene_tracks, self.scenes, index)
            )
            for index in range(self.num_scenes)
        ]

    def _check(self, class_names: tuple[str, ...]) -> None:
        if class_names != MovingShapes.class_names:
            raise ValueError(
                f"Expected a model of the classes of the rendered scenes, {list(MovingShapes.class_names)}, got one of "
                f"{list(class_names)}: give it these as class_names"
            )


class _Scene:
    """A scene as an annotated video. It is rendered for each pair: thousands of scenes would not fit into memory."""

    def __init__(self, scenes: Scenes, index: int) -> None:
        self._scenes, self._index = scenes, index

    def __len__(self) -> int:
        return self._scenes.num_frames

    def frame(self, index: int) -> Frame:
        return _cached_scene(self._scenes, self._index).frame(index)

    def truth(self, index: int) -> Detections:
        return _cached_scene(self._scenes, self._index).truth(index)


@lru_cache(maxsize=2)
def _cached_scene(scenes: Scenes, index: int) -> MovingShapes:
    return scenes[index]


def _scene_tracks(scenes: Scenes, index: int) -> Tracks:
    scene = scenes[index]
    return Tracks.from_stream(((i, scene.truth(i)) for i in range(len(scene))), scene.size, len(scene))


class VideoFiles(VideoSource):
    """Videos with annotations in any format that :func:`tltm_graph.formats.open_videos` reads.

    Videos without pictures or objects are skipped, and so are videos with an object that has a box but no mask.

    Args:
        path: File or folder of the annotations.
        images: Folder of the pictures, for formats that keep them elsewhere.
        format: One of :data:`tltm_graph.formats.FORMATS`; by default it is recognised.
        class_map: Map to the classes of the model, see :func:`tltm_graph.formats.read_class_map`. By default classes
            keep their names, and the model must have all of them.
        part: Part of :func:`tltm_graph.formats.local_split` to use; None for all videos.
        image_set: List of videos to use, for DAVIS.
        gaps: Distances between the two frames of a pair.
        repeat: Number of passes in an epoch.
    """

    def __init__(
        self,
        path: str,
        images: str | None = None,
        format: str | None = None,  # noqa: A002  as in open_videos
        class_map: str | None = None,
        part: Part | None = None,
        image_set: str | None = None,
        gaps: FrameGaps = FrameGaps(),
        repeat: float = 1.0,
    ) -> None:
        super().__init__(repeat)
        self.path, self.class_map, self.part, self.gaps = path, class_map, part, gaps
        self._open = partial(open_videos, path, format, images, image_set=image_set)

    def open(self, class_names: tuple[str, ...]) -> OpenedPairs:
        """Open the pairs, see :meth:`PairSource.open`."""
        videos, skipped = self._usable(class_names)
        pairs = VideoPairs(annotated_videos(videos), **asdict(self.gaps))
        if pairs.num_without_pairs:
            skipped["with a single annotated frame"] = pairs.num_without_pairs
        return OpenedPairs(self.path, pairs, f"{len(videos)} videos", skipped)

    def videos(self, class_names: tuple[str, ...]) -> Sequence[LabelledVideo]:
        """Open the videos, see :meth:`VideoSource.videos`."""
        videos, _ = self._usable(class_names)
        return [LabelledVideo(video.name, video.frames, video.tracks) for video in videos]

    def _usable(self, class_names: tuple[str, ...]) -> tuple[list[Video], dict[str, int]]:
        videos = _with_classes(self._open(), class_names, self.class_map)
        return _usable(videos if self.part is None else local_split(videos, self.part), self.path)


class ImageFiles(PairSource):
    """Still images, each paired with itself after a hallucinated motion. Frames of videos are used one by one.

    Images without a picture or objects are skipped, and so are images with an object that has a box but no mask.

    Args:
        path: File or folder of the annotations.
        images: Folder of the pictures, for formats that keep them elsewhere.
        format: One of :data:`tltm_graph.formats.FORMATS`; by default it is recognised.
        class_map: Map to the classes of the model, as for :class:`VideoFiles`.
        motion: Motion that makes the current frame; by default that of the paper.
        repeat: Number of passes in an epoch.
    """

    def __init__(
        self,
        path: str,
        images: str | None = None,
        format: str | None = None,  # noqa: A002  as in open_videos
        class_map: str | None = None,
        motion: HallucinatedMotion | None = None,
        repeat: float = 1.0,
    ) -> None:
        super().__init__(repeat)
        self.path, self.class_map, self.motion = path, class_map, motion
        self._open = partial(open_videos, path, format, images)

    def open(self, class_names: tuple[str, ...]) -> OpenedPairs:
        """Open the pairs, see :meth:`PairSource.open`."""
        images, skipped = _usable(_with_classes(self._open(), class_names, self.class_map), self.path)
        pairs = StillPairs(annotated_videos(images), self.motion)
        return OpenedPairs(self.path, pairs, f"{len(pairs)} images", skipped)


class UnlabelledVideos(PairSource):
    """Frame pairs of videos without annotations, for objectives that need none.

    All frames are decoded once and kept in memory, reduced to ``max_side``.

    Args:
        paths: Videos, images or folders, as for :func:`tltm_graph.io.read_frames`.
        max_side: Maximum length of the longer side in pixels.
        gaps: Distances between the two frames of a pair.
        repeat: Number of passes in an epoch.
    """

    def __init__(
        self, paths: list[str], max_side: int = 480, gaps: FrameGaps = FrameGaps(), repeat: float = 1.0
    ) -> None:
        super().__init__(repeat)
        if not paths or max_side < 1:
            raise ValueError(
                f"Expected at least one video and a max_side of at least 1 pixel, got {len(paths)} and {max_side}"
            )
        self.paths, self.max_side, self.gaps = paths, max_side, gaps

    def open(self, class_names: tuple[str, ...]) -> OpenedPairs:
        """Open the pairs, see :meth:`PairSource.open`."""
        videos = [_UnlabelledVideo([self._reduced(frame) for frame in read_frames(path)]) for path in self.paths]
        return OpenedPairs(", ".join(self.paths), VideoPairs(videos, **asdict(self.gaps)), f"{len(videos)} videos")

    def _reduced(self, frame: Frame) -> Frame:
        share = min(1.0, self.max_side / max(frame.size))
        sides = [max(1, round(share * side)) for side in frame.size]
        return Frame(resize(frame.image, sides, antialias=True), frame.index, frame.time)


class _UnlabelledVideo:
    """Frames as an annotated video without objects."""

    def __init__(self, frames: list[Frame]) -> None:
        self._frames = frames

    def __len__(self) -> int:
        return len(self._frames)

    def frame(self, index: int) -> Frame:
        return self._frames[index]

    def truth(self, index: int) -> Detections:
        return Detections.empty()


def _with_classes(videos: VideoSet, class_names: tuple[str, ...], class_map: str | None) -> VideoSet:
    """Convert the labels of videos to indices into ``class_names``."""
    if videos.class_names is None:
        if len(class_names) > 1:
            raise ValueError(
                f"Expected objects with classes in '{videos.name}' for a model of {len(class_names)} classes, got "
                "objects without classes: use a model of one class"
            )
        return VideoSet(videos.videos, class_names, name=videos.name)
    if class_map is not None:
        return map_classes(videos, read_class_map(class_map), class_names)
    unknown = [name for name in videos.class_names if name not in class_names]
    if unknown:
        raise ValueError(
            f"Expected the classes of the model, {list(class_names)}, in '{videos.name}', got {unknown} too: give the "
            f"model all of {list(videos.class_names)} as class_names, or map them with a class_map"
        )
    return map_classes(videos, same_classes(videos.class_names), class_names)


def _usable(videos: Sequence[Video], path: str) -> tuple[list[Video], dict[str, int]]:
    """Select the videos to train on, and count the others by reason."""
    reasons = [_reason_to_skip(video) for video in videos]
    usable = [video for video, reason in zip(videos, reasons, strict=True) if reason is None]
    skipped = dict(Counter(reason for reason in reasons if reason is not None))
    if not usable:
        raise ValueError(f"Expected videos or images to train on in '{path}', got {_counts(skipped) or 'none'}")
    return usable, skipped


def _reason_to_skip(video: Video) -> str | None:
    if video.load is None:
        return "without annotations"
    if video.images is None or not all(path.is_file() for path in video.images):
        return "without their pictures"
    tracks = [track for track in video.tracks().values() if not track.crowd]
    if not tracks:
        return "without objects of these classes"
    return "with objects that have no mask" if any(track.masks is None for track in tracks) else None


def _counts(skipped: dict[str, int]) -> str:
    return ", ".join(f"{count} {reason}" for reason, count in sorted(skipped.items()))
