import glob
import re
import sys
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, suppress
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import av
import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from tltm_graph.io.images import open_image
from tltm_graph.io.output import mark_input, roll_back, write_atomically
from tltm_graph.limits import check_pixels, current_limits
from tltm_graph.structures import Frame

IMAGE_SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"})

_PLAYLISTS = {"concat", "dash", "hls", "imf", "sdp", "tty", "vobsub", "webm_dash_manifest"}
"""Formats of FFmpeg that open other files or addresses, or show any text as a video."""

Source = str | int | Path | np.ndarray | Tensor | Iterable[np.ndarray] | Sequence[Path]


class FrameReader(Iterator[Frame]):
    """Lazy iterator over the frames of a source, which holds one frame at a time.

    Args:
        pictures: Iterator over RGB pictures (H, W, 3) uint8, their times in seconds, and their names for errors.
        name: Name of the source.
        fps: Frames per second, None if unknown.
        num_frames: Number of frames according to the source, None if unknown. A damaged file may have fewer.

    Raises:
        ValueError: While iterating, if a frame differs in size from the first.
    """

    def __init__(
        self, pictures: Iterator[tuple[np.ndarray, float, str]], name: str, fps: float | None, num_frames: int | None
    ) -> None:
        self.name = name
        self.fps = fps
        self.num_frames = num_frames
        self._frames = self._read(pictures)

    def __next__(self) -> Frame:
        return next(self._frames)

    def _read(self, pictures: Iterator[tuple[np.ndarray, float, str]]) -> Iterator[Frame]:
        size = None
        for index, (picture, time, name) in enumerate(pictures):
            size = size or picture.shape[:2]
            if picture.shape[:2] != size:
                raise ValueError(
                    f"Expected all frames of {size[0]}×{size[1]} pixels (H×W) like the first, got "
                    f"{picture.shape[0]}×{picture.shape[1]} in {name}: resize them to one size"
                )
            pixels = torch.from_numpy(np.require(picture, requirements=["C", "W"]))
            yield Frame(pixels.permute(2, 0, 1), index, time)  # a view: a copy takes longer than resizing the frame

    def __repr__(self) -> str:
        length = "?" if self.num_frames is None else self.num_frames
        return f"{type(self).__name__}('{self.name}', {length} frames)"


def read_frames(source: Source, fps: float = 30.0) -> FrameReader:
    """Open a source of frames: a video, images, a camera, a stream or arrays.

    Args:
        source: One of: a video file in any format of FFmpeg (mp4, mov, avi, gif, …); an image; a folder of images or a
            pattern such as ``"frames/*.jpg"``, sorted by the numbers in their names; the number of a webcam; an
            ``rtsp://`` or ``http://`` address; a list of image files in order; an array or tensor (T, H, W, 3) of
            uint8 RGB; an iterable of such pictures (H, W, 3).
        fps: Frames per second of sources without a clock: images and arrays.

    Returns:
        Lazy iterator over :class:`tltm_graph.structures.Frame`, upright and in RGB. A truncated video yields the frames
        before the damage, then warns and ends.

    Raises:
        FileNotFoundError: If the file, folder or camera does not exist.
        ValueError: If the source has no frames, or is none of the above.
    """
    if isinstance(source, int) or (isinstance(source, str) and source.isdigit() and not Path(source).exists()):
        return _open_camera(int(source))
    if isinstance(source, str | Path):
        return _open_path(str(source), fps)
    if isinstance(source, list | tuple) and source and all(isinstance(file, Path) for file in source):
        return FrameReader(_image_pictures(list(source), fps), str(source[0].parent), fps, len(source))
    if isinstance(source, Tensor):
        source = source.cpu().numpy()
    if isinstance(source, np.ndarray) and (source.ndim != 4 or source.shape[-1] != 3 or source.dtype != np.uint8):
        raise ValueError(f"Expected frames (T, H, W, 3) of uint8 RGB, got {source.shape} of {source.dtype}")
    count = len(source) if isinstance(source, np.ndarray | list | tuple) else None
    return FrameReader(_array_pictures(source, fps), "array", fps, count)  # type: ignore[arg-type]


def _open_path(source: str, fps: float) -> FrameReader:
    if re.match(r"^(rtsp|rtmp|https?|udp|tcp)://", source):
        return _open_video(source, live=True)
    path = Path(source)
    mark_input(path)
    if path.is_dir():
        files = [file for file in path.iterdir() if file.suffix.lower() in IMAGE_SUFFIXES]
        if not files:
            raise ValueError(
                f"Expected images ({', '.join(sorted(IMAGE_SUFFIXES))}) in the folder '{source}', got none"
            )
        return _open_images(files, source, fps)
    if path.is_file():
        if path.suffix.lower() in IMAGE_SUFFIXES:
            return _open_images([path], source, fps)
        return _open_video(source)
    if glob.has_magic(source):
        files = [Path(name) for name in glob.glob(source, recursive=True)]
        if not files:
            raise FileNotFoundError(f"Expected files that match '{source}', found none")
        return _open_images(files, source, fps)
    raise FileNotFoundError(
        f"Expected a video, an image, a folder, a pattern or an address, found nothing at '{source}'"
    )


