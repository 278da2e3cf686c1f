"""Losses: the interval loss against a direct computation, masks, extreme logits."""

import itertools
import math

import pytest
import torch
from torch import Tensor

from detente.losses import MISSING, measure_consistency, measure_interval_loss, measure_loss

INTERVALS = [(low, high) for low in range(5) for high in range(low, 5)]
HEAD_WEIGHTS = {"stance": 1.0, "hostility": 0.7, "sentiment": 0.5}


def draw_levels(rows: int, seed: int = 0) -> Tensor:
    return 3 * torch.randn(rows, 5, generator=torch.Generator().manual_seed(seed))


def compute_directly(logits: list[float], low: int, high: int) -> float:
    weights = [math.exp(x) for x in logits]
    return -math.log(sum(weights[low : high + 1]) / sum(weights))


@pytest.mark.parametrize(("low", "high"), INTERVALS)
def test_interval_loss_equals_direct_computation(low: int, high: int) -> None:
    logits = draw_levels(40)
    found = measure_interval_loss(logits, torch.full((40,), low), torch.full((40,), high))
    expected = [compute_directly(row, low, high) for row in logits.double().tolist()]
    torch.testing.assert_close(found.double(), torch.tensor(expected, dtype=torch.float64), rtol=1e-4, atol=1e-5)


def test_exact_levels_are_a_distribution() -> None:
    logits = draw_levels(20, seed=1)
    levels = [measure_interval_loss(logits, torch.full((20,), k), torch.full((20,), k)).neg().exp() for k in range(5)]
    torch.testing.assert_close(torch.stack(levels).sum(0), torch.ones(20), rtol=1e-5, atol=1e-5)


def test_interval_of_all_levels_costs_nothing() -> None:
    logits = draw_levels(10).requires_grad_()
    loss = measure_interval_loss(logits, torch.zeros(10, dtype=torch.long), torch.full((10,), 4))
    assert loss.abs().max() < 1e-6
    loss.sum().backward()
    assert logits.grad is not None and logits.grad.abs().max() < 1e-6


def test_wider_intervals_cost_less() -> None:
    logits = draw_levels(10)
    costs = {
        pair: measure_interval_loss(logits, torch.full((10,), pair[0]), torch.full((10,), pair[1]))
        for pair in INTERVALS
    }
    for (a, b), (c, d) in itertools.permutations(INTERVALS, 2):
        if c <= a and b <= d:
            assert (costs[c, d] <= costs[a, b] + 1e-5).all()


@pytest.mark.parametrize("scale", [-1e4, -100.0, 0.0, 100.0, 1e4])
@pytest.mark.parametrize(("low", "high"), INTERVALS)
def test_extreme_logits_keep_loss_and_gradient_finite(scale: float, low: int, high: int) -> None:
    logits = (scale * torch.arange(5.0)[None]).requires_grad_()
    loss = measure_interval_loss(logits, torch.tensor([low]), torch.tensor([high]))
    loss.sum().backward()
    assert loss.isfinite().all() and (loss >= -1e-6).all()
    assert logits.grad is not None and logits.grad.isfinite().all()


@pytest.mark.parametrize(("low", "high"), [(4, 4), (0, 0), (1, 3)])
def test_gradient_moves_toward_the_interval(low: int, high: int) -> None:
    logits = torch.tensor([[2.0, 1.0, 0.0, -1.0, 0.5]], requires_grad=True)
    measure_interval_loss(logits, torch.tensor([low]), torch.tensor([high])).sum().backward()
    assert logits.grad is not None
    for level, slope in enumerate(logits.grad[0].tolist()):
        assert slope < 0 if low <= level <= high else slope > 0


def draw_batch(rows: int) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    generator = torch.Generator().manual_seed(3)
    logits = {
        "stance": torch.randn(rows, 3, generator=generator).requires_grad_(),
        "hostility": draw_levels(rows).requires_grad_(),
        "sentiment": torch.randn(rows, 3, generator=generator).requires_grad_(),
    }
    labels = {
        "stance": torch.arange(rows) % 3,
        "hostility_low": torch.arange(rows) % 5,
        "hostility_high": torch.arange(rows) % 5,
        "sentiment": torch.arange(rows) % 3,
        "weight": torch.ones(rows),
    }
    return logits, labels


