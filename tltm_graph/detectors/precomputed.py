from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import torch

from tltm_graph.detectors.detector import Detector
from tltm_graph.formats.annotations import MAX_COORDINATE
from tltm_graph.formats.video import check_names
from tltm_graph.io.text import parse_json, read_text, shown
from tltm_graph.limits import check_length, check_pixels, current_limits
from tltm_graph.ops import decode_rle
from tltm_graph.ops.rle import Rle, check_rles, is_size, rle_to_boxes
from tltm_graph.printable import one_line
from tltm_graph.structures import Detections, Frame


class PrecomputedDetector(Detector):
    """Detector that returns the detections in a file. Masks stay encoded until their frame is detected.

    Args:
        rows: Objects of each frame by its index: dictionaries with ``bbox`` [x, y, width, height] in pixels, ``score``,
            ``label`` (from 0) and, for masks, ``rle`` (COCO's compressed run lengths).
        class_names: Names of the classes, None if unknown.
        size: Height and width in pixels of the frames that the file is for, None if unknown.
        num_frames: Number of frames that the file is for, None if unknown.
        name: Name of the file, for error messages.
        score_threshold: Minimum score of a detection.
        rescale: True to scale boxes to frames of another size with the same aspect ratio, instead of refusing them.
            Masks are resampled with nearest neighbours.
    """

    def __init__(
        self,
        rows: dict[int, list[dict[str, Any]]],
        class_names: tuple[str, ...] | None = None,
        size: tuple[int, int] | None = None,
        num_frames: int | None = None,
        name: str = "detections",
        score_threshold: float = 0.0,
        rescale: bool = False,
    ) -> None:
        self.rows = rows
        self.class_names = class_names
        self.size = size
        self.num_frames = num_frames
        self.name = name
        self.score_threshold = score_threshold
        self.rescale = rescale

    @classmethod
    def from_file(
        cls,
        path: str | Path,
        model: str | None = None,
        first_frame: int | None = None,
        score_threshold: float = 0.0,
        rescale: bool = False,
    ) -> Self:
        """Read a file of detections. Its content decides the format; a name in ``.gz`` is decompressed.

        - *frames*: JSON, a list with one entry per frame: ``{"height", "width", MODEL: [{"category", "score", "bbox"
          [x, y, w, h], "rle"}]}``. If the file has several models and ``model`` is None, the first whose objects
          have masks is read, else the first. Classes are numbered in alphabetical order of their names.
        - *COCO results*: JSON, a list of ``{"image_id", "category_id", "bbox", "score", "segmentation"}`` with RLE
          segmentations or none. ``image_id`` is the frame, counted from ``first_frame`` (default 0); classes count
          from 1.
        - *MOT*: text, one line ``frame, id, x, y, w, h, confidence, …`` per object. Frames are counted from
          ``first_frame`` (default 1).

        Args:
            path: File to read.
            model: Name of the model in a file of *frames*.
            first_frame: Number of the first frame in the file, None for the default of the format.
            score_threshold: Minimum score of a detection.
            rescale: True to scale boxes and masks to frames of another size with the same aspect ratio.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If the file has another format, or is damaged.
        """
        path = Path(path)
        text = read_text(path, "detections")
        options: dict[str, Any] = {"name": path.name, "score_threshold": score_threshold, "rescale": rescale}
        if not text.strip():
            raise ValueError(f"Expected detections in '{path}', got an empty file: write '[]' (JSON) for no objects")
        if not text.lstrip().startswith(("[", "{")):
            return cls(**_read_mot(text, path, 1 if first_frame is None else first_frame), **options)
        content = parse_json(text, path, "detections")
        if not isinstance(content, list) or not all(isinstance(entry, dict) for entry in content):
            raise ValueError(
                f"Expected a list of frames or of COCO results in '{path}', got a {type(content).__name__}; "
                "annotations of a COCO data set are ground truth, not detections"
            )
        if content and "height" in content[0] and "image_id" not in content[0]:
            try:
                return cls(**_read_frames(content, path, model), **options)
            except (KeyError, TypeError, AttributeError, RecursionError) as error:
                raise ValueError(
                    f"Expected frames with 'height', 'width' and objects with 'category', 'score' and 'bbox' in "
                    f"'{path}', got one with {type(error).__name__}: {one_line(str(error))[:80]}"
                ) from error
        return cls(**_read_coco_results(content, path, first_frame or 0), **options)

    def detect(self, frame: Frame, context: Any = None) -> tuple[Detections, None]:
        """Return the stored objects of a frame, highest score first.

        Raises:
            ValueError: If the file is for another video: frames of another size, fewer frames, or boxes outside the
                image; or if its values are not valid.
        """
        if self.num_frames is not None and frame.index >= self.num_frames:
            raise ValueError(
                f"Expected detections for frame {frame.index}, but '{self.name}' ends after {self.num_frames} frames: "
                "it belongs to another video"
            )
        scale = self._scale(frame.size)
        # A score of NaN is kept here: Detections reports it.
        rows = [row for row in self.rows.get(frame.index, []) if not row["score"] < self.score_threshold]
        rows.sort(key=lambda row: -row["score"])
        boxes = torch.tensor([row["bbox"] for row in rows], dtype=torch.float32).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        rles: list[Rle] = [row["rle"] for row in rows if row.get("rle") is not None]
        masks = None
        if rles:
            if len(rles) < len(rows):
                raise ValueError(
                    f"Expected masks of all {len(rows)} objects in frame {frame.index} of '{self.name}' or of none, "
                    f"got {len(rles)}"
                )
            try:
                masks = decode_rle(rles, self.size or frame.size)
            except ValueError as error:
                raise ValueError(f"Expected readable masks in frame {frame.index} of '{self.name}': {error}") from error
            if scale != (1.0, 1.0):
                pixels = masks[None].view(torch.uint8)
                masks = torch.nn.functional.interpolate(pixels, frame.size, mode="nearest")[0].view(torch.bool)
        try:
            detections = Detections(
                boxes=boxes * torch.tensor([*scale, *scale]),
                scores=torch.tensor([row["score"] for row in rows], dtype=torch.float32),
                labels=torch.tensor([row["label"] for row in rows], dtype=torch.int64),
                masks=masks,
            )
        except ValueError as error:
            raise ValueError(f"Frame {frame.index} of '{self.name}': {error}") from error
        outside = detections.outside(frame.size)
        if outside.any():
            box = [round(value, 1) for value in detections.boxes[outside][0].tolist()]
            raise ValueError(
                f"Expected boxes in an image of {frame.size[0]}×{frame.size[1]} (H×W), got {box} (x0, y0, x1, y1) in "
                f"frame {frame.index} of '{self.name}': the file belongs to another video, or has other units"
            )
        return detections, None

    def _scale(self, size: tuple[int, int]) -> tuple[float, float]:
        """Ratios of the width and height of a frame to those of the file's frames."""
        if self.size is None or self.size == size:
            return 1.0, 1.0
        y, x = size[0] / self.size[0], size[1] / self.size[1]
        frame_size, file_size = f"{size[0]}×{size[1]}", f"{self.size[0]}×{self.size[1]}"
        if not self.rescale:
            raise ValueError(
                f"Expected detections for frames of {frame_size} pixels (H×W), '{self.name}' has them for "
                f"{file_size}: take the file of this video, or set rescale=true if it is the same video at another size"
            )
        if abs(x / y - 1) > 0.02:
            raise ValueError(
                f"Expected detections for frames shaped like {frame_size} (H×W), '{self.name}' has {file_size}: take "
                "the file of this video"
            )
        return x, y

    def __repr__(self) -> str:
        return f"{type(self).__name__}('{self.name}', {len(self.rows)} frames with objects)"


