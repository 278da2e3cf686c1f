"""The multi-task loss: missing labels are masked, and a coarse hostility label is an interval of levels."""

import torch
from torch import Tensor
from torch.nn import functional

MISSING = -100
"""Stands for a label that a source does not have."""


def measure_interval_loss(logits: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Negative log of the probability that the level lies in [low, high].

    Args:
        logits: (batch, levels).
        low: (batch,) lowest level allowed, from 0.
        high: (batch,) highest level allowed, ``low`` to the last.

    Returns:
        (batch,) losses, 0 or more; 0 where the interval holds all levels.
    """
    logs = functional.log_softmax(logits.float(), dim=1)
    levels = torch.arange(logits.shape[1], device=logits.device)
    outside = (levels < low[:, None]) | (levels > high[:, None])
    return -torch.logsumexp(logs.masked_fill(outside, -torch.inf), dim=1)


def measure_loss(
    logits: dict[str, Tensor],
    *,
    stance: Tensor,
    hostility_low: Tensor,
    hostility_high: Tensor,
    sentiment: Tensor,
    weight: Tensor,
    head_weights: dict[str, float],
    label_smoothing: float = 0.0,
    weight_sum: Tensor | None = None,
) -> Tensor:
    """Weighted sum of the three heads' losses, each a weighted mean over the rows that have the label.

    Args:
        logits: ``stance`` (batch, 3), ``hostility`` (batch, 5), ``sentiment`` (batch, 3).
        stance: (batch,) label index, or MISSING; likewise ``sentiment``.
        hostility_low: (batch,) lowest level, or MISSING; likewise ``hostility_high``.
        sentiment: (batch,) label index, or MISSING.
        weight: (batch,) row weights, above 0.
        head_weights: Weight of each head.
        label_smoothing: Share of probability given to the other labels in the two categorical heads.
        weight_sum: A scalar by which the weighted losses are divided; None for the sum of ``weight``. Processes that
            share a batch pass the mean of their sums, so that the mean of their losses is that of the whole batch.

    Returns:
        A scalar; 0 where no row has any label.
    """
    rows = {
        "stance": _categorical(logits["stance"], stance, label_smoothing),
        "sentiment": _categorical(logits["sentiment"], sentiment, label_smoothing),
        "hostility": measure_interval_loss(
            logits["hostility"], hostility_low.clamp_min(0), hostility_high.clamp_min(0)
        ),
    }
    present = {"stance": stance != MISSING, "sentiment": sentiment != MISSING, "hostility": hostility_low != MISSING}
    total = logits["stance"].new_zeros((), dtype=torch.float32)
    divisor = weight.sum() if weight_sum is None else weight_sum
    for head, losses in rows.items():
        weights = weight * present[head]
        # The sum of all weights, not of the present ones, so that one rare label does not outweigh a batch.
        total = total + head_weights[head] * (losses * weights).sum() / divisor
    return total


def measure_consistency(first: dict[str, Tensor], second: dict[str, Tensor], head_weights: dict[str, float]) -> Tensor:
    """How far two answers to the same rows are apart: R-Drop (Liang et al. 2021), for two draws of the dropout.

    Args:
        first: Logits (batch, labels) of each head.
        second: Logits of the same rows.
        head_weights: Weight of each head.

    Returns:
        A scalar, 0 or more: the mean of both Kullback-Leibler divergences, over rows; summed over heads by weight.
    """
    losses = []
    for head, weight in head_weights.items():
        one, other = (functional.log_softmax(logits[head].float(), dim=1) for logits in (first, second))
        losses.append(weight * 0.5 * ((one.exp() - other.exp()) * (one - other)).sum(dim=1).mean())
    return torch.stack(losses).sum()


def _categorical(logits: Tensor, target: Tensor, label_smoothing: float) -> Tensor:
    return functional.cross_entropy(
        logits.float(), target, ignore_index=MISSING, reduction="none", label_smoothing=label_smoothing
    )
