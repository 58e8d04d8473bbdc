"""Bootstrap intervals."""

import pytest
import torch

from readavatar.metrics import bootstrap_interval


def test_the_interval_holds_the_mean_and_is_about_two_standard_errors_wide():
    values = torch.randn(400, generator=torch.Generator().manual_seed(0)) * 2 + 5
    interval = bootstrap_interval(values)
    assert interval.value == pytest.approx(values.mean().item(), abs=1e-6)
    error = values.std().item() / 20
    assert interval.low == pytest.approx(interval.value - 1.96 * error, abs=0.3 * error)
    assert interval.high == pytest.approx(interval.value + 1.96 * error, abs=0.3 * error)


def test_the_same_seed_gives_the_same_interval_and_another_one_does_not():
    values = torch.rand(30, generator=torch.Generator().manual_seed(0))
    assert (
        bootstrap_interval(values, seed=1) == bootstrap_interval(values, seed=1) != bootstrap_interval(values, seed=2)
    )


def test_more_confidence_is_wider_and_equal_values_leave_no_doubt():
    values = torch.rand(30, generator=torch.Generator().manual_seed(0))
    narrow, wide = bootstrap_interval(values, confidence=0.5), bootstrap_interval(values, confidence=0.99)
    assert wide.low < narrow.low < narrow.high < wide.high
    assert bootstrap_interval(torch.full((5,), 0.25)) == (0.25, 0.25, 0.25)
    assert bootstrap_interval(torch.tensor([3.0])) == (3.0, 3.0, 3.0)


@pytest.mark.parametrize("values", [[], [1.0, float("nan")]])
def test_no_or_broken_values_are_refused(values):
    with pytest.raises(ValueError, match="at least one value, all finite"):
        bootstrap_interval(torch.tensor(values))


def test_a_confidence_outside_zero_to_one_is_refused():
    with pytest.raises(ValueError, match=r"in \(0, 1\), but got 95"):
        bootstrap_interval(torch.ones(3), confidence=95.0)
