"""Videos and still images with annotations in files."""

from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from tltm_graph.formats import Video, VideoSet, local_split, map_classes, open_videos, read_class_map
from tltm_graph.formats.class_maps import same_classes
from tltm_graph.formats.video import Part
from tltm_graph.frame_pairs import HallucinatedMotion, StillPairs, VideoPairs, annotated_videos
from tltm_graph.training.sources import LabelledVideo, Opened, PairDescription, VideoDescription


class VideoFiles(VideoDescription):
    """Videos with annotations in any format that :func:`tltm_graph.formats.open_videos` reads.

    Passed over are videos without their pictures, without an object, and with objects that have a box alone.

    Args:
        path: File or folder.
        images: Folder of the pictures, for formats that keep them elsewhere.
        format: One of :data:`tltm_graph.formats.FORMATS`; by default the one it looks like.
        class_map: From their classes to those of the model, see :func:`tltm_graph.formats.read_class_map`; by default
            classes of the same name are the same, and all of them must be the model's.
        part: Only this part of :func:`tltm_graph.formats.local_split`.
        image_set: Only the videos of this list of DAVIS.
        max_gap: See :class:`tltm_graph.frame_pairs.VideoPairs`; 3 and never wide in the released code of arXiv 2210.16795.
        wide_gap: See there.
        wide_probability: See there.
        repeat: See :class:`PairDescription`.
    """

    def __init__(
        self,
        path: str,
        images: str | None = None,
        format: str | None = None,  # noqa: A002  as in open_videos
        class_map: str | None = None,
        part: Part | None = None,
        image_set: str | None = None,
        max_gap: int = 3,
        wide_gap: int = 20,
        wide_probability: float = 0.1,
        repeat: float = 1.0,
    ) -> None:
        super().__init__(repeat)
        self.path, self.class_map, self.part = path, class_map, part
        self._open = partial(open_videos, path, format, images, image_set=image_set)
        self._pairs = partial(VideoPairs, max_gap=max_gap, wide_gap=wide_gap, wide_probability=wide_probability)

    def open(self, class_names: tuple[str, ...]) -> Opened:
        """See :class:`PairDescription`."""
        kept, skipped = _usable(self._videos(class_names))
        _expect_some(kept, skipped, self.path)
        pairs = self._pairs(annotated_videos(kept))
        if pairs.num_without_pairs:
            skipped["with a single annotated frame"] = pairs.num_without_pairs
        return Opened(self.path, pairs, f"{len(kept)} videos", skipped)

    def videos(self, class_names: tuple[str, ...]) -> Sequence[LabelledVideo]:
        """See :class:`VideoDescription`."""
        kept, skipped = _usable(self._videos(class_names))
        _expect_some(kept, skipped, self.path)
        return [LabelledVideo(video.name, video.frames, video.tracks) for video in kept]

    def _videos(self, class_names: tuple[str, ...]) -> VideoSet:
        videos = _of_classes(self._open(), class_names, self.class_map)
        return videos if self.part is None else local_split(videos, self.part)


class ImageFiles(PairDescription):
    """Still images, and frames of videos taken one by one, each paired with itself after a made-up motion.

    Passed over are images without their picture, without an object, and with objects that have a box alone.

    Args:
        path: File or folder.
        images: See :class:`VideoFiles`.
        format: See there.
        class_map: See there.
        motion: Makes the later frame; that of the paper by default.
        repeat: See :class:`PairDescription`.
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

    def open(self, class_names: tuple[str, ...]) -> Opened:
        """See :class:`PairDescription`."""
        kept, skipped = _usable(_of_classes(self._open(), class_names, self.class_map))
        _expect_some(kept, skipped, self.path)
        pairs = StillPairs(annotated_videos(kept), self.motion)
        return Opened(self.path, pairs, f"{len(pairs)} images", skipped)


def _of_classes(videos: VideoSet, class_names: tuple[str, ...], class_map: str | None) -> VideoSet:
    if videos.class_names is None:
        if len(class_names) > 1:
            raise ValueError(
                f"Expected objects with classes in '{videos.name}' for a model of {len(class_names)} classes, got "
                "objects without: they suit a model of one class"
            )
        return VideoSet(videos.videos, class_names, name=videos.name)
    if class_map is not None:
        return map_classes(videos, read_class_map(class_map), class_names)
    strange = [name for name in videos.class_names if name not in class_names]
    if strange:
        raise ValueError(
            f"Expected the classes of the model, {list(class_names)}, in '{videos.name}', got {strange} too: name all "
            f"of {list(videos.class_names)} as class_names of the model, or say in a class_map what becomes of them"
        )
    return map_classes(videos, same_classes(videos.class_names), class_names)


def _usable(videos: Sequence[Video]) -> tuple[list[Video], dict[str, int]]:
    """The videos that can be learned from, and how many of the others there are by reason."""
    reasons = [_fault(video) for video in videos]
    kept = [video for video, reason in zip(videos, reasons, strict=True) if reason is None]
    return kept, dict(Counter(reason for reason in reasons if reason is not None))


def _fault(video: Video) -> str | None:
    if video.load is None:
        return "without annotations"
    if video.images is None or not all(path.is_file() for path in video.images):
        return "without their pictures"
    tracks = [track for track in video.tracks().values() if not track.crowd]
    if not tracks:
        return "without objects of these classes"
    return "with objects that have no mask" if any(track.masks is None for track in tracks) else None


def _expect_some(kept: Sequence[Video], skipped: dict[str, int], path: str | Path) -> None:
    if not kept:
        reasons = ", ".join(f"{count} {why}" for why, count in sorted(skipped.items())) or "nothing at all"
        raise ValueError(f"Expected something to learn from in '{path}', got {reasons}")
