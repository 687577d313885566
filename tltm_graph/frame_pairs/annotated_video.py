"""Videos with random access to pictures and truth."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Protocol

from torch import Tensor

from tltm_graph.formats.label_maps import read_image_size
from tltm_graph.formats.video import Video
from tltm_graph.io import read_frames
from tltm_graph.ops import masks_to_boxes
from tltm_graph.structures import Detections, Frame, Tracks


def visible_objects(truth: Detections, masks: Tensor) -> Detections:
    """The objects that are still to be seen after their masks have changed, with boxes tight around what is left.

    Args:
        truth: The true objects of a frame.
        masks: What is to be seen of each of them now, bool (N, H, W).

    Returns:
        Those with at least one pixel.
    """
    boxes = masks_to_boxes(masks)
    seen = boxes[:, 2] > boxes[:, 0]
    return truth.replace(boxes=boxes, masks=masks)[seen]


class AnnotatedVideo(Protocol):
    """The annotated frames of a video, in order; frames that nobody annotated are no part of it.

    A still image is a video of one frame. :class:`tltm_graph.MovingShapes` is an annotated video as it stands,
    :func:`annotated_videos` makes them of files.
    """

    def __len__(self) -> int:
        """Number of annotated frames."""
        ...

    def frame(self, index: int, /) -> Frame:
        """The picture of the annotated frame number ``index``, counted from 0."""
        ...

    def truth(self, index: int, /) -> Detections:
        """What can be seen in it: visible masks, tight boxes, classes, ids."""
        ...


def annotated_videos(videos: Sequence[Video]) -> list[AnnotatedVideo]:
    """The videos and still images of a data set, with random access.

    Args:
        videos: With image files and annotations: what any reader of this package gives, or a part of it.

    Raises:
        FileNotFoundError: If the frames of a video are not at hand.
        ValueError: If a video has no annotations, or they are not valid.
    """
    return [StillImage(video) if video.num_frames == 1 else AnnotatedFrames(video) for video in videos]


class AnnotatedFrames:
    """The annotated frames of a video whose frames are image files.

    Only the picture that is asked for is decoded. The tracks are read once, and their masks stay encoded. ``crowd``
    regions, which are several objects or none, are left out.

    Args:
        video: The video.
        annotated: Which of its frames are annotated, counted from 0. By default those that show an object: in a file
            that annotates every fifth frame, nothing else tells an empty frame from one that nobody looked at. For
            data where every frame was looked at, ``range(video.num_frames)`` keeps the empty ones.

    Attributes:
        num_crowds: Regions that were left out.

    Raises:
        FileNotFoundError: If its frames are not at hand.
        ValueError: If it has no annotations, or they are not valid, or ``annotated`` is not in order or beyond the
            video. When a frame is asked for: if its picture has another size than its masks, or an object no mask.
    """

    def __init__(self, video: Video, annotated: Sequence[int] | None = None) -> None:
        self._images = _images_of(video)
        tracks = video.tracks()
        self.video = replace(video, load=None, label_map=None)  # which may hold a whole file, and cannot go to a worker
        self._tracks = _without_crowds(tracks)
        self.num_crowds = len(tracks) - len(self._tracks)
        if annotated is None:
            annotated = sorted({frame for track in self._tracks.values() for frame in track.frames})
        self.annotated = tuple(annotated)
        if any(later <= earlier for earlier, later in pairwise(self.annotated)):
            raise ValueError(f"Expected annotated frames in order of video '{video.name}', got {list(self.annotated)}")
        if self.annotated and not 0 <= self.annotated[0] <= self.annotated[-1] < len(self._images):
            raise ValueError(
                f"Expected annotated frames from 0 to {len(self._images) - 1} of video '{video.name}', got "
                f"{self.annotated[0]} to {self.annotated[-1]}"
            )

    def __len__(self) -> int:
        return len(self.annotated)

    @property
    def num_left_out(self) -> int:
        """Frames of the video that are not annotated."""
        return len(self._images) - len(self.annotated)

    def frame(self, index: int) -> Frame:
        """The picture of the annotated frame number ``index``; its own ``index`` is that in the video."""
        return _read_frame(self.video, self._images, self.annotated[index])

    def truth(self, index: int) -> Detections:
        """What can be seen in it."""
        number = self.annotated[index]
        return _truth(self._tracks, number, self._images[number], self.video)

    def __repr__(self) -> str:
        return f"{type(self).__name__}('{self.video.name}', {len(self)} of {len(self._images)} frames)"


class StillImage:
    """A still image as a video of one frame, annotated whether it shows an object or not.

    Nothing is kept: picture and objects are read anew each time, so that a data set of any size takes no memory.
    ``crowd`` regions are left out.

    Args:
        video: Of one frame.

    Raises:
        FileNotFoundError: If the picture is not at hand.
        ValueError: If there is more than one frame. When asked for: as in :class:`AnnotatedFrames`.
    """

    def __init__(self, video: Video) -> None:
        self.video = video
        self._images = _images_of(video)
        if len(self._images) != 1:
            raise ValueError(f"Expected a still image, got {len(self._images)} frames in '{video.name}'")

    def __len__(self) -> int:
        return 1

    def frame(self, index: int) -> Frame:
        """The picture."""
        return _read_frame(self.video, self._images, index)

    def truth(self, index: int) -> Detections:
        """What can be seen in it."""
        return _truth(_without_crowds(self.video.tracks()), index, self._images[index], self.video)

    def __repr__(self) -> str:
        return f"{type(self).__name__}('{self.video.name}')"


def _images_of(video: Video) -> tuple[Path, ...]:
    if video.images is None:
        raise FileNotFoundError(
            f"Expected the pictures of video '{video.name}' to train on, got its tracks only: name the folder of images"
        )
    if video.num_frames is not None and video.num_frames != len(video.images):
        raise ValueError(
            f"Expected {video.num_frames} pictures of video '{video.name}', as annotated, got {len(video.images)}"
        )
    return video.images


def _without_crowds(tracks: Tracks) -> Tracks:
    return Tracks({i: track for i, track in tracks.items() if not track.crowd}, tracks.size, tracks.num_frames)


def _read_frame(video: Video, images: Sequence[Path], number: int) -> Frame:
    if not images[number].is_file():
        raise FileNotFoundError(f"Expected frame {number} of video '{video.name}' at '{images[number]}', found none")
    return Frame(next(read_frames([images[number]])).image, number, number / (video.fps or 30.0))


def _truth(tracks: Tracks, number: int, image: Path, video: Video) -> Detections:
    where = f"frame {number} of video '{video.name}'"
    lacking = next((i for i, track in tracks.items() if track.masks is None and number in track.frames), None)
    if lacking is not None:
        raise ValueError(
            f"Expected a mask for every object to train on, got a box alone for object {lacking} in {where}"
        )
    objects = tracks.at(number)
    if objects.masks is None:
        return objects
    size, annotated = read_image_size(image), tuple(objects.masks.shape[1:])
    if size != annotated:
        raise ValueError(
            f"Expected a picture of {annotated[0]}×{annotated[1]} pixels (H×W) like its masks, got {size[0]}×{size[1]} "
            f"in '{image}', {where}"
        )
    return visible_objects(objects, objects.masks)
