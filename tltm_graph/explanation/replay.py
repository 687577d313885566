from collections.abc import Callable, Iterator

import torch

from tltm_graph.detectors import Detector
from tltm_graph.detectors.replay import ReplayDetector
from tltm_graph.explanation.saved_graph import SavedGraph
from tltm_graph.structures import Detections, Frame
from tltm_graph.tracking import Tracker, TrackerState


def replay(
    graph: SavedGraph,
    make_tracker: Callable[[Detector], Tracker] = Tracker,
    score_threshold: float = 0.0,
    since: int | None = None,
    until: int | None = None,
) -> Iterator[tuple[TrackerState, Detections]]:
    """Associate the detections of a saved graph again, without looking at the video.

    >>> for state, detections in replay(graph, lambda detector: Tracker(detector, solver=GreedySolver())): ...

    With the parts of the saved run, every decision is repeated. Embeddings are saved; the affinity is evaluated again.

    Args:
        graph: Decisions of a run.
        make_tracker: Builds the tracker from a detector that replays the saved detections. An affinity with the same
            appearance model as in the run must be given here.
        score_threshold: Minimum score of a detection, in [0, 1].
        since: Frame to resume before, from the last state saved before it; None for the beginning.
        until: Index of the last frame; None for all.

    Yields:
        The state after each frame, and its detections with ids, boxes and masks as shown. Masks that the run drew for
        shown objects alone are empty for objects that only the replay shows.
    """
    tracker = make_tracker(ReplayDetector(graph, score_threshold))
    state = tracker.start() if since is None else graph.state_before(since, tracker.track_manager)
    black = torch.zeros((1, 1, 1), dtype=torch.uint8).expand(3, *(graph.size or (1, 1)))
    for decision in graph.decisions(after=state.frame, until=until):
        state, detections = tracker.step(state, Frame(black, decision.frame, decision.time))
        yield state, detections
