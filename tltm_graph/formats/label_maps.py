"""Label maps: images in which the value of a pixel is the id of its object."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import numpy as np

from tltm_graph.formats.video import Video, VideoSet
from tltm_graph.io.images import open_image
from tltm_graph.io.video import natural_order
from tltm_graph.ops.rle import Rle, runs_to_rle
from tltm_graph.structures import Observation, Tracks

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")
_ROTATED = (5, 6, 7, 8)  # EXIF orientations that swap height and width


def read_label_map(path: str | Path) -> np.ndarray:
    """Read the ids of the pixels of an image, (H, W), uint8 or uint16.

    The id is the palette index, the gray value, or 0 and 1 for images of one bit.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the image is damaged, has colours instead of ids, or is a JPEG, which changes ids.
    """
    with open_image(path, "a label map") as image:
        image.verify()  # checksums, which load() ignores: one wrong bit would change ids
    with open_image(path, "a label map") as image:
        kind, mode = image.format, image.mode
        tile = getattr(image, "tile", None)
        raw_mode = str(tile[0][3]) if tile else mode
        image.load()
        pixels = np.asarray(image)
    if kind == "JPEG":
        raise ValueError(f"Expected a label map in '{path}', got a JPEG, which changes ids: save it as PNG")
    if mode == "1":
        return pixels.astype(np.uint8)
    if raw_mode in ("L;2", "L;4"):  # Pillow scales these: id 1 of 15 and an optimised id 17 look the same
        raise ValueError(f"Expected 8 or 16 bits a pixel in '{path}', got gray of {raw_mode[2]} bits: save it with 8")
    if mode not in ("P", "L") and pixels.dtype not in (np.uint16, np.int32):
        raise ValueError(
            f"Expected a label map (palette or gray) in '{path}', got an image of mode {mode}: "
            "save the id of each object, not its colour"
        )
    if pixels.dtype == np.int32:
        if pixels.size and not 0 <= pixels.min() <= pixels.max() < 2**16:
            raise ValueError(f"Expected ids from 0 to 65535 in '{path}', got {pixels.min()} to {pixels.max()}")
        return pixels.astype(np.uint16)
    return pixels


def read_image_size(path: str | Path) -> tuple[int, int]:
    """Read height and width of the upright image from the header, without its pixels.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not an image.
    """
    with open_image(path) as image:
        width, height = image.size
        exif = {} if image.format == "PNG" else image.getexif()  # in a PNG it may follow the pixels
        rotated = exif.get(0x0112) in _ROTATED
    return (width, height) if rotated else (height, width)


def label_map_observations(labels: np.ndarray, void: int | None = None) -> list[Observation]:
    """Convert a label map to objects with masks and tight boxes, in the order of their ids.

    The map is cut into runs of one id down its columns, which are the runs of COCO's encoding. Sorted by id, the runs
    of an object are adjacent, so one pass over the pixels serves all objects.

    Args:
        labels: Ids of the pixels, integers (H, W); 0 is background.
        void: Id of pixels that are not scored, which becomes one ``crowd`` observation; None if there is no such id.
    """
    height, width = labels.shape
    flat = labels.ravel(order="F")
    if flat.size == 0:
        return []
    starts = np.concatenate([[0], np.flatnonzero(flat[1:] != flat[:-1]) + 1])
    ends = np.append(starts[1:], flat.size)
    owners = flat[starts]
    order = np.argsort(owners, kind="stable")
    order = order[owners[order] > 0]
    starts, ends = starts[order], ends[order]
    ids, first = np.unique(owners[order], return_index=True)
    if len(ids) == 0:
        return []
    left, right = starts // height, (ends - 1) // height
    wraps = left != right  # the run continues at the top of the next column
    top, bottom = np.where(wraps, 0, starts % height), np.where(wraps, height - 1, (ends - 1) % height)
    x0, y0 = np.minimum.reduceat(left, first), np.minimum.reduceat(top, first)
    x1, y1 = np.maximum.reduceat(right, first) + 1, np.maximum.reduceat(bottom, first) + 1
    boxes = np.stack([x0, y0, x1, y1], axis=1).astype(float).tolist()  # (N, 4)
    edges = np.stack([starts, ends], axis=1)  # (R, 2)
    masks = [_encode(part.ravel(), (height, width)) for part in np.split(edges, first[1:])]
    return [
        Observation(id=track_id, box=tuple(box), mask=mask, crowd=track_id == void)
        for track_id, box, mask in zip(ids.tolist(), boxes, masks, strict=True)
    ]


def _encode(edges: np.ndarray, size: tuple[int, int]) -> Rle:
    """Encode the mask that begins and ends at alternate ``edges``."""
    height, width = size
    if edges[-1] < height * width:
        edges = np.append(edges, height * width)
    counts = np.diff(edges, prepend=0)
    return runs_to_rle(counts, size, "a label map")


@dataclass(frozen=True, eq=False)
class LabelMaps:
    """Label maps of one video, read on request.

    Args:
        name: Name of the video.
        paths: Files of the maps, in the order of the frames.
        void: Id of pixels that are not scored; None if there is no such id.
        read: Function that reads one map.
    """

    name: str
    paths: tuple[Path, ...]
    void: int | None = None
    read: Callable[[Path], np.ndarray] = read_label_map

    @cached_property
    def size(self) -> tuple[int, int] | None:
        """Height and width from the header of the first map; None without frames."""
        return read_image_size(self.paths[0]) if self.paths else None

    def __call__(self, frame: int) -> np.ndarray:
        """Read the map of one frame, (H, W).

        Raises:
            ValueError: If there is no such frame, or its map is damaged or differs in size from the first map.
        """
        if not 0 <= frame < len(self.paths):
            raise ValueError(f"Expected a frame from 0 to {len(self.paths) - 1} of video '{self.name}', got {frame}")
        labels = self.read(self.paths[frame])
        if labels.shape != self.size:
            raise ValueError(
                f"Expected label maps of {self.size} pixels (H, W) like the first of video '{self.name}', got "
                f"{labels.shape} in '{self.paths[frame]}'"
            )
        return labels

    def tracks(self) -> Tracks:
        """Read all objects of the video."""
        observations = (
            (frame, observation)
            for frame in range(len(self.paths))
            for observation in label_map_observations(self(frame), self.void)
        )
        return Tracks.from_observations(observations, self.size, len(self.paths))

    def video(self, number: int, images: Sequence[Path] | None = None) -> Video:
        """Make the video with ``number`` as id and a frame for each map.

        Raises:
            ValueError: If there are no images, and the numbers of the maps have a gap, so a frame may be missing.
        """
        if images is None:
            _check_spacing(self.name, self.paths)
        return Video(
            name=self.name,
            num_frames=len(self.paths),
            size=self.size,
            id=number,
            images=None if images is None else tuple(images),
            frame_names=tuple(path.stem for path in self.paths),
            load=self.tracks,
            label_map=self,
        )


def read_label_map_folders(
    path: str | Path, images: str | Path | None = None, void: int | None = None, every: int = 1
) -> VideoSet:
    """Open plain folders of label maps: ``path/<video>/<frame>.png``, or ``path/<frame>.png`` for a single video.

    Frames are in the order of the numbers in their names (frame2 before frame10). Without images, an empty folder is a
    video without frames.

    Args:
        path: Folder of one video, or folder with a folder for each video.
        images: Folder of the same layout with .jpg or .png images. Frames match by name, and each needs a map. Videos
            without label maps are ignored.
        void: Id of pixels that are not scored (255 in many data sets); by default every id is an object.
        every: With images: only each n-th has a map, starting with the first (5 for all frames of YouTube-VOS). The
            other images are left out, as their objects are unknown.

    Raises:
        FileNotFoundError: If a folder is missing.
        ValueError: If there are no label maps, or frames without a map, or maps without a frame.
    """
    if every < 1:
        raise ValueError(f"Expected every=1 or more, got {every}")
    root = Path(path)
    folders = video_folders(root)
    videos = []
    for number, folder in enumerate(folders, start=1):
        maps = LabelMaps(folder.name, tuple(frame_files(folder, (".png",))), void)
        frames: list[Path] | None = None
        if images is not None:
            image_folder = Path(images) if folder == root else Path(images) / folder.name
            frames = frame_files(image_folder, IMAGE_SUFFIXES)[::every]
            match_frames(maps.name, [path.stem for path in maps.paths], frames)
        videos.append(maps.video(number, frames))
    return VideoSet(videos, name=str(path))


def _check_spacing(video: str, paths: Sequence[Path]) -> None:
    """Raise ValueError if a map seems to be missing, which would shift all later maps to another frame."""
    numbers = [int(path.stem) for path in paths if path.stem.isdecimal()]  # unlike a digit, "²" is no number
    if len(numbers) < max(len(paths), 3):
        return
    step = min(after - before for before, after in pairwise(numbers))
    for before, after in pairwise(paths):
        if int(after.stem) - int(before.stem) != step:
            raise ValueError(
                f"Expected label maps of all frames of video '{video}', got none between '{before.name}' and "
                f"'{after.name}' in '{before.parent}': add them (black for no objects), or name the folder of the "
                "images, which shows all frames"
            )


def video_folders(root: Path) -> list[Path]:
    """List the folders of the videos in ``root`` by name, or ``root`` itself if it is a video.

    Raises:
        FileNotFoundError: If there is no such folder.
        ValueError: If it holds neither label maps nor folders, or both.
    """
    if not root.is_dir():
        raise FileNotFoundError(f"Expected a folder of label maps at '{root}', found none")
    folders = sorted((f for f in root.iterdir() if f.is_dir() and not f.name.startswith(".")), key=lambda f: f.name)
    single = bool(_files(root, (".png",)))
    if single and folders:
        raise ValueError(
            f"Expected label maps or a folder for each video in '{root}', got both: name one of the folders"
        )
    if not single and not folders:
        raise ValueError(f"Expected label maps (.png), or a folder of them for each video, in '{root}', got none")
    return [root] if single else folders


def frame_files(folder: Path, suffixes: tuple[str, ...]) -> list[Path]:
    """List the frames of a video in the order of the numbers in their names.

    Raises:
        FileNotFoundError: If there is no such folder.
        ValueError: If two files are of one frame, or the folder holds only other files.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"Expected a folder with the frames of a video at '{folder}', found none")
    files = _files(folder, suffixes)
    if not files and any(folder.iterdir()):
        raise ValueError(f"Expected frames ({', '.join(suffixes)}) in '{folder}', got only other files")
    by_stem: dict[str, Path] = {}
    for file in files:
        if by_stem.setdefault(file.stem, file) is not file:
            raise ValueError(f"Expected each frame once, got '{by_stem[file.stem]}' and '{file}'")
    return sorted(files, key=lambda file: (natural_order(file.stem), file.stem))


def match_frames(video: str, map_names: Sequence[str], images: Sequence[Path]) -> None:
    """Raise ValueError, with names, if an image has no label map of its name or a label map has no image."""
    maps, stems = set(map_names), {image.stem for image in images}
    unmatched = {
        "images without a map": [image.name for image in images if image.stem not in maps],
        "maps without an image": [name for name in map_names if name not in stems],
    }
    parts = [
        f"{len(files)} {problem} ({', '.join(files[:5])}{', …' if len(files) > 5 else ''})"
        for problem, files in unmatched.items()
        if files
    ]
    if parts:
        raise ValueError(
            f"Expected one label map for each frame of video '{video}', got {' and '.join(parts)}: complete the "
            "folder, or, if only every n-th frame is annotated, open it as label_maps with every=n (--every n)"
        )


def _files(folder: Path, suffixes: tuple[str, ...]) -> list[Path]:
    """List the files with one of the suffixes, without the hidden files that some systems create."""
    return [f for f in folder.iterdir() if f.suffix.lower() in suffixes and not f.name.startswith(".")]
