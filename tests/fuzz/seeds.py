"""Valid files of every kind that is read, and the commands that read them."""

import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from tests.formats.cases import SIZE, small_set, write_all, write_as, write_image
from tltm_graph import MovingShapes
from tltm_graph.cli.track import track
from tltm_graph.formats import open_writer
from tltm_graph.io import VideoWriter
from tltm_graph.io.output import output_rules
from tltm_graph.io.pictures import write_pictures
from tltm_graph.models import save_model, tltm_tiny
from tltm_graph.ops import encode_rle
from tltm_graph.structures import Tracks

FRAMES = 6

_SUFFIXES = (".png", ".jpg", ".tif", ".bmp", ".webp")


@dataclass(frozen=True)
class Case:
    """A valid file or folder, and the commands that read it.

    Args:
        name: Name of the case.
        source: Path of what is changed, from the folder of the valid files.
        commands: Arguments of each command. X is the changed copy, V the folder of the valid files.
    """

    name: str
    source: str
    commands: tuple[str, ...]


def build(folder: Path) -> list[Case]:
    """Write the valid files to a folder."""
    two = ("car", "pedestrian")
    videos = small_set(two)
    truth = write_as(folder, "youtube_vis", videos)
    cases = []
    for form in (
        "youtube_vis", "youtube_vis_results", "davis", "mots", "kitti_mots", "mots_png", "mot", "mot_truth", "bdd100k",
        "coco", "coco_results", "tltm", "csv",
    ):  # fmt: skip
        chosen = small_set(None) if form == "davis" else videos
        path = write_as(folder, form, chosen)
        like = (
            "--like V/youtube_vis.json"
            if form in ("coco_results", "youtube_vis_results", "mot", "mots", "kitti_mots")
            else ""
        )
        target = "coco" if form == "coco" else "csv"
        commands = [f"convert X out --to {target} --format {form} {like}", f"convert X out/a --to {target} {like}"]
        if form != "coco_results":
            commands += [f"validate X --format {form} --output out.json"]
        if form not in ("coco", "davis"):
            commands += ["eval --truth V/youtube_vis.json --predictions X --output out"]
            commands += [f"convert X out --to youtube_vis --format {form} {like}"]
        if form in ("youtube_vis", "youtube_vis_results", "mots_png", "bdd100k", "tltm", "csv"):
            commands += ["eval --truth X --predictions V/youtube_vis_results.json --class-agnostic --output out"]
        if form not in ("coco", "davis", "bdd100k", "mot", "mot_truth", "coco_results"):
            commands += [f"convert X out --to davis --format {form} {like}"]
        if form == "davis":
            commands += ["eval --truth V/davis --predictions X --metrics jf --output out"]
        cases.append(Case(form, path.name, tuple(commands)))
    cases += [_yolo(folder), _open_images(folder), _class_map(folder), _submission(folder)]
    cases += _pictures(folder) + _runs(folder) + _detections(folder) + _weights(folder)
    assert truth.is_file()
    return cases


def _yolo(folder: Path) -> Case:
    for number in range(3):
        write_image(folder / "yolo" / "images" / f"{number}.png", np.zeros((*SIZE, 3), np.uint8))
        text = folder / "yolo" / "labels" / f"{number}.txt"
        text.parent.mkdir(exist_ok=True)
        text.write_text("0 0.1 0.1 0.4 0.1 0.4 0.4\n1 0.1 0.1 0.4 0.1 0.4 0.4\n" if number else "")
    description = "path: .\ntrain: images\nval: images\nnames:\n  0: car\n  1: pedestrian\nmore: [1, {a: b}]\n"
    (folder / "yolo" / "data.yaml").write_text(description)
    return Case("yolo", "yolo", ("convert X out --to coco --format yolo", "validate X"))


def _open_images(folder: Path) -> Case:
    root = folder / "open_images"
    write_image(root / "train" / "0123456789abcdef.jpg", np.zeros((*SIZE, 3), np.uint8))
    write_image(root / "masks" / "0123456789abcdef_m01g317_1.png", np.full(SIZE, 255, np.uint8))
    head = "MaskPath,ImageID,LabelName,BoxID,BoxXMin,BoxXMax,BoxYMin,BoxYMax,PredictedIoU,Clicks\n"
    row = "0123456789abcdef_m01g317_1.png,0123456789abcdef,/m/01g317,1,0,1,0,1,0.9,\n"
    (root / "train-annotations-object-segmentation.csv").write_text(head + row)
    (root / "class-descriptions-boxable.csv").write_text("/m/01g317,Person\n/m/0k4j,Car\n")
    return Case("open_images", "open_images", ("convert X out --to coco --format open_images", "validate X"))


