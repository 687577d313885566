import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path

from PIL import Image
from torch import Tensor

from tltm_graph.io.atomic import write_atomically, write_folder_atomically
from tltm_graph.io.video import VideoWriter

_SHORTEST = 20  # milliseconds; browsers take less for a mistake and show such a GIF slowly


def write_pictures(path: str | Path, pictures: Iterable[Tensor], fps: float = 30.0) -> int:
    """Writes pictures as what the path says: ``.mp4`` (H.264), ``.gif``, or a new folder of PNG files.

    File or folder appear when they are complete; if a picture fails, nothing is left behind.

    Args:
        path: Where to. A folder has no suffix, and gets ``00000.png``, ``00001.png``, ….
        pictures: RGB (3, H, W) uint8, all of one size. They are asked for one by one.
        fps: Pictures a second. A GIF counts hundredths of a second, and at most 50 pictures of them.

    Returns:
        How many there were.

    Raises:
        ValueError: If there are none, they differ in size, or the path says something else.
        FileExistsError: If the folder holds something.
    """
    path = Path(path)
    if path.suffix not in (".mp4", ".gif", ""):
        raise ValueError(f"Expected a file .mp4 or .gif, or a folder without a suffix, got '{path}'")
    if path.suffix == "" and path.is_dir() and any(path.iterdir()):
        raise FileExistsError(f"Expected a new or empty folder for pictures, got '{path}' with something in it")
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
                temporary, "GIF", save_all=True, append_images=images, duration=max(_SHORTEST, 1000 / fps), loop=0
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
