import pytest
import torch

from tltm_graph import Detections
from tltm_graph.detectors.centermask.fcos import assign_targets
from tltm_graph.graph import TRANSITION
from tltm_graph.models import centermask_pico, tltm_tiny
from tltm_graph.structures import FramePair
from tltm_graph.training import DetectorObjective, GroundTruthRegions, JitteredBoxes, MaskObjective, PairObjective
from tltm_graph.training.objectives import paper_objective, region_mask_loss, released_objective
from tltm_graph.training.regions import Regions

HEIGHT, WIDTH = 96, 128


def objects(*boxes):
    boxes = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)
    masks = torch.zeros(len(boxes), HEIGHT, WIDTH, dtype=torch.bool)
    for mask, (x0, y0, x1, y1) in zip(masks, boxes.int().clamp(min=0).tolist(), strict=True):
        mask[y0:y1, x0:x1] = True
    n = len(boxes)
    return Detections(boxes, torch.ones(n), torch.zeros(n, dtype=torch.int64), masks=masks, ids=torch.arange(n))


def pair(previous, current, seed=0):
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (2, 3, HEIGHT, WIDTH), generator=generator, dtype=torch.uint8)
    return FramePair(*images, previous, current)


def tiny():
    torch.manual_seed(0)
    return tltm_tiny(("thing", "other"))


TWO = objects([10, 10, 50, 60], [60, 20, 100, 80])
SITUATIONS = {
    "two objects": pair(TWO, objects([12, 12, 52, 62], [58, 20, 98, 80])),
    "nothing now": pair(TWO, objects()),
    "nothing before": pair(objects(), TWO),
    "nothing at all": pair(objects(), Detections.empty()),
    "no area": pair(objects([10, 10, 10, 10]), objects([20, 20, 20, 40], [5, 5, 60, 60])),
    "one huge box": pair(objects([0, 0, WIDTH, HEIGHT]), objects([-500, -500, 900, 900])),
}
OBJECTIVES = pytest.mark.parametrize(
    "objective",
    [
        paper_objective(),
        paper_objective(0.5),
        released_objective(),
        PairObjective(previous_boxes=JitteredBoxes(), transition_weight=0.1),
        PairObjective(both_frames=True),
    ],
    ids=str,
)


@pytest.mark.slow
@OBJECTIVES
@pytest.mark.parametrize("situation", SITUATIONS)
@pytest.mark.parametrize("autocast", [False, True])
def test_every_situation_has_finite_losses_and_gradients(objective, situation, autocast):
    model = tiny()
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        losses = objective(model, [SITUATIONS[situation]])
    assert losses.keys() - {"transition"} == {"fcos_cls", "fcos_loc", "fcos_ctr", "mask", "gnn_edge"}
    sum(losses.values()).backward()
    assert all(torch.isfinite(loss) for loss in losses.values())
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)
    if situation.startswith("nothing"):
        assert losses["gnn_edge"] == 0
    if situation == "two objects":
        assert all(loss > 0 for loss in losses.values())


@OBJECTIVES
def test_everything_learns(objective):
    model = tiny()
    sum(objective(model, [SITUATIONS["two objects"]]).values()).backward()
    untouched = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    # Levels that no object is on, and classes that no object has, have nothing to learn.
    assert not [name for name in untouched if not name.startswith(("detector.head.scales", "detector.fusers"))]


def test_input_of_the_fuser():
    """Only in the paper's way does the current detection depend on the previous image."""
    other = pair(TWO, SITUATIONS["two objects"].current, seed=1).previous_image
    for objective, depends in ((paper_objective(), True), (released_objective(), False)):
        model, first = tiny(), SITUATIONS["two objects"]
        second = FramePair(other, first.current_image, first.previous, first.current)
        a, b = (objective(model, [p])["fcos_cls"] for p in (first, second))
        assert bool(a != b) == depends


def test_regions_of_mask_head_and_gnn():
    """Only in the paper's way do proposals take part."""
    for objective, takes_part in ((paper_objective(), True), (released_objective(), False)):
        model = tiny()
        torch.nn.init.constant_(model.detector.head.cls_logits.bias, 5.0)  # every cell proposes a box …
        torch.nn.init.constant_(model.detector.head.bbox_pred.bias, 3.0)  # … of 48 pixels on the finest level
        pooled = []
        model.detector.mask_head.register_forward_hook(
            lambda module, args, output, pooled=pooled: pooled.append(args[0])
        )
        objective(model, [SITUATIONS["two objects"]])
        assert (len(pooled[0]) > 2) == takes_part


def test_a_batch_averages_over_its_pairs():
    model, pairs = tiny(), [SITUATIONS["two objects"], SITUATIONS["nothing now"]]
    objective = released_objective()
    alone, together = objective(model, pairs[:1]), objective(model, pairs)
    torch.testing.assert_close(together["gnn_edge"], alone["gnn_edge"])
    torch.testing.assert_close(together["mask"], alone["mask"])
    torch.testing.assert_close(together["fcos_loc"], alone["fcos_loc"])


