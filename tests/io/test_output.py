import os
from pathlib import Path

import pytest

from tltm_graph.io.output import output_folder, write_atomically, write_folder_atomically


def test_the_file_appears_at_the_end(tmp_path):
    path = tmp_path / "result.json"
    path.write_text("old")
    with write_atomically(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_permissions_are_those_of_new_files(tmp_path):
    (tmp_path / "plain").touch()
    with write_atomically(tmp_path / "weights") as temporary:
        os.close(os.open(temporary, os.O_CREAT, mode=0o600))
    assert (tmp_path / "weights").stat().st_mode == (tmp_path / "plain").stat().st_mode
    assert sorted(path.name for path in tmp_path.iterdir()) == ["plain", "weights"]


def test_after_an_error_the_old_file_stays(tmp_path):
    path = tmp_path / "result.json"
    path.write_text("old")
    with pytest.raises(RuntimeError), write_atomically(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_new_file_is_whole_or_not_there(tmp_path, error):
    path = tmp_path / "result.tar.gz"
    with pytest.raises(error), write_atomically(str(path)) as temporary:
        assert temporary.suffix == ".gz", "writers go by the ending"
        assert temporary.parent == tmp_path
        temporary.write_text("half")
        raise error
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(FileNotFoundError), write_atomically(path):
        pass  # nothing was written
    assert list(tmp_path.iterdir()) == []


def tree(folder: Path) -> dict[str, str]:
    return {str(p.relative_to(folder)): p.read_text() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_a_folder_takes_the_place_of_another(tmp_path):
    path = tmp_path / "deep" / "result"
    for number in (1, 2):
        with write_folder_atomically(path) as temporary:
            (temporary / f"{number}.txt").write_text("new")
            (temporary / "same.txt").write_text(str(number))
            assert tree(path) == ({} if number == 1 else {"1.txt": "new", "same.txt": "1"})
        assert tree(path) == {f"{number}.txt": "new", "same.txt": str(number)}
    assert list((tmp_path / "deep").iterdir()) == [path]
    with write_folder_atomically(path):
        pass
    assert tree(path) == {}, "an empty folder is a result too"


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_after_an_error_the_old_folder_stays(tmp_path, error):
    path = tmp_path / "result"
    path.mkdir()
    (path / "old.txt").write_text("old")
    with pytest.raises(error), write_folder_atomically(path) as temporary:
        (temporary / "new.txt").write_text("half")
        raise error
    assert tree(tmp_path) == {"result/old.txt": "old"}
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_an_interruption_between_the_renames_loses_nothing(tmp_path, monkeypatch, error):
    path = tmp_path / "result"
    path.mkdir()
    (path / "old.txt").write_text("old")
    replace, calls = os.replace, []

    def failing(source, target):
        calls.append(target)
        if len(calls) == 2:
            raise error("no more space")
        replace(source, target)

    monkeypatch.setattr(os, "replace", failing)
    with pytest.raises(error), write_folder_atomically(path) as temporary:
        (temporary / "new.txt").write_text("new")
    assert tree(tmp_path) == {"result/old.txt": "old"}
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_is_not_replaced_by_a_folder(tmp_path):
    path = tmp_path / "result"
    path.write_text("a file")
    message = r"Expected a folder to write at '.*result', got a file"
    with pytest.raises(FileExistsError, match=message), write_folder_atomically(path):
        pass
    assert path.read_text() == "a file"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_left_by_a_killed_process_is_replaced(tmp_path):
    left = tmp_path / f".result.{os.getpid()}.partial"
    left.mkdir()
    (left / "half.txt").write_text("half")
    with write_folder_atomically(tmp_path / "result") as temporary:
        assert tree(temporary) == {}
        (temporary / "new.txt").write_text("new")
    assert tree(tmp_path) == {"result/new.txt": "new"}


def test_output_folder_is_created(tmp_path):
    with output_folder(tmp_path / "a" / "b") as folder:
        assert folder == tmp_path / "a" / "b"
        (folder / "result").touch()
    assert [path.name for path in folder.iterdir()] == ["result"]
    with output_folder(folder):
        pass
    assert [path.name for path in folder.iterdir()] == ["result"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_empty_created_folders_are_removed_after_an_error(tmp_path, error):
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


def test_folders_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        message = r"Expected a folder to write to at '.*file.*', got: "
        with pytest.raises(OSError, match=message), output_folder(folder):
            raise AssertionError("not to be reached")
