import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from tltm_graph.cli.arguments import Folder, Option
from tltm_graph.cli.running import Interrupt

if TYPE_CHECKING:
    from tltm_graph.synthetic import MovingShapes

_JPEG_QUALITY = 95


def render(
    *,
    difficulty: Literal["easy", "standard", "hard"] = "standard",
    split: Literal["train", "val", "test"] = "val",
    output: Folder,
    videos: int | None = None,
    frames: int = 60,
    size: Annotated[tuple[int, int], Option(metavar=("H", "W"))] = (192, 320),
) -> dict[str, int]:
    """Render a data set of moving shapes with its ground truth.

    The data set is a split of the benchmark world, in the format of YouTube-VIS. Written to the output folder:
      JPEGImages/      frames, a folder per video
      instances.json   masks, boxes, classes and tracks
      frames.json      time of each frame, and indices of degraded frames

    The folder appears when it is complete. Ctrl-C ends it after the current video.

    Args:
        difficulty: Difficulty of the scenes.
        split: Split to render, of 2000 (train), 20 (val) or 30 (test) videos.
        output: New or empty folder to write, or one that this command wrote.
        videos: Number of videos, from the first one. Default: all.
        frames: Number of frames of each video.
        size: Height and width, in pixels.

    Returns:
        Numbers of ``videos``, ``frames`` and ``tracks`` written, and ``interrupted``: number of a signal, else 0.

    Raises:
        ValueError: If an argument is not valid.
        OSError: If a file cannot be written, or the folder has files of another origin.
    """
    from tltm_graph.synthetic import moving_shapes
    from tltm_graph.synthetic.difficulty import DIFFICULTIES
    from tltm_graph.synthetic.scenes import SPLITS

    for what, name, names in (("difficulty", difficulty, DIFFICULTIES), ("split", split, SPLITS)):
        if name not in names:
            raise ValueError(f"Expected a {what} of {', '.join(names)}, got '{name}'")
    if frames < 1 or (videos is not None and videos < 1):
        raise ValueError(f"Expected at least one video of at least one frame, got {videos} of {frames}")
    scenes = moving_shapes(DIFFICULTIES[difficulty], SPLITS[split], frames, (size[0], size[1]))
    if videos is not None and videos > len(scenes):
        raise ValueError(f"Expected at most the {len(scenes)} videos of '{split}', got {videos}")
    folder = Path(output).absolute()
    with Interrupt() as interrupt:
        counts = write_scenes(_until(interrupt, scenes[:videos]), folder)
    print(f"{counts['videos']} videos, {counts['frames']} frames, {counts['tracks']} tracks")
    print(f"written:\n  {output}/instances.json\n  {output}/JPEGImages")
    return {**counts, "interrupted": interrupt.number or 0}


def exit_status(counts: dict[str, int]) -> int:
    """128 + its number after a signal, else 0."""
    return 128 + counts["interrupted"] if counts["interrupted"] else 0


def _until(interrupt: Interrupt, scenes: Sequence["MovingShapes"]) -> Iterator["MovingShapes"]:
    from tqdm import tqdm

    for scene in tqdm(scenes, desc="rendering", unit=" videos", file=sys.stderr):
        if interrupt.requested:
            return
        yield scene


def write_scenes(scenes: Iterable["MovingShapes"], folder: str | Path) -> dict[str, int]:
    """Render scenes to a data set in the format of YouTube-VIS, one frame at a time.

    Pictures go to ``JPEGImages/<seed>/<frame>.jpg`` and the ground truth to ``instances.json``. ``frames.json`` holds
    what the format has no field for: ``{<seed>: {"times": seconds of each frame, "degraded": indices of degraded
    frames}}``. The folder appears when it is complete.

    Args:
        scenes: Scenes with different seeds, each with at least one frame.
        folder: New or empty folder, or one that this function wrote.

    Returns:
        Numbers of ``videos``, ``frames`` and ``tracks`` written.

    Raises:
        ValueError: If there are no scenes, or two scenes have the same seed.
        OSError: If a file cannot be written, or the folder has files of another origin.
    """
    from PIL import Image

    from tltm_graph.formats import Video
    from tltm_graph.formats.youtube_vis import YoutubeVisWriter
    from tltm_graph.io.output import write_folder_atomically
    from tltm_graph.structures.tracks import observations_of
    from tltm_graph.synthetic import MovingShapes

    folder = Path(folder).absolute()
    counts = {"videos": 0, "frames": 0, "tracks": 0}
    frame_facts: dict[str, dict[str, list[float]]] = {}
    with (
        write_folder_atomically(folder) as part,
        YoutubeVisWriter(part / "instances.json", MovingShapes.class_names) as writer,
    ):
        for number, scene in enumerate(scenes, start=1):
            name = f"{scene.seed:07d}"
            if name in frame_facts:
                raise ValueError(f"Expected scenes of different seeds, got seed {scene.seed} twice")
            pictures = part / "JPEGImages" / name
            pictures.mkdir(parents=True)
            writer.begin(Video(name, len(scene), scene.size, number))
            ids: set[int] = set()
            times: list[float] = []
            for frame in scene:
                picture = Image.fromarray(frame.image.permute(1, 2, 0).numpy())
                picture.save(pictures / f"{frame.index:05d}.jpg", quality=_JPEG_QUALITY, subsampling=0)
                rows = observations_of(frame.index, scene.truth(frame.index))
                writer.write(frame.index, rows)
                ids.update(row.id for row in rows)
                times.append(frame.time)
            frame_facts[name] = {"times": times, "degraded": [t for t in range(len(scene)) if scene.degraded(t)]}
            counts = {
                "videos": number,
                "frames": counts["frames"] + len(scene),
                "tracks": counts["tracks"] + len(ids),
            }
        if not frame_facts:
            raise ValueError("Expected at least one scene to write, got none")
        (part / "frames.json").write_text(json.dumps(frame_facts) + "\n", encoding="utf-8")
    return counts
