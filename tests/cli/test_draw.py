"""``tltm-graph solve``, ``diff``, ``draw``, ``explain`` and ``mistakes`` on a run of ``tltm-graph track``."""

from PIL import Image

from tltm_graph.cli import main
from tltm_graph.io import read_frames


def test_runs_are_drawn_side_by_side(run, tmp_path, capsys):
    other = tmp_path / "other"
    assert main(["solve", str(run), "--solver", "greedy", "--output", str(other)]) == 0
    both = ["draw", str(run), str(other), "--strip", "--width", "160"]
    assert main([*both, "--output", str(tmp_path / "both.gif"), "--begin", "4", "--end", "9"]) == 0
    assert "5 pictures" in capsys.readouterr().out
    with Image.open(tmp_path / "both.gif") as picture:
        assert picture.n_frames == 5
        assert picture.width == 320
        assert picture.height == 90 + 150
    assert main(["draw", str(other)]) == 0
    drawn = list(read_frames(other / "drawn.mp4"))
    assert [frame.size for frame in drawn] == [(360, 640)] * 12
    assert len({frame.image.float().mean().item() for frame in drawn}) == 12
