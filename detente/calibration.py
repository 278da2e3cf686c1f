"""Logits to probabilities that mean what they say, and when to abstain.

Each head has a temperature and a bias, fitted on validation rows (Guo et al. 2017, On Calibration of Modern Neural
Networks; the bias makes it vector scaling with one shared scale). Applying them needs numpy alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from detente.labels import HEADS, MAX_LEVEL

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class HeadCalibration:
    """``logits / temperature + bias`` are the calibrated logits.

    Attributes:
        temperature: Above 0; above 1 flattens.
        bias: One value for each logit, or one for all; for hostility they keep the cumulative logits falling.
    """

    temperature: float = 1.0
    bias: tuple[float, ...] = (0.0,)


@dataclass(frozen=True, slots=True)
class Calibration:
    """Calibration of the three heads, and the confidence below which a score is to be reviewed.

    Attributes:
        heads: By head name.
        review_below: Stance confidence in [0, 1] below which ``needs_review`` is set.
        selective_risk: Share of wrong stances, in [0, 1], that ``review_below`` allowed among the kept validation rows.
    """

    heads: Mapping[str, HeadCalibration]
    review_below: float = 0.5
    selective_risk: float = 1.0

    @classmethod
    def identity(cls) -> "Calibration":
        """No calibration: temperature 1, bias 0."""
        return cls({head: HeadCalibration() for head in HEADS})


def compute_probabilities(head: str, logits: Array, calibration: HeadCalibration) -> Array:
    """Calibrated probabilities of a head's labels.

    Args:
        head: ``stance``, ``hostility`` or ``sentiment``.
        logits: (n, 3), or (n, 4) falling cumulative logits for hostility.
        calibration: The head's calibration.

    Returns:
        (n, labels) probabilities; each row sums to 1.
    """
    scaled = logits.astype(np.float64) / calibration.temperature + np.asarray(calibration.bias)
    if head == "hostility":
        at_least = 1.0 / (1.0 + np.exp(-np.clip(scaled, -60.0, 60.0)))
        n = len(at_least)
        edges = np.concatenate([np.ones((n, 1)), at_least, np.zeros((n, 1))], axis=1)
        levels: Array = np.clip(edges[:, :-1] - edges[:, 1:], 0.0, 1.0)
        return levels
    exp = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    probabilities: Array = exp / exp.sum(axis=1, keepdims=True)
    return probabilities


def fit_categorical(logits: Array, targets: npt.NDArray[np.int64]) -> HeadCalibration:
    """Temperature and bias that minimise the negative log-likelihood.

    Args:
        logits: (n, labels).
        targets: (n,) label indices.
    """
    from scipy.optimize import minimize

    rows = np.arange(len(targets))

    def loss(parameters: Array) -> float:
        scaled = logits * np.exp(parameters[0]) + parameters[1:]
        top = scaled.max(axis=1, keepdims=True)
        log_sum = top[:, 0] + np.log(np.exp(scaled - top).sum(axis=1))
        return float(np.mean(log_sum - scaled[rows, targets]) + 1e-3 * np.square(parameters).sum())

    best = minimize(loss, np.zeros(1 + logits.shape[1]), method="L-BFGS-B").x
    return HeadCalibration(float(np.exp(-best[0])), tuple(float(b) for b in best[1:] - best[1:].mean()))


def fit_ordinal(logits: Array, low: npt.NDArray[np.int64], high: npt.NDArray[np.int64]) -> HeadCalibration:
    """Temperature and four biases that minimise the interval-censored negative log-likelihood.

    The biases move the thresholds between the levels; the calibrated logits fall along each row as the raw ones do.

    Args:
        logits: (n, 4) falling cumulative logits, at the same distance from one another in every row.
        low: (n,) lowest level allowed.
        high: (n,) highest level allowed.
    """
    from scipy.optimize import minimize

    levels = np.arange(MAX_LEVEL + 1)
    allowed = (levels >= low[:, None]) & (levels <= high[:, None])
    gaps = -np.diff(logits[0])

    def build(parameters: Array) -> HeadCalibration:
        """Parameters: log scale, first bias, and the logs of the factors by which the gaps grow."""
        scale, first = float(np.exp(parameters[0])), float(parameters[1])
        changes = gaps * scale * (1 - np.exp(parameters[2:]))
        return HeadCalibration(1 / scale, tuple(float(b) for b in first + np.concatenate([[0.0], np.cumsum(changes)])))

    def loss(parameters: Array) -> float:
        inside = (compute_probabilities("hostility", logits, build(parameters)) * allowed).sum(axis=1)
        penalty = 1e-3 * float(np.square(parameters).sum())
        return float(np.mean(-np.log(inside + 1e-12))) + penalty

    return build(minimize(loss, np.zeros(1 + MAX_LEVEL), method="L-BFGS-B").x)


def choose_threshold(confidence: Array, correct: npt.NDArray[np.bool_], risk: float) -> float:
    """The lowest confidence from which on at most ``risk`` of the rows are wrong.

    Args:
        confidence: (n,) probability of the predicted label.
        correct: (n,) whether it was right.
        risk: Share of wrong rows that is accepted among the kept, in (0, 1).

    Returns:
        A threshold in [0, 1]; 1 if no threshold keeps the risk.
    """
    order = np.argsort(-confidence, kind="stable")
    wrong = np.cumsum(~correct[order]) / np.arange(1, len(order) + 1)
    is_last_of_ties = np.diff(confidence[order], append=-1.0) < 0
    kept = np.flatnonzero((wrong <= risk) & is_last_of_ties)
    return float(confidence[order][kept[-1]]) if len(kept) else 1.0
