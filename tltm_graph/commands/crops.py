from collections.abc import Iterable

from torch import Tensor
from torchvision.ops import clip_boxes_to_image

from tltm_graph.explanation import SavedGraph
from tltm_graph.structures import Frame


def crops(graph: SavedGraph, frame: int, pictures: Iterable[Frame]) -> tuple[dict[int, Tensor], dict[int, Tensor]]:
    """Pictures of the tracks of a frame when they were last seen, by id, and of its objects, by row.

    Args:
        graph: A saved run.
        frame: Index of the frame.
        pictures: The video, from its beginning.

    Raises:
        ValueError: If there is no such frame, or the video is another one.
    """
    last: dict[int, tuple[int, int]] = {}  # track -> where it was last seen
    for decision in graph.decisions(until=frame - 1):
        last |= {track: (decision.frame, row) for row, track in enumerate(decision.tracks.tolist()) if track >= 0}
    now = graph[frame]
    assert now.previous.ids is not None
    wanted: dict[int, list[tuple[int, int]]] = {}  # frame -> track and row
    for track in now.previous.ids.tolist():
        if track in last:
            wanted.setdefault(last[track][0], []).append((track, last[track][1]))
    tracks: dict[int, Tensor] = {}
    for picture in pictures:
        if picture.size != graph.size:
            raise ValueError(
                f"Expected pictures of {graph.size} pixels (H, W), got {picture.size}: the video is another"
            )
        for track, row in wanted.get(picture.index, ()):
            tracks[track] = _crop(picture, graph[picture.index].current.boxes[row])
        if picture.index >= frame:
            return tracks, {row: _crop(picture, box) for row, box in enumerate(now.current.boxes)}
    raise ValueError(f"Expected a video with frame {frame}, got one that ends before it: the video is another")


def _crop(picture: Frame, box: Tensor) -> Tensor:
    x0, y0, x1, y1 = clip_boxes_to_image(box[None], picture.size)[0].round().int().tolist()
    return picture.image[:, y0 : max(y1, y0 + 1), x0 : max(x1, x0 + 1)].cpu()
