import json
import os
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.cases import contents
from tests.cli.cases import CLASSES, NOTHING, boxes_only, failed, files, scenes, video_set, write_videos
from tests.metrics.evaluation_cases import SIZE
from tltm_graph.cli import convert as module
from tltm_graph.cli import main
from tltm_graph.cli.formats import ReadingOptions
from tltm_graph.formats import COCO, FORMATS, YOUTUBE_VIS_2019, VideoSet, open_videos
from tltm_graph.formats.video import is_held_out
from tltm_graph.formats.youtube_vis import YoutubeVisWriter
from tltm_graph.io.output import output_rules, write_atomically
from tltm_graph.structures import Tracks

TRUTH, FOUND = scenes()
WRITABLE = [name for name, known in FORMATS.items() if known.write is not None and name != "coco"]


def convert(source, target, target_format, source_format=None, images=None, class_names=None, **more) -> dict:
    reading = ReadingOptions(source_format=source_format, images=images, class_names=class_names)
    return module.convert(source, target, target_format=target_format, reading=reading, **more)


@pytest.fixture
def source(tmp_path) -> Path:
    return write_videos(tmp_path / "source.csv", "csv", video_set(TRUTH))


TWO = ("car", "pedestrian")
"""Classes that every format knows."""


def of_two_classes(tracks: dict[str, Tracks]) -> dict[str, Tracks]:
    return {
        name: replace(of, tracks={i: replace(track, labels=(i % 2,) * len(track)) for i, track in of.items()})
        for name, of in tracks.items()
    }


def everything(folder: Path) -> dict[Path, bytes]:
    return {folder / path: content for path, content in contents(folder).items()}


def hidden(folder: Path) -> list[Path]:
    return [path for path in everything(folder) if path.name.startswith(".")]


def number_of(tracks: dict[str, Tracks]) -> dict[str, int]:
    return {
        "videos": len(tracks),
        "tracks": sum(map(len, tracks.values())),
        "observations": sum(len(track) for of in tracks.values() for track in of.values()),
    }


@pytest.mark.parametrize("form", WRITABLE)
def test_everything_is_written_and_counted(tmp_path, form):
    two = of_two_classes(TRUTH)
    source = write_videos(tmp_path / "source.json", "youtube_vis", video_set(two, TWO))
    counts = convert(source, tmp_path / "new" / "folder" / "target", form)
    assert counts == number_of(two) | {"classes_left_out": []}
    back = open_videos(tmp_path / "new" / "folder" / "target", form, like=open_videos(source))
    assert [video.name for video in back] == list(two)
    for video in back:
        assert {t.frames for t in video.tracks().values()} == {t.frames for t in two[video.name].values()}
    assert not hidden(tmp_path / "new"), "nothing temporary is left"


def test_what_came_in_comes_out(tmp_path, source):
    convert(source, tmp_path / "a.json", "youtube_vis")
    convert(tmp_path / "a.json", tmp_path / "b.csv", "csv")
    for video, other in zip(open_videos(tmp_path / "b.csv"), open_videos(source), strict=True):
        tracks = video.tracks()
        counted = {
            i + min(tracks) - 1: replace(t, areas=tracks[i + min(tracks) - 1].areas) for i, t in other.tracks().items()
        }
        assert tracks.tracks == counted, "but for the ids, which are the file's, and areas, which it states"


@pytest.mark.parametrize("form", ["csv", "youtube_vis", "davis", "mot", "bdd100k"])
def test_no_videos_and_empty_videos(tmp_path, form):
    none = write_videos(tmp_path / "none.json", "youtube_vis", video_set({}, ("car",)))
    assert convert(none, tmp_path / "target", form) == {
        "videos": 0,
        "tracks": 0,
        "observations": 0,
        "classes_left_out": [],
    }
    assert form == "davis" or (tmp_path / "target").exists()
    empty = write_videos(tmp_path / "empty.json", "youtube_vis", video_set({"a": NOTHING}, ("car",)))
    assert convert(empty, tmp_path / "other", form) == {
        "videos": 1,
        "tracks": 0,
        "observations": 0,
        "classes_left_out": [],
    }


