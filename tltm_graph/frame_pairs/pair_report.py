from dataclasses import dataclass
from typing import Self

from tltm_graph.frame_pairs.annotated_video import AnnotatedFrames
from tltm_graph.frame_pairs.datasets import StillPairs, VideoPairs
from tltm_graph.frame_pairs.draws import seeded
from tltm_graph.frame_pairs.stream import Permutation
from tltm_graph.structures import Detections


@dataclass(frozen=True)
class PairReport:
    """What there is to learn from: counts of a whole source, and what some of its pairs look like.

    Args:
        num_videos: Videos or still images.
        num_frames: Annotated frames in them.
        num_starts: Frames that pairs start from.
        num_without_pairs: Videos of too few annotated frames.
        num_left_out: Frames of the videos that are not annotated.
        num_crowds: Crowd regions of the videos that are left out; those of still images are not counted.
        num_sampled: Pairs looked at for what follows.
        objects: Mean number of objects in a frame.
        without_objects: Share of the previous frames without objects: for still images, that of the images.
        current_without_objects: Share of the current frames without objects.
        without_common: Share of the pairs in which no object is seen in both frames.
    """

    num_videos: int
    num_frames: int
    num_starts: int
    num_without_pairs: int
    num_left_out: int
    num_crowds: int
    num_sampled: int
    objects: float
    without_objects: float
    current_without_objects: float
    without_common: float

    @classmethod
    def of(cls, source: VideoPairs | StillPairs, num_samples: int = 200, seed: int = 0) -> Self:
        """Counts a source and looks at some of its pairs.

        Args:
            source: The source.
            num_samples: So many pairs, of different start frames, or one of each if there are fewer.
            seed: Of which they are.

        Raises:
            ValueError: If there is no pair to look at, or one that is looked at is not valid.
        """
        if num_samples < 1:
            raise ValueError(f"Expected at least 1 pair to look at, got {num_samples}")
        order = Permutation(len(source), seed)
        pairs = [
            (_ids(pair.previous), _ids(pair.current))
            for pair in (
                source.pair(order[number], seeded(seed, number)) for number in range(min(num_samples, len(source)))
            )
        ]
        files = [video for video in source.videos if isinstance(video, AnnotatedFrames)]
        least = 2 if isinstance(source, VideoPairs) else 1
        return cls(
            num_videos=len(source.videos),
            num_frames=sum(map(len, source.videos)),
            num_starts=len(source),
            num_without_pairs=sum(len(video) < least for video in source.videos),
            num_left_out=sum(video.num_left_out for video in files),
            num_crowds=sum(video.num_crowds for video in files),
            num_sampled=len(pairs),
            objects=sum(len(ids) for both in pairs for ids in both) / (2 * len(pairs)),
            without_objects=sum(not previous for previous, _ in pairs) / len(pairs),
            current_without_objects=sum(not current for _, current in pairs) / len(pairs),
            without_common=sum(not previous & current for previous, current in pairs) / len(pairs),
        )

    def __str__(self) -> str:
        return (
            f"{self.num_videos:,} videos or images with {self.num_frames:,} annotated frames, of which "
            f"{self.num_starts:,} start pairs. Left out: {self.num_without_pairs:,} videos of too few annotated "
            f"frames, {self.num_left_out:,} frames that are not annotated, {self.num_crowds:,} crowd regions. In "
            f"{self.num_sampled:,} sampled pairs a frame shows {self.objects:.1f} objects on average; "
            f"{self.without_objects:.1%} of previous and {self.current_without_objects:.1%} of current frames show "
            f"none, and {self.without_common:.1%} of the pairs have no object in common."
        )


def _ids(truth: Detections) -> set[int]:
    return set() if truth.ids is None else set(truth.ids.tolist())
