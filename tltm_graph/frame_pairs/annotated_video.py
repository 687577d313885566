"""Videos with random access to pictures and ground truth."""

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
    """Replace the masks of objects, drop objects without a pixel, and fit boxes tightly to the masks.

    Args:
        truth: Objects of a frame.
        masks: Their new masks, bool (N, H, W).
    """
    boxes = masks_to_boxes(masks)
    visible = boxes[:, 2] > boxes[:, 0]
    return truth.replace(boxes=boxes, masks=masks)[visible]


class AnnotatedVideo(Protocol):
    """Annotated frames of a video, in order.

    A still image is a video of one frame. :class:`tltm_graph.MovingShapes` is an annotated video;
    :func:`annotated_videos` makes annotated videos from files.
    """

    def __len__(self) -> int:
        """Return the number of annotated frames."""

    def frame(self, index: int, /) -> Frame:
        """Return the picture of annotated frame ``index``, counted from 0."""

    def truth(self, index: int, /) -> Detections:
        """Return the visible objects of annotated frame ``index``: visible masks, tight boxes, classes, ids."""


def annotated_videos(videos: Sequence[Video]) -> list[AnnotatedVideo]:
    """Open the videos and still images of a data set for random access.

    Args:
        videos: Videos with image files and annotations, as the readers of :mod:`tltm_graph.formats` return them.

    Raises:
        FileNotFoundError: If a video has no image files.
        ValueError: If a video has no annotations, or invalid ones.
    """
    return [StillImage(video) if video.num_frames == 1 else AnnotatedFrames(video) for video in videos]


class AnnotatedFrames:
    """Annotated frames of a video of image files.

    Only requested pictures are decoded. The tracks are read once, and their masks stay encoded. ``crowd`` regions, each
    of which stands for several objects or none, are dropped.

    Args:
        video: Video with image files and annotations.
        annotated: Indices of its annotated frames, counted from 0. By default the frames with an object: a file that
            annotates every fifth frame does not distinguish empty frames from frames without annotations. Use
            ``range(video.num_frames)`` to keep the empty frames of data that is annotated in full.

    Attributes:
        num_crowds: Number of dropped ``crowd`` regions.

    Raises:
        FileNotFoundError: If the video has no image files.
        ValueError: If the video has no annotations or invalid ones, or ``annotated`` is not in order or out of range.
            When a frame is read: if the sizes of picture and masks differ, or an object has no mask.
    """

    def __init__(self, video: Video, annotated: Sequence[int] | None = None) -> None:
        self._images = _images_of(video)
        tracks = video.tracks()
        # Without its loaders, which may hold a whole file and cannot be sent to a worker process.
        self.video = replace(video, load=None, label_map=None)
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
        """Number of frames of the video without annotations."""
        return len(self._images) - len(self.annotated)

    def frame(self, index: int) -> Frame:
        """Return the picture of annotated frame ``index``. Its own ``index`` is its number in the video."""
        return _read_frame(self.video, self._images, self.annotated[index])

    def truth(self, index: int) -> Detections:
        """Return the visible objects of annotated frame ``index``."""
        number = self.annotated[index]
        return _truth(self._tracks, number, self._images[number], self.video)

    def __repr__(self) -> str:
        return f"{type(self).__name__}('{self.video.name}', {len(self)} of {len(self._images)} frames)"


class StillImage:
    """Still image as a video of one annotated frame, with or without objects.

    Picture and objects are read again each time, so that a data set of any size takes no memory. ``crowd`` regions are
    dropped.

    Args:
        video: Video of one frame.

    Raises:
        FileNotFoundError: If the image file is missing.
        ValueError: If there is more than one frame. When the frame is read: as in :class:`AnnotatedFrames`.
    """

    def __init__(self, video: Video) -> None:
        self.video = video
        self._images = _images_of(video)
        if len(self._images) != 1:
            raise ValueError(f"Expected a still image, got {len(self._images)} frames in '{video.name}'")

    def __len__(self) -> int:
        return 1

    def frame(self, index: int) -> Frame:
        """Return the picture."""
        return _read_frame(self.video, self._images, index)

    def truth(self, index: int) -> Detections:
        """Return the visible objects."""
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
        raise FileNotFoundError(f"Expected frame {number} of video '{video.name}' at '{images[number]}', got no file")
    return Frame(next(read_frames([images[number]])).image, number, number / (video.fps or 30.0))


def _truth(tracks: Tracks, number: int, image: Path, video: Video) -> Detections:
    where = f"frame {number} of video '{video.name}'"
    without_mask = next((i for i, track in tracks.items() if track.masks is None and number in track.frames), None)
    if without_mask is not None:
        raise ValueError(
            f"Expected a mask for every object to train on, got a box alone for object {without_mask} in {where}"
        )
    objects = tracks.at(number)
    if objects.masks is None:
        return objects
    size, mask_size = read_image_size(image), tuple(objects.masks.shape[1:])
    if size != mask_size:
        raise ValueError(
            f"Expected a picture of {mask_size[0]}×{mask_size[1]} pixels (H×W) like its masks, got {size[0]}×{size[1]} "
            f"in '{image}', {where}"
        )
    return visible_objects(objects, objects.masks)
