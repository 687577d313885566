import os
import signal
import subprocess
import threading
from pathlib import Path

import pytest

from tltm_graph.io.output import (
    LEDGER,
    check_folder_target,
    check_members,
    check_target,
    child,
    mark_input,
    output_folder,
    output_rules,
    temporary_path,
    uninterrupted,
    write_atomically,
    write_folder_atomically,
    write_together,
)


def put(path: Path, text: str) -> Path:
    """Write a file as the package does, so that it may be replaced."""
    with write_atomically(path) as temporary:
        temporary.write_text(text)
    return path


def visible(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.name != LEDGER)


def tree(folder: Path) -> dict[str, str]:
    files = [p for p in sorted(folder.rglob("*")) if p.is_file() and p.name != LEDGER]
    return {str(p.relative_to(folder)): p.read_text() for p in files}


def test_the_file_appears_at_the_end(tmp_path):
    path = put(tmp_path / "result.json", "old")
    with write_atomically(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert visible(tmp_path) == [path]


def test_permissions_are_those_of_new_files(tmp_path):
    (tmp_path / "plain").touch()
    with write_atomically(tmp_path / "weights") as temporary:
        os.close(os.open(temporary, os.O_CREAT, mode=0o600))
    assert (tmp_path / "weights").stat().st_mode == (tmp_path / "plain").stat().st_mode
    assert [path.name for path in visible(tmp_path)] == ["plain", "weights"]


def test_after_an_error_the_old_file_stays(tmp_path):
    path = put(tmp_path / "result.json", "old")
    with pytest.raises(RuntimeError), write_atomically(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert visible(tmp_path) == [path]


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


def test_a_folder_takes_the_place_of_another(tmp_path):
    path = tmp_path / "deep" / "result"
    for number in (1, 2):
        with write_folder_atomically(path) as temporary:
            (temporary / f"{number}.txt").write_text("new")
            (temporary / "same.txt").write_text(str(number))
            assert tree(path) == ({} if number == 1 else {"1.txt": "new", "same.txt": "1"})
        assert tree(path) == {f"{number}.txt": "new", "same.txt": str(number)}
    assert visible(tmp_path / "deep") == [path]
    with write_folder_atomically(path):
        pass
    assert tree(path) == {}, "an empty folder is a result too"


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_after_an_error_the_old_folder_stays(tmp_path, error):
    path = tmp_path / "result"
    with write_folder_atomically(path) as temporary:
        (temporary / "old.txt").write_text("old")
    with pytest.raises(error), write_folder_atomically(path) as temporary:
        (temporary / "new.txt").write_text("half")
        raise error
    assert tree(tmp_path) == {"result/old.txt": "old"}
    assert visible(tmp_path) == [path]


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_an_interruption_between_the_renames_loses_nothing(tmp_path, monkeypatch, error):
    path = tmp_path / "result"
    with write_folder_atomically(path) as temporary:
        (temporary / "old.txt").write_text("old")
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
    assert visible(tmp_path) == [path]


def test_a_file_is_not_replaced_by_a_folder(tmp_path):
    path = tmp_path / "result"
    path.write_text("a file")
    message = r"Expected a folder to write at '.*result', got a file"
    with pytest.raises(FileExistsError, match=message), write_folder_atomically(path):
        pass
    assert path.read_text() == "a file"
    assert visible(tmp_path) == [path]


@pytest.fixture
def dead(monkeypatch):
    """A function that gives the temporary path of a process that has died."""
    process = subprocess.Popen(["true"])
    process.wait()

    def path_of(path: Path) -> Path:
        with monkeypatch.context() as context:
            context.setattr(os, "getpid", lambda: process.pid)
            return temporary_path(path)

    return path_of


def test_what_dead_processes_left_is_removed(tmp_path, dead):
    dead(tmp_path / "result.json").write_text("half")
    dead(tmp_path / "other").mkdir()
    (dead(tmp_path / "other") / "half.txt").write_text("half")
    alive = tmp_path / temporary_path(tmp_path / "a.json").name.replace(str(os.getpid()), str(os.getppid()))
    elsewhere = tmp_path / f".result.another_host-{os.getppid()}.partial.json"
    for path in (alive, elsewhere):
        path.write_text("half")
    put(tmp_path / "result.json", "new")
    assert tree(tmp_path) == {"result.json": "new", alive.name: "half", elsewhere.name: "half"}


def test_a_folder_comes_back_after_a_kill_between_the_renames(tmp_path, dead):
    old = dead(tmp_path / "result").with_suffix(".old")
    old.mkdir()
    (old / "old.txt").write_text("old")
    put(tmp_path / "other.json", "new")
    assert tree(tmp_path) == {"other.json": "new", "result/old.txt": "old"}


# Other people's files


@pytest.mark.parametrize("name", ["result.json", "empty.json"])
def test_a_file_of_another_origin_stays(tmp_path, name):
    path = tmp_path / name
    path.write_text("theirs" if name == "result.json" else "")
    if name == "empty.json":
        put(path, "new")  # nothing is lost
        return
    message = r"replace one that tltm-graph wrote, got '.*result.json' of another origin: .*--overwrite"
    with pytest.raises(FileExistsError, match=message), write_atomically(path):
        raise AssertionError("not to be reached")
    assert tree(tmp_path) == {"result.json": "theirs"}
    with output_rules(overwrite=True):
        put(path, "ours")
    put(path, "ours again")
    assert tree(tmp_path) == {"result.json": "ours again"}


def test_a_file_that_was_changed_since_stays(tmp_path):
    path = put(tmp_path / "result.json", "ours")
    path.write_text("corrected by hand")
    with pytest.raises(FileExistsError):
        check_target(path)
    os.replace(put(tmp_path / "other.json", "x" * 17), path)  # of the same size
    with pytest.raises(FileExistsError):
        check_target(path)


def test_a_file_that_appears_meanwhile_stays(tmp_path):
    path = tmp_path / "result.json"
    with pytest.raises(FileExistsError), write_atomically(path) as temporary:
        temporary.write_text("ours")
        path.write_text("theirs")
    assert tree(tmp_path) == {"result.json": "theirs"}


@pytest.mark.parametrize("kind", ["file", "hidden file", "link", "folder in a folder"])
def test_a_folder_with_files_of_another_origin_stays(tmp_path, kind):
    path = tmp_path / "result"
    with write_folder_atomically(path) as temporary:
        (temporary / "a").mkdir()
        (temporary / "a" / "ours.txt").write_text("ours")
    check_folder_target(path)
    if kind == "link":
        (path / "a" / "link").symlink_to(tmp_path)
    else:
        theirs = path / {"file": "b.txt", "hidden file": ".b", "folder in a folder": "a/b/c.txt"}[kind]
        theirs.parent.mkdir(exist_ok=True)
        theirs.write_text("theirs")
    before = tree(tmp_path)
    with pytest.raises(FileExistsError, match="of another origin"), write_folder_atomically(path):
        raise AssertionError("not to be reached")
    assert tree(tmp_path) == before
    with output_rules(overwrite=True), write_folder_atomically(path) as temporary:
        (temporary / "new.txt").write_text("new")
    assert tree(tmp_path) == {"result/new.txt": "new"}


@pytest.mark.parametrize("overwrite", [False, True])
def test_inputs_are_never_replaced(tmp_path, overwrite):
    (tmp_path / "a").mkdir()
    path = put(tmp_path / "a" / "input.json", "ours")
    (tmp_path / "link.json").symlink_to(path)
    os.link(path, tmp_path / "hard.json")
    with output_rules(overwrite):
        mark_input(tmp_path / "link.json")
        for target in (
            path,
            tmp_path / "link.json",
            tmp_path / "hard.json",
            tmp_path / "a" / ".." / "a" / "input.json",
        ):
            with pytest.raises(ValueError, match="which would replace '.*input.json', which is read"):
                check_target(target)
        with pytest.raises(ValueError, match="which is read"):
            check_folder_target(tmp_path / "a")
        with pytest.raises(ValueError, match="which is read"):
            check_members(tmp_path / "a", ["input.json"])
        check_target(tmp_path / "a" / "output.json")
    check_target(path)  # the next command


def test_links_stay_and_pipes_and_devices_are_written_to(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    link = tmp_path / "link.json"
    link.symlink_to(tmp_path / "elsewhere" / "result.json")
    for text in ("old", "new"):
        put(link, text)
    assert link.is_symlink()
    assert tree(tmp_path / "elsewhere") == {"result.json": "new"}
    pipe, received = tmp_path / "pipe.json", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: received.append(pipe.read_text()))
    reader.start()
    put(pipe, "text")
    reader.join()
    assert (received, pipe.is_fifo()) == (["text"], True)
    put(Path("/dev/null"), "text")
    assert Path("/dev/null").is_char_device()
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(OSError, match="Expected a folder to write to for '.*loop'"):
        check_target(tmp_path / "loop")
    with pytest.raises(IsADirectoryError, match="got a folder of that name"):
        check_target(tmp_path / "elsewhere")


def test_a_list_that_is_damaged_or_a_link_protects(tmp_path):
    path = put(tmp_path / "result.json", "ours")
    (tmp_path / LEDGER).write_text('{[\n[1]\n\0\n{"result.json": 3}')
    with pytest.raises(FileExistsError):
        check_target(path)
    put(tmp_path / "more.json", "ours")
    check_target(tmp_path / "more.json")


def test_a_list_stays_short(tmp_path):
    for number in range(2500):
        put(tmp_path / "result.json", str(number))
    assert len((tmp_path / LEDGER).read_text().splitlines()) < 1100
    check_target(tmp_path / "result.json")


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/b", "../a", "/a", "a\\b", ".a", "a\0b", "a\nb", "C:a", "\ud800", "x" * 201, "a "]
)
def test_names_that_are_no_file_names(tmp_path, name):
    with pytest.raises(ValueError, match="Expected a name that can be that of a file"):
        child(tmp_path, name)


@pytest.mark.parametrize("name", ["a", "a.b", "é", "视频 1", "a..b", "-"])
def test_names_that_are_file_names(tmp_path, name):
    assert child(tmp_path, name).parent == tmp_path


# Files that belong together


def run_of(folder: Path, text: str, names: list[str]) -> None:
    with write_together(folder, "run") as staging:
        for name in names:
            put(staging / name, text)


def test_files_appear_together_and_older_ones_leave(tmp_path):
    (tmp_path / "theirs.txt").write_text("theirs")
    put(tmp_path / "page.html", "of another command")
    run_of(tmp_path, "1", ["a", "b", "c"])
    (tmp_path / "c").write_text("changed by hand")
    run_of(tmp_path, "2", ["a"])
    expected = {"theirs.txt": "theirs", "page.html": "of another command", "a": "2", "c": "changed by hand"}
    assert tree(tmp_path) == expected
    with pytest.raises(RuntimeError), write_together(tmp_path, "run") as staging:
        put(staging / "a", "3")
        assert tree(tmp_path).items() >= expected.items()
        raise RuntimeError
    assert tree(tmp_path) == expected


def test_files_of_another_origin_keep_all_others_away(tmp_path):
    for name in ("link", "b"):
        path = tmp_path / name
        path.symlink_to(tmp_path / "elsewhere") if name == "link" else path.write_text("theirs")
        with pytest.raises(OSError, match=f"got .*{name}"):
            run_of(tmp_path, "ours", ["a", name])
        with pytest.raises(OSError, match=f"got .*{name}"):
            check_members(tmp_path, ["a", name])
        path.unlink()
    assert tree(tmp_path) == {}


def test_no_temporary_file_survives_the_rules(tmp_path):
    with output_rules():
        temporary_path(tmp_path / "a.json").write_text("of a writer that a signal hit")
        temporary_path(tmp_path / "b").mkdir()
    assert list(tmp_path.iterdir()) == []


def test_signals_wait_for_the_end_of_a_short_block():
    with pytest.raises(KeyboardInterrupt), uninterrupted():
        signal.raise_signal(signal.SIGINT)
        done = True
    assert done


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
