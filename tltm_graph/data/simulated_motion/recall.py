from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np

from tltm_graph.data.simulated_motion.draws import chance, logistic, mixture
from tltm_graph.data.simulated_motion.processes import alternating, ornstein_uhlenbeck
from tltm_graph.data.simulated_motion.sightings import Sightings
from tltm_graph.data.simulated_motion.world import World

_LEAST_INSIDE = 0.15  # of its area: what is less inside of the picture is never found


class Bursts(NamedTuple):
    """Objects are lost for many frames in a row, whatever can be seen of them.

    Args:
        at_first: Probability to be lost when the video begins.
        mean_seen: Mean number of frames before an object is lost.
        longest: Most frames that it is.
    """

    at_first: float
    mean_seen: float
    longest: int


@dataclass(frozen=True)
class Recall:
    r"""Which objects are found in which frame. Without arguments nearly all that are inside of the picture.

    An object is found with the probability :math:`\sigma(\ell)(1 - m)`, with log-odds

    .. math:: \ell = b + f + \min\left(0, \frac{v - v_0}{s}\right) + \min\left(0, 3 \log \frac{h}{h_0}\right)

    where :math:`v` is how much of it is visible and :math:`h` its height in pixels.

    Args:
        base: :math:`b`.
        visible: :math:`v_0`: objects of which less is visible are hard to find.
        softness: :math:`s`.
        height: :math:`h_0`: smaller objects are hard to find. At 0 none are.
        flicker: Deviation of :math:`f`, which comes and goes.
        flicker_memory: How fast it does, in frames.
        bias: Deviation of what is added to :math:`f` of an object in all frames.
        misses: Mean of :math:`m`: half of it for half of the objects, one and a half times it for the others.
        bursts: What is lost beside that, or None.
    """

    base: float = 20.0
    visible: float = 0.0
    softness: float = 1.0
    height: float = 0.0
    flicker: float = 0.0
    flicker_memory: float = 1.0
    bias: float = 0.0
    misses: float = 0.0
    bursts: Bursts | None = None

    @classmethod
    def draw(cls, rng: np.random.Generator, picture_height: int) -> Self:
        """One at random, for pictures of so many pixels."""
        return cls(
            base=rng.uniform(1.5, 5),
            visible=mixture(rng, (0.3, 0, 0), (0.7, 0.25, 0.7)),
            softness=rng.uniform(0.03, 0.15),
            height=mixture(rng, (0.3, 0, 0), (0.7, 0.01, 0.08)) * picture_height,
            flicker=mixture(rng, (0.3, 0, 0), (0.7, 0.3, 2)),
            flicker_memory=rng.uniform(1, 12),
            bias=rng.uniform(0, 1.2),
            misses=mixture(rng, (0.2, 0, 0), (0.5, 0, 0.1), (0.3, 0.05, 0.3)),
            bursts=Bursts(rng.uniform(0.05, 0.25), rng.uniform(10, 50), int(rng.integers(2, 31)))
            if chance(rng, 0.45)
            else None,
        )

    def find(self, rng: np.random.Generator, sightings: Sightings, world: World) -> tuple[np.ndarray, np.ndarray]:
        r"""Which sightings become detections, bool (R,), and :math:`\ell` of all (R,)."""
        at = sightings.frames, sightings.objects
        flicker = ornstein_uhlenbeck(rng, world.present.shape, self.flicker_memory, self.flicker)
        tall = sightings.boxes[:, 3] - sightings.boxes[:, 1]
        logits = (
            self.base
            + (flicker + rng.normal(0, self.bias, world.num_objects))[at]
            + np.minimum(0, (sightings.visible - self.visible) / self.softness)
            + np.minimum(0, 3 * np.log(np.maximum(tall, 1) / max(self.height, 1)))
        )
        misses = self.misses * rng.choice([0.5, 1.5], world.num_objects)[sightings.objects]
        found = rng.random(len(logits)) < logistic(logits) * (1 - misses)
        found &= sightings.inside > _LEAST_INSIDE
        if self.bursts is not None:
            found &= ~alternating(rng, world.present.shape, *self.bursts)[at]
        return found, logits