def _class_map(folder: Path) -> Case:
    path = folder / "map.json"
    path.write_text(json.dumps({"classes": {"car": "vehicle", "pedestrian": "person"}, "about": "a map"}))
    return Case("class map", path.name, ("convert V/youtube_vis.json out --to csv --class-map X",))


def _submission(folder: Path) -> Case:
    videos = small_set(("car", "pedestrian"))
    path = folder / "submission.zip"
    write_all(open_writer(path, "youtube_vis_results", videos), videos)
    commands = (
        "convert X out --to csv --like V/youtube_vis.json",
        "eval --truth V/youtube_vis.json --predictions X --output out",
    )
    return Case("submission", path.name, commands)


def _pictures(folder: Path) -> list[Case]:
    scene = MovingShapes(FRAMES, (48, 80), num_objects=2, seed=3)
    with VideoWriter(folder / "scene.mp4") as video:
        for frame in scene:
            video.write(frame.image)
            for suffix in _SUFFIXES:
                write_image(folder / f"frames{suffix}" / f"{frame.index}{suffix}", frame.image.permute(1, 2, 0).numpy())
    write_pictures(folder / "scene.gif", (frame.image for frame in MovingShapes(FRAMES, (48, 80), seed=3)), fps=10)
    truth = Tracks.from_stream(((t, scene.truth(t)) for t in range(FRAMES)), scene.size)
    videos = small_set(None)
    one = videos.select(
        [replace(videos[0], name="scene", size=scene.size, num_frames=FRAMES, frame_names=None, load=lambda: truth)]
    )
    (folder / "truth").mkdir()
    write_as(folder / "truth", "csv", one)
    command = "track --source X --detector oracle:V/truth/csv.csv --output out"
    return [
        *(
            Case(name, name, (f"{command} --no-overlay", f"{command} --max-frames 2"))
            for name in ("scene.mp4", "scene.gif")
        ),
        *(Case(f"pictures {suffix}", f"frames{suffix}", (f"{command} --no-overlay",)) for suffix in _SUFFIXES),
    ]


def _runs(folder: Path) -> list[Case]:
    run, source = folder / "run", folder / "scene.mp4"
    with output_rules():
        track(source=str(source), detector=f"oracle:{folder}/truth/csv.csv", output=run, save_graph=True)
    shutil.copy(source, run)
    commands = (
        "view X --no-pictures --explained 0 --output out.html",
        "view X --explained 1 --output out.html --source V/scene.mp4",
        "explain X",
        "explain X --frame 3 --object 0 --output out.json --picture out.png --source V/scene.mp4",
        "solve X --output out",
        "solve X --output out --solver greedy --new-track-threshold 0.5",
        "diff X V/run --output out.json",
        "diff V/run X",
        "mistakes X --truth V/truth/csv.csv --output out.json",
        "draw X --output out.mp4 --end 3 --source V/scene.mp4",
    )
    report = ("convert X out --to csv", "eval --truth V/truth/csv.csv --predictions X --output out", "validate X")
    small = folder / "report"
    small.mkdir()
    for name in ("run.json", "tracks.json"):
        shutil.copy(run / name, small)
    return [Case("graph", "run/graph.zip", commands), Case("run", "report", report)]


def _detections(folder: Path) -> list[Case]:
    box = [4, 4, 20, 10]
    frames = [
        {"height": 48, "width": 80, "model": [{"category": "car", "score": 0.9, "bbox": box}] * 2}
        for _ in range(FRAMES)
    ]
    (folder / "frames.json").write_text(json.dumps(frames))
    rows = [{"image_id": t, "category_id": 1, "bbox": box, "score": 0.8} for t in range(FRAMES)]
    pixels = torch.zeros(1, 48, 80, dtype=torch.bool)
    pixels[0, 4:14, 4:24] = True
    for row in rows:
        row["segmentation"] = encode_rle(pixels)[0]
    (folder / "coco_detections.json").write_text(json.dumps(rows))
    (folder / "det.txt").write_text("".join(f"{t + 1},-1,4,4,20,10,0.9,-1,-1,-1\n" for t in range(FRAMES)))
    command = "track --source V/scene.mp4 --detector precomputed:X --output out --no-overlay"
    names = ("frames.json", "coco_detections.json", "det.txt")
    return [Case(f"detections {name}", name, (command, f"{command} --save-graph")) for name in names]


def _weights(folder: Path) -> list[Case]:
    torch.manual_seed(0)
    path = folder / "model" / "tiny.safetensors"
    path.parent.mkdir()
    save_model(tltm_tiny(MovingShapes.class_names, min_size=48, max_size=80), path)
    command = "track --source V/scene.mp4 --max-frames 2 --detector tltm:X/tiny.safetensors --output out --no-overlay"
    return [Case("weights", "model", (command,))]
