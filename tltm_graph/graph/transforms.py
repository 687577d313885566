import torch
from torch import Tensor
from torch_geometric.data import HeteroData
from torch_geometric.data.datapipes import functional_transform
from torch_geometric.transforms import BaseTransform
from torchvision.ops import box_iou

from tltm_graph.graph.frame_pair import TRANSITION


@functional_transform("prune_candidates")
class PruneCandidates(BaseTransform):
    r"""Keeps the edges between objects that are near each other.

    An edge stays if the previous object is among the ``num_candidates`` nearest of the current one, or the other way
    round. The distance is that of the centres in units of the objects' size,

    .. math:: d_{ij}^2 = \lVert c_i - c_j \rVert^2 / (\sqrt{w_i h_i} \sqrt{w_j h_j}),

    so that near means the same for large and small objects, and at any resolution.

    Args:
        num_candidates: Edges that every object may keep at least, if it has that many.
    """

    def __init__(self, num_candidates: int = 8) -> None:
        if num_candidates < 1:
            raise ValueError(f"Expected at least 1 candidate an object, got {num_candidates}")
        self.num_candidates = num_candidates

    def forward(self, data: HeteroData) -> HeteroData:
        store = data[TRANSITION]
        row, column = store.edge_index
        previous, current = data["previous"].boxes, data["current"].boxes
        if row.numel() == 0:
            return data
        distance = previous.new_full((len(previous), len(current)), float("inf"))
        distance[row, column] = _distance(previous[row], current[column])
        keep = _among_smallest(distance, self.num_candidates, dim=0)
        keep |= _among_smallest(distance, self.num_candidates, dim=1)
        kept = keep[row, column]  # (E,)
        num_edges = row.numel()
        for key, value in store.items():
            if key == "edge_index":
                store[key] = value[:, kept]
            elif isinstance(value, Tensor) and value.shape[:1] == (num_edges,):
                store[key] = value[kept]
        return data

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.num_candidates})"


@functional_transform("add_geometry")
class AddGeometry(BaseTransform):
    r"""Adds six edge features: how the box changes along each transition, the same at any resolution.

    .. math::
        \left( \tfrac{x_j - x_i}{w_i},\; \tfrac{y_j - y_i}{h_i},\; \log \tfrac{w_j}{w_i},\; \log \tfrac{h_j}{h_i},\;
        IoU_{ij},\; s_j - s_i \right)

    with centre (x, y), width w, height h (at least one pixel) and detection score s; i previous, j current. The IoU of
    boxes without area is 0. What ``edge_attr`` there was comes first.
    """

    def forward(self, data: HeteroData) -> HeteroData:
        row, column = data[TRANSITION].edge_index
        previous, current = data["previous"], data["current"]
        centre_i, size_i = _centre_and_size(previous.boxes[row])
        centre_j, size_j = _centre_and_size(current.boxes[column])
        iou = box_iou(previous.boxes, current.boxes)[row, column].nan_to_num(0.0)
        store = data[TRANSITION]
        store.edge_attr = torch.cat(
            [
                *([store.edge_attr] if "edge_attr" in store else []),
                (centre_j - centre_i) / size_i,
                (size_j / size_i).log(),
                iou[:, None],
                (current.scores[column] - previous.scores[row])[:, None],
            ],
            dim=1,
        )  # (E, D + 6)
        return data


@functional_transform("add_labels")
class AddLabels(BaseTransform):
    """Adds ``y`` (E,), float: 1 where both ends are the same object (equal ``ids`` ≥ 0), else 0."""

    def forward(self, data: HeteroData) -> HeteroData:
        for name in ("previous", "current"):
            if "ids" not in data[name]:
                raise ValueError(f"Expected 'ids' of the {name} objects, got none: build the pair from ground truth")
        row, column = data[TRANSITION].edge_index
        before, now = data["previous"].ids[row], data["current"].ids[column]
        data[TRANSITION].y = ((before == now) & (before >= 0)).float()  # (E,)
        return data


def _centre_and_size(boxes: Tensor) -> tuple[Tensor, Tensor]:
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2
    return centre, (boxes[:, 2:] - boxes[:, :2]).clamp(min=1)


def _distance(previous: Tensor, current: Tensor) -> Tensor:
    centre_i, size_i = _centre_and_size(previous)
    centre_j, size_j = _centre_and_size(current)
    scale = (size_i.prod(dim=1) * size_j.prod(dim=1)).sqrt()
    return (centre_j - centre_i).square().sum(dim=1) / scale  # (E,), squared: the order is what counts


def _among_smallest(distance: Tensor, k: int, dim: int) -> Tensor:
    k = min(k, distance.shape[dim])
    nearest = distance.topk(k, dim=dim, largest=False).indices
    return torch.zeros_like(distance, dtype=torch.bool).scatter_(dim, nearest, True)