def test_nothing_that_is_read_is_written_over(tmp_path, source):
    write_videos(tmp_path / "set.json", "youtube_vis", video_set(TRUTH))
    pictures = tmp_path / "all" / "pictures"
    for name, tracks in TRUTH.items():
        (pictures / name).mkdir(parents=True)
        for frame in range(tracks.num_frames):
            Image.fromarray(np.zeros((*SIZE, 3), np.uint8)).save(pictures / name / f"{frame:05d}.png")
    os.symlink(tmp_path / "set.json", tmp_path / "link.json")
    before = everything(tmp_path)
    for options in (
        {"target": source},
        {"target": tmp_path / "all" / ".." / "source.csv"},
        {"target": tmp_path},
        {"target": tmp_path / "set.json", "like": tmp_path / "set.json"},
        {"target": tmp_path / "link.json", "like": tmp_path / "set.json"},
        {"target": pictures, "images": pictures},
        {"target": tmp_path / "all", "images": pictures},
    ):
        message = r"Expected an output that is not an input, got .* which is read"
        with pytest.raises(ValueError, match=message), output_rules(overwrite=True):
            convert(source, target_format="youtube_vis", **options)
    assert everything(tmp_path) == before


def test_after_an_error_nothing_half_written_is_left(tmp_path):
    two = of_two_classes(TRUTH)
    mixed = {"a": two["a"], "b": boxes_only(two["b"])}
    source = write_videos(tmp_path / "source.csv", "csv", video_set(mixed, TWO))
    first = write_videos(tmp_path / "first.csv", "csv", video_set({"b": mixed["b"], "c": two["c"]}, TWO))
    with write_atomically(tmp_path / "old.json") as temporary:
        temporary.write_text("old")
    before = everything(tmp_path)
    for form in ("mots", "kitti_mots", "mots_png", "davis"):
        with pytest.raises(ValueError, match="mask"):
            convert(source, tmp_path / "deep" / form, form)
        left = [path for path in everything(tmp_path) if path.is_file() and path not in before]
        assert all("a" in path.relative_to(tmp_path).parts or path.stem == "a" for path in left), (
            "only what is complete"
        )
        assert not [path for path in left if path.name.startswith(".")]
        with pytest.raises(ValueError, match="mask"):
            convert(first, tmp_path / "flat" / form, form)
        assert not (tmp_path / "flat").exists(), form
    text = source.read_text().splitlines()
    text[-1] = text[-1].replace(",", ";")
    (tmp_path / "broken.csv").write_text("\n".join(text))
    for form, name in (
        ("youtube_vis", "old.json"),
        ("csv", "x/y/new.csv"),
        ("bdd100k", "x/y/new.json"),
        ("tltm", "x/new"),
    ):
        with pytest.raises(ValueError, match="line"):
            convert(tmp_path / "broken.csv", tmp_path / name, form)
        assert not (tmp_path / "x").exists(), form
    assert (tmp_path / "old.json").read_text() == "old"
    with pytest.raises(ValueError, match="Expected a format of .* to write, got 'yolo'"):
        convert(source, tmp_path / "x" / "y", "yolo")
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    "form", ["youtube_vis", "youtube_vis_results", "csv", "davis", "mot", "bdd100k", "tltm", "mots_png"]
)
def test_after_an_interrupt_nothing_half_written_is_left(tmp_path, form, monkeypatch):
    """Ctrl-C in the second video."""
    source = write_videos(tmp_path / "source.csv", "csv", video_set(of_two_classes(TRUTH), TWO))
    write = FORMATS[form].write
    begun = []

    def interrupted(*arguments):
        writer = write(*arguments)
        original = writer._write

        def _write(frame, rows):
            if writer.video.name == "b" and frame == 2:
                raise KeyboardInterrupt
            begun.append(writer.video.name)
            original(frame, rows)

        writer._write = _write
        return writer

    monkeypatch.setitem(FORMATS, form, replace(FORMATS[form], write=interrupted))
    with pytest.raises(KeyboardInterrupt):
        convert(source, tmp_path / "deep" / "target", form)
    assert begun
    left = [path for path in everything(tmp_path) if path.is_file() and path != source]
    assert all("a" in path.relative_to(tmp_path).parts or path.stem == "a" for path in left), left
    assert not hidden(tmp_path)


# Classes, parts, hints


