"""A plain transcription of one tracking step: a loop over tracks and detections, one number at a time.

It is slow, and says what the tracker does with boxes alone: motion filters, common motion, features, gate, head,
assignment, births, evidence, confirmation and removal. Boxes are centre x, y, width, height.
"""

import math
from dataclasses import dataclass, field

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment

from tltm_graph.nn import TransitionHead
from tltm_graph.tracking.score_curve import ScoreCurve

WINDOWS, DAMPINGS = (3, 10, 30), (0.8, 0.95, 0.98)


def clamp(value, low, high):
    return min(max(value, low), high)


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def median(values):
    return sorted(values)[(len(values) - 1) // 2]


def intersection(p, q):
    across = min(p[0] + p[2] / 2, q[0] + q[2] / 2) - max(p[0] - p[2] / 2, q[0] - q[2] / 2)
    down = min(p[1] + p[3] / 2, q[1] + q[3] / 2) - max(p[1] - p[3] / 2, q[1] - q[3] / 2)
    return max(across, 0.0) * max(down, 0.0)


def iou(p, q):
    shared = intersection(p, q)
    union = p[2] * p[3] + q[2] * q[3] - shared
    return shared / union if union > 0 else 0.0


def at_least_a_pixel(box):
    return [box[0], box[1], max(box[2], 1.0), max(box[3], 1.0)]


@dataclass
class Track:
    id: int
    places: list  # of the quick, the middle and the patient filter
    velocities: list
    growth: list
    observations: list
    noise: list
    last: list
    mean_score: float
    time: float
    score: float
    label: int
    evidence: float
    confirmed: bool = False
    hits: int = 1
    predicted: list = field(default_factory=list)

    def acceleration(self):
        return math.exp(clamp(sum(self.growth), -0.7, 0.7))

    def predict(self, time):
        self.predicted = []
        for k, (place, velocity, d) in enumerate(zip(self.places, self.velocities, DAMPINGS, strict=True)):
            steps = (1 - d ** (time - self.time)) / (1 - d)
            factor = self.acceleration() if k == 0 else 1.0
            box = [place[0] + velocity[0] * steps * factor, place[1] + velocity[1] * steps * factor, place[2], place[3]]
            if k == 0:
                box[2:] = [
                    s * math.exp(clamp(g * steps, -0.7, 0.7)) for s, g in zip(place[2:], self.growth, strict=True)
                ]
            self.predicted.append(box)

    def update(self, box, probability, label, log_odds, time, belief):
        gap = max(time - self.time, 1e-3)
        seen = [self.observations[0] + 1, self.observations[1] + 1, self.observations[2] + belief]
        beliefs = (1.0, 1.0, belief)
        growth = [
            [math.log(max(box[2 + a], 1) / max(self.predicted[k][2 + a], 1)) for a in (0, 1)] for k in (0, 1)
        ]  # of the quick and the middle filter
        middle = self.predicted[1]
        error = (
            sum(((box[a] - middle[a]) / max(middle[2 + a], 1)) ** 2 for a in (0, 1)) / 2,
            sum(g**2 for g in growth[1]) / 2,
        )
        weight = 1 / min(seen[1] + 1, 12)
        noise = [
            (1 - weight) * old**2 + weight * min(e / max(gap, 1), 0.25)
            for old, e in zip(self.noise, error, strict=True)
        ]
        self.noise = [math.sqrt(max(value, 1e-4)) for value in noise]
        quick = self.acceleration()
        for k in range(3):
            n = max(min(seen[k], WINDOWS[k]), 1)
            gain = min(2 * (2 * n - 1) / (n * (n + 1)), 1) * beliefs[k]
            turn = (min(6 / (n * (n + 1)), 1) if n > 1.01 else 0) * beliefs[k] / gap
            residual = [box[a] - self.predicted[k][a] for a in range(4)]
            place = [self.predicted[k][a] + gain * residual[a] for a in range(4)]
            self.places[k] = [place[0], place[1], max(place[2], 0), max(place[3], 0)]
            old = [v * quick for v in self.velocities[k]] if k == 0 else self.velocities[k]
            self.velocities[k] = [old[a] + turn * residual[a] for a in (0, 1)]
        n = max(min(seen[0], WINDOWS[0]), 1)
        slower = 6 / ((n + 1) * (n + 2)) / gap if n > 1.01 else 0
        self.growth = [clamp(g + slower * r, -0.7, 0.7) for g, r in zip(self.growth, growth[0], strict=True)]
        self.mean_score += (probability - self.mean_score) * max(1 / seen[1], 0.1)
        self.evidence += (log_odds - self.evidence) / min(self.hits + 1, 30)
        self.observations, self.last, self.time, self.score, self.label = seen, list(box), time, probability, label
        self.hits += 1


class PlainTracker:
    """Tracks of one video, with the settings of a default tracker.

    Args:
        head: Association head.
        temperature: Divisor of its logits.
        max_tracks: Maximum number of tracks.
    """

    def __init__(self, head: TransitionHead, temperature: float, max_tracks: int = 256) -> None:
        self.head, self.temperature, self.max_tracks = head, temperature, max_tracks
        self.tracks: list[Track] = []
        self.curve, self.next_id = ScoreCurve.empty(), 1

    def step(self, boxes, scores, labels, time, size, seconds):
        """Process a frame; return the score of each pair of a track and a detection, and the ids shown."""
        boxes = [[(a + c) / 2, (b + d) / 2, c - a, d - b] for a, b, c, d in boxes]
        raw = np.array(scores, dtype=np.float64)
        self.curve = self.curve.observe(raw)
        log_odds = self.curve.log_odds(raw).tolist()
        nominal = self.curve.nominal(raw).tolist()
        probabilities = [sigmoid(x) for x in log_odds]
        for track in self.tracks:
            track.predict(time)
        pairs, births, misses, objects = self.scores(boxes, probabilities, labels, time, size, seconds)
        matches = self.solve(pairs, births, misses)
        ids = self.update(boxes, raw, nominal, probabilities, log_odds, labels, matches, objects, time)
        whole = [size[1] / 2, size[0] / 2, size[1], size[0]]
        return pairs, [i if intersection(box, whole) > 0 else -1 for i, box in zip(ids, boxes, strict=True)]

    def scores(self, boxes, probabilities, labels, time, size, seconds):
        tracks, seen = self.tracks, [at_least_a_pixel(box) for box in boxes]
        places = [[at_least_a_pixel(box) for box in track.predicted] for track in tracks]
        gaps = [time - track.time for track in tracks]
        shift = self.common_shift([p[1] for p in places], gaps, seen)
        moved = [[p[1][0] + dx, p[1][1] + dy, *p[1][2:]] for p, (dx, dy) in zip(places, shift, strict=True)]
        m, n = len(tracks), len(seen)

        def far(place, i, j):
            x, y = ((seen[j][a] - place[a]) / math.sqrt(place[2 + a] * seen[j][2 + a]) for a in (0, 1))
            return math.hypot(x, y) / (1 + 0.3 * math.sqrt(gaps[i]))

        distance = [[far(places[i][1], i, j) for j in range(n)] for i in range(m)]
        gate = [[min(distance[i][j], far(moved[i], i, j)) for j in range(n)] for i in range(m)]

        def among(value, values, k):
            return len(values) < k or value <= sorted(values)[k - 1]

        edges = [
            (i, j)
            for i in range(m)
            for j in range(n)
            if gate[i][j] < 4
            and (among(gate[i][j], gate[i], 3) or among(gate[i][j], [gate[k][j] for k in range(m)], 8))
        ]
        of_tracks, middles = [], [p[1] for p in places]
        for i, track in enumerate(tracks):
            quick, middle, patient = places[i]
            per_box = [[v[a] / middle[2 + a] for a in (0, 1)] for v in track.velocities]
            asinh = [
                *(v / 0.03 for v in per_box[1]),
                *((per_box[2][a] - per_box[1][a]) / 0.03 for a in (0, 1)),
                *((per_box[0][a] - per_box[1][a]) / 0.03 for a in (0, 1)),
                *(g / 0.03 for g in track.growth),
                *((patient[a] - middle[a]) / middle[2 + a] / 0.1 for a in (0, 1)),
            ]
            of_tracks.append(
                [
                    math.log(track.observations[1]),
                    math.log(track.observations[2]),
                    math.log(gaps[i]),
                    math.log(max(gaps[i] * seconds, 1e-3)) + 2,
                    track.mean_score,
                    track.score,
                    *placement(middle, size),
                    *map(math.asinh, asinh),
                    *(math.log(patient[2 + a] / middle[2 + a]) for a in (0, 1)),
                    *(math.log(value) + 3 for value in track.noise),
                    *crowding(i, middles),
                    math.log(m + 1) - 2,
                    math.log(n + 1) - 2,
                ]
            )
        of_seen = []
        for j, box in enumerate(seen):
            higher = [k for k in range(n) if probabilities[k] > probabilities[j]]
            of_seen.append(
                [
                    probabilities[j],
                    *placement(box, size),
                    *crowding(j, seen),
                    max((iou(box, seen[k]) for k in higher), default=0.0),
                    math.log(m + 1) - 2,
                    math.log(n + 1) - 2,
                ]
            )
        of_edges = []
        for i, j in edges:
            track, now, (quick, middle, patient) = tracks[i], seen[j], places[i]
            extent = [math.sqrt(middle[2 + a] * now[2 + a]) for a in (0, 1)]
            last = at_least_a_pixel(track.last)
            away = [[(now[a] - p[a]) / extent[a] for a in (0, 1)] for p in (middle, quick, last, patient, moved[i])]
            growth = [[math.log(now[2 + a] / p[2 + a]) for a in (0, 1)] for p in (middle, last, patient)]
            base = (now[1] + now[3] / 2 - middle[1] - middle[3] / 2) / extent[1]
            jitter = track.noise[0] * math.sqrt(1 + 0.3 * gaps[i])
            margin = 1.3 + 0.1 * math.sqrt(max(gaps[i] - 1, 0))
            wide = [middle[0], middle[1], middle[2] * margin, middle[3] * margin]
            rivals = [[distance[k][j] for k in range(m) if k != i], [distance[i][k] for k in range(n) if k != j]]
            of_edges.append(
                [
                    *(math.asinh(v / 0.1) for pair in away for v in pair),
                    *(math.asinh(v / jitter) for v in away[0]),
                    *(math.asinh(v / 0.1) for pair in growth for v in pair),
                    *(math.asinh(v / track.noise[1]) for v in growth[0]),
                    math.log(math.hypot(*away[0]) + 0.02),
                    math.asinh(base / 0.1),
                    *(iou(box, now) for box in (middle, moved[i], wide)),
                    float(track.label == labels[j]),
                    probabilities[j] - track.score,
                    *(clamp(math.log((min(of, default=9.0) + 0.02) / (distance[i][j] + 0.02)), -4, 4) for of in rivals),
                    0.0,
                    0.0,
                ]
            )
        single = torch.float32
        inputs = (
            torch.tensor(of_tracks, dtype=single).reshape(-1, 32),
            torch.tensor(of_seen, dtype=single).reshape(-1, 14),
            torch.tensor(edges, dtype=torch.int64).reshape(-1, 2).T,
            torch.tensor(of_edges, dtype=single).reshape(-1, 31),
        )
        with torch.no_grad():
            logits, births, misses, objects = (x.double() / self.temperature for x in self.head(*inputs))
        pairs = dict(zip(edges, logits.tolist(), strict=True))
        return pairs, births.tolist(), misses.tolist(), objects.tolist()

    def common_shift(self, places, gaps, seen):
        still, tracks = [(0.0, 0.0)] * len(self.tracks), self.tracks
        rows = [i for i, t in enumerate(tracks) if t.observations[1] >= 3 and gaps[i] < 3]
        rows = sorted(rows, key=lambda i: -tracks[i].observations[1])[:30]
        if len(rows) < 2 or len(seen) < 2:
            return still
        unit = {i: math.sqrt(places[i][2] * places[i][3]) for i in rows}
        similar = {
            i: [box for box in seen if all(abs(math.log(box[a] / places[i][a])) < 0.5 for a in (2, 3))] for i in rows
        }

        def nearest(i, shift):
            offsets = [(box[0] - places[i][0], box[1] - places[i][1]) for box in similar[i]]
            return min(((x - shift[0]) ** 2 + (y - shift[1]) ** 2, x, y) for x, y in offsets)

        def worth(shift_of):
            return sum(math.exp(-nearest(i, shift_of(i))[0] / (2 * (0.15 * unit[i]) ** 2)) for i in rows if similar[i])

        limit = 4 * float(np.median([unit[i] for i in rows]))
        candidates = [(box[0] - places[i][0], box[1] - places[i][1], i) for i in rows for box in similar[i]]
        candidates = sorted(candidates, key=lambda c: (c[0] ** 2 + c[1] ** 2) / unit[c[2]] ** 2)[:120]
        candidates = [(x, y) for x, y, _ in candidates if abs(x) < limit and abs(y) < limit]
        velocity = {i: tracks[i].velocities[1] for i in range(len(tracks))}
        steps = [
            (worth(lambda i, k=k: [k * v for v in velocity[i]]), [[k * v for v in velocity[i]] for i in velocity])
            for k in (1, 2, 3)
        ]
        shifts = [(worth(lambda i, s=s: s), s) for s in candidates]
        best, shift = max([*steps, *shifts], key=lambda pair: pair[0], default=(0.0, None))
        if best <= worth(lambda i: (0.0, 0.0)) + 0.5 + 0.1 * len(rows):
            return still
        if isinstance(shift, list):
            return shift
        agreed = [(i, nearest(i, shift)) for i in rows if similar[i]]
        weights = [math.exp(-square / (2 * (0.15 * unit[i]) ** 2)) for i, (square, _, _) in agreed]
        mean = [sum(w * found[a] for w, (_, found) in zip(weights, agreed, strict=True)) / sum(weights) for a in (1, 2)]
        return [mean] * len(tracks)

    def solve(self, pairs, births, misses):
        """Maximise the sum over matches, births and misses: every object may also stay alone."""
        m, n = len(misses), len(births)
        value = np.full((m + n, n + m), -1e9)
        for (i, j), score in pairs.items():
            value[i, j] = score
        for i in range(m):
            value[i, n + i] = misses[i]
        for j in range(n):
            value[m + j, j] = births[j]
        value[m:, n:] = 0
        rows, columns = linear_sum_assignment(value, maximize=True)
        return {int(j): int(i) for i, j in zip(rows, columns, strict=True) if i < m and j < n}

    def update(self, boxes, raw, nominal, probabilities, log_odds, labels, matches, objects, time):
        tracks = self.tracks
        before = {i: (tracks[i].predicted[1], tracks[i].time, tracks[i].observations[1]) for i in range(len(tracks))}

        def second_name(k, j):
            """Whether one thing is detected as two classes; masks would say more."""
            return labels[k] != labels[j] and iou(boxes[k], boxes[j]) > 0.9

        new = [j for j in range(len(boxes)) if j not in matches and nominal[j] >= 0.3]
        new = [j for j in new if not any(second_name(k, j) for k in matches)]
        new = [j for number, j in enumerate(new) if not any(second_name(k, j) for k in new[:number])]
        starts = {j: self.initial_motion(boxes[j], time) for j in new}
        beliefs = {}
        for j, i in matches.items():
            others = [boxes[k] for k in range(len(boxes)) if k != j]
            others += [track.predicted[1] for k, track in enumerate(tracks) if k != i]
            overlap = max((iou(boxes[j], other) for other in others), default=0.0)
            beliefs[j] = 1 - clamp(2 * overlap - 0.3, 0, 0.9)
        drift = self.drift({i: boxes[j] for j, i in matches.items()}, before, time)
        at_once = not any(track.confirmed for track in tracks)
        kept: list[Track] = []
        ids, observed = [-1] * len(boxes), {}
        for j, i in sorted(matches.items()):
            tracks[i].update(boxes[j], probabilities[j], labels[j], log_odds[j], time, beliefs[j])
            observed[j] = tracks[i]
        for number, j in enumerate(new):
            velocity, growth = starts[j]
            observed[j] = Track(
                id=self.next_id + number,
                places=[list(boxes[j]) for _ in range(3)],
                velocities=[list(velocity) for _ in range(3)],
                growth=list(growth),
                observations=[1.0, 1.0, 1.0],
                noise=[0.08, 0.06],
                last=list(boxes[j]),
                mean_score=probabilities[j],
                time=time,
                score=probabilities[j],
                label=labels[j],
                evidence=log_odds[j],
            )
        self.next_id += len(new)
        certain = {}
        for j, track in observed.items():
            z = 0.6 * track.evidence + 0.4 * log_odds[j] + 0.15 * clamp(objects[j], -1, 5)
            certain[j] = sigmoid(z)
            enough = track.hits >= 2 or certain[j] >= 0.9 or at_once
            track.confirmed = track.confirmed or (certain[j] >= 0.5 and enough)
            kept.append(track)
        for i, track in enumerate(tracks):
            waited = round(time - track.time)
            if i not in matches.values() and waited <= 60 and (track.confirmed or waited <= 8 * track.hits):
                for place in [*track.places, track.last]:
                    place[0] += drift[0]
                    place[1] += drift[1]
                kept.append(track)
        self.curve = self.curve.follow(
            time,
            np.array([track.id for track in observed.values()]),
            np.array([observed[j].id for j in new], dtype=np.int64),
            np.array([raw[j] for j in new]),
        )
        order = sorted(kept, key=lambda track: (round(time - track.time), -track.hits, -track.score))
        alive = {track.id for track in order[: self.max_tracks]}
        self.tracks = [track for track in kept if track.id in alive]
        for j, track in observed.items():
            if track.id in alive and track.confirmed and certain[j] >= 0.4:
                ids[j] = track.id
        return ids

    def initial_motion(self, box, time):
        total, others = 0.0, []
        size = math.sqrt(max(box[2], 1) * max(box[3], 1))
        for track in self.tracks:
            if track.observations[1] >= 3 and time - track.time < 2.5:
                place = track.places[1]
                other = math.sqrt(max(place[2], 1) * max(place[3], 1))
                apart = ((box[0] - place[0]) ** 2 + (box[1] - place[1]) ** 2) / (9 * size * other)
                weight = math.exp(-(apart + math.log(size / other) ** 2 / 0.25) / 2)
                others.append((weight, [*(v / other for v in track.velocities[1]), *track.growth]))
                total += weight
        if not others:
            return [0.0, 0.0], [0.0, 0.0]
        mean = [sum(w * flow[a] for w, flow in others) / (total + 0.3) for a in range(4)]
        spread = [sum(w * (flow[a] - mean[a]) ** 2 for w, flow in others) / max(total, 1e-6) for a in range(4)]
        trust = []
        for a, b in ((0, 1), (2, 3)):
            strength = mean[a] ** 2 + mean[b] ** 2
            trust.append(strength / (strength + spread[a] + spread[b] + 0.02**2))
        return [trust[0] * v * size for v in mean[:2]], [trust[1] * g for g in mean[2:]]

    def drift(self, matched, before, time):
        """Shift of lost tracks: how far the observations of the others lie from where they were expected."""
        fresh = [i for i in matched if time - before[i][1] < 2.5 and before[i][2] >= 3]
        if len(fresh) < 2:
            return [0.0, 0.0]
        residual = {i: [matched[i][a] - before[i][0][a] for a in (0, 1)] for i in fresh}
        result = []
        for a in (0, 1):
            shared = median([residual[i][a] for i in fresh])
            spread = 1.5 * median([abs(residual[i][a] - shared) for i in fresh])
            spread += 0.02 * median([matched[i][2 + a] for i in fresh])
            square = shared**2
            trust = square / max(square + 4 * spread**2 / len(fresh), 1e-9) * (1 - 1 / len(fresh))
            result.append(trust * shared)
        return result


def placement(box, size):
    height, width = size
    x, y, w, h = box
    borders = [x / w, y / h, (width - x) / w, (height - y) / h]
    return [
        math.log(h / height) + 2,
        math.log(w / h) + 0.5,
        x / width - 0.5,
        y / height - 0.5,
        *(clamp(b - 0.5, -2, 3) for b in borders),
    ]


def crowding(i, boxes):
    """Share of a box that one lower in the picture occludes, and its largest IoU, of all others of its side."""
    box, others = boxes[i], [other for k, other in enumerate(boxes) if k != i]
    front = [other for other in others if other[1] + other[3] / 2 > box[1] + box[3] / 2]
    occluded = max((intersection(box, other) for other in front), default=0.0) / (box[2] * box[3])
    return [occluded, max((iou(box, other) for other in others), default=0.0)]
