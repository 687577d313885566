import copy
import math

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torchvision.ops import roi_align

from tests.parity import seeded
from tltm_graph import Frame
from tltm_graph.detectors import Detector, check_detector
from tltm_graph.detectors.centermask import CenterMask, Decoder
from tltm_graph.detectors.centermask.mask_head import MaskHead
from tltm_graph.detectors.centermask.model import network_size, resize_image, stretch_image
from tltm_graph.models import centermask_pico, tltm_tiny
from tltm_graph.ops import ratio_roi_align


def detector(**options):
    torch.manual_seed(0)
    options = {"decoder": Decoder(score_threshold=0.0, max_objects=6)} | options
    return tltm_tiny(("cat", "dog"), **options).detector.eval()


def frame(height, width, index=0):
    image = (seeded(f"frame.{index}", (3, height, width)).sigmoid() * 255).to(torch.uint8)
    return Frame(image, index, index / 25)


def test_protocols():
    model = detector(min_size=64, max_size=96)
    assert isinstance(model, Detector)
    assert model.masks_on_demand
    check_detector(model, [frame(64, 96), frame(64, 96, 1)])


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (37, 5), (64, 96)])
def test_images_of_any_size(size):
    model = detector(min_size=64, max_size=128)
    found, context = model.detect(frame(*size))
    found, _ = model.detect(frame(*size, 1), context)
    assert found.features.shape == (len(found), 67, 14, 14)
    segmented = model.segment(found, size)
    assert segmented.masks.shape == (len(found), *size)
    assert (segmented.boxes >= 0).all()
    assert (segmented.boxes[:, 2] <= size[1]).all()
    assert (segmented.boxes[:, 3] <= size[0]).all()


def pico(**options):
    torch.manual_seed(0)
    options = {"min_size": 64, "decoder": Decoder(score_threshold=0.0, max_objects=6)} | options
    return centermask_pico(("cat", "dog"), **options).eval()


@pytest.mark.parametrize("size", [(1, 1), (16, 16), (300, 7), (64, 96)])
def test_frames_are_stretched(size):
    model = pico()
    found, context = model.detect(frame(*size))
    assert [tuple(level.shape[2:]) for level in context.pyramid] == [(8, 8), (4, 4), (2, 2), (1, 1)]
    assert found.features.shape == (len(found), 96 + 4 * 24, 14, 14)
    assert model.segment(found, size).masks.shape == (len(found), *size)
    assert model.network_size(size) == (64, 64)
    check_detector(model, [frame(*size), frame(*size, 1)])


def test_stretched_as_by_opencv():
    image = frame(30, 50).image
    expected = cv2.resize(image.permute(1, 2, 0).numpy(), (64, 64), interpolation=cv2.INTER_CUBIC)
    assert torch.equal(stretch_image(image, (64, 64)), torch.from_numpy(expected).permute(2, 0, 1))
    assert stretch_image(image, (30, 50)) is image


def test_finer_features_follow_the_pooled_ones():
    model = pico()
    images = model.prepare([frame(64, 64).image])
    pyramid, boxes = model.backbone(images), torch.tensor([[3.0, 5, 40, 60], [0, 0, 64, 64]])
    pooled = model.pool(pyramid, [boxes], [(64, 64)], images)
    fine = roi_align(pyramid[0], [boxes], 28, 1 / 2, aligned=True)
    torch.testing.assert_close(F.pixel_shuffle(pooled[:, 96:], 2), fine)
    without = ratio_roi_align(pyramid[2:5], (8, 16, 32), [boxes], [(64, 64)])
    torch.testing.assert_close(pooled[:, :96], without)


def test_nothing_found():
    model = detector(decoder=Decoder(score_threshold=1.0))
    found, _ = model.detect(frame(64, 96))
    assert len(found) == 0
    assert model.segment(found, (64, 96)).masks.shape == (0, 64, 96)


def test_the_previous_frame_acts_only_through_the_fusers():
    model = detector(min_size=64, max_size=96)
    _, context = model.detect(frame(64, 96))
    alone, _ = model.detect(frame(64, 96, 1))
    after, context_after = model.detect(frame(64, 96, 1), context)
    assert not torch.equal(alone.boxes, after.boxes)
    _, context_alone = model.detect(frame(64, 96, 1))
    assert all(torch.equal(a, b) for a, b in zip(context_after.pyramid, context_alone.pyramid, strict=True))
    plain = copy.deepcopy(model)
    plain.fusers = None
    assert torch.equal(plain.detect(frame(64, 96, 1), context)[0].boxes, plain.detect(frame(64, 96, 1))[0].boxes)