def natural_order(name: str) -> list[int | str]:
    """Sort key that compares numbers in names by value: frame2 before frame10."""
    return [int(part) if index % 2 else part for index, part in enumerate(re.split(r"(\d+)", name))]


def _open_images(files: list[Path], name: str, fps: float) -> FrameReader:
    files = sorted(files, key=lambda file: natural_order(str(file)))
    return FrameReader(_image_pictures(files, fps), name, fps, len(files))


def _image_pictures(files: list[Path], fps: float) -> Iterator[tuple[np.ndarray, float, str]]:
    for index, file in enumerate(files):
        with open_image(file) as image:
            image.load()
            upright = ImageOps.exif_transpose(image)
            pixels = np.asarray(upright)
            if pixels.dtype == np.uint16:
                # 16 bits, as of microscopes and depth cameras: Pillow's conversion would clip nearly all values to 255.
                upright = Image.fromarray((pixels >> 8).astype(np.uint8))
            picture = np.asarray(upright.convert("RGB"))
        if pixels.dtype not in (np.uint8, np.uint16, np.bool_):
            raise ValueError(f"Expected 8 or 16 bits per pixel in '{file}', got {pixels.dtype}: convert it first")
        yield picture, index / fps, f"'{file}'"


def _array_pictures(source: Iterable[np.ndarray], fps: float) -> Iterator[tuple[np.ndarray, float, str]]:
    for index, picture in enumerate(source):
        picture = np.asarray(picture)
        if picture.ndim != 3 or picture.shape[-1] != 3 or picture.dtype != np.uint8:
            raise ValueError(
                f"Expected (H, W, 3) of uint8 RGB, got {picture.shape} of {picture.dtype} in frame {index}"
            )
        yield picture.copy(), index / fps, f"frame {index}"  # the source may reuse its buffer


def _open_camera(number: int) -> FrameReader:
    if sys.platform == "darwin":
        return _open_video(str(number), live=True, container_format="avfoundation")
    device = f"/dev/video{number}"
    if not Path(device).exists():
        raise FileNotFoundError(f"Expected a camera number {number}, found none at {device}")
    return _open_video(device, live=True, container_format="v4l2")


def _open_video(source: str, live: bool = False, container_format: str | None = None) -> FrameReader:
    # An absolute path is never an address: FFmpeg would read "concat:…" as one.
    address, options = (source, {}) if live else (str(Path(source).absolute()), _local_only())
    bound = {"max_pixels": str(current_limits().max_pixels)}  # FFmpeg then refuses larger frames before it holds them
    try:
        container = av.open(
            address,
            format=container_format,
            options=options | bound,
            metadata_errors="replace",
            timeout=(10.0, 30.0) if live else None,
        )
    except (av.FFmpegError, OSError) as error:
        raise ValueError(f"Expected a readable video at '{source}', got a damaged or unknown file: {error}") from error
    if not container.streams.video:
        container.close()
        raise ValueError(f"Expected a video at '{source}', got a file without a picture track")
    stream = container.streams.video[0]
    if stream.codec_context is None:
        container.close()
        raise ValueError(f"Expected a video at '{source}', got one of an unknown format")
    stream.thread_type = "AUTO"
    if stream.codec_context is None:
        container.close()
        raise ValueError(
            f"Expected a video in a known format at '{source}', got a picture track of another: convert it"
        )
    stream.codec_context.options = bound
    if stream.width and stream.height:
        try:
            check_pixels(stream.height, stream.width, f"the frames of '{source}'")
        except ValueError:
            container.close()
            raise
    rate = stream.average_rate or stream.guessed_rate
    rate = rate if rate and 0 < rate <= _MAX_FPS else None
    # The header may claim any number: one beyond the limit counts as unknown.
    count = stream.frames if 0 < stream.frames <= current_limits().max_length else None
    return FrameReader(
        _video_pictures(container, source, count, live, rate),
        source,
        float(rate) if rate else None,
        None if live else count,
    )


def _local_only() -> dict[str, str]:
    """Options of FFmpeg for a local file, whose content may then open neither addresses nor other files."""
    formats = ",".join(sorted(av.formats_available - _PLAYLISTS))
    return {"protocol_whitelist": "file,crypto,data", "format_whitelist": formats}