def test_class_map(tmp_path, source):
    table = tmp_path / "map.json"
    table.write_text(json.dumps({"classes": {"cat": "animal", "bird": "thing", "other": "thing"}}))
    convert(source, tmp_path / "a.json", "youtube_vis", class_map=str(table))
    videos = open_videos(tmp_path / "a.json")
    assert videos.class_names == ("animal", "thing")
    for video in videos:
        expected = {i: t for i, t in TRUTH[video.name].items() if t.label != CLASSES.index("dog")}
        assert [t.label for t in video.tracks().values()] == [int(t.label == 2) for t in expected.values()]
    options = {"class_map": str(table), "target_classes": ["thing"]}
    counts = convert(source, tmp_path / "b.json", "youtube_vis", **options)
    birds = sum(t.label == 2 for of in TRUTH.values() for t in of.values())
    assert counts["tracks"] == birds
    for classes in ({"x": "y"}, {}):
        table.write_text(json.dumps({"classes": classes}))
        with pytest.raises(ValueError, match="got none: name a class map"):
            convert(source, tmp_path / "c.json", "youtube_vis", class_map=str(table))
    with pytest.raises(ValueError, match="got none: name a class map"):
        convert(source, tmp_path / "c.json", "youtube_vis", class_map="same", target_classes=["whale"])
    with pytest.raises(ValueError, match="Expected class names to map"):
        convert(
            write_videos(tmp_path / "maps", "davis", video_set(TRUTH)), tmp_path / "c.json", "csv", class_map="same"
        )
    assert not (tmp_path / "c.json").exists()


def test_target_classes(tmp_path, source):
    convert(source, tmp_path / "a.json", "youtube_vis", class_map="same", target_classes=["dog", "cat"])
    assert open_videos(tmp_path / "a.json").class_names == ("dog", "cat")
    like = write_videos(tmp_path / "like.json", "youtube_vis", video_set(TRUTH, ("bird", "whale", "cat")))
    convert(source, tmp_path / "b.json", "youtube_vis", class_map="same", like=like)
    assert open_videos(tmp_path / "b.json").class_names == ("bird", "whale", "cat")
    coco = write_videos(tmp_path / "coco.csv", "csv", video_set(TRUTH, ("person", "dog", "fork")))
    convert(coco, tmp_path / "c.json", "youtube_vis", class_map="coco_to_youtube_vis_2019")
    assert open_videos(tmp_path / "c.json").class_names == YOUTUBE_VIS_2019
    convert(tmp_path / "c.json", tmp_path / "d.json", "tltm")
    convert(tmp_path / "d.json", tmp_path / "e.csv", "csv", class_names=["coco"])
    assert open_videos(tmp_path / "e.csv").class_names[0] == COCO[0]


def test_part(tmp_path):
    names = [f"video{number}" for number in range(30)]
    source = write_videos(tmp_path / "s.csv", "csv", video_set(dict.fromkeys(names, TRUTH["a"])))
    parts = {}
    for part in ("train", "val"):
        parts[part] = convert(source, tmp_path / f"{part}.csv", "csv", part=part)["videos"]
        assert [is_held_out(v.name) for v in open_videos(tmp_path / f"{part}.csv")] == [part == "val"] * parts[part]
    assert sum(parts.values()) == 30
    assert parts["val"] > 0


def test_like_says_what_the_source_does_not(tmp_path, source):
    like = write_videos(tmp_path / "like.json", "youtube_vis", video_set(TRUTH))
    results = write_videos(tmp_path / "results.json", "youtube_vis_results", video_set(FOUND))
    convert(results, tmp_path / "without.csv", "csv")
    convert(results, tmp_path / "with.csv", "csv", like=like)
    assert [v.name for v in open_videos(tmp_path / "without.csv")] == ["1", "2", "3"]
    named = open_videos(tmp_path / "with.csv")
    assert [v.name for v in named] == list(TRUTH)
    assert set(named.class_names or ()) <= set(CLASSES)
    assert isinstance(named, VideoSet)


def test_a_source_without_tracks(tmp_path):
    (tmp_path / "v").mkdir()
    (tmp_path / "v" / "seqinfo.ini").write_text("[Sequence]\nname=v\nseqLength=3\nimWidth=40\nimHeight=30\n")
    with pytest.raises(ValueError, match="got a video without annotations"):
        convert(tmp_path / "v", tmp_path / "deep" / "x.csv", "csv", "mot")
    assert not (tmp_path / "deep").exists()


