from collections import deque

import numpy as np
import torch
from torch import Tensor

from tltm_graph.association import Decision
from tltm_graph.extras import missing_extra
from tltm_graph.visualization.palette import track_colour

try:
    import cv2
except ImportError as error:
    raise missing_extra("opencv-python-headless", "to draw a graph") from error

_LANE = 14  # pixels from one track to the next
_INK, _GREY, _DOUBT = (230, 230, 235), (110, 110, 120), (255, 92, 92)
_BACK = 23


class GraphStrip:
    """Draws the association graph of the last seconds as a strip to be put below a video.

    Now is on the right. Each track has a lane and its colour: a large dot where it begins, a thin line over frames in
    which it was not seen, its id at the end. Grey lines are rivals, transitions that were worth making and not chosen;
    a red ring is a decision with a margin below ``doubt``. Tracks whose ids are not shown are left out. Use one strip
    for one video.

    Args:
        width: Of the strip in pixels.
        lanes: Tracks that have room; a new one takes the place of the one that was not seen the longest.
        frames: So many are in it.
        doubt: See above.
    """

    def __init__(self, width: int, lanes: int = 10, frames: int = 90, doubt: float = 1.0) -> None:
        if width < 1 or lanes < 1 or frames < 1:
            raise ValueError(f"Expected a strip of 1 pixel, lane and frame or more, got {width}, {lanes} and {frames}")
        self.size = lanes * _LANE + 10, width
        self.frames, self.doubt = frames, doubt
        self._free = list(range(lanes))
        self._lane: dict[int, int] = {}  # of each track in it
        self._last: dict[int, int] = {}  # track -> the frame it was last seen in
        self._dots: deque[tuple[int, int, int | None, bool]] = deque()  # frame, track, frame before, in doubt
        self._rivals: deque[tuple[int, int, int, int]] = deque()  # track and its frame, track and its frame

    def draw(self, decision: Decision) -> Tensor:
        """The strip with this decision at its right end: RGB (3, H, W) uint8.

        Args:
            decision: Of the frame after the last one.
        """
        self._forget(decision.frame - self.frames)
        self._take_in(decision)
        picture = np.full((*self.size, 3), _BACK, dtype=np.uint8)
        x = {frame: self._x(frame, decision.frame) for frame in self._frames_in_it()}
        for track, before, other, now in self._rivals:
            cv2.line(picture, (x[before], self._y(track)), (x[now], self._y(other)), _GREY, 1, cv2.LINE_AA)
        for frame, track, seen, _ in self._dots:
            if seen is not None:
                thick = 2 if frame - seen == 1 else 1
                cv2.line(picture, (x[seen], self._y(track)), (x[frame], self._y(track)), _rgb(track), thick)
        for frame, track, seen, doubtful in self._dots:
            center = x[frame], self._y(track)
            cv2.circle(picture, center, 5 if seen is None else 2, _rgb(track), cv2.FILLED, cv2.LINE_AA)
            if doubtful:
                cv2.circle(picture, center, 5, _DOUBT, 1, cv2.LINE_AA)
        for track, frame in self._last.items():
            place = x[frame] + 7, self._y(track) + 4
            cv2.putText(picture, str(track), place, cv2.FONT_HERSHEY_SIMPLEX, 0.38, _INK, 1, cv2.LINE_AA)
        return torch.from_numpy(picture.transpose(2, 0, 1).copy())

    def _take_in(self, decision: Decision) -> None:
        assert decision.current.ids is not None
        assert decision.previous.ids is not None
        doubtful = (decision.margins < self.doubt).tolist()
        seen = {track for track in decision.current.ids.tolist() if track >= 0}
        for track in sorted(seen - self._lane.keys()):
            gone = [(frame, other) for other, frame in self._last.items() if other not in seen]
            if not self._free and gone:
                self._leave(min(gone)[1])
            if self._free:
                self._lane[track] = self._free.pop(0)
        ids, tracks = decision.previous.ids.tolist(), decision.tracks.tolist()
        worth = (decision.gains > 0) & ~decision.chosen
        for row, column in decision.edge_index[:, worth].T.tolist():
            if ids[row] in self._last and tracks[column] in self._lane:
                self._rivals.append((ids[row], self._last[ids[row]], tracks[column], decision.frame))
        for row, track in enumerate(decision.current.ids.tolist()):
            if track in self._lane:
                self._dots.append((decision.frame, track, self._last.get(track), doubtful[row]))
                self._last[track] = decision.frame

    def _forget(self, oldest: int) -> None:
        while self._dots and self._dots[0][0] <= oldest:
            self._dots.popleft()
        while self._rivals and self._rivals[0][3] <= oldest:
            self._rivals.popleft()
        for track in [track for track, frame in self._last.items() if frame <= oldest]:
            self._leave(track)

    def _leave(self, track: int) -> None:
        del self._last[track]
        self._free = sorted([*self._free, self._lane.pop(track)])
        self._dots = deque(dot for dot in self._dots if dot[1] != track)
        self._rivals = deque(rival for rival in self._rivals if track not in (rival[0], rival[2]))

    def _frames_in_it(self) -> set[int]:
        before = {one for _, _, one, _ in self._dots if one is not None} | {one for _, one, _, _ in self._rivals}
        return before | {frame for frame, *_ in self._dots}

    def _x(self, frame: int, now: int) -> int:
        return round(self.size[1] - 34 - (now - frame) * (self.size[1] - 40) / self.frames)

    def _y(self, track: int) -> int:
        return 12 + self._lane[track] * _LANE


def _rgb(track: int) -> tuple[int, int, int]:
    red, green, blue = bytes.fromhex(track_colour(track)[1:])
    return red, green, blue
