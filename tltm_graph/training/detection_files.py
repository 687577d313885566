from collections.abc import Iterator
from dataclasses import replace
from itertools import tee

from tltm_graph.detectors import Detector, OracleDetector, PrecomputedDetector, build_detector
from tltm_graph.formats import Video, local_split, open_videos
from tltm_graph.formats.video import Part
from tltm_graph.metrics.matching import match_to_ground_truth
from tltm_graph.structures import Detections, Tracks
from tltm_graph.synthetic import DetectionSequence

_NAME = "{video}"


class DetectionFiles:
    """What a detector found in videos of which the true tracks are known, for an association head to learn from.

    Every detection gets its identity from the truth, see :func:`match_to_ground_truth`. The pictures are read only if the detector
    is a model; for detections in files they need not be at hand.

    Args:
        detections: One line, as :func:`tltm_graph.detectors.build_detector` takes it, such as
            ``precomputed:detections/{video}.json.gz?score_threshold=0.2``: for more than one video with ``{video}``
            where the name of the video belongs. ``oracle:FILE`` takes tracks in any format for detections, ``oracle``
            alone the truth, spoilt as its options say.
        truth: File or folder of true tracks in any format that :func:`tltm_graph.formats.open_videos` reads.
        images: See there.
        format: See there.
        part: Only this part of :func:`tltm_graph.formats.local_split`.
        fps: Frames a second of videos that do not say.
        same: See :func:`match_to_ground_truth`.
        false: See there.

    Raises:
        ValueError: If there are no videos, or several and no ``{video}``.
        OSError: If there is nothing at ``truth``.
    """

    def __init__(
        self,
        detections: str,
        truth: str,
        images: str | None = None,
        format: str | None = None,  # noqa: A002  as in open_videos
        part: Part | None = None,
        fps: float = 30.0,
        same: float = 0.5,
        false: float = 0.3,
    ) -> None:
        videos = open_videos(truth, format, images)
        self.videos = videos if part is None else local_split(videos, part)
        self.detections, self.truth, self.fps = detections, truth, fps
        self.same, self.false = same, false
        if not self.videos:
            raise ValueError(f"Expected videos in '{truth}'{f', part {part}' if part else ''}, got none")
        if len(self.videos) > 1 and _NAME not in detections and not _is_of_any_video(detections):
            raise ValueError(
                f"Expected '{_NAME}' in the name of the detections of {len(self.videos)} videos, got '{detections}'"
            )

    def __len__(self) -> int:
        return len(self.videos)

    def __getitem__(self, index: int) -> DetectionSequence:
        """A video, without masks.

        Raises:
            ValueError: If detections and truth are not of one video, or damaged.
            OSError: If a file is missing.
        """
        video, truth = self.videos[index], self.videos[index].tracks()
        objects = replace(truth, tracks={i: track for i, track in truth.items() if not track.crowd})
        detector = build_detector(
            self.detections.replace(_NAME, video.name), truth=objects.at, class_names=self.videos.class_names
        )
        video = _completed(video, truth, detector, self.fps)
        timed, again = tee(_detect(detector, video))  # in step, so that one frame's masks are held
        told = match_to_ground_truth((found for _, found in again), truth, self.same, self.false)
        times, frames, real = [], [], []
        for (time, found), (ids, objects_of) in zip(timed, told, strict=True):
            times.append(time)
            frames.append(found.replace(ids=ids, masks=None, features=None))
            real.append(objects_of)
        assert video.size is not None
        return DetectionSequence(video.size, tuple(times), tuple(frames), tuple(real))

    def __repr__(self) -> str:
        return f"{type(self).__name__}('{self.detections}', {len(self)} videos of '{self.truth}')"


def _is_of_any_video(detections: str) -> bool:
    """Whether it names a model, or spoils the truth."""
    name, colon, _ = detections.partition("?")[0].partition(":")
    return name != "precomputed" and not (name == "oracle" and colon)


def _detect(detector: Detector, video: Video) -> Iterator[tuple[float, Detections]]:
    blind = isinstance(detector, PrecomputedDetector | OracleDetector)
    context = None
    for frame in video.blank_frames() if blind else video.frames():
        found, context = detector.detect(frame, context)
        yield frame.time, found


def _completed(video: Video, truth: Tracks, detector: Detector, fps: float) -> Video:
    """The video with what its format does not say, from its tracks and its detections."""
    size = video.size or truth.size or getattr(detector, "size", None)
    num_frames = truth.num_frames if video.num_frames is None else video.num_frames
    return replace(video, size=size, num_frames=num_frames, fps=video.fps or fps)
