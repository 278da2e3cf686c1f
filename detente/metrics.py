"""Pure functions on arrays: macro-F1, ranking, calibration error, risk-coverage, bootstrap intervals."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def count_confusion(truth: Ints, predicted: Ints, labels: int) -> Ints:
    """(labels, labels) counts; rows are the truth, columns the prediction."""
    table = np.zeros((labels, labels), dtype=np.int64)
    np.add.at(table, (truth, predicted), 1)
    return table


def score_f1(truth: Ints, predicted: Ints, labels: int) -> Floats:
    """(labels,) F1 of each label, in [0, 1]; 0 for a label that is neither present nor predicted."""
    table = count_confusion(truth, predicted, labels)
    hits = np.diag(table).astype(np.float64)
    total: Floats = 2 * hits / np.maximum(table.sum(axis=0) + table.sum(axis=1), 1)
    return total


def score_macro_f1(truth: Ints, predicted: Ints, labels: int) -> float:
    """Mean F1 over the labels that occur in the truth or the prediction, in [0, 1]."""
    present = np.union1d(truth, predicted)
    return float(score_f1(truth, predicted, labels)[present].mean())


def score_accuracy(truth: Ints, predicted: Ints) -> float:
    """Share of equal entries, in [0, 1]; with one label a row this is also micro-F1."""
    return float(np.mean(truth == predicted))


def score_kappa(truth: Ints, predicted: Ints, labels: int) -> float:
    """Cohen's kappa with quadratic weights (Cohen 1968), at most 1; NaN if both are constant."""
    table = count_confusion(truth, predicted, labels).astype(np.float64)
    weights = np.subtract.outer(np.arange(labels), np.arange(labels)) ** 2
    expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / table.sum()
    chance = (weights * expected).sum()
    return float(1 - (weights * table).sum() / chance) if chance else float("nan")


def estimate_share(share: float, rows: int) -> tuple[float, float]:
    """95 % interval of a share in [0, 1] that was seen in so many rows (Wilson 1927)."""
    z = 1.959964
    middle = (share + z**2 / (2 * rows)) / (1 + z**2 / rows)
    half = z * ((share * (1 - share) + z**2 / (4 * rows)) / rows) ** 0.5 / (1 + z**2 / rows)
    return middle - half, middle + half


def score_auc(truth: npt.NDArray[np.bool_], score: Floats) -> float:
    """Area under the ROC curve, in [0, 1]: the chance that a true row scores above a false one, ties half.

    Returns NaN where one class is absent.
    """
    positive, negative = int(truth.sum()), int((~truth).sum())
    if not positive or not negative:
        return float("nan")
    _, inverse, counts = np.unique(score, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    return float((ranks[truth].sum() - positive * (positive + 1) / 2) / (positive * negative))


def measure_calibration_error(confidence: Floats, correct: npt.NDArray[np.bool_], bins: int = 15) -> float:
    """Expected calibration error, in [0, 1], over equal-width bins (Naeini et al. 2015).

    Args:
        confidence: (n,) probability of the predicted label.
        correct: (n,) whether it was right.
        bins: Number of bins over [0, 1].
    """
    index = np.minimum((confidence * bins).astype(np.int64), bins - 1)
    error = 0.0
    for b in range(bins):
        inside = index == b
        if inside.any():
            error += inside.mean() * abs(correct[inside].mean() - confidence[inside].mean())
    return float(error)


def trace_risk_coverage(confidence: Floats, correct: npt.NDArray[np.bool_], coverages: Floats) -> Floats:
    """Share of wrong rows among the most confident ``coverage`` of all rows, for each coverage in (0, 1]."""
    wrong = ~correct[np.argsort(-confidence, kind="stable")]
    kept = np.maximum((coverages * len(wrong) + 1e-9).astype(np.int64), 1)  # 0.29 * 100 is 28.999...
    return np.array([wrong[:k].mean() for k in kept])


def bootstrap_interval(
    measure: Callable[[Ints], float], rows: int, *, draws: int = 500, level: float = 0.95, seed: int = 0
) -> tuple[float, float]:
    """Percentile bootstrap interval of a measure of resampled row indices.

    Args:
        measure: Takes (rows,) indices drawn with replacement, returns the figure.
        rows: Number of rows.
        draws: Number of resamples.
        level: Coverage of the interval, in (0, 1).
        seed: Seed of the resampling.
    """
    generator = np.random.default_rng(seed)
    figures = [measure(generator.integers(0, rows, rows)) for _ in range(draws)]
    tail = 100 * (1 - level) / 2
    low, high = np.nanpercentile(figures, [tail, 100 - tail])
    return float(low), float(high)
