from collections import deque
from functools import partial

import cv2
import numpy as np
import torch
from torch import Tensor

from tltm_graph.association import Decision
from tltm_graph.visualization.drawing import track_colour

_LANE = 14  # height of a lane in pixels
_TEXT, _GREY, _DOUBT = (230, 230, 235), (110, 110, 120), (255, 92, 92)
_BACKGROUND = 23


class GraphStrip:
    """Strip below a video with the association graph of its last frames.

    The current frame is on the right. Each track has a lane and a colour: a large dot at its birth, a thin line over
    gaps, and its id at the end. Grey lines are rejected edges with a positive gain. A red ring is a decision with a
    margin below ``doubt``. Tracks whose ids are not shown are left out. Use a new strip for each video.

    Args:
        width: Width of the strip in pixels.
        lanes: Maximum number of tracks. A new track replaces the one with the longest time since its update.
        frames: Number of frames in the strip.
        doubt: Margin below which a decision is marked.

    Raises:
        ValueError: If ``width``, ``lanes`` or ``frames`` is below 1.
    """

    def __init__(self, width: int, lanes: int = 10, frames: int = 90, doubt: float = 1.0) -> None:
        if width < 1 or lanes < 1 or frames < 1:
            raise ValueError(
                f"Expected at least 1 pixel, 1 lane and 1 frame in a strip, got {width}, {lanes} and {frames}"
            )
        self.size = lanes * _LANE + 10, width
        self.frames, self.doubt = frames, doubt
        self._free = list(range(lanes))
        self._lane: dict[int, int] = {}  # track -> lane
        self._last: dict[int, int] = {}  # track -> frame of its last observation
        self._dots: deque[tuple[int, int, int | None, bool]] = deque()  # frame, track, previous frame, doubtful
        self._rejected: deque[tuple[int, int, int, int]] = deque()  # previous track and frame, current track and frame

    def draw(self, decision: Decision) -> Tensor:
        """Draw the strip with this decision at its right end, RGB (3, H, W) uint8.

        Args:
            decision: Decision of the next frame.
        """
        self._forget(decision.frame - self.frames)
        self._add(decision)
        picture = np.full((*self.size, 3), _BACKGROUND, dtype=np.uint8)
        x = partial(self._x, now=decision.frame)
        for track, before, other, now in self._rejected:
            cv2.line(picture, (x(before), self._y(track)), (x(now), self._y(other)), _GREY, 1, cv2.LINE_AA)
        for frame, track, previous, _ in self._dots:
            if previous is not None:
                thickness = 2 if frame - previous == 1 else 1
                cv2.line(picture, (x(previous), self._y(track)), (x(frame), self._y(track)), _rgb(track), thickness)
        for frame, track, previous, doubtful in self._dots:
            center = x(frame), self._y(track)
            cv2.circle(picture, center, 5 if previous is None else 2, _rgb(track), cv2.FILLED, cv2.LINE_AA)
            if doubtful:
                cv2.circle(picture, center, 5, _DOUBT, 1, cv2.LINE_AA)
        for track, frame in self._last.items():
            place = x(frame) + 7, self._y(track) + 4
            cv2.putText(picture, str(track), place, cv2.FONT_HERSHEY_SIMPLEX, 0.38, _TEXT, 1, cv2.LINE_AA)
        return torch.from_numpy(picture.transpose(2, 0, 1).copy())

    def _add(self, decision: Decision) -> None:
        assert decision.current.ids is not None
        assert decision.previous.ids is not None
        doubtful = (decision.margins < self.doubt).tolist()
        visible = {track for track in decision.current.ids.tolist() if track >= 0}
        for track in sorted(visible - self._lane.keys()):
            lost = [(frame, other) for other, frame in self._last.items() if other not in visible]
            if not self._free and lost:
                self._free_lane(min(lost)[1])
            if self._free:
                self._lane[track] = self._free.pop(0)
        ids, tracks = decision.previous.ids.tolist(), decision.tracks.tolist()
        rejected = (decision.gains > 0) & ~decision.chosen
        for row, column in decision.edge_index[:, rejected].T.tolist():
            if ids[row] in self._last and tracks[column] in self._lane:
                self._rejected.append((ids[row], self._last[ids[row]], tracks[column], decision.frame))
        for row, track in enumerate(decision.current.ids.tolist()):
            if track in self._lane:
                self._dots.append((decision.frame, track, self._last.get(track), doubtful[row]))
                self._last[track] = decision.frame

    def _forget(self, oldest: int) -> None:
        while self._dots and self._dots[0][0] <= oldest:
            self._dots.popleft()
        while self._rejected and self._rejected[0][3] <= oldest:
            self._rejected.popleft()
        for track in [track for track, frame in self._last.items() if frame <= oldest]:
            self._free_lane(track)

    def _free_lane(self, track: int) -> None:
        del self._last[track]
        self._free = sorted([*self._free, self._lane.pop(track)])
        self._dots = deque(dot for dot in self._dots if dot[1] != track)
        self._rejected = deque(edge for edge in self._rejected if track not in (edge[0], edge[2]))

    def _x(self, frame: int, now: int) -> int:
        return round(self.size[1] - 34 - (now - frame) * (self.size[1] - 40) / self.frames)

    def _y(self, track: int) -> int:
        return 12 + self._lane[track] * _LANE


def _rgb(track: int) -> tuple[int, int, int]:
    red, green, blue = bytes.fromhex(track_colour(track)[1:])
    return red, green, blue
