"""Calibration: probabilities that sum to 1, parameters found again, a threshold that keeps its risk."""

import numpy as np
import pytest
from scipy.stats import binomtest

from detente.calibration import (
    Calibration,
    HeadCalibration,
    choose_threshold,
    compute_probabilities,
    fit_head,
)
from detente.labels import HEADS

IDENTITY = HeadCalibration()


def draw_logits(head: str, rows: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 2, (rows, len(HEADS[head])))


def sample(probabilities: np.ndarray, seed: int = 1) -> np.ndarray:
    draws = np.random.default_rng(seed).uniform(size=(len(probabilities), 1))
    return (draws > np.cumsum(probabilities, axis=1)).sum(axis=1).clip(max=probabilities.shape[1] - 1)


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("scale", [0.0, 1.0, 1e4])
@pytest.mark.parametrize("temperature", [0.1, 1.0, 10.0])
def test_probabilities_sum_to_one(head: str, scale: float, temperature: float) -> None:
    found = compute_probabilities(scale * draw_logits(head, 50), HeadCalibration(temperature, (0.3,)))
    assert found.shape == (50, len(HEADS[head])) and found.dtype == np.float64
    assert (found >= 0).all()
    np.testing.assert_allclose(found.sum(axis=1), 1.0, atol=1e-12)


def test_probabilities_by_hand() -> None:
    logits = np.log([[1.0, 2.0, 5.0]])
    np.testing.assert_allclose(compute_probabilities(logits, IDENTITY), [[1 / 8, 2 / 8, 5 / 8]])
    shifted = compute_probabilities(logits, HeadCalibration(1.0, (0.0, np.log(2), 0.0)))
    np.testing.assert_allclose(shifted, [[1 / 10, 4 / 10, 5 / 10]])
    flat = compute_probabilities(2 * logits, HeadCalibration(2.0))
    np.testing.assert_allclose(flat, [[1 / 8, 2 / 8, 5 / 8]])


def test_temperature_keeps_the_order() -> None:
    logits = draw_logits("stance", 100)
    cold, hot = (compute_probabilities(logits, HeadCalibration(t)) for t in (0.5, 4.0))
    assert (cold.argmax(axis=1) == hot.argmax(axis=1)).all()
    assert (cold.max(axis=1) > hot.max(axis=1)).all()


def test_identity_covers_every_head() -> None:
    found = Calibration.identity()
    assert set(found.heads) == set(HEADS)
    assert all(head == IDENTITY for head in found.heads.values())


def test_parameters_are_found_again() -> None:
    logits = draw_logits("stance", 20_000)
    truth = HeadCalibration(2.5, (0.5, -0.2, -0.3))
    targets = sample(compute_probabilities(logits, truth))
    found = fit_head(logits, targets, targets, ["one"] * len(targets))
    assert found.temperature == pytest.approx(2.5, rel=0.05)
    assert found.bias == pytest.approx((0.5, -0.2, -0.3), abs=0.06)


def test_parameters_are_found_from_intervals() -> None:
    """Half of the rows say no more than that there is some hostility; the others say at which level."""
    logits = draw_logits("hostility", 20_000)
    truth = HeadCalibration(0.6, (0.4, -0.3, 0.5, -0.2, -0.4))
    levels = sample(compute_probabilities(logits, truth))
    is_coarse = (np.arange(20_000) % 2 == 0) & (levels > 0)
    found = fit_head(logits, np.where(is_coarse, 1, levels), np.where(is_coarse, 4, levels), ["one"] * 20_000)
    assert found.temperature == pytest.approx(0.6, rel=0.1)
    assert found.bias == pytest.approx(truth.bias, abs=0.1)


def test_a_source_counts_by_the_square_root_of_its_rows() -> None:
    """900 rows of one source beside 100 of another move the bias as 300 beside 100 of one source would."""
    targets = np.array([0] * 100 + [1] * 900)
    found = fit_head(np.zeros((1_000, 3)), targets, targets, ["few"] * 100 + ["many"] * 900)
    same = fit_head(np.zeros((400, 3)), targets[:400], targets[:400], ["one"] * 400)
    assert found.bias == pytest.approx(same.bias, abs=1e-3)
    assert found.bias[1] > found.bias[0] > found.bias[2]


def test_fitting_does_not_depend_on_the_order_of_rows() -> None:
    logits = draw_logits("sentiment", 500)
    targets = sample(compute_probabilities(logits, HeadCalibration(2.0)))
    order = np.random.default_rng(5).permutation(500)
    found = fit_head(logits, targets, targets, ["one"] * len(targets))
    again = fit_head(logits[order], targets[order], targets[order], ["one"] * 500)
    assert again.temperature == pytest.approx(found.temperature, rel=1e-3)


@pytest.mark.parametrize("risk", [0.01, 0.05, 0.1, 0.3])
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("digits", [1, 2, 8])
def test_threshold_keeps_the_risk_and_as_much_as_it_can(risk: float, seed: int, digits: int) -> None:
    """``needs_review`` is confidence < threshold, so rows at the threshold are kept, ties included."""
    random = np.random.default_rng(seed)
    confidence = np.round(random.uniform(0.34, 0.99, 300), digits)
    correct = random.uniform(size=300) < confidence
    threshold = choose_threshold(confidence, correct, risk)

    def bound(lowest: float) -> float:
        kept = confidence >= lowest
        return binomtest(int((~correct[kept]).sum()), int(kept.sum())).proportion_ci(0.9, "exact").high

    assert threshold == 1.0 or bound(threshold) <= risk
    for lower in np.unique(confidence[confidence < threshold]):
        assert bound(lower) > risk


def test_threshold_by_hand() -> None:
    confidence = np.repeat([0.5, 0.9, 0.8, 0.7], 100)
    correct = np.repeat([False, True, True, False], 100)
    assert choose_threshold(confidence, correct, 0.1) == 0.8
    assert choose_threshold(confidence, correct, 0.4) == 0.7
    assert choose_threshold(confidence, correct, 0.6) == 0.5
    assert choose_threshold(confidence, ~correct, 0.1) == 1.0


def test_threshold_wants_enough_rows() -> None:
    """Of 28 rows without an error up to 10.1 % may be wrong, at 95 %; of 29 up to 9.8 %."""
    for rows, expected in ((28, 1.0), (29, 0.9)):
        assert choose_threshold(np.full(rows, 0.9), np.full(rows, True), 0.1) == expected


def test_threshold_counts_ties_together() -> None:
    assert choose_threshold(np.array([0.9, 0.9]), np.array([True, False]), 0.4) == 1.0