def _video_pictures(
    container: Any, source: str, expected: int | None, live: bool, rate: Fraction | None
) -> Iterator[tuple[np.ndarray, float, str]]:
    count, start, damage = 0, None, ""
    with container:
        try:
            for picture in container.decode(video=0):
                if picture.is_corrupt:
                    damage = "a corrupt frame"
                    break
                time = picture.time if picture.time is not None else count / float(rate or 30)
                start = time if start is None else start
                pixels = picture.to_ndarray(format="rgb24")
                yield np.rot90(pixels, picture.rotation // 90), time - start, f"frame {count} of '{source}'"
                count += 1
        except av.FFmpegError as error:
            damage = str(error)
    if count == 0:
        raise ValueError(
            f"Expected frames in '{source}', got none of at most {current_limits().max_pixels} pixels (max_pixels, "
            f"--max-pixels){': ' + damage if damage else ''}"
        )
    if damage or (expected is not None and count < expected and not live):
        of = f" of {expected}" if expected else ""
        reason = f": {damage}" if damage else ""
        warnings.warn(f"'{source}' breaks off after {count}{of} frames{reason}; the rest is lost", stacklevel=2)


Encoder = Literal["h264", "vp9", "mpeg4"]
"""Format of written videos: H.264 by x264 (under the GPL), VP9 by libvpx, MPEG-4 part 2 by FFmpeg."""

_ENCODERS: dict[str, tuple[str, dict[str, str]]] = {
    "h264": ("libx264", {"crf": "20", "preset": "veryfast"}),
    "vp9": ("libvpx-vp9", {"crf": "30", "b:v": "0", "deadline": "realtime", "cpu-used": "8", "row-mt": "1"}),
    "mpeg4": ("mpeg4", {"flags": "+qscale", "global_quality": str(4 * 118)}),  # quantiser 4, in units of 1/118
}
_MAX_FPS = 1000


class VideoWriter:
    """Writer of a video that browsers and players can open, one frame at a time.

    The file appears when the writer is closed. If the ``with`` block raises, nothing is left behind.

    Args:
        path: Path of the file, ending in ``.mp4``.
        fps: Frames per second, above 0 and at most 1000.
        encoder: Format of the video. Browsers play H.264 and VP9.

    Raises:
        ValueError: If ``fps`` or ``encoder`` is not valid; while writing, if pictures differ in size or are too large
            for the encoder.
    """

    def __init__(self, path: str | Path, fps: float = 30.0, encoder: Encoder = "h264") -> None:
        self.path = Path(path)
        if not 0 < fps <= _MAX_FPS:
            raise ValueError(f"Expected above 0 and at most {_MAX_FPS} frames per second, got {fps}")
        if encoder not in _ENCODERS:
            raise ValueError(f"Expected an encoder of {list(_ENCODERS)}, got '{encoder}'")
        self.fps = max(Fraction(fps).limit_denominator(1001), Fraction(1, 1001))
        self.encoder = encoder
        self._output = ExitStack()
        self._container: Any = None
        self._stream: Any = None
        self._size: tuple[int, int] | None = None

    def write(self, image: Tensor) -> None:
        """Append an RGB picture (3, H, W) uint8. Encoders need even sizes, so odd ones are padded by edge pixels."""
        picture = image.cpu().numpy().transpose(1, 2, 0)
        height, width = picture.shape[:2]
        self._size = self._size or (height, width)
        if (height, width) != self._size:
            raise ValueError(f"Expected pictures of {self._size} pixels (H, W) like the first, got {(height, width)}")
        picture = np.pad(picture, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        if self._container is None:
            temporary = self._output.enter_context(write_atomically(self.path))
            self._container = av.open(f"file:{temporary}", "w", options={"movflags": "+faststart"})
            codec, options = _ENCODERS[self.encoder]
            try:
                self._stream = self._container.add_stream(codec, rate=self.fps)
            except av.codec.codec.UnknownCodecError as error:
                raise ValueError(
                    f"Expected an FFmpeg with '{codec}' for the encoder '{self.encoder}', got one without: choose "
                    f"another of {list(_ENCODERS)}"
                ) from error
            self._stream.width, self._stream.height = picture.shape[1], picture.shape[0]
            self._stream.pix_fmt = "yuv420p"
            self._stream.options = options
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
        try:
            packets = self._stream.encode(frame)
        except (av.FFmpegError, ValueError, OverflowError) as error:
            if isinstance(error, OSError):
                raise
            raise ValueError(
                f"Expected frames that the encoder '{self.encoder}' takes, got {height}×{width} pixels (H×W): choose "
                "another encoder, or do without a video"
            ) from error
        self._container.mux(packets)

    def close(self) -> None:
        """Finish the file and rename it to its final name. Without frames, there is no file."""
        if self._container is None:
            return
        try:
            self._container.mux(self._stream.encode())
            self._container.close()
            self._output.close()
        finally:
            self._discard()

    def _discard(self) -> None:
        if self._container is not None:
            with suppress(OSError):  # the disk is full
                self._container.close()
            self._container = None
        roll_back(self._output)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self._discard()