def test_results_for_a_data_set_are_in_its_classes_and_numbers(tmp_path):
    """What a detector calls class 2 is the number that the data set gives to the class of that name."""
    with YoutubeVisWriter(tmp_path / "truth.json", ("bird", "cat"), (3, 40)) as writer:
        for video in video_set(TRUTH):
            writer.begin(replace(video, id=10 + video.id))
    source = write_videos(tmp_path / "found.csv", "csv", video_set(TRUTH))  # cat, dog, bird
    counts = convert(source, tmp_path / "r.json", "youtube_vis_results", like=tmp_path / "truth.json")
    assert counts["classes_left_out"] == ["dog"]
    entries = json.loads((tmp_path / "r.json").read_text())
    number = {"cat": 40, "bird": 3}
    expected = [
        (10 + n, number[CLASSES[track.label]])
        for n, tracks in enumerate(TRUTH.values(), start=1)
        for track in tracks.values()
        if CLASSES[track.label] != "dog"
    ]
    assert [(entry["video_id"], entry["category_id"]) for entry in entries] == expected
    same = convert(source, tmp_path / "s.json", "youtube_vis_results", like=tmp_path / "truth.json", class_map="same")
    assert same == counts
    assert json.loads((tmp_path / "s.json").read_text()) == entries
    with pytest.raises(ValueError, match=r"Expected classes of .* that map to some of bird, cat, got none"):
        other = write_videos(tmp_path / "a.csv", "csv", video_set({"a": TRUTH["a"]}, ("a", "b", "c")))
        convert(other, tmp_path / "t.json", "youtube_vis_results", like=tmp_path / "truth.json")


def test_tracks_of_a_video_that_the_data_set_does_not_have(source, tmp_path):
    few = write_videos(tmp_path / "few.json", "youtube_vis", video_set({n: TRUTH[n] for n in ("a", "b")}))
    with pytest.raises(ValueError, match="Expected tracks of the videos of .*, got some of 'c'"):
        convert(source, tmp_path / "t.json", "youtube_vis_results", like=few)
    one = write_videos(tmp_path / "one.json", "youtube_vis", video_set({"z": TRUTH["a"]}))
    alone = write_videos(tmp_path / "alone.csv", "csv", video_set({"track": TRUTH["a"]}))
    convert(alone, tmp_path / "t.json", "youtube_vis_results", like=one)
    assert len(open_videos(tmp_path / "t.json", like=open_videos(one))[0].tracks()) == len(TRUTH["a"])


def test_nothing_within_the_source_is_written_over(tmp_path):
    folder = write_videos(tmp_path / "set" / "mot", "mot", video_set(TRUTH))
    before = (folder / "a.txt").read_bytes()
    with pytest.raises(ValueError, match="which is read"), output_rules(overwrite=True):
        convert(folder, folder / "a.txt", "csv")
    assert (folder / "a.txt").read_bytes() == before
    convert(folder, folder.parent / "tracks.csv", "csv")


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("form", ["davis", "mots_png"])
def test_label_maps_that_are_read_are_not_written_over(tmp_path, form, overwrite):
    two = video_set(of_two_classes(TRUTH), TWO)
    folder = write_videos(tmp_path / "maps", form, two)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*.png")}
    with pytest.raises(ValueError, match="which is read"), output_rules(overwrite):
        convert(folder, folder, form)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*.png")} == before


# Files of another origin


@pytest.mark.parametrize("form", WRITABLE)
def test_files_of_another_origin_are_replaced_on_request_alone(tmp_path, capsys, form):
    source = write_videos(tmp_path / "source.json", "youtube_vis", video_set(of_two_classes(TRUTH), TWO))
    arguments = ["convert", source, tmp_path / "target", "--to", form]
    assert main(list(map(str, arguments))) == 0
    for path in everything(tmp_path):
        if path.is_file() and path != source:
            path.write_bytes(path.read_bytes() + b" and theirs")
    (tmp_path / "target.txt").write_text("theirs")
    before = everything(tmp_path)
    capsys.readouterr()
    assert "of another origin" in failed(capsys, *arguments)
    assert everything(tmp_path) == before
    assert main([*map(str, arguments), "--overwrite"]) == 0
    after = everything(tmp_path)
    assert after.keys() == before.keys()
    assert {path for path in after if after[path] == before[path] and path.is_file()} == {
        source,
        tmp_path / "target.txt",
    }
    assert main(list(map(str, arguments))) == 0, "they are of the package now"


