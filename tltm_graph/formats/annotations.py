"""Single entries of annotation files, whose ways of writing boxes and masks many formats share."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard

from pycocotools import mask as coco_mask

from tltm_graph.formats.writer import extent
from tltm_graph.ops import Rle, rle_to_box
from tltm_graph.structures.tracks import Box


def to_rle(segmentation: Any, size: tuple[int, int], where: str) -> Rle:
    """A mask as compressed run lengths, from any of COCO's three ways to write one.

    Args:
        segmentation: Compressed run lengths (a string of counts), uncompressed ones (a list of counts), or a list of
            polygons [x0, y0, x1, y1, …] in pixels.
        size: Height and width of the frame.
        where: It comes from, for the error.

    Raises:
        ValueError: If it is none of these, or for a frame of another size. Whether the runs of a compressed encoding
            fit is left to :func:`tltm_graph.ops.check_rles`, which looks at many at once.
    """
    height, width = size
    if isinstance(segmentation, dict):
        counts = segmentation.get("counts")
        if segmentation.get("size") != [height, width]:
            raise ValueError(
                f"Expected a mask of {height}×{width} pixels (H×W), got one of size {segmentation.get('size')} in "
                f"{where}"
            )
        if isinstance(counts, str) and counts.isascii():
            return Rle(size=[height, width], counts=counts)
        if isinstance(counts, list) and all(isinstance(run, int) and run >= 0 for run in counts):
            if sum(counts) != height * width:
                raise ValueError(
                    f"Expected runs that cover the {height}×{width} pixels of the frame, got {sum(counts)} pixels in "
                    f"{where}"
                )
            return _compressed(coco_mask.frPyObjects({"size": [height, width], "counts": counts}, height, width))
    if isinstance(segmentation, list) and segmentation and all(isinstance(part, list) for part in segmentation):
        for part in segmentation:
            numbers = all(isinstance(v, int | float) and not isinstance(v, bool) and abs(v) < 1e6 for v in part)
            if not numbers or len(part) < 6 or len(part) % 2:
                raise ValueError(
                    f"Expected polygons [x0, y0, x1, y1, x2, y2, …] of at least three corners, got {str(part)[:60]} in "
                    f"{where}"
                )
        return _compressed(coco_mask.merge(coco_mask.frPyObjects(segmentation, height, width)))
    raise ValueError(
        f"Expected a mask as run lengths (size and counts) or as polygons, got {str(segmentation)[:60]} in {where}"
    )


def to_box(box: Any, mask: Rle | None, where: str) -> Box:
    """Corners (x0, y0, x1, y1) from [x, y, width, height]; tight around the mask where no box is given.

    Raises:
        ValueError: If the box is not four finite numbers with a width and height of at least 0, or there is nothing.
    """
    if box is None:
        if mask is None:
            raise ValueError(f"Expected a box or a mask, got neither in {where}")
        box = rle_to_box(mask)
    if not (isinstance(box, Sequence) and len(box) == 4 and all(_is_finite(value) for value in box)):
        raise ValueError(f"Expected a box [x, y, width, height] of four finite numbers, got {box} in {where}")
    x, y, width, height = box
    if width < 0 or height < 0:
        raise ValueError(f"Expected a box with a width and height of at least 0, got {list(box)} in {where}")
    return x, y, x + width, y + height


def from_box(box: Box) -> list[float]:
    """[x, y, width, height] of corners, from which :func:`to_box` makes the same corners again, to the last bit."""
    x0, y0, x1, y1 = box
    return [x0, y0, extent(x0, x1), extent(y0, y1)]


def to_score(value: Any, where: str) -> float:
    """A confidence.

    Raises:
        ValueError: If it is no finite number.
    """
    if not _is_finite(value):
        raise ValueError(f"Expected a score as a finite number, got {value!r} in {where}")
    return value


def to_crowd(value: Any, where: str) -> bool:
    """Whether an annotation is of a crowd: 0 or 1, false or true; nothing said is no.

    Raises:
        ValueError: If it is anything else.
    """
    if value not in (0, 1, None) or isinstance(value, float):
        raise ValueError(f"Expected 'iscrowd' as 0 or 1, got {value!r} in {where}")
    return bool(value)


def is_whole(value: Any) -> TypeGuard[int]:
    """Whether it is a whole number, which true and false are not."""
    return isinstance(value, int) and not isinstance(value, bool)


def to_id(value: Any, what: str, where: str) -> int:
    """A number that tells objects apart.

    Raises:
        ValueError: If it is no whole number from 0 to 2⁶³ - 1.
    """
    if not is_whole(value) or not 0 <= value < 2**63:
        raise ValueError(f"Expected a whole number of at least 0 as '{what}', got {value!r} in {where}")
    return value


def to_label(category_id: Any, labels: Mapping[int, int], where: str) -> int:
    """The label of a category.

    Raises:
        ValueError: If the file does not list the category.
    """
    if not isinstance(category_id, int) or isinstance(category_id, bool) or category_id not in labels:
        raise ValueError(f"Expected a category of {_shortened(list(labels))}, got {category_id!r} in {where}")
    return labels[category_id]


def categories_of(content: Any, path: object) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Names and ids of the categories of a COCO-like file, in the order of their ids.

    Raises:
        ValueError: If they are missing or not of these types, or an id or a name occurs twice.
    """
    try:
        pairs = sorted((entry["id"], entry["name"]) for entry in content["categories"])
    except (KeyError, TypeError) as error:
        raise ValueError(
            f"Expected 'categories', a list of objects with 'id' and 'name', in '{path}', got {type(error).__name__}: "
            f"{error}"
        ) from error
    wrong = next((pair for pair in pairs if not isinstance(pair[0], int) or not isinstance(pair[1], str)), None)
    if wrong is not None:
        raise ValueError(f"Expected whole numbers as 'id' and texts as 'name' of categories in '{path}', got {wrong}")
    ids, names = tuple(pair[0] for pair in pairs), tuple(pair[1] for pair in pairs)
    if len(set(ids)) < len(ids) or len(set(names)) < len(names):
        raise ValueError(f"Expected each category once in '{path}', got {pairs}")
    return names, ids


def _compressed(rle: dict[str, Any]) -> Rle:
    return Rle(size=list(map(int, rle["size"])), counts=rle["counts"].decode("ascii"))


def _is_finite(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e7  # NaN is not


def _shortened(values: list[Any]) -> str:
    return str(values) if len(values) <= 12 else f"{values[:10]} and {len(values) - 10} others"
