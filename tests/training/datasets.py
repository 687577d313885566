"""Small data sets of rendered scenes, in the places where the configurations in experiments/configs expect them."""

from itertools import count
from pathlib import Path

from PIL import Image

from tltm_graph import MovingShapes, Tracks
from tltm_graph.formats import COCO, YOUTUBE_VIS_2019, Video
from tltm_graph.formats.class_maps import read_class_map
from tltm_graph.formats.coco import CocoWriter
from tltm_graph.formats.video import is_held_out
from tltm_graph.formats.youtube_vis import YoutubeVisWriter

SIZE = (48, 80)
SHARED = [COCO.index(name) for name in read_class_map("coco_to_youtube_vis_2019")]
"""Labels of COCO that YouTube-VIS has too."""


def write_datasets(folder: Path) -> None:
    """YouTube-VIS 2019, COCO, Open Images, and videos of cats and dogs."""
    named = (f"video{n}" for n in count())
    names = [next(n for n in named if is_held_out(n) == held_out) for held_out in (False, True)]
    videos = folder / "datasets" / "youtube_vis_2019"
    write_videos(videos / "train.json", videos / "train" / "JPEGImages", names, YOUTUBE_VIS_2019)
    coco, open_images = (folder / "datasets" / name for name in ("coco", "open_images"))
    write_stills(coco / "annotations" / "instances_train2017.json", coco / "train2017", COCO, SHARED)
    write_stills(open_images / "instances_youtube_vis.json", open_images / "train", YOUTUBE_VIS_2019, list(range(40)))
    own = folder / "datasets" / "own"
    write_videos(own / "train.json", own / "frames", ["a", "b"], ("cat", "dog"))
    write_videos(own / "val.json", own / "frames", ["c"], ("cat", "dog"))


def write_videos(path: Path, images: Path, names: list[str], class_names: tuple[str, ...]) -> None:
    """Scenes as an annotation file of YouTube-VIS and pictures."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with YoutubeVisWriter(path, class_names) as writer:
        for seed, name in enumerate(names):
            scene = _scene(seed, 5)
            stems = [f"{frame:05d}" for frame in range(len(scene))]
            for frame, stem in enumerate(stems):
                _save(scene, frame, images / name / f"{stem}.jpg")
            writer.begin(Video(name, len(scene), SIZE, id=seed + 1, frame_names=tuple(stems)))
            for frame, rows in _tracks(scene).observations():
                writer.write(frame, [row._replace(label=row.label % len(class_names)) for row in rows])


def write_stills(path: Path, images: Path, class_names: tuple[str, ...], labels: list[int]) -> None:
    """Single frames as an annotation file of COCO and pictures."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with CocoWriter(path, class_names) as writer:
        for number in range(3):
            scene = _scene(10 + number, 1)
            _save(scene, 0, images / f"{number:012d}.jpg")
            writer.begin(Video(f"{number:012d}", 1, SIZE, id=number + 1))
            for frame, rows in _tracks(scene).observations():
                writer.write(frame, [row._replace(label=labels[row.label]) for row in rows])


def _scene(seed: int, num_frames: int) -> MovingShapes:
    return MovingShapes(num_frames, SIZE, num_objects=4, seed=seed, min_area=8)


def _tracks(scene: MovingShapes) -> Tracks:
    return Tracks.from_stream(((t, scene.truth(t)) for t in range(len(scene))), SIZE, len(scene))


def _save(scene: MovingShapes, frame: int, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(scene.frame(frame).image.permute(1, 2, 0).numpy()).save(path)
