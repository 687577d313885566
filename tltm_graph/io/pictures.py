import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path

from PIL import Image
from torch import Tensor

from tltm_graph.io.output import check_folder_target, check_target, write_atomically, write_folder_atomically
from tltm_graph.io.video import VideoWriter

_MIN_DURATION = 20  # milliseconds; browsers show a GIF with shorter pictures slowly


def write_pictures(path: str | Path, pictures: Iterable[Tensor], fps: float = 30.0) -> int:
    """Write pictures as a video (``.mp4``, H.264), a ``.gif``, or a new folder of PNG files, depending on the path.

    The file or folder appears once it is complete. After an error, nothing is left behind.

    Args:
        path: Path of the file or folder. A folder has no suffix, and gets ``00000.png``, ``00001.png``, ….
        pictures: RGB pictures (3, H, W) uint8 of equal size, read one at a time.
        fps: Pictures per second. A GIF has at most 50, in steps of hundredths of a second.

    Returns:
        Number of pictures.

    Raises:
        ValueError: If there are no pictures, they differ in size, or the path has another suffix.
        FileExistsError: If there are files that this package did not write.
    """
    path = Path(path)
    if path.suffix not in (".mp4", ".gif", ""):
        raise ValueError(f"Expected a file .mp4 or .gif, or a folder without a suffix, got '{path}'")
    (check_folder_target if path.suffix == "" else check_target)(path)
    pictures = iter(pictures)
    first = next(pictures, None)
    if first is None:
        raise ValueError(f"Expected at least one picture for '{path}', got none")
    counted = itertools.count()
    checked = _checked(itertools.chain([first], pictures), counted)
    if path.suffix == ".mp4":
        with VideoWriter(path, fps) as video:
            for picture in checked:
                video.write(picture)
    elif path.suffix == ".gif":
        images = map(_image, checked)
        with write_atomically(path) as temporary:
            next(images).save(
                temporary, "GIF", save_all=True, append_images=images, duration=max(_MIN_DURATION, 1000 / fps), loop=0
            )
    else:
        with write_folder_atomically(path) as folder:
            for number, picture in enumerate(checked):
                _image(picture).save(folder / f"{number:05d}.png")
    return next(counted)


def _image(picture: Tensor) -> Image.Image:
    return Image.fromarray(picture.permute(1, 2, 0).cpu().numpy())


def _checked(pictures: Iterable[Tensor], counted: Iterator[int]) -> Iterator[Tensor]:
    size = None
    for picture in pictures:
        size = size or picture.shape
        if picture.shape != size:
            raise ValueError(f"Expected pictures of {tuple(size)} like the first, got {tuple(picture.shape)}")
        next(counted)
        yield picture