def recurrent():
    """A pico whose fusers replace much of the current frame."""
    model = pico(fused=True)
    for fuser in model.fusers:
        torch.nn.init.normal_(fuser.expand.weight, std=0.1)
        torch.nn.init.zeros_(fuser.expand.bias)
    return model


def scene(index, seed=0, shape=(64, 96)):
    """Random colours that move to the right by 2 pixels a frame."""
    noise = torch.rand(1, 3, 32, 48, generator=torch.Generator().manual_seed(seed))
    image = 255 * F.interpolate(noise, shape, mode="bicubic").clamp(0, 1)[0]
    return Frame(torch.roll(image.to(torch.uint8), 2 * index, 2), index, index / 25)


def equal(objects, others):
    return torch.equal(objects.boxes, others.boxes) and torch.equal(objects.masks, others.masks)


def test_the_fused_pyramid_goes_to_masks_and_to_the_next_frame():
    model = recurrent()
    _, context = model.detect(scene(0))
    found, after = model.detect(scene(1), context)
    alone, after_alone = model.detect(scene(1))
    assert not equal(found, alone)
    assert all(not torch.equal(a, b) for a, b in zip(after.pyramid, after_alone.pyramid, strict=True))
    images = model.prepare([model.resize(scene(1).image)])
    pyramid, _ = model.dense(images, model.align(context, after.grey))
    torch.testing.assert_close(list(after.pyramid), list(pyramid[2:]))
    maps = model.backbone(images)
    assert torch.equal(pyramid[0], maps[0]), "finer maps are not fused"
    assert torch.equal(pyramid[1], maps[1]), "finer maps are not fused"


@pytest.mark.parametrize(("gate", "share"), [(0.05, 0), (0.1, 0), (0.125, 0.5), (0.15, 1), (0.6, 1)])
def test_clean_frames_pass_unchanged(gate, share):
    model = pico(fused=True)
    for fuser in model.fusers:
        torch.nn.init.constant_(fuser.expand.bias[: fuser.channels], math.log(gate / (1 - gate)))
    current = model.backbone(model.prepare([frame(64, 64).image]))
    previous = [torch.randn_like(level) for level in current[2:]]
    restored = model.restore(previous, current)
    assert torch.equal(restored[0], current[0])
    for level, before, now in zip(restored[2:], previous, current[2:], strict=True):
        torch.testing.assert_close(level, now + share * gate * (before - now), atol=1e-5, rtol=1e-4)
    assert model.restore(None, current) is current, "the first frame"


def test_only_gated_fusers_are_recurrent():
    good = detector()
    with pytest.raises(ValueError, match="Expected gated fusers for a recurrent detector, got"):
        CenterMask(good.backbone, good.head, good.mask_head, fusers=list(good.fusers), recurrent=True)


def test_after_a_cut_nothing_remains_of_the_old_shot():
    model = recurrent()
    _, context = model.detect(scene(0))
    found, after = model.detect(scene(1, seed=1), context)
    alone, after_alone = model.detect(scene(1, seed=1))
    assert equal(found, alone)
    assert all(torch.equal(a, b) for a, b in zip(after.pyramid, after_alone.pyramid, strict=True))


@pytest.mark.parametrize("value", [0, 255])
def test_nothing_remains_of_or_after_a_frame_of_one_colour(value):
    model = recurrent()
    plain = Frame(torch.full((3, 64, 96), value, dtype=torch.uint8), 1, 0.04)
    _, context = model.detect(scene(0))
    found, after = model.detect(plain, context)
    assert equal(found, model.detect(plain)[0])
    assert equal(model.detect(scene(2), after)[0], model.detect(scene(2))[0])


def test_a_frame_of_another_size_or_without_colour_is_fused_too():
    model = recurrent()
    _, context = model.detect(scene(0))
    for other in (scene(0, shape=(128, 100)), Frame(scene(0).image[:1].expand(3, -1, -1), 0, 0.0)):
        found, _ = model.detect(other, context)
        assert found.masks.shape == (len(found), *other.size)
        assert found.scores.isfinite().all()


def test_first_frame_is_fused_with_itself():
    model = detector(min_size=64, max_size=96)
    first, context = model.detect(frame(64, 96))
    again, _ = model.detect(frame(64, 96), context)
    assert torch.equal(first.boxes, again.boxes)


def test_preparation():
    model = detector()
    images = [torch.full((3, 30, 40), 200, dtype=torch.uint8), torch.zeros((3, 50, 20), dtype=torch.uint8)]
    images[0][0] = 255  # red
    batch = model.prepare(images)
    assert batch.shape == (2, 3, 64, 64)
    torch.testing.assert_close(batch[0, :, 0, 0], torch.tensor([200 - 103.53, 200 - 116.28, 255 - 123.675]))
    assert (batch[0, :, 30:] == 0).all()
    assert (batch[1, :, :, 20:] == 0).all()
    assert batch[1, 2, 49, 19] == pytest.approx(-123.675)


