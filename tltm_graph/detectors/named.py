import importlib
import inspect
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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

_LARGEST = 2**63  # numbers of torch have at most 64 bits


def build_detector(
    description: str,
    device: str = "cpu",
    truth: Callable[[int], Detections] | None = None,
    class_names: tuple[str, ...] | None = None,
    seed: int = 0,
) -> Detector:
    """Build a detector from one line of text, ``NAME[:ARGUMENT][?OPTION=VALUE&…]``.

    ==========================  ======================================================================================
    ``torchvision:MODEL``       :meth:`TorchvisionDetector.from_name`
    ``transformers:MODEL``      :meth:`TransformersDetector.from_name`, a name on the Hugging Face hub or a folder
    ``precomputed:FILE``        :meth:`PrecomputedDetector.from_file`
    ``oracle[:TRACKS]``         :class:`OracleDetector` over the tracks of one video in any format of
                                :mod:`tltm_graph.formats`, or over ``truth``
    ``package.module.Class``    your own class or function; ARGUMENT, if given, is its first argument. To use a model
                                of detectron2, write a function that wraps it in :class:`Detectron2Detector`
    ==========================  ======================================================================================

    Options are keyword arguments of these functions: ``torchvision:maskrcnn_resnet50_fpn_v2?score_threshold=0.5``.

    Args:
        description: Line of text.
        device: Device of the model, passed on if the function has a parameter ``device``.
        truth: Function that returns the true objects of a frame, given its index. Only the oracle reads it.
        class_names: Names of the classes. Only the oracle reads them.
        seed: Seed of the errors of the oracle.

    Raises:
        ValueError: If the name, the argument or an option is not valid.
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
                "track --source shapes, a rendered scene that has truth"
            )
        return _call(OracleDetector, [truth, class_names], options, description, seed=seed)
    if "." not in name:
        raise ValueError(
            f"Expected the detector 'tltm:WEIGHTS', 'torchvision:MODEL', 'transformers:MODEL', 'precomputed:FILE', "
            f"'oracle' or the dotted path of a class, got '{description}'"
        )
    factory = _import(name)
    takes_device = "device" in inspect.signature(factory).parameters
    detector = _call(
        factory, [argument] if argument else [], options, description, **({"device": device} if takes_device else {})
    )
    if not isinstance(detector, Detector):
        raise ValueError(
            f"Expected '{name}' to make a detector, got a {type(detector).__name__}: inherit from tltm_graph.Detector"
        )
    if isinstance(detector.class_names, str):
        raise ValueError(f"Expected 'class_names' of '{name}' as a tuple of names, got one string")
    return detector


def _only_tracks(path: str) -> tuple[Tracks, tuple[str, ...] | None]:
    """Read the tracks of the only video in a file or folder of any format, without crowd regions."""
    videos = open_videos(path)
    if len(videos) > 1:
        raise ValueError(
            f"Expected the tracks of one video for the detector 'oracle', got {len(videos)} videos in '{path}': name a "
            "file of one"
        )
    tracks = videos[0].tracks() if videos else Tracks({}, None, 0)
    objects = {track_id: track for track_id, track in tracks.items() if not track.crowd}
    return replace(tracks, tracks=objects), videos.class_names


def _require(argument: str, example: str, description: str) -> None:
    if not argument:
        raise ValueError(f"Expected an argument, as in '{example}', got '{description}'")


def _import(path: str) -> Callable[..., Any]:
    module_name, _, attribute = path.rpartition(".")
    try:
        with _working_folder_on_path():
            module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise ValueError(
            f"Expected the dotted path of a class, got '{path}': {error}; is it on the Python path?"
        ) from error
    if not hasattr(module, attribute):
        raise ValueError(f"Expected '{attribute}' in the module '{module_name}', found none")
    return getattr(module, attribute)


@contextmanager
def _working_folder_on_path() -> Iterator[None]:
    """Context in which modules are also looked up in the working folder.

    Not longer: other packages import optional modules when they are first used, and a file of such a name may be there.
    """
    folder = os.getcwd()
    sys.path.append(folder)
    try:
        yield
    finally:
        sys.path.remove(folder)


def _call(
    factory: Callable[..., Any], arguments: list[Any], options: dict[str, str], description: str, **defaults: Any
) -> Any:
    """Call a function with positional arguments, options given as text, and defaults that options override."""
    parameters = inspect.signature(factory).parameters
    variadic = inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL
    named = [name for name, p in list(parameters.items())[len(arguments) :] if p.kind not in variadic]
    accepts_any = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values())
    unknown = [name for name in options if name not in named]
    if unknown and not accepts_any:
        raise ValueError(f"Expected options among {named} in '{description}', got {unknown}")
    values = {name: _value(name, text, parameters.get(name)) for name, text in options.items()}
    try:
        inspect.signature(factory).bind(*arguments, **{**defaults, **values})
    except TypeError as error:
        raise ValueError(f"Expected the arguments of '{factory.__name__}' in '{description}': {error}") from error
    return factory(*arguments, **{**defaults, **values})


def _value(name: str, text: str, parameter: inspect.Parameter | None) -> Any:
    """Convert the text of an option to the type of the parameter's default or annotation.

    An option of a ``**kwargs`` has neither: it becomes a bool or a number if its text is one.
    """
    default = parameter.default if parameter is not None else None
    annotation = str(parameter.annotation) if parameter is not None else ""
    if isinstance(default, str) or "str" in annotation:
        return text
    is_number = isinstance(default, int | float) or "int" in annotation or "float" in annotation
    is_whole = type(default) is int or ("int" in annotation and "float" not in annotation)
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    for kind in (int,) if is_whole else (float,) if isinstance(default, float) else (int, float):
        try:
            value = kind(text)
        except ValueError:
            continue
        if not abs(value) < _LARGEST:  # NaN is not
            raise ValueError(
                f"Expected a finite number for the option '{name}', got '{text[:40]}': leave it out for the default"
            )
        return value
    if is_number:
        expected = "true or false" if isinstance(default, bool) else "a whole number" if is_whole else "a number"
        raise ValueError(f"Expected {expected} for the option '{name}', got '{text}'")
    return text