def _read_frames(content: list[dict[str, Any]], path: Path, model: str | None) -> dict[str, Any]:
    models = [key for key, value in content[0].items() if isinstance(value, list)]
    if model is None:
        with_masks = [m for m in models if any("rle" in row for entry in content for row in entry.get(m, []))]
        model = next(iter(with_masks or models), None)
    if model not in models:
        raise ValueError(f"Expected detections of one of the models {shown(models)} in '{path}', got {shown(model)}")
    height, width = content[0]["height"], content[0]["width"]
    if not is_size((height, width)):
        raise ValueError(
            f"Expected 'height' and 'width' as whole numbers of at least 1 in '{path}', got {shown((height, width))}"
        )
    check_pixels(height, width, f"frame 0 of '{path}'")
    size = height, width
    other = next(((e["height"], e["width"]) for e in content if (e["height"], e["width"]) != size), None)
    if other is not None:
        raise ValueError(f"Expected frames of one size in '{path}', got {size} and {shown(other)}")
    names = sorted({row["category"] for entry in content for row in entry[model]})
    if not all(isinstance(name, str) for name in names):
        raise ValueError(f"Expected 'category' as a text in '{path}', got {shown(names)}")
    check_names(names, f"classes in '{path}'")
    label = {name: index for index, name in enumerate(names)}
    rows = {
        index: [
            _row(row["bbox"], row["score"], label[row["category"]], row.get("rle"), size, f"frame {index} of '{path}'")
            for row in entry[model]
        ]
        for index, entry in enumerate(content)
    }
    return {"rows": rows, "class_names": tuple(names), "size": size, "num_frames": len(content)}