def test_frames_are_resized_by_pillow_and_boxes_are_in_their_pixels():
    model = detector(min_size=96, max_size=128)
    small = frame(48, 64)
    pixels = Image.fromarray(small.image.permute(1, 2, 0).numpy()).resize((128, 96), Image.Resampling.BILINEAR)
    large = Frame(torch.from_numpy(np.array(pixels)).permute(2, 0, 1), 0, 0.0)
    found, expected = model.detect(small)[0], model.detect(large)[0]
    torch.testing.assert_close(found.boxes * 2, expected.boxes)
    torch.testing.assert_close(found.features, expected.features)


def test_outputs_with_autocast_are_float32():
    model = detector(min_size=64, max_size=96, autocast=torch.bfloat16)
    found, context = model.detect(frame(64, 96))
    assert found.boxes.dtype == found.scores.dtype == found.features.dtype == torch.float32
    assert context.pyramid[0].dtype == torch.bfloat16
    assert model.segment(found, (64, 96)).masks.dtype == torch.bool


@pytest.mark.slow
def test_parts_compile_as_full_graphs():
    model = detector(min_size=64, max_size=96)
    expected = model.detect(frame(64, 96))[0]
    for part in (model.backbone, model.head, model.mask_head):
        part.compile(backend="eager", fullgraph=True)
    found = model.detect(frame(64, 96))[0]
    torch.testing.assert_close(found.boxes, expected.boxes)
    model.segment(found, (64, 96))


def test_parts_must_fit():
    good = detector()
    with pytest.raises(ValueError, match="Expected 5 fusers, one for each level, got 1"):
        CenterMask(good.backbone, good.head, good.mask_head, fusers=[good.fusers[0]])
    other = pico()
    with pytest.raises(ValueError, match="Expected a mask head with fine_channels=0, as the backbone has, got 24"):
        CenterMask(good.backbone, good.head, other.mask_head)
    three = MaskHead(1, 96, 1, num_embeddings=3)
    with pytest.raises(ValueError, match="Expected embeddings of 2 classes in the mask head, got 3"):
        CenterMask(other.backbone, other.head, three)
    with pytest.raises(ValueError, match="Expected masks of 2 classes or of one, got 3"):
        CenterMask(other.backbone, other.head, MaskHead(3, 96, 1))
    with pytest.raises(ValueError, match="Expected 2 class names, got 3"):
        CenterMask(good.backbone, good.head, good.mask_head, class_names=("a", "b", "c"))


def test_segmenting_needs_features():
    model = detector()
    found, _ = model.detect(frame(64, 96))
    with pytest.raises(ValueError, match="Expected objects with pooled features"):
        model.segment(found.replace(features=None), (64, 96))


def test_pixels_are_appended_to_the_features():
    model = detector(min_size=64, max_size=96)
    image = torch.zeros(3, 64, 96, dtype=torch.uint8)
    image[:, 20:40, 30:60] = torch.tensor([255, 128, 0], dtype=torch.uint8)[:, None, None]
    batch = model.prepare([image])
    pyramid, boxes = model.backbone(batch), torch.tensor([[30.0, 20, 60, 40], [0, 45, 20, 60]])
    pooled = model.pool(pyramid, [boxes], [(64, 96)], batch)
    assert pooled.shape == (2, 67, 14, 14)
    for i, colour in enumerate(([0.0, 128, 255], [0.0, 0, 0])):  # BGR
        inside = pooled[i, 64:, 2:-2, 2:-2]
        expected = ((torch.tensor(colour) - model.pixel_mean) / 128)[:, None, None].expand_as(inside)
        torch.testing.assert_close(inside, expected)
    model.pools_pixels = False
    assert model.pool(pyramid, [boxes], [(64, 96)], batch).equal(pooled[:, :64])
    labels = torch.zeros(2, dtype=torch.int64)
    assert model.mask_logits(pooled, labels).equal(model.mask_logits(pooled[:, :64], labels)), "masks do not read them"


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((720, 1280), (750, 1333)),
        ((480, 640), (800, 1067)),
        ((800, 800), (800, 800)),
        ((10, 2000), (7, 1333)),
        ((1, 1), (800, 800)),
        ((1, 4000), (1, 1333)),
    ],
)
def test_network_size(size, expected):
    assert network_size(size, 800, 1333) == expected


def test_an_image_of_the_same_size_is_not_copied():
    image = torch.zeros(3, 4, 5, dtype=torch.uint8)
    assert resize_image(image, (4, 5)) is image
    assert resize_image(image, (8, 3)).shape == (3, 8, 3)
