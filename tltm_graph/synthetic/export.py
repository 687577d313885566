import json
from collections.abc import Iterable
from pathlib import Path

from PIL import Image

from tltm_graph.formats.video import Video
from tltm_graph.formats.youtube_vis import YoutubeVisWriter
from tltm_graph.io import write_folder_atomically
from tltm_graph.structures import observations_of
from tltm_graph.synthetic.scene import MovingShapes

_QUALITY = 95


def write_scenes(scenes: Iterable[MovingShapes], folder: str | Path) -> dict[str, int]:
    """Renders scenes to a data set in the format of YouTube-VIS, one frame at a time.

    Written are ``JPEGImages/<seed>/<frame>.jpg``, the truth in ``instances.json``, and ``frames.json`` with what that
    format has no place for: ``{<seed>: {"times": seconds of each frame, "degraded": indices of degraded frames}}``. The
    folder appears when it is complete.

    Args:
        scenes: Each of another seed, all of them with frames.
        folder: That is not there yet, or empty.

    Returns:
        How many videos, frames and tracks were written.

    Raises:
        ValueError: If the folder holds something, there are no scenes, or two of one seed.
        OSError: If it cannot be written.
    """
    folder = Path(folder).absolute()
    if folder.is_dir() and any(folder.iterdir()):
        raise ValueError(f"Expected a new or empty folder to write to, got '{folder}' with files in it: name another")
    counts = {"videos": 0, "frames": 0, "tracks": 0}
    facts: dict[str, dict[str, list[float]]] = {}
    with (
        write_folder_atomically(folder) as part,
        YoutubeVisWriter(part / "instances.json", MovingShapes.class_names) as writer,
    ):
        for number, scene in enumerate(scenes, start=1):
            name = f"{scene.seed:07d}"
            if name in facts:
                raise ValueError(f"Expected scenes of different seeds, got seed {scene.seed} twice")
            pictures = part / "JPEGImages" / name
            pictures.mkdir(parents=True)
            writer.begin(Video(name, len(scene), scene.size, number))
            ids: set[int] = set()
            times: list[float] = []
            for frame in scene:
                picture = Image.fromarray(frame.image.permute(1, 2, 0).numpy())
                picture.save(pictures / f"{frame.index:05d}.jpg", quality=_QUALITY, subsampling=0)
                rows = observations_of(frame.index, scene.truth(frame.index))
                writer.write(frame.index, rows)
                ids.update(row.id for row in rows)
                times.append(frame.time)
            facts[name] = {"times": times, "degraded": [t for t in range(len(scene)) if scene.degraded(t)]}
            counts = {
                "videos": number,
                "frames": counts["frames"] + len(scene),
                "tracks": counts["tracks"] + len(ids),
            }
        if not facts:
            raise ValueError("Expected at least one scene to write, got none")
        (part / "frames.json").write_text(json.dumps(facts) + "\n", encoding="utf-8")
    return counts
