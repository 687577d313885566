"""DAVIS 2016, 2017 and 2019: folders of palette images, the format of video object segmentation."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from PIL import Image

from tltm_graph.formats.annotations import inside
from tltm_graph.formats.label_maps import (
    IMAGE_SUFFIXES,
    LabelMaps,
    frame_files,
    match_frames,
    read_image_size,
    read_label_map,
    video_folders,
)
from tltm_graph.formats.mots import disjoint
from tltm_graph.formats.video import Video, VideoSet
from tltm_graph.formats.writer import TracksWriter
from tltm_graph.io.images import open_image
from tltm_graph.io.output import (
    check_folder_target,
    child,
    output_folder,
    roll_back,
    write_folder_atomically,
)
from tltm_graph.io.spool import Spool
from tltm_graph.io.text import read_text
from tltm_graph.ops.rle import decode_rle
from tltm_graph.structures import Observation, Tracks

VOID = 255
"""Id of pixels that are not scored."""

MAX_LABEL = VOID - 1
"""Highest id of an object in a label map of 8 bits."""

_ANNOTATIONS = ("Annotations", "Annotations_unsupervised")


def read_davis(
    path: str | Path, image_set: str | Path | None = None, resolution: str = "480p", annotations: str | None = None
) -> VideoSet:
    """Open the ground truth of DAVIS: objects by id without classes, void as a ``crowd`` track of id 255.

    A sequence with annotations of the first frame only, or without any (test-dev), is a video without tracks.

    255 is void, except in the black-and-white images of the original DAVIS-2016, where it is the object and becomes
    id 1. A sequence is of that kind if its images have no palette and contain only 0 and 255. In results 255 is an
    ordinary id; :func:`~tltm_graph.formats.label_maps.read_label_map_folders` reads it so.

    Args:
        path: Root with ``Annotations/480p/<sequence>/<frame>.png``, and optionally ``JPEGImages/480p`` and
            ``ImageSets``; the folders ``480p`` may be missing. Or the folder of the sequences, or a single sequence.
        image_set: List of the sequences, in this order: ``"val"``, ``"2017/val"`` if several lists have that name, or
            a text file with a sequence (or, as in DAVIS-2016, an image and its label map) on each line. By default all.
        resolution: Resolution of label maps and images: ``"480p"``, ``"1080p"``, ``"Full-Resolution"``.
        annotations: ``"Annotations"`` or ``"Annotations_unsupervised"``; required if both exist.

    Raises:
        FileNotFoundError: If a folder, a list or a sequence of a list is missing.
        ValueError: If frames have no label map, label maps have no frame, or they differ in size.
    """
    root = Path(path)
    if not (root / "JPEGImages").is_dir() and not any((root / name).is_dir() for name in _ANNOTATIONS):
        folders = video_folders(root)
        if image_set is not None:
            folders = [inside(root, name, f"the list '{image_set}'") for name in _read_image_set(root, image_set)]
        videos = [_video(number, folder.name, folder, None) for number, folder in enumerate(folders, start=1)]
        return VideoSet(videos, name=str(path))
    maps, images = _annotation_folders(root, resolution, annotations)
    all_names = [folder.name for folder in video_folders(maps if maps.is_dir() else images)]
    numbers = {name: number for number, name in enumerate(all_names, start=1)}  # independent of the list
    names = all_names if image_set is None else _read_image_set(root, image_set)
    videos = []
    for position, name in enumerate(names, start=len(all_names) + 1):
        folders = [inside(folder, name, f"the list '{image_set}'") for folder in (maps, images)]
        map_folder, image_folder = (folder if folder.is_dir() else None for folder in folders)
        if map_folder is None and image_folder is None:
            raise FileNotFoundError(f"Expected sequence '{name}' at '{folders[0]}' or '{folders[1]}', found neither")
        videos.append(_video(numbers.get(name, position), name, map_folder, image_folder))
    return VideoSet(videos, name=str(path))


def _annotation_folders(root: Path, resolution: str, annotations: str | None) -> tuple[Path, Path]:
    """Find the folders of label maps and of images, one of which may be missing."""
    kinds = [name for name in _ANNOTATIONS if (root / name).is_dir()]
    if annotations is None and len(kinds) > 1:
        raise ValueError(
            f"Expected one kind of annotations in '{root}', got {kinds}: name one (annotations=…), or the folder of "
            "its sequences"
        )
    kind = annotations or next(iter(kinds), _ANNOTATIONS[0])
    maps, images = root / kind / resolution, root / "JPEGImages" / resolution
    if kinds and not maps.is_dir() and any((root / kind).glob("*/*.png")):
        return root / kind, root / "JPEGImages"  # a custom data set of one resolution
    if not maps.is_dir() and (kinds or not images.is_dir()):
        raise FileNotFoundError(f"Expected label maps of DAVIS at '{maps}', found none: name another resolution")
    return maps, images


def _read_image_set(root: Path, image_set: str | Path) -> list[str]:
    """Read the sequences of a list, each once."""
    if Path(image_set).suffix == ".txt":
        file = Path(image_set)
    else:
        files = sorted((root / "ImageSets").glob(f"{image_set}.txt" if "/" in str(image_set) else f"*/{image_set}.txt"))
        if not files:
            raise FileNotFoundError(f"Expected a list of sequences '{image_set}' in '{root / 'ImageSets'}', found none")
        if len(files) > 1:
            choices = [f"{file.parent.name}/{file.stem}" for file in files]
            raise ValueError(f"Expected one list of sequences '{image_set}' in '{root}', got {choices}: name one")
        file = files[0]
    words = [line.split()[0] for line in read_text(file, "a list of sequences").splitlines() if line.strip()]
    return list(dict.fromkeys(Path(word).parent.name if "/" in word else word for word in words))


def _video(number: int, name: str, map_folder: Path | None, image_folder: Path | None) -> Video:
    """Make a video of label maps, images or both."""
    maps = [] if map_folder is None else frame_files(map_folder, (".png",))
    images = None if image_folder is None else frame_files(image_folder, IMAGE_SUFFIXES)
    if images and (map_folder is None or (len(images) > 1 and [file.stem for file in maps] == [images[0].stem])):
        size, stems = read_image_size((maps or images)[0]), tuple(file.stem for file in images)
        return Video(name, len(images), size, id=number, images=tuple(images), frame_names=stems)
    if images is not None:
        match_frames(name, [file.stem for file in maps], images)
        sizes = [read_image_size(files[0]) for files in (maps, images) if files]
        if len(set(sizes)) > 1:
            raise ValueError(
                f"Expected images of {sizes[0]} pixels (H, W) like the label maps of sequence '{name}', got "
                f"{sizes[1]}: resize the images, or remove their folder to work without images"
            )
    return LabelMaps(name, tuple(maps), VOID, _MapReader(tuple(maps)).read).video(number, images)


@dataclass(frozen=True, eq=False)
class _MapReader:
    """Reader of the label maps of one sequence, which decides whether 255 is void or the object of DAVIS-2016."""

    paths: tuple[Path, ...] = field(repr=False)

    def read(self, path: Path) -> np.ndarray:
        labels = read_label_map(path)
        if (labels == VOID).any() and _is_black_and_white(path, labels) and self._is_binary:
            labels = (labels == VOID).astype(np.uint8)
        return labels

    @cached_property
    def _is_binary(self) -> bool:
        """True if all frames are black and white; one frame is not enough, as it may contain only void."""
        return all(_is_black_and_white(path, read_label_map(path)) for path in self.paths)


def _is_black_and_white(path: Path, labels: np.ndarray) -> bool:
    if not ((labels == 0) | (labels == VOID)).all():
        return False
    with open_image(path, "a label map") as image:
        return image.mode == "L"


class DavisWriter(TracksWriter):
    """Writer of label maps with a palette for every frame, as in DAVIS: ``path/<video>/<frame>.png``.

    Frames have the names that the video gives them, otherwise 00000, 00001, …. Masks are made disjoint by
    :func:`~tltm_graph.formats.mots.disjoint`; ``crowd`` becomes void (255), under the objects.

    DAVIS accepts 20 objects a video. Of more, those with the highest sum of scores over their frames are kept (of
    equal sums, the first to appear), before masks are made disjoint. If the ids of all kept objects lie between 1 and
    ``max_objects``, they stay, so ground truth reads back exactly. Otherwise objects are numbered from 1 in the order
    in which they appear.

    The frames of a video are written when it ends, and replace the content of its folder. Labels and scores are lost.

    Args:
        path: Folder to write.
        class_names: Not used; the format has no classes.
        category_ids: Not used.
        max_objects: Maximum number of objects in a video, 1 to 254.

    Raises:
        ValueError: If an object has no mask, the size of a video is unknown, or a name cannot be a file name.
    """

    def __init__(
        self,
        path: str | Path,
        class_names: Sequence[str] | None = None,
        category_ids: Sequence[int] | None = None,
        max_objects: int = 20,
    ) -> None:
        super().__init__(path, class_names, category_ids)
        _check_max_objects(max_objects)
        self.max_objects = max_objects
        self._spool: Spool | None = None
        self._output = ExitStack()
        self._written: set[str] = set()

    def _begin(self, video: Video) -> None:
        names = video.frame_names or ()
        for name in (video.name, *names):
            child(self.path, name)
        repeated = next((name for name, count in Counter(names).items() if count > 1), None)
        if repeated is not None:
            raise ValueError(f"Expected each frame name once in video '{video.name}', got '{repeated}' twice")
        if video.frame_names is not None and len(names) != video.num_frames:
            raise ValueError(f"Expected {video.num_frames} frame names of video '{video.name}', got {len(names)}")
        if video.name in self._written:
            raise ValueError(f"Expected each video once, got '{video.name}' twice")
        if not self._written:
            self._output.enter_context(output_folder(self.path))
        self._written.add(video.name)
        check_folder_target(self.path / video.name)
        self._spool = Spool(self.path / f"{video.name}.spool")
        self._size = video.size
        self._sums: dict[int, float] = {}  # sum of scores by id, in the order of appearance

    def _write(self, frame: int, observations: list[Observation]) -> None:
        assert self._spool is not None
        for observation in observations:
            where = f"object {observation.id} in {self._where(frame)}"
            if observation.mask is None:
                raise ValueError(f"Expected masks for label maps, got only a box of {where}: write a box format")
            height, width = observation.mask["size"]
            self._size = self._size or (height, width)
            if self._size != (height, width):
                raise ValueError(f"Expected masks of {self._size} pixels (H, W), got {height}×{width} for {where}")
        _add_scores(self._sums, observations)
        self._spool.add(frame, observations)

    def _end(self) -> None:
        assert self.video is not None
        assert self._spool is not None
        if self._size is None and self.num_frames:
            raise ValueError(f"Expected the size of video '{self.video.name}', or masks to take it from, got neither")
        numbers = _numbers(self._sums, self.max_objects)
        with write_folder_atomically(self.path / self.video.name) as folder:
            spooled = self._spool.frames()  # only frames with objects
            coming = next(spooled, None)
            for frame in range(self.num_frames):
                observations: list[Observation] = []
                if coming is not None and coming[0] == frame:
                    observations, coming = coming[1], next(spooled, None)
                assert self._size is not None
                name = f"{frame:05d}" if self.video.frame_names is None else self.video.frame_names[frame]
                image = Image.fromarray(_paint(observations, numbers, self._size, self._where(frame)))
                image.putpalette(_PALETTE)
                image.save(folder / f"{name}.png")
        self._spool.close()
        self._spool = None

    def _close(self) -> None:
        self._output.close()

    def _discard(self) -> None:
        if self._spool is not None:
            self._spool.close()
            self._spool = None
        roll_back(self._output)


def label_maps_of(tracks: Tracks, max_objects: int = 20) -> Iterator[np.ndarray]:
    """Paint the label map of every frame of a video, uint8 (H, W), as :class:`DavisWriter` writes it.

    Args:
        tracks: Objects of the video, with masks.
        max_objects: Maximum number of objects, 1 to 254.

    Raises:
        ValueError: If an object has no mask, or the size of the video is unknown.
    """
    _check_max_objects(max_objects)
    if tracks.size is None and tracks.num_frames:
        raise ValueError("Expected the size of a video for label maps, got none: add masks or the frames")
    sums: dict[int, float] = {}
    for _, observations in tracks.observations():
        _add_scores(sums, observations)
    numbers = _numbers(sums, max_objects)
    for frame, observations in tracks.observations():
        assert tracks.size is not None
        yield _paint(observations, numbers, tracks.size, f"frame {frame}")


def _check_max_objects(max_objects: int) -> None:
    if not 1 <= max_objects <= MAX_LABEL:
        raise ValueError(f"Expected max_objects from 1 to {MAX_LABEL}, got {max_objects}")


def _add_scores(sums: dict[int, float], observations: list[Observation]) -> None:
    for observation in observations:
        if not observation.crowd:
            sums[observation.id] = sums.get(observation.id, 0.0) + observation.score


def _numbers(sums: dict[int, float], max_objects: int) -> dict[int, int]:
    """Choose the objects to keep and their ids in the map, from the sums of scores in the order of appearance."""
    ranked = sorted(sums, key=lambda track_id: -sums[track_id])  # stable: equal sums stay in the order of appearance
    kept = set(ranked[:max_objects])
    if all(1 <= track_id <= max_objects for track_id in kept):
        return {track_id: track_id for track_id in kept}
    return {track_id: number for number, track_id in enumerate((i for i in sums if i in kept), start=1)}


def _paint(observations: list[Observation], numbers: dict[int, int], size: tuple[int, int], where: str) -> np.ndarray:
    """Paint the label map of one frame, uint8 (H, W)."""
    labels = np.zeros(size, dtype=np.uint8)
    void = [observation for observation in observations if observation.crowd]
    objects = [observation for observation in observations if not observation.crowd and observation.id in numbers]
    for observation in (*void, *disjoint(objects, where)):
        if observation.mask is None:
            raise ValueError(f"Expected masks for label maps, got only a box of object {observation.id} in {where}")
        labels[decode_rle([observation.mask], size)[0].numpy()] = VOID if observation.crowd else numbers[observation.id]
    return labels


def _palette() -> list[int]:
    """Make the 256 colours (R, G, B, …) of PASCAL VOC and DAVIS, where neighbouring ids differ strongly.

    Bits 0, 1, 2 of an id are the top bits of its red, green and blue, bits 3, 4, 5 the second ones, and so on.
    """
    ids = np.arange(256)
    colours = np.zeros((256, 3), dtype=np.int64)
    for bit in range(8):
        colours[:, bit % 3] |= (ids >> bit & 1) << (7 - bit // 3)
    return colours.ravel().tolist()


_PALETTE = _palette()
