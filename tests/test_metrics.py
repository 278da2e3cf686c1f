"""Metrics against values computed by hand."""

import math

import numpy as np
import pytest

from detente.metrics import (
    bootstrap_interval,
    count_confusion,
    measure_calibration_error,
    score_accuracy,
    score_auc,
    score_f1,
    score_macro_f1,
    trace_risk_coverage,
)

TRUTH = np.array([0, 0, 0, 1, 1, 2])
PREDICTED = np.array([0, 0, 1, 1, 2, 2])


def test_confusion_has_the_truth_in_rows() -> None:
    assert count_confusion(TRUTH, PREDICTED, 3).tolist() == [[2, 1, 0], [0, 1, 1], [0, 0, 1]]


def test_f1_of_each_label() -> None:
    # 0: precision 1, recall 2/3; 1: precision 1/2, recall 1/2; 2: precision 1/2, recall 1
    assert score_f1(TRUTH, PREDICTED, 3).tolist() == pytest.approx([0.8, 0.5, 2 / 3])
    assert score_macro_f1(TRUTH, PREDICTED, 3) == pytest.approx((0.8 + 0.5 + 2 / 3) / 3)
    assert score_accuracy(TRUTH, PREDICTED) == pytest.approx(4 / 6)


def test_f1_of_absent_labels() -> None:
    truth, predicted = np.array([0, 0]), np.array([0, 3])
    assert score_f1(truth, predicted, 4).tolist() == pytest.approx([2 / 3, 0, 0, 0])
    assert score_macro_f1(truth, predicted, 4) == pytest.approx((2 / 3 + 0) / 2)  # labels 1 and 2 do not occur


@pytest.mark.parametrize(
    ("truth", "score", "expected"),
    [
        ([0, 0, 1, 1], [0.1, 0.2, 0.3, 0.4], 1.0),
        ([1, 1, 0, 0], [0.1, 0.2, 0.3, 0.4], 0.0),
        ([0, 1, 0, 1], [0.1, 0.35, 0.4, 0.8], 0.75),
        ([0, 1], [0.5, 0.5], 0.5),
        ([0, 1, 1], [0.5, 0.5, 0.9], 0.75),
    ],
)
def test_auc_counts_ordered_pairs(truth: list[int], score: list[float], expected: float) -> None:
    assert score_auc(np.array(truth, dtype=bool), np.array(score)) == pytest.approx(expected)


@pytest.mark.parametrize("truth", [[True, True], [False, False]])
def test_auc_of_one_class_is_nan(truth: list[bool]) -> None:
    assert math.isnan(score_auc(np.array(truth), np.array([0.1, 0.2])))


def test_calibration_error_by_hand() -> None:
    confidence = np.array([0.9, 0.9, 0.9, 0.9, 0.6, 0.6])
    correct = np.array([True, True, True, False, True, False])
    # bins of a tenth: 4 rows at .9 of which .75 are right, 2 rows at .6 of which .5 are right
    assert measure_calibration_error(confidence, correct, bins=10) == pytest.approx(4 / 6 * 0.15 + 2 / 6 * 0.1)


def test_calibration_error_at_the_edges() -> None:
    assert measure_calibration_error(np.array([1.0, 0.0]), np.array([True, False])) == 0
    assert measure_calibration_error(np.array([1.0, 0.0]), np.array([False, True])) == 1


def test_risk_coverage_by_hand() -> None:
    confidence = np.array([0.6, 0.9, 0.8, 0.7])
    correct = np.array([False, True, True, False])
    found = trace_risk_coverage(confidence, correct, np.array([0.1, 0.25, 0.5, 0.75, 1.0]))
    assert found.tolist() == pytest.approx([0, 0, 0, 1 / 3, 1 / 2])


def test_risk_coverage_counts_whole_rows() -> None:
    """0.29 of 100 rows are 29 rows, though 0.29 * 100 is a little less in binary."""
    correct = np.ones(100, dtype=bool)
    correct[28] = False
    found = trace_risk_coverage(np.linspace(1, 0, 100), correct, np.array([0.29]))
    assert found.tolist() == pytest.approx([1 / 29])


def test_bootstrap_is_seeded_and_covers_the_mean() -> None:
    values = np.arange(100.0)

    def measure(rows: np.ndarray) -> float:
        return float(values[rows].mean())

    low, high = bootstrap_interval(measure, 100)
    assert bootstrap_interval(measure, 100) == (low, high) != bootstrap_interval(measure, 100, seed=1)
    assert low < 49.5 < high
    assert high - low == pytest.approx(2 * 1.96 * values.std() / 10, rel=0.15)  # the normal approximation
    narrow = bootstrap_interval(measure, 100, level=0.5)
    assert low < narrow[0] < narrow[1] < high


def test_bootstrap_passes_over_nan() -> None:
    figures = iter([float("nan"), *[0.5] * 9])
    assert bootstrap_interval(lambda _: next(figures), 3, draws=10) == (0.5, 0.5)