def test_loss_is_the_weighted_sum_of_heads() -> None:
    logits, labels = draw_batch(4)
    labels["weight"] = torch.tensor([1.0, 0.5, 2.0, 0.25])
    expected = 0.0
    for i, weight in enumerate(labels["weight"].tolist()):
        stance = -math.log(torch.softmax(logits["stance"][i].double(), 0)[i % 3].item())
        sentiment = -math.log(torch.softmax(logits["sentiment"][i].double(), 0)[i % 3].item())
        hostility = compute_directly(logits["hostility"][i].tolist(), i % 5, i % 5)
        expected += weight * (stance + 0.7 * hostility + 0.5 * sentiment)
    found = measure_loss(logits, **labels, head_weights=HEAD_WEIGHTS)
    assert found.item() == pytest.approx(expected / 3.75, rel=1e-5)


def test_missing_labels_give_no_gradient() -> None:
    logits, labels = draw_batch(6)
    for key in ("stance", "hostility_low", "hostility_high", "sentiment"):
        labels[key][::2] = MISSING
    measure_loss(logits, **labels, head_weights=HEAD_WEIGHTS, label_smoothing=0.1).backward()
    for tensor in logits.values():
        assert tensor.grad is not None
        assert tensor.grad[::2].abs().max() == 0 and (tensor.grad[1::2].abs().sum(1) > 0).all()


def test_missing_labels_do_not_change_the_other_heads() -> None:
    logits, labels = draw_batch(4)
    stance_only = {"stance": 1.0, "hostility": 0.0, "sentiment": 0.0}
    before = measure_loss(logits, **labels, head_weights=stance_only)
    labels["sentiment"][:] = MISSING
    labels["hostility_low"][:] = labels["hostility_high"][:] = MISSING
    assert measure_loss(logits, **labels, head_weights=HEAD_WEIGHTS).item() == pytest.approx(before.item())


def test_rows_without_any_label_cost_nothing() -> None:
    logits, labels = draw_batch(3)
    for key in ("stance", "hostility_low", "hostility_high", "sentiment"):
        labels[key][:] = MISSING
    assert measure_loss(logits, **labels, head_weights=HEAD_WEIGHTS).item() == 0


def test_masked_row_with_extreme_logits_does_no_harm() -> None:
    logits, labels = draw_batch(2)
    logits = {head: (1e4 * tensor).detach().requires_grad_() for head, tensor in logits.items()}
    for key in ("stance", "hostility_low", "hostility_high", "sentiment"):
        labels[key][0] = MISSING
    loss = measure_loss(logits, **labels, head_weights=HEAD_WEIGHTS)
    loss.backward()
    assert loss.isfinite()
    assert all(tensor.grad is not None and tensor.grad.isfinite().all() for tensor in logits.values())


def test_half_precision_logits_are_computed_in_full() -> None:
    logits, labels = draw_batch(4)
    half = {head: tensor.detach().bfloat16() for head, tensor in logits.items()}
    same = {head: tensor.float() for head, tensor in half.items()}
    found = measure_loss(half, **labels, head_weights=HEAD_WEIGHTS)
    assert found.dtype == torch.float32
    assert found.item() == measure_loss(same, **labels, head_weights=HEAD_WEIGHTS).item()


def test_consistency_is_the_mean_of_both_divergences() -> None:
    first, second = ({head: draw_levels(7, seed) for head in HEAD_WEIGHTS} for seed in (3, 4))
    p, q = (torch.distributions.Categorical(logits=logits["stance"]) for logits in (first, second))
    both = torch.distributions.kl_divergence(p, q) + torch.distributions.kl_divergence(q, p)
    expected = sum(HEAD_WEIGHTS.values()) * both.mean() / 2
    torch.testing.assert_close(measure_consistency(first, second, HEAD_WEIGHTS), expected)
    torch.testing.assert_close(measure_consistency(first, first, HEAD_WEIGHTS), torch.tensor(0.0))
