"""DAVIS 2016, 2017 and 2019: folders of palette pictures, the format that video object segmentation is scored in."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from PIL import Image
from pycocotools import mask as coco_mask

from tltm_graph.formats.disjoint import disjoint
from tltm_graph.formats.label_maps import (
    LabelMaps,
    frame_files,
    match_frames,
    read_image_size,
    read_label_map,
    video_folders,
)
from tltm_graph.formats.video import Video, VideoSet
from tltm_graph.formats.writer import TracksWriter
from tltm_graph.io import Spool, read_text, write_folder_atomically
from tltm_graph.ops import to_coco
from tltm_graph.structures import Observation, Tracks

VOID = 255
"""The id of pixels that are not to be scored."""

MAX_LABEL = VOID - 1
"""The highest id of an object in a label map of 8 bits."""

_ANNOTATIONS = ("Annotations", "Annotations_unsupervised")
_SUFFIXES = (".jpg", ".jpeg", ".png")


def read_davis(
    path: str | Path,
    image_set: str | Path | None = None,
    resolution: str = "480p",
    image_resolution: str | None = None,
    annotations: str | None = None,
) -> VideoSet:
    """The truth of DAVIS: objects by id without classes, void as a ``crowd`` track of id 255.

    A sequence of which only the first frame is annotated, or none (test-dev), is a video without tracks.

    255 is void, with one exception: in the black-and-white pictures of the original DAVIS-2016 it is the object, which
    gets id 1. A sequence is of that kind if its pictures have no palette and all of them hold nothing but 0 and 255.
    Results are not truth: in them 255 is an id like any other, which :func:`read_label_map_folders` reads.

    Args:
        path: The root, with ``Annotations/480p/<sequence>/<frame>.png``, ``JPEGImages/480p`` and ``ImageSets``, any of
            the latter two may be missing, and so may the folders ``480p``; or the folder of the sequences itself; or a
            single sequence.
        image_set: Which sequences, in this order: ``"val"``, ``"2017/val"`` where there are several of that name, or a
            text file with a sequence (or, as in DAVIS-2016, an image and its label map) on each line. By default all.
        resolution: Of the label maps: ``"480p"``, ``"1080p"``, ``"Full-Resolution"``. The videos are of this size.
        image_resolution: Of the images, where they are to be of another size than the label maps; they are not scaled.
        annotations: ``"Annotations"`` or ``"Annotations_unsupervised"``, where there are both: they tell other objects
            apart.

    Raises:
        FileNotFoundError: If a folder, a list or a sequence of a list is missing.
        ValueError: If frames are without label maps or the other way round, or are of different sizes.
    """
    root = Path(path)
    known = [name for name in _ANNOTATIONS if (root / name).is_dir()]
    if not known and not (root / "JPEGImages").is_dir():
        folders = video_folders(root)
        if image_set is not None:
            folders = [_listed(root / name) for name in _read_image_set(root, image_set)]
        videos = [_video(n, folder.name, folder, None, False) for n, folder in enumerate(folders, start=1)]
        return VideoSet(videos, name=str(path))
    if annotations is None:
        if len(known) > 1:
            raise ValueError(
                f"Expected one kind of annotations in '{root}', got {known}: name one (annotations=…), or the folder "
                "of its sequences"
            )
        annotations = known[0] if known else _ANNOTATIONS[0]
    maps, images = root / annotations / resolution, root / "JPEGImages" / (image_resolution or resolution)
    if known and not maps.is_dir() and image_resolution is None and any((root / annotations).glob("*/*.png")):
        maps, images = root / annotations, root / "JPEGImages"  # a data set of one's own, of one resolution
    if not maps.is_dir() and (known or not images.is_dir()):
        raise FileNotFoundError(f"Expected label maps of DAVIS at '{maps}', found none: name another resolution")
    if image_resolution is not None and not images.is_dir():
        raise FileNotFoundError(f"Expected images of DAVIS at '{images}', found none: name another image_resolution")
    everything = [folder.name for folder in video_folders(maps if maps.is_dir() else images)]
    names = everything if image_set is None else _read_image_set(root, image_set)
    places = {name: place for place, name in enumerate(everything, start=1)}  # numbers do not depend on the list
    scaled = image_resolution not in (None, resolution)
    videos = []
    for position, name in enumerate(names, start=len(everything) + 1):
        number = places.get(name, position)
        folder, pictures = maps / name, images / name
        if not folder.is_dir() and not pictures.is_dir():
            raise FileNotFoundError(f"Expected sequence '{name}' at '{folder}' or '{pictures}', found neither")
        videos.append(
            _video(number, name, folder if folder.is_dir() else None, pictures if pictures.is_dir() else None, scaled)
        )
    return VideoSet(videos, name=str(path))


def _read_image_set(root: Path, image_set: str | Path) -> list[str]:
    """The sequences of a list, each once."""
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


def _listed(folder: Path) -> Path:
    if not folder.is_dir():
        raise FileNotFoundError(f"Expected the sequence of the list at '{folder}', found none")
    return folder


def _video(number: int, name: str, folder: Path | None, pictures: Path | None, scaled: bool) -> Video:
    """A sequence with its label maps, its images or both; ``scaled`` images may be of another size."""
    maps = [] if folder is None else frame_files(folder, (".png",))
    images = None if pictures is None else frame_files(pictures, _SUFFIXES)
    if images and (folder is None or (len(images) > 1 and [file.stem for file in maps] == [images[0].stem])):
        size = read_image_size(maps[0]) if maps else None if scaled else read_image_size(images[0])
        stems = tuple(file.stem for file in images)
        return Video(name, len(images), size, id=number, images=tuple(images), frame_names=stems)
    if images is not None:
        match_frames(maps, images, name)
        if maps and not scaled and read_image_size(maps[0]) != read_image_size(images[0]):
            raise ValueError(
                f"Expected images of {read_image_size(maps[0])} pixels (H, W) like the label maps of sequence "
                f"'{name}', got {read_image_size(images[0])}: if that is wanted, name their folder as image_resolution"
            )
    return LabelMaps(name, tuple(maps), VOID, _Annotations(tuple(maps)).read).video(number, images)


@dataclass(frozen=True, eq=False)
class _Annotations:
    """Label maps of one sequence, of which it must be found out what 255 means in those without a palette."""

    paths: tuple[Path, ...] = field(repr=False)

    def read(self, path: Path) -> np.ndarray:
        labels = read_label_map(path)
        if (labels == VOID).any() and _is_black_and_white(path, labels) and self._is_binary:
            labels = (labels == VOID).astype(np.uint8)
        return labels

    @cached_property
    def _is_binary(self) -> bool:
        """Whether all frames are black and white: one with nothing but void in it tells nothing."""
        return all(_is_black_and_white(path, read_label_map(path)) for path in self.paths)


def _is_black_and_white(path: Path, labels: np.ndarray) -> bool:
    if not ((labels == 0) | (labels == VOID)).all():
        return False
    with Image.open(path) as image:
        return image.mode == "L"


class DavisWriter(TracksWriter):
    """Writes label maps as DAVIS has them: ``path/<video>/<frame>.png`` with a palette, for every frame of the video.

    Frames are named as the video names them, otherwise 00000, 00001, …. Where masks overlap the pixel is the object's
    of the higher score (:func:`disjoint`); holes stay. What is ``crowd`` becomes void (255), under the objects.

    A map has room for few objects, and DAVIS accepts 20. Of more the ones with the highest sum of scores over their
    frames are kept (score × length; of equals the one seen first), before pixels are given away. If the ids of those
    that are kept lie between 1 and ``max_objects``, they stay as they are, so that truth comes back exactly; otherwise
    all are counted anew, from 1 in the order in which they appear.

    The frames of a video are written when it ends, in place of what its folder held. Labels and scores are not written.

    Args:
        path: The folder to write.
        max_objects: Objects in a video, 1 to 254.

    Raises:
        ValueError: Beside what all writers raise: if an object has no mask, a score is not finite, the size of a video
            is not known, or a name cannot be that of a file.
    """

    def __init__(
        self,
        path: str | Path,
        class_names: Sequence[str] | None = None,
        category_ids: Sequence[int] | None = None,
        max_objects: int = 20,
    ) -> None:
        super().__init__(path, class_names, category_ids)
        _check_room(max_objects)
        self.max_objects = max_objects
        self._spool: Spool | None = None
        self._written: set[str] = set()
        self._made: list[Path] = []

    def _begin(self, video: Video) -> None:
        names = video.frame_names or ()
        for name in (video.name, *names):
            if not name or name.startswith(".") or Path(name).name != name or "\\" in name or names.count(name) > 1:
                raise ValueError(f"Expected names for files, each once, in video '{video.name}', got '{name}'")
        if video.frame_names is not None and len(names) != video.num_frames:
            raise ValueError(f"Expected {video.num_frames} frame names of video '{video.name}', got {len(names)}")
        if video.name in self._written:
            raise ValueError(f"Expected each video once, got '{video.name}' twice")
        self._written.add(video.name)
        if not self.path.exists():
            self._made = [p for p in (self.path, *self.path.parents) if not p.exists()]
            self.path.mkdir(parents=True)
        self._spool = Spool(self.path / f"{video.name}.spool")
        self._size = video.size
        self._sums: dict[int, float] = {}  # by id, in the order of appearance

    def _write(self, frame: int, observations: list[Observation]) -> None:
        assert self.video is not None
        assert self._spool is not None
        for row in observations:
            where = f"object {row.id} in frame {frame} of video '{self.video.name}'"
            if row.mask is None:
                raise ValueError(f"Expected masks for label maps, got only a box of {where}: write a box format")
            self._size = self._size or (row.mask["size"][0], row.mask["size"][1])
            if tuple(row.mask["size"]) != self._size:
                raise ValueError(f"Expected masks of {self._size} pixels (H, W), got {row.mask['size']} for {where}")
            if not row.crowd:
                self._sums[row.id] = self._sums.get(row.id, 0.0) + row.score
        self._spool.add(frame, observations)

    def _end(self) -> None:
        assert self.video is not None
        assert self._spool is not None
        if self._size is None and self.num_frames:
            raise ValueError(f"Expected the size of video '{self.video.name}', got none and no masks to tell it")
        numbers = _numbers(self._sums, self.max_objects)
        with write_folder_atomically(self.path / self.video.name) as folder:
            rows = self._spool.frames()
            coming = next(rows, None)
            for frame in range(self.num_frames):
                seen: list[Observation] = []
                if coming is not None and coming[0] == frame:
                    seen, coming = coming[1], next(rows, None)
                assert self._size is not None
                name = f"{frame:05d}" if self.video.frame_names is None else self.video.frame_names[frame]
                image = Image.fromarray(_paint(seen, numbers, self._size))
                image.putpalette(_PALETTE)
                image.save(folder / f"{name}.png")
        self._spool.close()
        self._spool = None

    def _close(self) -> None:
        self._made = []

    def _discard(self) -> None:
        if self._spool is not None:
            self._spool.close()
            self._spool = None
        for folder in self._made:
            if any(folder.iterdir()):
                break
            folder.rmdir()
        self._made = []


def label_maps_of(tracks: Tracks, max_objects: int = 20) -> Iterator[np.ndarray]:
    """The label map of every frame of a video, uint8 (H, W), as :class:`DavisWriter` writes them.

    Raises:
        ValueError: If an object has no mask, or the size of the video is not known.
    """
    _check_room(max_objects)
    if tracks.size is None and tracks.num_frames:
        raise ValueError("Expected the size of a video for label maps, got none: masks or the frames would tell it")
    sums: dict[int, float] = {}
    for _, rows in tracks.observations():
        for row in rows:
            if not row.crowd:
                sums[row.id] = sums.get(row.id, 0.0) + row.score
    numbers = _numbers(sums, max_objects)
    for _, rows in tracks.observations():
        assert tracks.size is not None
        yield _paint(rows, numbers, tracks.size)


def _check_room(max_objects: int) -> None:
    if not 1 <= max_objects <= MAX_LABEL:
        raise ValueError(f"Expected max_objects from 1 to {MAX_LABEL}, got {max_objects}")


def _numbers(sums: dict[int, float], max_objects: int) -> dict[int, int]:
    """The number in the map of each object that is kept, from the sums of scores in the order of appearance."""
    ranked = sorted(sums, key=lambda track_id: -sums[track_id])  # equals stay in order of appearance
    kept = set(ranked[:max_objects])
    if all(1 <= track_id <= max_objects for track_id in kept):
        return {track_id: track_id for track_id in kept}
    return {track_id: number for number, track_id in enumerate((i for i in sums if i in kept), start=1)}


def _paint(rows: list[Observation], numbers: dict[int, int], size: tuple[int, int]) -> np.ndarray:
    """The label map (H, W) uint8 of one frame."""
    labels = np.zeros(size, dtype=np.uint8)
    void = [row for row in rows if row.crowd]
    objects = disjoint([row for row in rows if not row.crowd and row.id in numbers])
    for row in (*void, *objects):
        if row.mask is None:
            raise ValueError(f"Expected masks for label maps, got only a box of object {row.id}")
        labels[coco_mask.decode(to_coco([row.mask])[0]) > 0] = VOID if row.crowd else numbers[row.id]
    return labels


def _palette() -> list[int]:
    """256 colours (R, G, B, …) as in PASCAL VOC and DAVIS: bits 0, 1, 2 of an id are the top bits of its red, green and
    blue, bits 3, 4, 5 the second ones, and so on: neighbours in number are far apart in colour."""
    ids = np.arange(256)
    colours = np.zeros((256, 3), dtype=np.int64)
    for bit in range(8):
        colours[:, bit % 3] |= (ids >> bit & 1) << (7 - bit // 3)
    return colours.ravel().tolist()


_PALETTE = _palette()
