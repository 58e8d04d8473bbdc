"""Claims on an ablation's statistics, by hand."""

from __future__ import annotations

import math

import pytest
from scipy import stats

from readavatar.benchmarks.statistics import compare_runs, estimate_mean, holm, paired_p_value


def _results(figure: str, **runs: list[float]) -> dict:
    return {run: {seed: {figure: value} for seed, value in enumerate(values)} for run, values in runs.items()}


def test_the_interval_is_students_t():
    estimate = estimate_mean([1.0, 2.0, 3.0])
    # Standard error 1 / sqrt(3); the 97.5 % quantile with two degrees of freedom is 4.303 (any table).
    assert estimate.mean == 2.0
    assert estimate.half_width == pytest.approx(4.303 / math.sqrt(3), abs=1e-3)
    assert estimate.low == pytest.approx(2.0 - estimate.half_width)


@pytest.mark.parametrize("values", [[1.0], [1.0, 3.0]])
def test_one_or_two_seeds_give_a_mean_and_nothing_more(values):
    assert estimate_mean(values).mean == sum(values) / len(values)
    assert estimate_mean(values).half_width is None and paired_p_value(values) is None


def test_equal_seeds_leave_no_doubt():
    estimate = estimate_mean([2.5, 2.5, 2.5])
    assert estimate.mean == estimate.low == estimate.high == 2.5 and paired_p_value([2.5, 2.5, 2.5]) == 0.0


def test_the_test_is_paired():
    base, other = [1.0, 5.0, 9.0, 13.0], [1.5, 5.6, 9.5, 13.6]  # the seeds differ far more than the runs do
    cell = compare_runs(_results("lip_error", base=base, other=other), "base", {"lip_error": "lower"})
    comparison = cell["lip_error"]["other"].comparison
    assert comparison.difference.mean == pytest.approx(0.55)
    assert comparison.p == pytest.approx(stats.ttest_rel(other, base).pvalue)
    assert comparison.p < 0.001 < 0.5 < stats.ttest_ind(other, base).pvalue
    assert comparison.is_significant and comparison.direction == "worse"


def test_holms_correction_by_hand():
    # Sorted: 0.01 × 4, 0.02 × 3, 0.03 × 2 = 0.06, 0.5 × 1; none may be smaller than one before it.
    assert holm([0.03, 0.01, 0.5, 0.02]) == pytest.approx([0.06, 0.04, 0.5, 0.06])
    assert holm([0.02, 0.02, 0.025]) == pytest.approx([0.06, 0.06, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([None, 0.02, None, 0.03]) == [None, pytest.approx(0.04), None, pytest.approx(0.04)]
    assert holm([]) == []


def test_what_holds_alone_does_not_hold_among_many():
    differences = {f"run{number}": [0.0, 0.1 * number, -0.1 * number, 0.05] for number in range(1, 8)}
    near = [0.30, 0.36, 0.24, 0.50]  # p = 0.01 alone
    runs = {"base": [0.0] * 4, "near": near, **differences}
    comparison = compare_runs(_results("x", **runs), "base", {"x": "higher"})["x"]["near"].comparison
    assert comparison.p < 0.05 < comparison.p_corrected == pytest.approx(8 * comparison.p)
    assert comparison.direction == "better" and not comparison.is_significant


@pytest.mark.parametrize(
    ("aim", "value", "direction"),
    [
        ("lower", 0.8, "better"),
        ("lower", 1.1, "worse"),
        ("higher", 1.1, "better"),
        ("higher", 0.8, "worse"),
        ("one", 0.95, "better"),
        ("one", 1.2, "worse"),
        ("zero", -0.2, "better"),
        ("zero", -2.0, "worse"),
        (None, 5.0, ""),
        ("lower", 0.9, ""),
    ],
)
def test_the_aim_decides_what_is_better(aim, value, direction):
    aims = {"x": aim} if aim else {}
    cells = compare_runs(_results("x", base=[0.9] * 3, other=[value] * 3), "base", aims)
    assert cells["x"]["other"].comparison.direction == direction


def test_a_ratio_as_far_from_one_on_the_other_side_is_as_good():
    runs = {"base": [0.8, 0.75, 0.85], "other": [1.2, 1.25, 1.15]}
    comparison = compare_runs(_results("std", **runs), "base", {"std": "one"})["std"]["other"].comparison
    assert comparison.difference.mean == pytest.approx(0.0, abs=1e-12) and not comparison.is_significant


def test_an_ablation_that_changes_nothing_is_not_significant():
    cells = compare_runs(_results("x", base=[1.0, 2.0, 4.0], same=[1.0, 2.0, 4.0]), "base", {"x": "lower"})
    assert cells["x"]["same"].comparison.p == 1.0 and cells["x"]["same"].comparison.direction == ""


def test_only_the_seeds_that_both_have_are_paired_and_what_is_not_finite_is_left_out():
    results = {
        "base": {seed: {"x": float(seed), "y": 1.0} for seed in range(4)},
        "other": {1: {"x": 1.5, "y": math.nan}, 3: {"x": 3.5, "y": math.nan}, 7: {"x": 100.0}},
    }
    cells = compare_runs(results, "base", {})
    other = cells["x"]["other"]
    assert other.values == {1: 1.5, 3: 3.5, 7: 100.0}
    assert other.comparison.difference.mean == pytest.approx(0.5) and other.comparison.p is None
    assert "other" not in cells["y"] and cells["y"]["base"].comparison is None
