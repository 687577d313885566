import pytest
import torch
from PIL import Image

from tests.cases import contents, names_in
from tltm_graph.io import read_frames
from tltm_graph.io.output import output_rules
from tltm_graph.io.pictures import write_pictures


def colours(*values, size=(20, 30)):
    return [torch.full((3, *size), value, dtype=torch.uint8) for value in values]


def test_png(tmp_path):
    assert write_pictures(tmp_path / "out", colours(10, 20)) == 2
    assert names_in(tmp_path / "out") == ["00000.png", "00001.png"]
    assert [int(frame.image.float().mean()) for frame in read_frames(tmp_path / "out")] == [10, 20]


def test_gif(tmp_path):
    assert write_pictures(tmp_path / "a.gif", colours(0, 100, 200), fps=20) == 3
    with Image.open(tmp_path / "a.gif") as picture:
        assert (picture.n_frames, picture.size, picture.info["duration"], picture.info["loop"]) == (3, (30, 20), 50, 0)
        picture.seek(2)
        assert picture.convert("RGB").getpixel((3, 3)) == (200, 200, 200)


def test_mp4(tmp_path):
    assert write_pictures(tmp_path / "a.mp4", colours(0, 128, 255), fps=25) == 3
    assert [round(float(frame.image.float().mean()) / 64) for frame in read_frames(tmp_path / "a.mp4")] == [0, 2, 4]


@pytest.mark.parametrize("name", ["a.mp4", "a.gif", "out"])
def test_nothing_is_left_after_an_error(tmp_path, name):
    with pytest.raises(ValueError, match="like the first"):
        write_pictures(tmp_path / name, [*colours(1, 2), *colours(3, size=(20, 40))])
    assert list(tmp_path.iterdir()) == []


def test_no_pictures(tmp_path):
    with pytest.raises(ValueError, match="at least one picture"):
        write_pictures(tmp_path / "a.gif", [])


def test_another_format(tmp_path):
    with pytest.raises(ValueError, match=r"\.mp4 or \.gif"):
        write_pictures(tmp_path / "a.webm", colours(1))


def test_a_folder_with_files_is_refused(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "valuable").touch()
    (tmp_path / "mine.gif").write_text("theirs")
    before = contents(tmp_path)
    for name, shown in (("mine", "mine/valuable"), ("mine.gif", "mine.gif")):
        with pytest.raises(FileExistsError, match=f"tltm-graph wrote, got '.*{shown}' of another origin"):
            write_pictures(tmp_path / name, colours(1))
    assert contents(tmp_path) == before
    with output_rules(overwrite=True):
        write_pictures(tmp_path / "mine", colours(1, 2))
    write_pictures(tmp_path / "mine", colours(1))
    assert names_in(tmp_path / "mine") == ["00000.png"], "its own folder is replaced"
