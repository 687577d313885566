"""Plain transcription of the tracking metrics of TrackEval (MIT licence), the reference of the tests.

Dense matrices over all ids, a loop over the frames, in it a loop over alpha, and the square assignment of (true +
predicted) ids. A frame is (true ids, predicted ids, similarity). Speed is not a goal.
"""

from collections.abc import Sequence

import numpy as np
from scipy.optimize import linear_sum_assignment

Frame = tuple[np.ndarray, np.ndarray, np.ndarray]
EPS = np.finfo("float").eps
ALPHAS = np.arange(0.05, 0.99, 0.05)
ASSOCIATION = ("AssA", "AssRe", "AssPr")


def renumbered(frames: Sequence[Frame]) -> tuple[list[Frame], int, int]:
    """Frames whose ids are 0, 1, 2, … on either side, and how many there are."""
    sides = [np.unique(np.concatenate([frame[side] for frame in frames] or [np.zeros(0, int)])) for side in (0, 1)]
    numbered = [(np.searchsorted(sides[0], g), np.searchsorted(sides[1], p), s) for g, p, s in frames]
    return numbered, len(sides[0]), len(sides[1])


def hota(frames: Sequence[Frame]) -> dict[str, np.ndarray]:
    """Every field at each alpha."""
    frames, num_truth, num_predicted = renumbered(frames)
    names = ("HOTA_TP", "HOTA_FN", "HOTA_FP", "LocA", *ASSOCIATION)
    result = {name: np.zeros(len(ALPHAS)) for name in names}
    potential = np.zeros((num_truth, num_predicted))
    true_count, predicted_count = np.zeros((num_truth, 1)), np.zeros((1, num_predicted))
    for g, p, similarity in frames:
        denominator = similarity.sum(0)[None, :] + similarity.sum(1)[:, None] - similarity
        share = np.zeros_like(similarity)
        share[denominator > EPS] = similarity[denominator > EPS] / denominator[denominator > EPS]
        potential[g[:, None], p[None, :]] += share
        true_count[g] += 1
        predicted_count[0, p] += 1
    alignment = potential / (true_count + predicted_count - potential)
    counts = [np.zeros_like(potential) for _ in ALPHAS]
    for g, p, similarity in frames:
        score = alignment[g[:, None], p[None, :]] * similarity
        rows, columns = linear_sum_assignment(-score)
        for a, alpha in enumerate(ALPHAS):
            passed = similarity[rows, columns] >= alpha - EPS
            r, c = rows[passed], columns[passed]
            result["HOTA_TP"][a] += len(r)
            result["HOTA_FN"][a] += len(g) - len(r)
            result["HOTA_FP"][a] += len(p) - len(r)
            if len(r):
                result["LocA"][a] += sum(similarity[r, c])
                counts[a][g[r], p[c]] += 1
    for a in range(len(ALPHAS)):
        m, matches = counts[a], np.maximum(1, result["HOTA_TP"][a])
        result["AssA"][a] = np.sum(m * (m / np.maximum(1, true_count + predicted_count - m))) / matches
        result["AssRe"][a] = np.sum(m * (m / np.maximum(1, true_count))) / matches
        result["AssPr"][a] = np.sum(m * (m / np.maximum(1, predicted_count))) / matches
    result["LocA"] = np.maximum(1e-10, result["LocA"]) / np.maximum(1e-10, result["HOTA_TP"])
    return finished_hota(result)


