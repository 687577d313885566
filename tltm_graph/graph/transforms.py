import torch
from torch import Tensor
from torch_geometric.data import HeteroData
from torch_geometric.data.datapipes import functional_transform
from torch_geometric.transforms import BaseTransform
from torchvision.ops import box_convert, box_iou

from tltm_graph.graph.frame_pair import TRANSITION


@functional_transform("prune_candidates")
class PruneCandidates(BaseTransform):
    r"""Keep the edges between objects that are close to each other.

    An edge stays if the previous object is among the ``num_candidates`` nearest of the current object, or vice versa.
    The distance between centres is relative to the size of the objects,

    .. math:: d_{ij}^2 = \lVert c_i - c_j \rVert^2 / (\sqrt{w_i h_i} \sqrt{w_j h_j}),

    so it does not depend on the resolution, nor on whether objects are large or small.

    Args:
        num_candidates: Minimum number of edges that each object keeps, if it has that many; at least 1.
    """

    def __init__(self, num_candidates: int = 8) -> None:
        if num_candidates < 1:
            raise ValueError(f"Expected at least 1 candidate per object, got {num_candidates}")
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
    r"""Add six edge features: the change of the box along each edge, independent of the resolution.

    .. math::
        \left( \tfrac{x_j - x_i}{w_i},\; \tfrac{y_j - y_i}{h_i},\; \log \tfrac{w_j}{w_i},\; \log \tfrac{h_j}{h_i},\;
        IoU_{ij},\; s_j - s_i \right)

    where (x, y) is the centre, w the width and h the height (at least one pixel each), s the detection score, i the
    previous and j the current object. The IoU of boxes without area is 0. The features are appended to an existing
    ``edge_attr``.
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
    """Add ``y`` (E,), float: 1 if both ends are the same object (equal ``ids`` ≥ 0), else 0."""

    def forward(self, data: HeteroData) -> HeteroData:
        for name in ("previous", "current"):
            if "ids" not in data[name]:
                raise ValueError(f"Expected 'ids' of the {name} objects, got none: build the pair from ground truth")
        row, column = data[TRANSITION].edge_index
        id_i, id_j = data["previous"].ids[row], data["current"].ids[column]
        data[TRANSITION].y = ((id_i == id_j) & (id_i >= 0)).float()  # (E,)
        return data


def _centre_and_size(boxes: Tensor) -> tuple[Tensor, Tensor]:
    centre, size = box_convert(boxes, "xyxy", "cxcywh").split(2, dim=1)
    return centre, size.clamp(min=1)


def _distance(previous: Tensor, current: Tensor) -> Tensor:
    centre_i, size_i = _centre_and_size(previous)
    centre_j, size_j = _centre_and_size(current)
    scale = (size_i.prod(dim=1) * size_j.prod(dim=1)).sqrt()
    return (centre_j - centre_i).square().sum(dim=1) / scale  # (E,), squared: only the order matters


def _among_smallest(distance: Tensor, k: int, dim: int) -> Tensor:
    k = min(k, distance.shape[dim])
    nearest = distance.topk(k, dim=dim, largest=False).indices
    return torch.zeros_like(distance, dtype=torch.bool).scatter_(dim, nearest, True)
