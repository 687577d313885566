"""Shared parts of the JSON formats: conversions and checks of single values, and the base of their writers.

In all functions ``where`` is the place of the value in its file. An invalid value raises a ValueError that names it.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import compress
from pathlib import Path, PurePath
from typing import Any, ClassVar, TypeGuard

from tltm_graph.formats.video import Video
from tltm_graph.formats.writer import TracksWriter, extent
from tltm_graph.io.json_lists import JsonListWriter
from tltm_graph.io.output import check_target
from tltm_graph.io.text import shown
from tltm_graph.limits import check_pixels
from tltm_graph.ops.rle import Rle, check_rles, is_size, polygons_to_rle, rle_to_boxes, runs_to_rle
from tltm_graph.structures.tracks import Box

MAX_COORDINATE = 1e7
"""Bound of coordinates and scores: larger numbers are mistakes, and overflow in 32-bit floats."""

MAX_LABEL = 2**20
"""Largest number of a class that has no name: programs keep tables of all labels up to the largest."""


def to_rle(segmentation: Any, size: tuple[int, int], where: str) -> Rle:
    """Convert a mask in any of COCO's three encodings to compressed run lengths.

    Compressed runs are not checked here: :func:`check_masks` does it for many masks at once.

    Args:
        segmentation: Compressed run lengths (``counts`` is a string), uncompressed ones (``counts`` is a list), or a
            list of polygons [x0, y0, x1, y1, …] in pixels.
        size: Height and width of the frame in pixels, which must be those of the mask.
        where: Place of the mask in its file.
    """
    height, width = size
    if isinstance(segmentation, dict):
        counts, mask_size = segmentation.get("counts"), segmentation.get("size")
        if mask_size != [height, width]:
            raise ValueError(
                f"Expected a mask of {height}×{width} pixels (H×W), got size {shown(mask_size)} in {where}"
            )
        if isinstance(counts, str) and counts.isascii():
            return Rle(size=[height, width], counts=counts)
        if isinstance(counts, list):
            return runs_to_rle(counts, size, where)
    if isinstance(segmentation, list) and segmentation and all(isinstance(part, list) for part in segmentation):
        return polygons_to_rle(segmentation, size, where)
    raise ValueError(
        f"Expected a mask as run lengths (size and counts) or as polygons, got {shown(segmentation)} in {where}"
    )


def check_masks(masks: Sequence[Rle | None], size: tuple[int, int] | None, where: Callable[[int], str]) -> None:
    """Check the runs of all masks that are not None; ``where`` gives the place of the mask at an index."""
    masked = [index for index, mask in enumerate(masks) if mask is not None]
    if size is not None:
        check_rles([mask for mask in masks if mask is not None], size, lambda index: where(masked[index]))


def fill_boxes(boxes: Sequence[Any], masks: Sequence[Rle | None]) -> list[Any]:
    """Replace None by the tight box [x, y, width, height] of the mask, if there is one. The masks must be checked."""
    missing = [box is None and mask is not None for box, mask in zip(boxes, masks, strict=True)]
    if not any(missing):
        return list(boxes)
    tight = iter(rle_to_boxes([mask for mask in compress(masks, missing) if mask is not None]))
    return [next(tight) if is_missing else box for box, is_missing in zip(boxes, missing, strict=True)]


def to_box(box: Any, where: str) -> Box:
    """Convert [x, y, width, height] to corners (x0, y0, x1, y1)."""
    if box is None:
        raise ValueError(f"Expected a box or a mask, got neither in {where}")
    if not (isinstance(box, Sequence) and len(box) == 4 and all(_is_finite(value) for value in box)):
        raise ValueError(f"Expected a box [x, y, width, height] of four finite numbers, got {shown(box)} in {where}")
    x, y, width, height = box
    if width < 0 or height < 0:
        raise ValueError(f"Expected a box with a width and height of at least 0, got {list(box)} in {where}")
    return x, y, x + width, y + height


def from_box(box: Box) -> list[float]:
    """Convert corners to [x, y, width, height], from which :func:`to_box` restores the corners to the last bit."""
    x0, y0, x1, y1 = box
    return [x0, y0, extent(x0, x1), extent(y0, y1)]


def to_score(value: Any, where: str) -> float:
    """Check that a score is a finite number."""
    if not _is_finite(value):
        raise ValueError(f"Expected a score as a finite number, got {shown(value)} in {where}")
    return value


def to_crowd(value: Any, where: str) -> bool:
    """Convert ``iscrowd`` to a bool: 0, 1, false, true, or None for 0."""
    if value not in (0, 1, None) or isinstance(value, float):
        raise ValueError(f"Expected 'iscrowd' as 0 or 1, got {shown(value)} in {where}")
    return bool(value)


def is_integer(value: Any) -> TypeGuard[int]:
    """Check for an integer that is not a bool."""
    return isinstance(value, int) and not isinstance(value, bool)


def to_id(value: Any, name: str, where: str) -> int:
    """Check that an id, the field ``name`` of a file, is an integer from 0 to 2⁶³ - 1."""
    if not is_integer(value) or not 0 <= value < 2**63:
        raise ValueError(f"Expected a whole number of at least 0 as '{name}', got {shown(value)} in {where}")
    return value


def to_size(height: Any, width: Any, where: str) -> tuple[int, int]:
    """Check that a height and width are whole numbers of at least 1, and not too large."""
    if not is_size((height, width)):
        raise ValueError(
            f"Expected whole numbers of at least 1 as 'height' and 'width', got {shown(height)} and {shown(width)} in "
            f"{where}"
        )
    check_pixels(height, width, where)
    return height, width


def inside(folder: str | Path, name: str | PurePath, where: str) -> Path:
    """Path of a file that a data set names, relative to a folder which it must not leave."""
    if ".." in PurePath(name).parts or PurePath(name).is_absolute():
        raise ValueError(
            f"Expected the name of a file in '{folder}', got {shown(str(name))} in {where}: names start from this "
            "folder and have no '..'"
        )
    return Path(folder) / name


def to_label(category_id: Any, labels: Mapping[int, int], where: str) -> int:
    """Look up the label of a category id in ``labels``, which has all categories of the file."""
    if not is_integer(category_id) or category_id not in labels:
        listed = str(list(labels)) if len(labels) <= 12 else f"{list(labels)[:10]} and {len(labels) - 10} others"
        raise ValueError(f"Expected a category of {listed}, got {shown(category_id)} in {where}")
    return labels[category_id]


def read_categories(content: Any, path: object) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Read the names and ids of the categories of a COCO-like file, each unique, in the order of the ids."""
    try:
        pairs = [(entry["id"], entry["name"]) for entry in content["categories"]]
    except (KeyError, TypeError) as error:
        raise ValueError(f"Expected 'categories' with 'id' and 'name' in '{path}', got {error!r}") from error
    wrong = next((pair for pair in pairs if not is_integer(pair[0]) or not isinstance(pair[1], str)), None)
    if wrong is not None:
        raise ValueError(
            f"Expected whole numbers as 'id' and texts as 'name' of categories in '{path}', got {shown(wrong)}"
        )
    ids, names = tuple(number for number, _ in sorted(pairs)), tuple(name for _, name in sorted(pairs))
    if len(set(ids)) < len(ids) or len(set(names)) < len(names):
        raise ValueError(f"Expected each category once in '{path}', got {shown(pairs)}")
    return names, ids


def _is_finite(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < MAX_COORDINATE  # NaN is not


class JsonEntriesWriter(TracksWriter):
    """Base of the writers of one JSON file with one long list of entries.

    The file is opened for the first video, or on closing if there is none.
    """

    _head: ClassVar[str] = "["
    _list: JsonListWriter | None = None

    @property
    def _list_path(self) -> Path:
        return self.path

    def _opened(self) -> JsonListWriter:
        if self._list is None:
            check_target(self.path)
            self._list = JsonListWriter(self._list_path, self._head)
        return self._list

    def _begin(self, video: Video) -> None:
        self._opened()

    def _end(self) -> None:
        """Write nothing: the entries of the video are complete."""

    def _categories(self) -> list[dict[str, Any]]:
        return [{"id": self.category_id(label), "name": name} for label, name in enumerate(self.class_names or ())]

    def _tail(self) -> str:
        return "]\n"

    def _close(self) -> None:
        self._opened().end(self._tail())
        self._opened().publish()

    def _discard(self) -> None:
        if self._list is not None:
            self._list.discard()
            self._list = None