def _read_coco_results(content: list[dict[str, Any]], path: Path, first_frame: int) -> dict[str, Any]:
    rows: dict[int, list[dict[str, Any]]] = {}
    size: tuple[int, int] | None = None
    first_size: Any = ()
    bound = current_limits().max_length
    without_box: list[tuple[str, dict[str, Any]]] = []
    for number, row in enumerate(content):
        where = f"entry {number} of '{path}'"
        try:
            frame, label, score = int(row["image_id"]) - first_frame, int(row["category_id"]) - 1, float(row["score"])
            rle: Any = row.get("segmentation")
            counts = None if rle is None else rle["counts"]
            mask_size = None if rle is None else rle["size"]
        except (KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
            raise ValueError(
                f"Expected COCO results in '{path}' (image_id, category_id from 1, score, bbox, segmentation), "
                f"got entry {number} with {one_line(str(error))[:80]}"
            ) from error
        if frame < 0 or not 0 <= label < 2**31:
            raise ValueError(
                f"Expected images counted from {first_frame} and classes from 1 in '{path}', got image "
                f"{shown(row['image_id'])} and class {shown(row['category_id'])} in entry {number}"
            )
        if frame >= bound:
            check_length(frame + 1, where)
        if rle is not None and mask_size != first_size:
            if not is_size(mask_size):
                raise ValueError(f"Expected 'size' [height, width] of a mask in {where}, got {shown(mask_size)}")
            if size is None:
                check_pixels(mask_size[0], mask_size[1], where)
                size, first_size = (mask_size[0], mask_size[1]), mask_size
            elif size != tuple(mask_size):
                raise ValueError(
                    f"Expected masks of {size[0]}×{size[1]} pixels (H×W) like the first, got {mask_size} in {where}"
                )
        bbox = row.get("bbox") or (None if rle is None else [0, 0, 0, 0])
        rows.setdefault(frame, []).append(_row(bbox, score, label, counts, size, where))
        if not row.get("bbox"):
            without_box.append((where, rows[frame][-1]))
    masks = [row["rle"] for _, row in without_box]
    if size is not None:
        check_rles(masks, size, lambda index: without_box[index][0])
    for (_, row), box in zip(without_box, rle_to_boxes(masks), strict=True):
        row["bbox"] = box
    return {"rows": rows, "size": size}


def _read_mot(text: str, path: Path, first_frame: int) -> dict[str, Any]:
    rows: dict[int, list[dict[str, Any]]] = {}
    for line, values in _numbers(text, path):
        if len(values) < 7:
            raise ValueError(
                f"Expected frame, id, x, y, w, h, confidence in line {line} of '{path}', got {shown(values)}"
            )
        if not first_frame <= values[0] < 2**53:
            raise ValueError(f"Expected frames counted from {first_frame} in '{path}', got {values[0]} in line {line}")
        check_length(int(values[0]) - first_frame + 1, f"line {line} of '{path}'")
        row = _row(values[2:6], values[6], 0, None, None, f"line {line} of '{path}'")
        rows.setdefault(int(values[0]) - first_frame, []).append(row)
    return {"rows": rows, "class_names": ("object",)}


def _numbers(text: str, path: Path) -> Iterator[tuple[int, list[float]]]:
    for line, content in enumerate(text.splitlines(), start=1):
        if content.strip():
            try:
                yield line, [float(value) for value in content.replace(",", " ").split()]
            except ValueError:
                raise ValueError(
                    f"Expected detections as JSON, or as numbers separated by commas (MOT), in '{path}', "
                    f"got {shown(content)} in line {line}"
                ) from None


def _row(bbox: Any, score: Any, label: int, counts: Any, size: tuple[int, int] | None, where: str) -> dict[str, Any]:
    """Check the types of one object's fields. :class:`Detections` checks the values."""
    if not (isinstance(bbox, list) and len(bbox) == 4 and all(_is_number(value) for value in bbox)):
        raise ValueError(f"Expected 'bbox' as four numbers [x, y, width, height] in {where}, got {shown(bbox)}")
    if bbox[2] < 0 or bbox[3] < 0:
        raise ValueError(f"Expected 'bbox' with a width and height of at least 0 in {where}, got {bbox}")
    if not _is_number(score):
        raise ValueError(f"Expected 'score' as a number in {where}, got {shown(score)}")
    if counts is not None and not (isinstance(counts, str) and counts.isascii()):
        raise ValueError(f"Expected masks as compressed RLE (a string of counts) in {where}, got {shown(counts)}")
    rle: Rle | None = None
    if counts is not None and size is not None:
        rle = {"size": list(size), "counts": counts}
    return {"bbox": bbox, "score": score, "label": label, "rle": rle}


def _is_number(value: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and not abs(value) >= MAX_COORDINATE  # NaN is kept, see detect()
