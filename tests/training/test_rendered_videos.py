import pytest
import torch

from tltm_graph import MovingShapes
from tltm_graph.training import RenderedVideos

SHAPES = MovingShapes.class_names


def rendered(**options):
    return RenderedVideos(num_scenes=2, num_frames=4, size=(48, 80), **options)


def test_rendered_scenes():
    opened = rendered().open(SHAPES)
    assert str(opened) == "rendered scenes (standard, train): 2 videos, 6 pairs"
    pair = opened.source.pair(0, torch.Generator().manual_seed(0))
    assert pair.current_image.shape == (3, 48, 80)
    videos = rendered(split="val").videos(SHAPES)
    assert [video.name for video in videos] == ["scene 0", "scene 1"]
    truth, frames = videos[1].truth(), list(videos[1].frames())
    assert len(frames) == truth.num_frames == 4
    scene = rendered(split="val").scenes[1]
    assert frames[2].image.equal(scene.frame(2).image)
    assert truth.at(2).masks.equal(scene.truth(2).masks)


def test_scenes_are_not_kept():
    """Two thousand of them would fill the memory."""
    opened = RenderedVideos(size=(48, 80), num_frames=4).open(SHAPES)
    assert len(opened.source) == 2000 * 3
    assert not any(isinstance(video, MovingShapes) for video in opened.source.videos)


def test_scenes_of_other_classes():
    with pytest.raises(
        ValueError, match=r"Expected a model of the classes of the rendered scenes, \['disc', .*'cat'\]"
    ):
        rendered().open(("cat",))
    with pytest.raises(ValueError, match="Expected a difficulty of .*got 'odd' and 'train'"):
        rendered(difficulty="odd")
