import importlib
import inspect
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl

from tltm_graph.detectors.detector import Detector
from tltm_graph.detectors.oracle import OracleDetector
from tltm_graph.detectors.precomputed import PrecomputedDetector
from tltm_graph.detectors.torchvision_models import TorchvisionDetector
from tltm_graph.detectors.transformers_models import TransformersDetector
from tltm_graph.formats import open_videos
from tltm_graph.structures import Detections, Tracks


def build_detector(
    description: str,
    device: str = "cpu",
    truth: Callable[[int], Detections] | None = None,
    class_names: tuple[str, ...] | None = None,
    seed: int = 0,
) -> Detector:
    """Builds a detector from one line of text, ``NAME[:ARGUMENT][?OPTION=VALUE&…]``.

    ==========================  ======================================================================================
    ``torchvision:MODEL``       :meth:`TorchvisionDetector.from_name`
    ``transformers:MODEL``      :meth:`TransformersDetector.from_name`, a name on the Hugging Face hub or a folder
    ``precomputed:FILE``        :meth:`PrecomputedDetector.from_file`
    ``oracle[:TRACKS]``         :class:`OracleDetector` over the tracks of one video in any format of
                                :mod:`tltm_graph.formats`, or over ``truth``
    ``package.module.Class``    a class (or function) of your own; the argument, if any, goes to it first. Models of
                                detectron2 are built by such a function, which wraps them in
                                :class:`Detectron2Detector`
    ==========================  ======================================================================================

    Options are the keyword arguments of these: ``torchvision:maskrcnn_resnet50_fpn_v2?score_threshold=0.5``.

    Args:
        description: The line.
        device: Where a model runs, for those that take a ``device``.
        truth: For the oracle: the true objects of a frame, by its index.
        class_names: For the oracle: the names of the classes.
        seed: For the oracle.

    Raises:
        ValueError: If the name, the argument or an option is not understood.
    """
    described, _, query = description.partition("?")
    name, _, argument = described.partition(":")
    try:
        options = dict(parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query)))
    except ValueError:
        raise ValueError(f"Expected options as ?name=value&name=value in '{description}', got '?{query}'") from None
    if name == "torchvision":
        _require(argument, "torchvision:maskrcnn_resnet50_fpn_v2", description)
        return _call(TorchvisionDetector.from_name, [argument], options, description, device=device)
    if name == "transformers":
        _require(argument, "transformers:facebook/mask2former-swin-tiny-coco-instance", description)
        return _call(TransformersDetector.from_name, [argument], options, description, device=device)
    if name == "precomputed":
        _require(argument, "precomputed:detections.json.gz", description)
        return _call(PrecomputedDetector.from_file, [argument], options, description)
    if name == "oracle":
        if argument:
            tracks, names = _only_tracks(argument)
            truth, class_names = tracks.at, names or class_names
        if truth is None:
            raise ValueError(
                "Expected truth for the detector 'oracle', got none: name a file of tracks (oracle:tracks.json), or "
                "leave the source out to render a scene that has truth"
            )
        return _call(OracleDetector, [truth, class_names], options, description, seed=seed)
    if "." not in name:
        raise ValueError(
            f"Expected the detector 'torchvision:MODEL', 'transformers:MODEL', 'precomputed:FILE', 'oracle' or the "
            f"dotted path of a class, got '{description}'"
        )
    factory = _import(name)
    takes_device = "device" in inspect.signature(factory).parameters
    detector = _call(
        factory, [argument] if argument else [], options, description, **({"device": device} if takes_device else {})
    )
    if isinstance(getattr(detector, "class_names", None), str):
        raise ValueError(f"Expected 'class_names' of '{name}' as a tuple of names, got one string")
    if not isinstance(detector, Detector):
        missing = [part for part in ("detect", "class_names") if not hasattr(detector, part)]
        raise ValueError(f"Expected '{name}' to make a detector, got a {type(detector).__name__} without {missing}")
    return detector


def _only_tracks(path: str) -> tuple[Tracks, tuple[str, ...] | None]:
    """The tracks of the one video in a file or folder of any format, without regions that are no objects."""
    videos = open_videos(path)
    if len(videos) > 1:
        raise ValueError(f"Expected the truth of one video for the detector 'oracle', got {len(videos)} in '{path}'")
    tracks = videos[0].tracks() if videos else Tracks({}, None, 0)
    objects = {track_id: track for track_id, track in tracks.items() if not track.crowd}
    return replace(tracks, tracks=objects), videos.class_names


def _require(argument: str, example: str, description: str) -> None:
    if not argument:
        raise ValueError(f"Expected an argument, as in '{example}', got '{description}'")


def _import(path: str) -> Callable[..., Any]:
    module_name, _, attribute = path.rpartition(".")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise ValueError(
            f"Expected the dotted path of a class, got '{path}': {error}; is it on the Python path?"
        ) from error
    if not hasattr(module, attribute):
        raise ValueError(f"Expected '{attribute}' in the module '{module_name}', found none")
    return getattr(module, attribute)


def _call(
    factory: Callable[..., Any], arguments: list[Any], options: dict[str, str], description: str, **defaults: Any
) -> Any:
    parameters = inspect.signature(factory).parameters
    free = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values())
    taken = list(parameters)[: len(arguments)]
    choices = [
        name
        for name, p in parameters.items()
        if name not in taken and p.kind not in (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    ]
    unknown = [name for name in options if name not in choices]
    if unknown and not free:
        raise ValueError(f"Expected options among {choices} in '{description}', got {unknown}")
    values = {name: _value(name, text, parameters.get(name)) for name, text in options.items()}
    try:
        inspect.signature(factory).bind(*arguments, **{**defaults, **values})
    except TypeError as error:
        raise ValueError(f"Expected the arguments of '{factory.__name__}' in '{description}': {error}") from error
    return factory(*arguments, **{**defaults, **values})


def _value(name: str, text: str, parameter: inspect.Parameter | None) -> Any:
    """The text of an option as the type of the parameter's default or annotation; free options by their looks."""
    default = parameter.default if parameter is not None else None
    annotation = str(parameter.annotation) if parameter is not None else ""
    if isinstance(default, str) or "str" in annotation:
        return text
    wants_number = isinstance(default, int | float) or "int" in annotation or "float" in annotation
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    for kind in (float,) if isinstance(default, float) else (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    if wants_number:
        wanted = "true or false" if isinstance(default, bool) else "a number"
        raise ValueError(f"Expected {wanted} for the option '{name}', got '{text}'")
    return text