@pytest.mark.slow
@OBJECTIVES
def test_losses_fall(objective):
    model = tiny()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    totals = []
    for _ in range(12):
        total = sum(objective(model, [SITUATIONS["two objects"]]).values())
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        totals.append(float(total))
    assert totals[-1] < 0.9 * totals[0]


def test_no_pairs():
    with pytest.raises(ValueError, match="Expected at least one pair of frames, got none"):
        paper_objective()(tiny(), [])


def test_a_detector_alone_and_labels_it_does_not_know():
    with pytest.raises(ValueError, match="Expected a TLTM, .* got CenterMask"):
        paper_objective()(tiny().detector, [SITUATIONS["two objects"]])
    wrong = pair(TWO, TWO.replace(labels=torch.tensor([0, 7])))
    with pytest.raises(ValueError, match="Expected labels below 2, the number of classes, got 7"):
        paper_objective()(tiny(), [wrong])


class WithNegatives:
    """True boxes, and regions that show no object."""

    def __init__(self, *negatives) -> None:
        self.negatives = torch.tensor(negatives, dtype=torch.float32).reshape(-1, 4)

    def __call__(self, propose, truth):
        rows = [torch.arange(len(t)) for t in truth]
        none = torch.full((len(self.negatives),), -1)
        return [
            Regions(torch.cat([self.negatives, t.boxes]), torch.cat([none, r]))
            for t, r in zip(truth, rows, strict=True)
        ]


def graph_of(model, objective, pairs):
    """Losses, and the graph whose edges were scored."""
    graphs, score = [], model.relation.score
    model.relation.score = lambda graph: graphs.append(graph) or score(graph)
    losses = objective(model, pairs)
    del model.relation.score
    return losses, graphs[0]


def test_no_transition_leads_to_a_negative():
    negatives = ([100, 60, 120, 90], [0, 70, 30, 95])
    pairs = [SITUATIONS["two objects"], SITUATIONS["nothing now"], SITUATIONS["nothing before"]]
    model = tiny()
    losses, graph = graph_of(model, PairObjective(sampler=WithNegatives(*negatives)), pairs)
    row, column = graph[TRANSITION].edge_index
    assert graph["current"].ids.tolist() == [-1, -1, 0, 1, -1, -1, -1, -1, 0, 1]
    to_negative = graph["current"].ids[column] < 0
    assert to_negative.sum() == 2 * 2 + 2 * 2
    assert (graph[TRANSITION].y[to_negative] == 0).all()
    assert (graph[TRANSITION].y[~to_negative] == (row == column - 2)[~to_negative]).all()
    without = PairObjective(sampler=WithNegatives())(model, pairs)
    torch.testing.assert_close(losses["mask"], without["mask"])
    assert losses["gnn_edge"] != without["gnn_edge"]
    losses["gnn_edge"].backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


def test_a_negative_without_any_object():
    empty = FramePair(*(SITUATIONS["two objects"].current_image,) * 2, Detections.empty(), Detections.empty())
    losses, graph = graph_of(tiny(), PairObjective(sampler=WithNegatives([5, 5, 50, 50])), [empty])
    assert (graph["current"].num_nodes, graph["previous"].num_nodes) == (1, 0)
    assert losses["gnn_edge"] == losses["mask"] == 0


def test_previous_nodes_are_pooled_in_the_given_boxes():
    class Elsewhere(JitteredBoxes):
        def __call__(self, objects):
            return objects.boxes + 7

    pairs, model = [SITUATIONS["two objects"]], tiny()
    _, graph = graph_of(model, PairObjective(sampler=WithNegatives(), previous_boxes=Elsewhere()), pairs)
    assert torch.equal(graph["previous"].boxes, pairs[0].previous.boxes + 7)
    moved = pair(objects(*(pairs[0].previous.boxes + 7).tolist()), pairs[0].current)
    _, expected = graph_of(model, PairObjective(sampler=WithNegatives()), [moved])
    assert torch.equal(graph["previous"].x, expected["previous"].x)
    assert torch.equal(graph[TRANSITION].y, expected[TRANSITION].y)


def test_both_frames_are_two_images_of_the_detector():
    both, model = [SITUATIONS["two objects"], SITUATIONS["nothing before"]], tiny()
    sampler = GroundTruthRegions()
    losses = PairObjective(sampler=sampler, both_frames=True)(model, both)
    later = PairObjective(sampler=sampler)(model, both)
    first = [pair_of(p.previous, p.previous, p.previous_image) for p in both]  # each fused with itself
    first = PairObjective(sampler=sampler)(model, first)
    torch.testing.assert_close(losses["gnn_edge"], later["gnn_edge"])
    counts = [sum(len(p.current) for p in both), sum(len(p.previous) for p in both)]
    mean = (later["mask"] * counts[0] + first["mask"] * counts[1]) / sum(counts)
    torch.testing.assert_close(losses["mask"], mean)
    cells = [positives(model, [p.current for p in both]), positives(model, [p.previous for p in both])]
    for name in ("fcos_cls", "fcos_ctr"):
        mean = (later[name] * cells[0] + first[name] * cells[1]) / sum(cells)
        torch.testing.assert_close(losses[name], mean)


