import pytest
import torch

from tests.parity import reference_state
from tltm_graph.models import tltm_r50


@pytest.fixture(scope="module")
def tltm_state():
    return reference_state(tltm_r50())


@pytest.fixture
def save(tmp_path):
    """Writer of a checkpoint as the released code saves it; returns the path."""

    def written(state, name="weights.pth"):
        torch.save({"model": state, "iteration": 9}, tmp_path / name)
        return tmp_path / name

    return written
