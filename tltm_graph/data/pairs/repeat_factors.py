import math
from collections import Counter
from collections.abc import Collection, Sequence

from tltm_graph.data.pairs.annotated_video import AnnotatedVideo


def group_by_repeat_factor(
    videos: Sequence[AnnotatedVideo], labels: Sequence[Collection[int]], threshold: float
) -> dict[float, list[AnnotatedVideo]]:
    r"""Videos by how often they should be seen, so that rare classes are not forgotten (LVIS, arXiv 1908.03195).

    Of a class :math:`c` that a share :math:`f(c)` of the videos shows, and of a video :math:`v`, the factors are

    .. math:: r(c) = \max(1, \sqrt{t / f(c)}), \quad r(v) = \max_{c \in v} r(c).

    Each group is a source of its own::

        groups = group_by_repeat_factor(videos, labels, threshold=0.05)
        stream = PairStream([VideoPairs(group) for group in groups.values()], repeat=list(groups))

    Args:
        videos: Videos or still images.
        labels: The classes that each of them shows.
        threshold: The share t, above 0. Classes in fewer videos are seen more often.

    Returns:
        Videos by factor, the least first; those without objects have factor 1.

    Raises:
        ValueError: If there are not labels for each video, or the threshold is not above 0.
    """
    if len(videos) != len(labels):
        raise ValueError(f"Expected labels for each of {len(videos)} videos, got {len(labels)}")
    if not threshold > 0:
        raise ValueError(f"Expected a threshold above 0, got {threshold}")
    counts = Counter(label for shown in labels for label in set(shown))
    factors = {label: max(1.0, math.sqrt(threshold * len(videos) / count)) for label, count in counts.items()}
    groups: dict[float, list[AnnotatedVideo]] = {}
    for video, shown in zip(videos, labels, strict=True):
        groups.setdefault(max((factors[label] for label in shown), default=1.0), []).append(video)
    return dict(sorted(groups.items()))
