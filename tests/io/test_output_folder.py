import pytest

from tltm_graph.io import output_folder


def test_it_is_made(tmp_path):
    with output_folder(tmp_path / "a" / "b") as folder:
        assert folder == tmp_path / "a" / "b"
        (folder / "result").touch()
    assert [path.name for path in folder.iterdir()] == ["result"]
    with output_folder(folder):
        pass
    assert [path.name for path in folder.iterdir()] == ["result"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_what_was_made_for_nothing_is_taken_away(tmp_path, error):
    (tmp_path / "old").mkdir()
    for folder in (tmp_path / "a" / "b", tmp_path / "old", tmp_path / "old" / "c"):
        with pytest.raises(error), output_folder(folder):
            raise error
    assert [path.name for path in tmp_path.iterdir()] == ["old"], "what was there before stays"
    assert list((tmp_path / "old").iterdir()) == []
    with pytest.raises(error), output_folder(tmp_path / "a" / "b") as folder:
        (folder / "result").touch()
        raise error
    assert (tmp_path / "a" / "b" / "result").exists(), "what is complete stays"


def test_where_nothing_can_be_written(tmp_path):
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        message = r"Expected a folder to write to at '.*file.*', got: "
        with pytest.raises(OSError, match=message), output_folder(folder):
            raise AssertionError("not to be reached")