@pytest.mark.parametrize("form", ["davis", "mots_png"])
def test_a_folder_of_the_user_with_the_name_of_a_video_stays(tmp_path, capsys, form):
    source = write_videos(tmp_path / "source.json", "youtube_vis", video_set(of_two_classes(TRUTH), TWO))
    for name in ("a/thesis.txt", "b/deep/00000.png", "thesis.txt"):
        (tmp_path / "target" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "target" / name).write_text("theirs")
    before = everything(tmp_path)
    assert "a/thesis.txt' of another origin" in failed(capsys, "convert", source, tmp_path / "target", "--to", form)
    assert everything(tmp_path) == before
    (tmp_path / "target" / "a" / "thesis.txt").unlink()
    assert "00000.png' of another origin" in failed(capsys, "convert", source, tmp_path / "target", "--to", form)
    assert (tmp_path / "target" / "b" / "deep" / "00000.png").read_text() == "theirs"
    assert (tmp_path / "target" / "thesis.txt").read_text() == "theirs"


@pytest.mark.parametrize("name", ["..", "", "../../x", "/x", ".hidden", "a/b", "a\\b", "a\x1b[2Jb", "x" * 300])
@pytest.mark.parametrize("form", ["davis", "mots_png", "mot", "mot_truth", "mots", "kitti_mots"])
def test_names_of_videos_do_not_lead_out_of_the_target(tmp_path, capsys, form, name):
    (tmp_path / "in").mkdir()
    tracks = of_two_classes(TRUTH)["a"]
    source = write_videos(tmp_path / "in" / "source.csv", "csv", video_set({name: tracks}, TWO))
    before = everything(tmp_path)
    error = failed(capsys, "convert", source, tmp_path / "in" / "target", "--to", form)
    assert "Expected a name that can be that of a file in " in error
    assert error.isprintable()
    assert everything(tmp_path) == before


def test_links_pipes_and_devices(tmp_path):
    source = write_videos(tmp_path / "source.csv", "csv", video_set(TRUTH))
    (tmp_path / "elsewhere").mkdir()
    link = tmp_path / "link.csv"
    link.symlink_to(tmp_path / "elsewhere" / "real.csv")
    for _ in range(2):
        assert main(["convert", str(source), str(link), "--to", "csv"]) == 0
    assert link.is_symlink()
    assert files(tmp_path / "elsewhere") == {"real.csv"}
    pipe, received = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: received.append(pipe.read_bytes()))
    reader.start()
    assert main(["convert", str(source), str(pipe), "--to", "csv"]) == 0
    reader.join()
    assert pipe.is_fifo()
    assert received == [link.read_bytes()]
    assert main(["convert", str(source), "/dev/null", "--to", "csv"]) == 0
    assert Path("/dev/null").is_char_device()
    assert not hidden(tmp_path)


# Command line


def test_convert(sets, tmp_path, capsys):
    target = tmp_path / "new" / "tracks.csv"
    assert main(["convert", f"{sets}/found.json", str(target), "--to", "csv", "--like", f"{sets}/truth.json"]) == 0
    tracks = [video.tracks() for video in open_videos(target)]
    counts = f"{len(tracks)} videos, {sum(map(len, tracks))} tracks, "
    counts += f"{sum(len(track) for of in tracks for track in of.values())} observations"
    assert capsys.readouterr().out == f"{counts}\nwritten:\n  {target}\n"
    again = tmp_path / "dogs.json"
    options = ["--to", "youtube_vis", "--class-map", "same", "--target-classes", "dog", "--part", "train"]
    assert main(["convert", str(target), str(again), "--format", "csv", *options]) == 0
    assert open_videos(again).class_names == ("dog",)
    assert files(tmp_path) == {"new", "dogs.json"}


def test_convert_in_plain_words(sets, tmp_path, capsys):
    target = tmp_path / "deep" / "x.json"
    assert "found nothing at" in failed(capsys, "convert", "nowhere", target, "--to", "csv")
    assert "to write, got 'magic'" in failed(capsys, "convert", sets / "truth.json", target, "--to", "magic")
    assert "which is read" in failed(capsys, "convert", sets / "truth.json", sets / "truth.json", "--to", "youtube_vis")
    assert "class map of" in failed(
        capsys, "convert", sets / "truth.json", target, "--to", "csv", "--class-map", "magic"
    )
    assert not (tmp_path / "deep").exists()
