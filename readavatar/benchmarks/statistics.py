"""Statistics of ablations: paired seeds, t intervals, and p values that are corrected for the number of rows.

The tests are scipy's. Holm's correction is implemented here: scipy has none, and statsmodels, which has it, would add
151 MB (with pandas and patsy) and 0.3 s of import for one short function.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy import stats

Aim = Literal["lower", "higher", "one", "zero"]
"""Which values of a figure are good: low or high ones, or those near 1 (a ratio to the truth) or near 0."""
SeedScores = Mapping[str, Mapping[int, Mapping[str, float]]]
"""By run and seed, the figures by name."""

MIN_SEEDS = 3
"""With two differences, there is one degree of freedom, and the interval of ± 12.7 standard errors is useless."""
CONFIDENCE = 0.95
SIGNIFICANT = 0.05


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds with the 95 % interval of Student's t; no interval with fewer than ``MIN_SEEDS``."""

    mean: float
    low: float | None
    high: float | None

    @property
    def half_width(self) -> float | None:
        """Of the interval."""
        return None if self.low is None or self.high is None else (self.high - self.low) / 2


@dataclass(frozen=True)
class Comparison:
    """An ablation's figure minus the base's, over the seeds that both have.

    If the aim is 1 or 0, the distances from it are compared: 1.2 is as good as 0.8.
    """

    difference: Estimate
    p: float | None
    """Two-sided, of the paired t test; None with fewer than ``MIN_SEEDS`` pairs."""
    p_corrected: float | None
    """The same after Holm's correction for the number of ablations compared in this figure."""
    direction: Literal["better", "worse", ""]
    """Of the difference, by the aim; empty if there is no difference or no aim."""

    @property
    def is_significant(self) -> bool:
        """Whether the corrected p is below ``SIGNIFICANT``."""
        return self.p_corrected is not None and self.p_corrected < SIGNIFICANT


@dataclass(frozen=True)
class Cell:
    """One figure of one run."""

    values: dict[int, float]
    """By seed."""
    estimate: Estimate
    comparison: Comparison | None
    """None for the base itself, and for a run without a seed in common with it."""


def compare_runs(results: SeedScores, base: str, aims: Mapping[str, Aim]) -> dict[str, dict[str, Cell]]:
    """Every figure of every run, compared with the base's.

    Args:
        results: Of the base and its ablations; figures that are NaN or missing for a seed are left out.
        base: Name of the base run.
        aims: By figure; a figure without an aim is compared, but not called better or worse.

    Returns:
        By figure, then by run, in the order of ``results``.
    """
    names = dict.fromkeys(name for seeds in results.values() for scores in seeds.values() for name in scores)
    return {name: _compare_figure(_values_of(results, name), base, aims.get(name)) for name in names}


def _values_of(results: SeedScores, name: str) -> dict[str, dict[int, float]]:
    return {
        run: {seed: float(scores[name]) for seed, scores in seeds.items() if math.isfinite(scores.get(name, math.nan))}
        for run, seeds in results.items()
    }


def _compare_figure(values: Mapping[str, dict[int, float]], base: str, aim: Aim | None) -> dict[str, Cell]:
    target = {"one": 1.0, "zero": 0.0}.get(aim or "")
    pairs = {
        run: [_loss(seeds[seed], target) - _loss(values[base][seed], target) for seed in seeds if seed in values[base]]
        for run, seeds in values.items()
        if run != base and base in values
    }
    tested = {run: paired_p_value(differences) for run, differences in pairs.items() if differences}
    corrected = dict(zip(tested, holm([tested[run] for run in tested]), strict=True))
    cells = {}
    for run, seeds in values.items():
        if not seeds:
            continue
        comparison = None
        if run in tested:
            difference = estimate_mean(pairs[run])
            comparison = Comparison(difference, tested[run], corrected[run], _direction(difference.mean, aim))
        cells[run] = Cell(dict(seeds), estimate_mean(list(seeds.values())), comparison)
    return cells


def _loss(value: float, target: float | None) -> float:
    return value if target is None else abs(value - target)


def _direction(difference: float, aim: Aim | None) -> Literal["better", "worse", ""]:
    if aim is None or difference == 0:
        return ""
    return "better" if (difference > 0) == (aim == "higher") else "worse"


def estimate_mean(values: Sequence[float]) -> Estimate:
    """The mean of at least one value, with its interval if there are enough values."""
    mean = float(np.mean(values))
    if len(values) < MIN_SEEDS:
        return Estimate(mean, None, None)
    low, high = _t_test(values).confidence_interval(CONFIDENCE)
    return Estimate(mean, float(low), float(high))


def paired_p_value(differences: Sequence[float]) -> float | None:
    """Two-sided p of the paired t test; None with fewer than ``MIN_SEEDS`` pairs, 1 if all differences are 0."""
    if len(differences) < MIN_SEEDS:
        return None
    if not any(differences):
        return 1.0  # the statistic is 0 / 0, for example in an ablation of a part that the base does not use
    return float(_t_test(differences).pvalue)


def _t_test(values: Sequence[float]) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # equal values: the statistic is infinite, p is 0
        return stats.ttest_1samp(values, 0.0)


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Holm's step-down correction (1979): bounds the probability of one or more false claims.

    Args:
        p_values: Of the tests of one family; None for tests that could not be made, which stay None.
    """
    tested = sorted((p, index) for index, p in enumerate(p_values) if p is not None)
    corrected: list[float | None] = [None] * len(p_values)
    largest = 0.0
    for rank, (p, index) in enumerate(tested):
        largest = max(largest, min(1.0, (len(tested) - rank) * p))
        corrected[index] = largest
    return corrected
