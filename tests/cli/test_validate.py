import json

import pytest

from tests.cli.cases import failed, video_set, write_videos
from tests.metrics.evaluation_cases import SIZE, observation
from tltm_graph.cli import main
from tltm_graph.cli import validate as module
from tltm_graph.cli.formats import ReadingOptions
from tltm_graph.io.output import output_rules
from tltm_graph.structures import Tracks


def validate_data(source, output=None):
    return module.validate(source, reading=ReadingOptions(), output=output)


@pytest.fixture
def damaged(tmp_path):
    """Two sound videos and one that is damaged between them."""
    rows = [(t, observation(1, 0, t, 4, t + 8)) for t in range(3)]
    tracks = {name: Tracks.from_observations(rows, SIZE, 3) for name in ("a", "b", "c")}
    path = write_videos(tmp_path / "set.json", "youtube_vis", video_set(tracks, ("cat",)))
    content = json.loads(path.read_text())
    content["annotations"][1]["segmentations"][1]["counts"] = "0123"
    path.write_text(json.dumps(content))
    return path


def test_a_sound_set_has_no_problems(tmp_path):
    rows = [(t, observation(1, 0, t, 4, t + 8)) for t in range(3)]
    path = write_videos(
        tmp_path / "set.json", "youtube_vis", video_set({"a": Tracks.from_observations(rows, SIZE, 3)}, ("cat",))
    )
    assert validate_data(path, output=tmp_path / "deep" / "problems.json") == []
    assert json.loads((tmp_path / "deep" / "problems.json").read_text()) == []


def test_what_is_broken_does_not_hide_the_rest(damaged, tmp_path):
    problems = validate_data(damaged, output=tmp_path / "problems.json")
    (problem,) = [problem for problem in problems if problem.kind == "error"]
    assert problem.video == "b"
    assert "frame 1 of annotation" in problem.what
    assert json.loads((tmp_path / "problems.json").read_text("utf-8")) == [p.named() for p in problems]
    assert validate_data(damaged) == problems


def test_the_output_is_no_input(damaged, tmp_path):
    before = damaged.read_bytes()
    for output in (damaged, tmp_path / "x" / ".." / "set.json", tmp_path):
        with pytest.raises((ValueError, OSError), match="which is read|a folder of that name"), output_rules():
            validate_data(damaged, output=output)
    assert damaged.read_bytes() == before


def test_names_in_any_script(tmp_path):
    videos = video_set({"видео": Tracks({}, SIZE, 2)}, ("кот",))
    path = write_videos(tmp_path / "set.json", "youtube_vis", videos)
    problems = validate_data(path, output=tmp_path / "problems.json")
    assert [(p.kind, p.video) for p in problems] == [("warning", "видео")]
    assert "видео" in (tmp_path / "problems.json").read_text(encoding="utf-8")


def test_files_that_cannot_be_read_at_all(tmp_path):
    with pytest.raises(FileNotFoundError, match="found nothing at"):
        validate_data(tmp_path / "none.json", output=tmp_path / "deep" / "p.json")
    (tmp_path / "broken.json").write_text('{"videos": [')
    with pytest.raises(ValueError, match="broken.json"):
        validate_data(tmp_path / "broken.json", output=tmp_path / "deep" / "p.json")
    assert not (tmp_path / "deep").exists()


# Command line


def test_validate(sets, tmp_path, capsys):
    assert main(["validate", f"{sets}/truth.json"]) == 0
    assert capsys.readouterr().out.endswith("0 errors, 0 warnings\n")
    content = json.loads((sets / "truth.json").read_text())
    content["categories"].append({"id": 99, "name": "whale"})
    masks = content["annotations"][0]["segmentations"]
    frame = next(frame for frame, mask in enumerate(masks) if mask is not None)
    masks[frame]["counts"] = masks[frame]["counts"][:-1] + "1"
    (tmp_path / "bad.json").write_text(json.dumps(content))
    assert main(["validate", f"{tmp_path}/bad.json", "--output", f"{tmp_path}/problems.json"]) == 1
    printed = capsys.readouterr().out
    assert "error: video 'a': Expected runs that cover the 30×40 pixels" in printed
    assert f"frame {frame} of annotation 1" in printed
    assert "correct the file at this place" in printed
    assert "warning: No object of 1 of 4 classes (whale). To mend it: leave" in printed
    assert printed.endswith("1 error, 1 warning\n")
    assert len(json.loads((tmp_path / "problems.json").read_text())) == 2
    assert main(["validate", f"{tmp_path}/bad.json", "--most", "1"]) == 1
    assert "… and 1 more\n1 error, 1 warning\n" in capsys.readouterr().out
    assert "found nothing at" in failed(capsys, "validate", tmp_path / "none.json")
    assert "which is read" in failed(capsys, "validate", tmp_path / "bad.json", "--output", tmp_path / "bad.json")


def test_a_negative_number_of_problems(damaged):
    with pytest.raises(ValueError, match="Expected a finite number of at least 0 for --most, got -1"):
        module.validate(damaged, reading=ReadingOptions(), most=-1)
