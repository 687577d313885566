from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np

from tltm_graph.data.simulated_motion.boxes import non_maximum_suppression
from tltm_graph.data.simulated_motion.confusion import duplicates, merge_overlapping, partial_boxes
from tltm_graph.data.simulated_motion.draws import chance, mixture
from tltm_graph.data.simulated_motion.false_positives import false_positives
from tltm_graph.data.simulated_motion.found import FALSE, Found
from tltm_graph.data.simulated_motion.identity import reidentified
from tltm_graph.data.simulated_motion.localization import Localization
from tltm_graph.data.simulated_motion.recall import Recall
from tltm_graph.data.simulated_motion.scoring import ConstantScores, InformativeScores, Scoring
from tltm_graph.data.simulated_motion.sightings import Sightings
from tltm_graph.data.simulated_motion.world import World


@dataclass(frozen=True)
class SimulatedDetector:
    """What a detector makes of a world. Without arguments it finds everything, and nothing else.

    Args:
        recall: Which objects it finds.
        localization: Where their boxes are.
        scoring: How sure it is.
        wrong_labels: Probability that a class is drawn at random.
        merging: Probability that boxes of objects that overlap become one (:func:`merge_overlapping`).
        parts: Probability that an object has one more box, around a part of it.
        duplicates: Probability that an object has a second box.
        memory: How long boxes stay merged, and objects have one box more, in frames.
        false_positives: Mean number of new boxes around nothing, for each object in the picture.
        nms: Greatest IoU of two detections; none have one above 1.
    """

    recall: Recall = field(default_factory=Recall)
    localization: Localization = field(default_factory=Localization)
    scoring: Scoring = field(default_factory=ConstantScores)
    wrong_labels: float = 0.0
    merging: float = 0.0
    parts: float = 0.0
    duplicates: float = 0.0
    memory: float = 1.0
    false_positives: float = 0.0
    nms: float = 1.0

    @classmethod
    def draw(cls, rng: np.random.Generator, picture_height: int) -> Self:
        """One at random, for pictures of so many pixels."""
        return cls(
            recall=Recall.draw(rng, picture_height),
            localization=Localization.draw(rng),
            scoring=ConstantScores() if chance(rng, 0.35) else InformativeScores.draw(rng),
            wrong_labels=mixture(rng, (0.5, 0, 0), (0.5, 0, 0.05)),
            merging=mixture(rng, (0.3, 0, 0), (0.7, 0, 0.9)),
            parts=mixture(rng, (0.5, 0, 0), (0.5, 0, 0.04)),
            duplicates=mixture(rng, (0.6, 0, 0), (0.4, 0, 0.05)),
            memory=rng.uniform(0.5, 12),
            false_positives=mixture(rng, (0.2, 0, 0), (0.5, 0, 0.06), (0.3, 0.05, 0.3)),
            nms=mixture(rng, (0.6, 0.4, 0.8), (0.4, 1, 1)),
        )

    def detect(self, rng: np.random.Generator, world: World) -> Found:
        """The detections of all frames of a world, in random order within a frame.

        Ids are those of the objects that they show (:func:`reidentified`), from 0; from their number on those of what
        is no object, each once in a frame.
        """
        sightings = Sightings.of(world)
        seen, logits = self.recall.find(rng, sightings, world)
        frames, objects = sightings.frames[seen], sightings.objects[seen]
        boxes = self.localization.locate(rng, sightings, seen, world)
        wrong = rng.random(len(frames)) < self.wrong_labels
        labels = np.where(wrong, rng.integers(0, world.num_labels, len(frames)), world.labels[objects])
        found = Found(frames, boxes, self.scoring.of_objects(rng, logits[seen]), labels, objects)

        found = merge_overlapping(rng, found, self.merging, self.memory)
        found = Found.cat([found, partial_boxes(rng, found, self.parts, self.memory)])
        found = Found.cat(
            [
                found,
                duplicates(rng, found, self.duplicates, self.memory),
                false_positives(rng, sightings, world, self.false_positives, self.localization.noise, self.scoring),
            ]
        )
        found = found.take(non_maximum_suppression(found.frames, found.boxes, found.scores, self.nms))
        found = reidentified(found, sightings, self.localization.whole, world.num_objects)
        found = found.take(np.lexsort((rng.random(len(found)), found.frames)))
        first_free = max(world.num_objects, int(found.ids.max(initial=FALSE)) + 1)
        once = found.ids == FALSE
        return replace(found, ids=np.where(once, first_free + np.cumsum(once) - 1, found.ids))
