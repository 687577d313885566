import pytest
import torch

from tests.cases import names_in
from tltm_graph.training.checkpoints import (
    checkpoint_path,
    checkpoint_step,
    newest_checkpoint,
    remove_old_checkpoints,
    write_checkpoint,
)


def saved(folder, *steps):
    for step in steps:
        write_checkpoint({"step": step, "weights": torch.arange(500.0)}, checkpoint_path(folder, step))
    return [checkpoint_path(folder, step) for step in steps]


def test_the_newest_one(tmp_path):
    assert newest_checkpoint(tmp_path) is None
    assert newest_checkpoint(tmp_path / "not there") is None
    paths = saved(tmp_path, 5, 10, 100_000_000)
    assert newest_checkpoint(tmp_path) == paths[2]
    assert checkpoint_step(paths[2]) == 100_000_000
    assert torch.load(paths[1], weights_only=True)["step"] == 10
    assert names_in(tmp_path) == sorted(path.name for path in paths), "nothing temporary is left"


@pytest.mark.parametrize("damage", ["cut", "empty", "changed"])
def test_a_damaged_one_is_passed_over(damage, tmp_path):
    good, bad = saved(tmp_path, 1, 2)
    content = bytearray(bad.read_bytes())
    if damage == "changed":
        content[content.index(torch.arange(500.0).numpy().tobytes()) + 100] ^= 1
    bad.write_bytes({"cut": content[:-20], "empty": b"", "changed": content}[damage])
    with pytest.warns(UserWarning, match="step_00000002.ckpt' is damaged"):
        assert newest_checkpoint(tmp_path) == good


@pytest.mark.parametrize("damage", ["cut", "copied"])
def test_a_resumed_run_replaces_its_checkpoints(damage, tmp_path):
    """The run goes on from the last sound one, and the folder of the run may have been copied."""
    _, last = saved(tmp_path, 1, 2)
    content = last.read_bytes()
    last.write_bytes(content[:-20] if damage == "cut" else content)
    saved(tmp_path, 2)
    assert newest_checkpoint(tmp_path) == last


def test_a_partial_file_is_no_checkpoint(tmp_path, monkeypatch):
    def killed(*_):
        raise KeyboardInterrupt

    (good,) = saved(tmp_path, 1)
    monkeypatch.setattr("os.replace", killed)
    with pytest.raises(KeyboardInterrupt):
        saved(tmp_path, 2)
    assert newest_checkpoint(tmp_path) == good


def test_it_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    order = []
    monkeypatch.setattr("os.fsync", lambda _: order.append("fsync"))
    replace = __import__("os").replace
    monkeypatch.setattr("os.replace", lambda *paths: (order.append("rename"), replace(*paths)))
    saved(tmp_path, 1)
    assert order == ["fsync", "rename", "fsync"]


def test_old_ones_go(tmp_path):
    saved(tmp_path, *range(1, 6))
    torn = tmp_path / ".step_00000006.123.partial.ckpt"
    torn.touch()
    (tmp_path / "other.ckpt").touch()
    remove_old_checkpoints(tmp_path, 2)
    assert names_in(tmp_path) == ["other.ckpt", "step_00000004.ckpt", "step_00000005.ckpt"]
    remove_old_checkpoints(tmp_path, 9)
    assert len(names_in(tmp_path)) == 3
