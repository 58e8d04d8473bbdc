"""The Fréchet distance of Gaussians is the formula's, and sees both a shift and a loss of motion."""

from __future__ import annotations

import pytest
import torch
from scipy.linalg import sqrtm

from readavatar.metrics import frechet_distance, motion_windows, principal_axes


def _samples(count: int, mean: float = 0.0, scale: float = 1.0, seed: int = 0) -> torch.Tensor:
    return mean + scale * torch.randn(count, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_a_set_is_at_no_distance_from_itself_and_near_another_draw():
    assert frechet_distance(_samples(500), _samples(500)) == pytest.approx(0, abs=1e-9)
    assert 0 < frechet_distance(_samples(5000), _samples(5000, seed=1)) < 0.01


def test_a_shift_counts_as_its_square():
    assert frechet_distance(_samples(50), _samples(50) + 2.0) == pytest.approx(3 * 4.0)


def test_halved_motion_is_as_far_as_its_standard_deviations_are_apart():
    samples = _samples(50_000)
    assert frechet_distance(samples, 0.5 * samples) == pytest.approx(3 * 0.25, rel=0.02)


def test_it_is_the_formula_with_a_matrix_root():
    mixing = torch.tensor([[2.0, 0.3, 0.0], [0.0, 1.0, -0.5], [0.4, 0.0, 0.7]], dtype=torch.float64)
    first, second = _samples(200), _samples(300, seed=1) @ mixing + 0.3
    covariances = [torch.cov(samples.mT).numpy() for samples in (first, second)]
    root = sqrtm(covariances[0] @ covariances[1]).real
    means = float((first.mean(0) - second.mean(0)).square().sum())
    expected = means + (covariances[0] + covariances[1] - 2 * root).trace()
    assert frechet_distance(first, second) == pytest.approx(expected)


def test_a_direction_without_motion_is_no_obstacle():
    flat = _samples(100) * torch.tensor([1.0, 1.0, 0.0], dtype=torch.float64)
    assert frechet_distance(flat, flat) == pytest.approx(0, abs=1e-9)


def test_one_sample_is_no_distribution():
    with pytest.raises(ValueError, match="two samples or more"):
        frechet_distance(_samples(1), _samples(5))


def test_windows_are_consecutive_frames_and_few_frames_give_none():
    curves = torch.arange(10.0).reshape(5, 2)
    windows = motion_windows(curves, 2, 3)
    assert windows.tolist() == [[0, 1, 2, 3], [6, 7, 8, 9]]
    assert motion_windows(curves, 6, 1).shape == (0, 12)


def test_the_first_axis_is_that_of_largest_variance():
    samples = _samples(400) * torch.tensor([0.1, 3.0, 0.5], dtype=torch.float64) + 7
    mean, axes = principal_axes(samples, 2)
    assert mean == pytest.approx(samples.mean(0))
    assert axes.abs()[:, 0].argmax() == 1 and axes.abs()[:, 1].argmax() == 2
    assert axes.mT @ axes == pytest.approx(torch.eye(2, dtype=torch.float64), abs=1e-9)
