"""
Occlusion and memory
====================

An object is hidden for eight frames. It keeps its id only if the memory keeps lost tracks that long: here with the
default, and with a memory that removes a lost track at once.
"""

import torch

from tltm_graph import Detections, Frame, Tracker, TrackManager
from tltm_graph.detectors import Detector
from tltm_graph.explanation import association_graph
from tltm_graph.visualization import draw_association_graph


class TwoObjects(Detector):
    """One object walks by. The other stands still and is hidden in frames 14 to 21."""

    class_names = ("object",)

    def detect(self, frame, context=None):
        walker = [20.0 + 4 * frame.index, 60.0, 50.0 + 4 * frame.index, 120.0]
        boxes = [walker] if 14 <= frame.index <= 21 else [walker, [90.0, 65.0, 120.0, 125.0]]
        return Detections(torch.tensor(boxes), torch.ones(len(boxes)), torch.zeros(len(boxes)).long()), None


def follow(tracker):
    state = tracker.start()
    for index in range(40):
        picture = torch.zeros(3, 180, 240, dtype=torch.uint8)
        state, _ = tracker.step(state, Frame(picture, index, index / 30))
        yield state.decision.compact()


draw_association_graph(association_graph(follow(Tracker(TwoObjects()))))

# %%
# The lost track remains a node of every frame's graph (dashed line). Without memory it ends, and a new track starts:

draw_association_graph(
    association_graph(follow(Tracker(TwoObjects(), track_manager=TrackManager(max_time_since_update=0))))
)