def combined_hota(results: Sequence[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """The fields of several videos together: counts added, shares weighted by the matches."""
    total = {name: sum(r[name] for r in results) for name in ("HOTA_TP", "HOTA_FN", "HOTA_FP")}
    for name in ASSOCIATION:
        total[name] = sum(r[name] * r["HOTA_TP"] for r in results) / np.maximum(1, total["HOTA_TP"])
    located = sum(r["LocA"] * r["HOTA_TP"] for r in results)
    total["LocA"] = np.maximum(1e-10, located) / np.maximum(1e-10, total["HOTA_TP"])
    return finished_hota(total)


def finished_hota(result: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    tp, fn, fp = (result[name] for name in ("HOTA_TP", "HOTA_FN", "HOTA_FP"))
    result["DetRe"] = tp / np.maximum(1, tp + fn)
    result["DetPr"] = tp / np.maximum(1, tp + fp)
    result["DetA"] = tp / np.maximum(1, tp + fn + fp)
    result["HOTA"] = np.sqrt(result["DetA"] * result["AssA"])
    result["OWTA"] = np.sqrt(result["DetRe"] * result["AssA"])
    return result


def identity(frames: Sequence[Frame], threshold: float = 0.5) -> dict[str, float]:
    """IDTP, IDFN, IDFP and their shares."""
    frames, num_truth, num_predicted = renumbered(frames)
    potential = np.zeros((num_truth, num_predicted))
    true_count, predicted_count = np.zeros(num_truth), np.zeros(num_predicted)
    for g, p, similarity in frames:
        rows, columns = np.nonzero(similarity >= threshold)
        potential[g[rows], p[columns]] += 1
        true_count[g] += 1
        predicted_count[p] += 1
    size = num_truth + num_predicted
    fp_matrix, fn_matrix = np.zeros((size, size)), np.zeros((size, size))
    fp_matrix[num_truth:, :num_predicted] = 1e10
    fn_matrix[:num_truth, num_predicted:] = 1e10
    for g in range(num_truth):
        fn_matrix[g, :num_predicted] = true_count[g]
        fn_matrix[g, num_predicted + g] = true_count[g]
    for p in range(num_predicted):
        fp_matrix[:num_truth, p] = predicted_count[p]
        fp_matrix[p + num_truth, p] = predicted_count[p]
    fn_matrix[:num_truth, :num_predicted] -= potential
    fp_matrix[:num_truth, :num_predicted] -= potential
    rows, columns = linear_sum_assignment(fn_matrix + fp_matrix)
    fn, fp = int(fn_matrix[rows, columns].sum()), int(fp_matrix[rows, columns].sum())
    tp = int(true_count.sum()) - fn
    return {
        "IDTP": tp,
        "IDFN": fn,
        "IDFP": fp,
        "IDR": tp / max(1.0, tp + fn),
        "IDP": tp / max(1.0, tp + fp),
        "IDF1": tp / max(1.0, tp + 0.5 * fp + 0.5 * fn),
    }


def clear(frames: Sequence[Frame], threshold: float = 0.5) -> dict[str, float]:
    """The counts of CLEAR MOT."""
    frames, num_truth, _ = renumbered(frames)
    names = ("CLR_TP", "CLR_FN", "CLR_FP", "IDSW", "MT", "PT", "ML", "Frag", "MOTP_sum")
    result = dict.fromkeys(names, 0.0)
    true_count, matched_count, begun = np.zeros(num_truth), np.zeros(num_truth), np.zeros(num_truth)
    last, before = np.full(num_truth, np.nan), np.full(num_truth, np.nan)
    for g, p, similarity in frames:
        if len(g) == 0:
            result["CLR_FP"] += len(p)
            continue
        true_count[g] += 1
        if len(p) == 0:
            result["CLR_FN"] += len(g)
            continue
        score = 1000 * (p[None, :] == before[g[:, None]]) + similarity
        score[similarity < threshold - EPS] = 0
        rows, columns = linear_sum_assignment(-score)
        real = score[rows, columns] > EPS
        rows, columns = rows[real], columns[real]
        objects, tracks = g[rows], p[columns]
        result["IDSW"] += np.sum(~np.isnan(last[objects]) & (tracks != last[objects]))
        matched_count[objects] += 1
        idle = np.isnan(before)
        last[objects] = tracks
        before[:] = np.nan
        before[objects] = tracks
        begun += idle & ~np.isnan(before)
        result["CLR_TP"] += len(rows)
        result["CLR_FN"] += len(g) - len(rows)
        result["CLR_FP"] += len(p) - len(rows)
        result["MOTP_sum"] += sum(similarity[rows, columns])
    share = matched_count / true_count
    result["MT"] = np.sum(share > 0.8)
    result["PT"] = np.sum(share >= 0.2) - result["MT"]
    result["ML"] = num_truth - result["MT"] - result["PT"]
    result["Frag"] = np.sum(begun[begun > 0] - 1)
    return result
