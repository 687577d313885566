import json

import numpy as np
import pytest
import torch
from PIL import Image

from tltm_graph import MovingShapes
from tltm_graph.formats import COCO
from tltm_graph.frame_pairs import VideoPairs
from tltm_graph.frame_pairs.sampling import seeded_generator
from tltm_graph.graph import TRANSITION
from tltm_graph.models.appearance import AppearanceEvidence
from tltm_graph.training import ImageFiles
from tltm_graph.training.evidence_objective import EvidenceObjective
from tltm_graph.training.look_alike_data import (
    VIEW_KINDS,
    CachedImage,
    CachedView,
    LookAlikeData,
    look_alike_graph,
)
from tltm_graph.training.losses import edge_loss
from tltm_graph.training.memory_data import SAME
from tltm_graph.training.sources import OpenedPairs, PairSource


def cached(*labels, hidden=()):
    """An image whose evidence tells label, row and view; rows in ``hidden`` are in the first view alone."""
    labels = torch.tensor(labels, dtype=torch.int64)
    views = []
    for view in range(len(VIEW_KINDS)):
        rows = torch.tensor([row for row in range(len(labels)) if view == 0 or row not in hidden], dtype=torch.int64)
        x = torch.stack([labels[rows], rows, torch.full_like(rows, view)], dim=1)
        views.append(CachedView(rows, x.half()))
    return CachedImage(labels, tuple(views))


def test_look_alike_graphs():
    images = [cached(3, 3, 3, 5), cached(5), cached(3, 7)]
    sizes, alone, kinds = set(), 0, set()
    for seed in range(200):
        graph = look_alike_graph(images, 0, VIEW_KINDS, seeded_generator(seed), max_objects=5)
        previous, current, earlier = (graph[side].x for side in ("previous", "current", "earlier"))
        sizes.add((len(previous), len(current)))
        assert len(current[:, 2].unique()) <= 1, "all objects of a frame are in views of one kind"
        kinds |= set(current[:, 2].int().tolist())
        assert not set(current[:, 2].tolist()) & set(previous[:, 2].tolist()), "another view than before"
        alone += len(torch.cat([previous, current])[:, 0].unique()) > 1
        row, column = graph[TRANSITION].edge_index
        same = graph["previous"].ids[row] == graph["current"].ids[column]
        assert torch.equal(graph[TRANSITION].y, same.float())
        assert (previous[row, 0] == current[column, 0])[same].all()
        assert (previous[row, 1] == current[column, 1])[same].all()
        number, of = graph[SAME].edge_index
        assert torch.equal(earlier[number, :2], previous[of, :2]), "earlier observations of the same object"
        assert (earlier[number, 2] != previous[of, 2]).all()
    assert kinds == set(range(len(VIEW_KINDS)))
    assert {m for m, _ in sizes} == {n for _, n in sizes} == set(range(5)), "objects are missing, even all"
    assert 20 < alone < 80, "a quarter of the graphs has several classes"


def test_look_alikes_of_other_images_come_last():
    images = [cached(3), cached(5, 3), cached(3, 3)]
    graph = look_alike_graph(images, 0, VIEW_KINDS, seeded_generator(1), max_objects=4, missing=0.0)
    assert graph["previous"].labels.tolist() == [3] * len(graph["previous"].labels)
    assert len(graph["previous"].labels) > 1


def test_objects_that_a_view_does_not_show_are_missing():
    images = [cached(3, 3, hidden=(1,))]
    for seed in range(20):
        graph = look_alike_graph(images, 0, VIEW_KINDS, seeded_generator(seed), missing=0.0)
        rows = graph["current"].x
        assert ((rows[:, 1] == 0) | (rows[:, 2] == 0)).all()


