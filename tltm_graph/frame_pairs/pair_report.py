"""Summary of a dataset of frame pairs before a long training run."""

from dataclasses import dataclass
from typing import Self

from tltm_graph.frame_pairs.annotated_video import AnnotatedFrames
from tltm_graph.frame_pairs.datasets import StillPairs, VideoPairs
from tltm_graph.frame_pairs.sampling import Permutation, seeded_generator
from tltm_graph.structures import Detections


@dataclass(frozen=True)
class PairReport:
    """Counts of a whole dataset, and statistics of some of its pairs.

    Args:
        num_videos: Number of videos or still images.
        num_frames: Number of annotated frames.
        num_starts: Number of start frames of pairs.
        num_without_pairs: Number of videos with too few annotated frames.
        num_left_out: Number of frames of the videos without annotations.
        num_crowds: Number of dropped crowd regions of the videos; those of still images are not counted.
        num_sampled: Number of sampled pairs for the following statistics.
        objects: Mean number of objects in a frame.
        without_objects: Fraction of the previous frames without objects. Of still images it is the fraction of images.
        current_without_objects: Fraction of the current frames without objects.
        without_common: Fraction of the pairs without an object in both frames.
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
        """Count a dataset and sample some of its pairs.

        Args:
            source: Dataset of pairs.
            num_samples: Maximum number of sampled pairs, each from another start frame.
            seed: Seed of the sample.

        Raises:
            ValueError: If ``num_samples`` is not positive, or a sampled pair is invalid.
        """
        if num_samples < 1:
            raise ValueError(f"Expected at least 1 pair to look at, got {num_samples}")
        order = Permutation(len(source), seed)
        sampled = (  # one pair at a time: images of all of them might not fit into memory
            source.pair(order[number], seeded_generator(seed, number))
            for number in range(min(num_samples, len(source)))
        )
        pairs = [(_ids(pair.previous), _ids(pair.current)) for pair in sampled]
        files = [video for video in source.videos if isinstance(video, AnnotatedFrames)]
        min_frames = 2 if isinstance(source, VideoPairs) else 1
        return cls(
            num_videos=len(source.videos),
            num_frames=sum(map(len, source.videos)),
            num_starts=len(source),
            num_without_pairs=sum(len(video) < min_frames for video in source.videos),
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
