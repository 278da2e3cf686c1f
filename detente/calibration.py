"""Logits to probabilities that mean what they say, and when to abstain.

Each head has a temperature and a bias, fitted on validation rows (Guo et al. 2017, On Calibration of Modern Neural
Networks; the bias makes it vector scaling with one shared scale). Applying them needs numpy alone.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from detente.labels import HEADS

Array = npt.NDArray[np.float64]
_LEVEL: Final = 0.95
"""How sure the review threshold is to keep its risk."""


@dataclass(frozen=True, slots=True)
class HeadCalibration:
    """``logits / temperature + bias`` are the calibrated logits.

    Attributes:
        temperature: Above 0; above 1 flattens.
        bias: One value for each logit, or one for all.
    """

    temperature: float = 1.0
    bias: tuple[float, ...] = (0.0,)


@dataclass(frozen=True, slots=True)
class Calibration:
    """Calibration of the three heads, and the confidence below which a score is to be reviewed.

    Attributes:
        heads: By head name.
        review_below: Stance confidence in [0, 1] below which ``needs_review`` is set.
        selective_risk: Share of wrong stances, in [0, 1], that ``review_below`` allows among the kept.
    """

    heads: Mapping[str, HeadCalibration]
    review_below: float = 0.5
    selective_risk: float = 1.0

    @classmethod
    def identity(cls) -> "Calibration":
        """No calibration: temperature 1, bias 0."""
        return cls({head: HeadCalibration() for head in HEADS})


def compute_probabilities(logits: Array, calibration: HeadCalibration) -> Array:
    """Calibrated probabilities of a head's labels.

    Args:
        logits: (n, labels).
        calibration: The head's calibration.

    Returns:
        (n, labels) probabilities; each row sums to 1.
    """
    scaled = logits.astype(np.float64) / calibration.temperature + np.asarray(calibration.bias)
    exp = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    probabilities: Array = exp / exp.sum(axis=1, keepdims=True)
    return probabilities


def fit_head(
    logits: Array, low: npt.NDArray[np.int64], high: npt.NDArray[np.int64], sources: Sequence[str]
) -> HeadCalibration:
    """Temperature and bias that minimise the negative log-likelihood of labels that are known up to an interval.

    A source counts by the square root of its rows, so that a large one does not decide alone.

    Args:
        logits: (n, labels).
        low: (n,) lowest label index allowed.
        high: (n,) highest label index allowed; the same as ``low`` where the label is known.
        sources: The source of each of the n rows.
    """
    from scipy.optimize import minimize

    counts = Counter(sources)
    weights = np.array([counts[source] ** -0.5 for source in sources])
    weights /= weights.sum()

    labels = np.arange(logits.shape[1])
    allowed = (labels >= low[:, None]) & (labels <= high[:, None])

    def build(parameters: Array) -> HeadCalibration:
        """Parameters: log scale and biases."""
        bias = parameters[1:] - parameters[1:].mean()
        return HeadCalibration(float(np.exp(-parameters[0])), tuple(float(b) for b in bias))

    def loss(parameters: Array) -> float:
        inside = (compute_probabilities(logits, build(parameters)) * allowed).sum(axis=1)
        return float(-(weights * np.log(inside + 1e-12)).sum() + 1e-3 * np.square(parameters).sum())

    return build(minimize(loss, np.zeros(1 + logits.shape[1]), method="L-BFGS-B").x)


def choose_threshold(confidence: Array, correct: npt.NDArray[np.bool_], risk: float) -> float:
    """The lowest confidence from which on at most ``risk`` of all such rows are wrong, as far as these rows can tell.

    The bound is the exact binomial one (Clopper and Pearson 1934) at 95 %, for selective classification as Geifman and
    El-Yaniv (2017) use it. It takes rows to be independent, which rows of one article or debate, or
    one statement of ours with other names, are not quite.

    Args:
        confidence: (n,) probability of the predicted label.
        correct: (n,) whether it was right.
        risk: Share of wrong rows that is accepted among the kept, in (0, 1).

    Returns:
        A threshold in [0, 1]; 1 if no threshold keeps the risk.
    """
    from scipy.stats import beta

    order = np.argsort(-confidence, kind="stable")
    wrong, kept = np.cumsum(~correct[order]), np.arange(1, len(order) + 1)
    right = kept - wrong
    bound = np.where(right > 0, beta.ppf(_LEVEL, wrong + 1, np.maximum(right, 1)), 1.0)
    is_last_of_ties = np.diff(confidence[order], append=-1.0) < 0
    allowed = np.flatnonzero((bound <= risk) & is_last_of_ties)
    return float(confidence[order][allowed[-1]]) if len(allowed) else 1.0
