import os
import pickle
import zipfile

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from tltm_graph.io import read_weights

WEIGHTS = {"a.weight": torch.arange(6.0).reshape(2, 3), "b": torch.tensor([True, False])}
ARRAYS = {name: value.numpy() for name, value in WEIGHTS.items()}


def check(weights):
    assert weights.keys() == WEIGHTS.keys()
    assert all(torch.equal(weights[name], WEIGHTS[name]) for name in WEIGHTS)


@pytest.mark.parametrize("zip_file", [True, False])
@pytest.mark.parametrize("key", ["model", "state_dict", None])
def test_files_of_torch(tmp_path, zip_file, key):
    extra = {"iteration": 5, "optimizer": {"lr": np.float64(0.1)}, "author": "author"}
    content = WEIGHTS | extra if key is None else {key: WEIGHTS, **extra}
    torch.save(content, tmp_path / "weights.pth", _use_new_zipfile_serialization=zip_file)
    check(read_weights(tmp_path / "weights.pth"))


@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("content", [{"model": ARRAYS, "__author__": "author"}, ARRAYS])
def test_pickles_of_arrays(tmp_path, protocol, content):
    (tmp_path / "weights.pkl").write_bytes(pickle.dumps(content, protocol=protocol))
    check(read_weights(tmp_path / "weights.pkl"))


def test_safetensors(tmp_path):
    save_file(WEIGHTS, tmp_path / "weights.safetensors")
    check(read_weights(tmp_path / "weights.safetensors"))


def test_names_of_data_parallel_training(tmp_path):
    torch.save({f"module.{name}": value for name, value in WEIGHTS.items()}, tmp_path / "weights.pth")
    check(read_weights(tmp_path / "weights.pth"))


class Code:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("save", [torch.save, lambda content, path: path.write_bytes(pickle.dumps(content))])
def test_code_is_not_run(tmp_path, save):
    save({"code": Code(tmp_path / "harm"), "model": WEIGHTS}, tmp_path / "weights.pth")
    with pytest.raises(ValueError, match=r"code in it, which was not run: it asks for '\w+\.mkdir'"):
        read_weights(tmp_path / "weights.pth")
    assert not (tmp_path / "harm").exists()


@pytest.mark.parametrize("name", ["weights.pth", "weights.pkl", "weights.safetensors"])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_truncated_files(tmp_path, name, share):
    path = tmp_path / name
    if name.endswith("pkl"):
        path.write_bytes(pickle.dumps(ARRAYS))
    else:
        (save_file if name.endswith("safetensors") else torch.save)(WEIGHTS, path)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(ValueError, match="broken"):
        read_weights(path)


def test_other_files(tmp_path):
    with pytest.raises(FileNotFoundError, match="Expected a file of weights"):
        read_weights(tmp_path / "none.pth")
    (tmp_path / "text.pth").write_text("no weights at all")
    with pytest.raises(ValueError, match="broken"):
        read_weights(tmp_path / "text.pth")
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(ValueError, match="Expected weights by name in .* got a list"):
        read_weights(tmp_path / "list.pth")
    torch.save({"epoch": 1}, tmp_path / "empty.pth")
    with pytest.raises(ValueError, match=r"got none; its entries are \['epoch'\]"):
        read_weights(tmp_path / "empty.pth")


def test_arrays_of_any_layout_and_kind(tmp_path):
    arrays = {
        "columns": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "swapped": np.arange(3.0).astype(">f4"),
        "whole": np.arange(3),
        "scalar": np.array(2.5, dtype=np.float16),
        "none": np.zeros((0, 4), dtype=np.float32),
    }
    for protocol in (2, 4, 5):
        (tmp_path / "weights.pkl").write_bytes(pickle.dumps(arrays, protocol=protocol))
        found = read_weights(tmp_path / "weights.pkl")
        assert {name: value.tolist() for name, value in found.items()} == {k: v.tolist() for k, v in arrays.items()}
        assert found["swapped"].dtype == torch.float32


def test_types_that_hold_objects_are_not_built(tmp_path):
    for content in ({"a": np.array([{}, []], dtype=object)}, {"a": np.zeros(2, dtype=[("x", "f4")])}):
        (tmp_path / "weights.pkl").write_bytes(pickle.dumps(content))
        with pytest.raises(ValueError, match="values of type"):
            read_weights(tmp_path / "weights.pkl")


@pytest.mark.parametrize(
    "value", [torch.eye(3).to_sparse(), torch.zeros(3, dtype=torch.complex64), torch.zeros(1).expand(2**40)]
)
def test_tensors_that_are_not_dense_and_real(tmp_path, value):
    torch.save({"model": {"good": torch.zeros(1), "odd": value}}, tmp_path / "weights.pth")
    with pytest.raises(ValueError, match=r"got something else in \['odd'\]"):
        read_weights(tmp_path / "weights.pth")


def test_the_name_of_the_file_does_not_matter(tmp_path):
    save_file(WEIGHTS, tmp_path / "weights.bin")
    torch.save(WEIGHTS, tmp_path / "weights.safetensors")
    check(read_weights(tmp_path / "weights.bin"))
    check(read_weights(tmp_path / "weights.safetensors"))


def test_a_short_file_does_not_ask_for_gigabytes(tmp_path):
    path = tmp_path / "model.pkl"
    path.write_bytes(b"\x80\x02}r\xff\xff\xff\x7f.")  # the memo gets 2**31 places
    with pytest.raises(ValueError, match="its memo is larger than the file"):
        read_weights(path)
    torch.save({"a": torch.zeros(1000)}, tmp_path / "model.pth")
    with zipfile.ZipFile(tmp_path / "model.pth") as file:
        members = {name: file.read(name) for name in file.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(name, content)
    with pytest.raises(ValueError, match="its tensors are compressed"):
        read_weights(path)