def pair_of(previous, current, image):
    return FramePair(image, image, previous, current)


def positives(model, truth):
    """Cells that have an object, in two images of one size."""
    strides = model.detector.backbone.strides
    sizes = [(-(-HEIGHT // 32) * 32 // s, -(-WIDTH // 32) * 32 // s) for s in strides]
    return int((assign_targets(sizes, strides, truth).labels >= 0).sum())


@pytest.mark.parametrize("situation", SITUATIONS)
@pytest.mark.parametrize("part", ["TLTM", "detector"])
def test_every_situation_has_finite_losses_and_gradients_of_a_detector(situation, part):
    model = tiny() if part == "TLTM" else tiny().detector
    losses = DetectorObjective()(model, [SITUATIONS[situation]])
    assert losses.keys() == {"fcos_cls", "fcos_loc", "fcos_ctr", "mask"}
    sum(losses.values()).backward()
    assert all(torch.isfinite(loss) for loss in losses.values())
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)
    if situation == "two objects":
        assert all(loss > 0 for loss in losses.values())
    if part == "TLTM":
        untouched = [*model.relation.parameters(), *model.detector.fusers.parameters()]
        assert all(p.grad is None for p in untouched)


def test_it_is_the_pair_objective_without_fusion_and_relation():
    """Of a pair of one image twice, with fusers that add nothing, the detector's losses are the same."""
    model = tiny()
    for fuser in model.detector.fusers:
        torch.nn.init.zeros_(fuser.cn2.weight)
        torch.nn.init.zeros_(fuser.cn2.bias)
    image = pair(TWO, TWO).previous_image
    twice = FramePair(image, image, TWO, TWO)
    losses = DetectorObjective(GroundTruthRegions())(model, [twice])
    expected = released_objective()(model, [twice])
    for name in losses:
        torch.testing.assert_close(losses[name], expected[name])


def test_each_frame_is_an_image_by_itself():
    model = tiny()
    first, second = SITUATIONS["two objects"], pair(TWO, TWO, seed=3)
    swapped = FramePair(first.current_image, first.previous_image, first.current, first.previous)
    objective = DetectorObjective(GroundTruthRegions())
    losses, others = objective(model, [first, second]), objective(model, [second, swapped])
    for name in losses:
        torch.testing.assert_close(losses[name], others[name])


@pytest.mark.slow
def test_losses_of_a_detector_fall():
    model, objective = tiny().detector, DetectorObjective()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    totals = []
    for _ in range(12):
        total = sum(objective(model, [SITUATIONS["two objects"]]).values())
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        totals.append(total.item())
    assert totals[-1] < 0.9 * totals[0]


def test_errors_of_a_detector():
    with pytest.raises(ValueError, match="Expected at least one pair of frames, got none"):
        DetectorObjective()(tiny(), [])
    wrong = pair(TWO, TWO.replace(labels=torch.tensor([0, 7])))
    with pytest.raises(ValueError, match="Expected labels below 2, the number of classes, got 7"):
        DetectorObjective()(tiny(), [wrong])


def test_the_mask_head_learns_alone():
    torch.manual_seed(0)
    model = centermask_pico(("thing", "other"), min_size=64)
    losses = MaskObjective()(model, [SITUATIONS["two objects"], SITUATIONS["nothing now"]])
    assert losses.keys() == {"mask"}
    losses["mask"].backward()
    assert all(parameter.grad is not None for parameter in model.mask_head.parameters())
    assert all(p.grad is None for part in (model.backbone, model.head) for p in part.parameters())
    nothing = MaskObjective()(model, [SITUATIONS["nothing at all"]])["mask"]
    nothing.backward()
    assert nothing == 0
    with pytest.raises(ValueError, match="Expected at least one pair"):
        MaskObjective()(model, [])


def test_masks_are_learned_in_the_given_boxes():
    model = centermask_pico(("thing", "other"), min_size=64)
    torch.manual_seed(0)
    exact = MaskObjective(JitteredBoxes(0.0), max_regions=5)(model, [SITUATIONS["two objects"]])["mask"]
    truth = [SITUATIONS["two objects"].previous, SITUATIONS["two objects"].current]
    images = model.prepare([SITUATIONS["two objects"].previous_image, SITUATIONS["two objects"].current_image])
    sizes = [(HEIGHT, WIDTH)] * 2
    features = model.pool(model.backbone(images), [objects.boxes for objects in truth], sizes, images)
    regions = [Regions(objects.boxes, torch.arange(2)) for objects in truth]
    torch.testing.assert_close(exact, region_mask_loss(model, features, regions, truth))


def test_a_head_without_centerness_cannot_be_trained():
    model = centermask_pico(("thing", "other"), min_size=64)
    with pytest.raises(ValueError, match="Expected a head with centerness"):
        DetectorObjective()(model, [SITUATIONS["two objects"]])
