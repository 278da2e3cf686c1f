"""The multi-task loss: missing labels are masked, and a coarse hostility label is an interval of levels.

Levels follow a cumulative-link model (McCullagh 1980, Regression Models for Ordinal Data): the head gives one logit
for each of the four events "the level is at least k", k = 1 to 4, in falling order.
"""

import torch
from torch import Tensor
from torch.nn import functional

MISSING = -100
"""Stands for a label that a source does not have."""


def measure_interval_loss(cumulative_logits: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Negative log of the probability that the level lies in [low, high].

    Args:
        cumulative_logits: (batch, 4) logits of "the level is at least 1, 2, 3, 4"; they fall along the row.
        low: (batch,) lowest level allowed, 0 to 4.
        high: (batch,) highest level allowed, ``low`` to 4.

    Returns:
        (batch,) losses, 0 or more; 0 where the interval is 0 to 4.
    """
    logits = cumulative_logits.float()
    edge = torch.full_like(logits[:, :1], 30.0)
    bounds = torch.cat([edge, logits, -edge], dim=1)  # at least 0, ..., at least 5
    reach_low = bounds.gather(1, low[:, None]).squeeze(1)
    pass_high = bounds.gather(1, high[:, None] + 1).squeeze(1)
    # log(sigmoid(a) - sigmoid(b)) for a > b, without cancellation
    gap = (reach_low - pass_high).clamp_min(1e-4)
    inside = functional.logsigmoid(reach_low) + functional.logsigmoid(-pass_high) + torch.log(-torch.expm1(-gap))
    return -inside


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
        logits: ``stance`` (batch, 3), ``hostility`` (batch, 4), ``sentiment`` (batch, 3).
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


def _categorical(logits: Tensor, target: Tensor, label_smoothing: float) -> Tensor:
    return functional.cross_entropy(
        logits.float(), target, ignore_index=MISSING, reduction="none", label_smoothing=label_smoothing
    )