@pytest.fixture(scope="module")
def stills(tmp_path_factory):
    """Two images with two cups and a bottle each."""
    folder = tmp_path_factory.mktemp("stills")
    random = np.random.default_rng(0)
    images, rows = [], []
    for number in range(2):
        name = f"{number}.png"
        Image.fromarray(random.integers(0, 256, (120, 160, 3), dtype=np.uint8)).save(folder / name)
        images.append({"id": number, "file_name": name, "height": 120, "width": 160})
        for k, category in enumerate((1, 1, 2)):
            x, y = 10.5 + 50 * k, 30.5
            polygon = [x, y, x + 40, y, x + 40, y + 50, x, y + 50]
            rows.append({
                "id": 10 * number + k + 1, "image_id": number, "category_id": category, "iscrowd": 0,
                "segmentation": [polygon], "bbox": [x, y, 40, 50], "area": 2000,
            })  # fmt: skip
    categories = [{"id": 1, "name": "cup"}, {"id": 2, "name": "bottle"}]
    (folder / "instances.json").write_text(
        json.dumps({"images": images, "annotations": rows, "categories": categories})
    )
    return ImageFiles(str(folder / "instances.json"), str(folder))


@pytest.mark.slow
def test_data_and_objective(stills):
    data = LookAlikeData([stills], "centermask-pico", batch_size=3, num_workers=0)
    stream = data.open(COCO, seed=1)
    assert stream.report[-1] == f"6 objects in 2 images, {len(VIEW_KINDS)} views of each"
    batch = next(iter(stream.loader(step=2)))
    again = next(iter(stream.loader(step=2)))
    assert len(batch) == 3
    model = AppearanceEvidence()
    for graph, other in zip(batch, again, strict=True):
        assert torch.equal(graph["previous"].x, other["previous"].x)
        assert graph["current"].x.shape[1] == model.encoder.in_channels
    losses = EvidenceObjective(sum_weight=0.5)(model, batch)
    assert losses.keys() == {"gnn_edge", "sum_edge"}
    torch.testing.assert_close(losses["sum_edge"], 0.5 * losses["gnn_edge"], msg="the GNN is 0 at first")
    sum(losses.values()).backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())
    with pytest.raises(ValueError, match="Expected a detector of the classes .* in 'centermask-pico', got one of"):
        data.open(("cup", "bottle"))


def test_objective_on_graphs_without_edges():
    x = torch.zeros((0, AppearanceEvidence().encoder.in_channels))
    view = CachedView(torch.zeros(0, dtype=torch.int64), x)
    images = [CachedImage(torch.tensor([3]), (view,) * len(VIEW_KINDS))]
    graph = look_alike_graph(images, 0, VIEW_KINDS, seeded_generator(0))
    losses = EvidenceObjective()(AppearanceEvidence(), [graph])
    sum(losses.values()).backward()
    assert {name: loss.item() for name, loss in losses.items()} == {"gnn_edge": 0, "sum_edge": 0}
    assert edge_loss(torch.zeros(0), torch.zeros(0)) == 0


class Videos(PairSource):
    def open(self, class_names):
        return OpenedPairs("shapes", VideoPairs([MovingShapes(num_frames=2)]), "1 video")


def test_mistakes():
    with pytest.raises(ValueError, match="Expected max_objects of at least 2, to tell them apart, got 1"):
        LookAlikeData([], "centermask-pico", max_objects=1)
    with pytest.raises(ValueError, match=r"Expected still images, got 'shapes' with 1 video: use ImageFiles"):
        LookAlikeData([Videos()], "centermask-pico", num_workers=0).open(COCO)
    with pytest.raises(ValueError, match="Expected at least one graph to learn from, got none"):
        EvidenceObjective()(AppearanceEvidence(), [])
    with pytest.raises(ValueError, match=r"Expected a model with AppearanceEvidence, got .*: build it with tltm_pico"):
        EvidenceObjective()(torch.nn.Linear(1, 1), [])
    assert str(EvidenceObjective()) == "EvidenceObjective(sum_weight=1.0)"
