"""Speed of TransitionGNN, plain and folded, relative to a literal transcription of its equations, at published size.

Run: python benchmarks/transition_gnn.py
"""

from functools import partial

import torch
from torch import Tensor, nn

from benchmarks.timing import machine, side_by_side
from tltm_graph import TransitionGNN
from tltm_graph.nn import FoldedTransitionGNN

SIZES = (5, 10, 20, 50, 100)


class Literal(nn.Module):
    """Literal transcription: concatenate both nodes of every edge, run every layer per edge, sum messages."""

    def __init__(self, gnn: TransitionGNN) -> None:
        super().__init__()
        self.edge_mlp, self.node_mlp, self.edge_predictor = gnn.edge_mlp, gnn.node_mlp, gnn.edge_predictor

    def forward(self, x: tuple[Tensor, Tensor], edge_index: Tensor) -> Tensor:
        previous, current = x
        row, column = edge_index
        messages = self.edge_mlp(torch.cat([previous[row], current[column]], dim=1))
        gathered = previous.new_zeros(len(previous), messages.shape[1]).index_add(0, row, messages)
        changed = previous + self.node_mlp(torch.cat([previous, gathered], dim=1))
        return self.edge_predictor(torch.cat([changed[row], current[column]], dim=1)).squeeze(1)


def main() -> None:
    torch.manual_seed(0)
    gnn = TransitionGNN().eval()
    literal, folded = Literal(gnn), FoldedTransitionGNN(gnn)
    for threads in sorted({1, torch.get_num_threads()}):
        torch.set_num_threads(threads)
        print(f"\n{machine()}\n")
        print("| objects | literal, ms | TransitionGNN | folded | largest difference |")
        print("|---|--:|--:|--:|--:|")
        for n in SIZES:
            x = torch.randn(n, 512), torch.randn(n, 512)
            edge_index = torch.cartesian_prod(torch.arange(n), torch.arange(n)).T.contiguous()
            with torch.inference_mode():
                models = {"literal": literal, "gnn": gnn, "folded": folded}
                logits = {name: model(x, edge_index) for name, model in models.items()}
                difference = max(float((logits["literal"] - other).abs().max()) for other in logits.values())
                runs = {name: partial(model, x, edge_index) for name, model in models.items()}
                ms = side_by_side(runs, repeats=400 if n <= 20 else 40)
            faster = [f"{ms[name]:.2f} (**{ms['literal'] / ms[name]:.1f}×**)" for name in ("gnn", "folded")]
            print(f"| {n}×{n} | {ms['literal']:.2f} | {faster[0]} | {faster[1]} | {difference:.0e} |")


if __name__ == "__main__":
    main()
