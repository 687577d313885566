"""Pairs of real still images, where the folder with them lies beside the project."""

import pickle
from pathlib import Path

import pytest
import torch

from tests.frame_pairs.cases import same
from tltm_graph.formats import COCO
from tltm_graph.formats.yolo import read_yolo
from tltm_graph.frame_pairs import FlipPair, PairReport, PairStream, ResizePair, StillPairs, annotated_videos

FOLDER = Path(__file__).parents[4] / "shared/data/coco128-seg"
pytestmark = [
    pytest.mark.skipif(not FOLDER.exists(), reason="needs the folder 'shared' beside the project"),
    pytest.mark.filterwarnings("ignore:left out of"),
]


def test_pairs_of_coco():
    source = StillPairs(annotated_videos(read_yolo(FOLDER, COCO)))
    assert len(source) == 128
    report = PairReport.of(source, 20)
    assert 3 < report.objects < 12
    assert report.without_common < 0.3
    source = pickle.loads(pickle.dumps(source))  # as a worker gets it
    stream = PairStream([source], transforms=[FlipPair(), ResizePair((240, 320), 640)])
    for k in range(4):
        pair = stream[k]
        assert min(pair.current_image.shape[1:]) in (240, 320)
        assert set(pair.current.ids.tolist()) <= set(pair.previous.ids.tolist()), "nothing comes out of nowhere"
        assert pair.current.masks is None or pair.current.masks.flatten(1).any(dim=1).all()
        assert same(pair, stream[k])
        assert pair.current_image.float().std() > 5
        assert not torch.equal(pair.previous_image, pair.current_image)
