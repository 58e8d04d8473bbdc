"""Curves over time on hand values."""

import math
from fractions import Fraction

import pytest
import torch

from readavatar.metrics import (
    audio_visual_offset,
    high_frequency_energy,
    motion_std,
    peak_margin,
    peak_position,
    pearson_correlation,
)

TIME = torch.arange(250) / 25


def _sine(frequency, phase=0.0):
    return torch.sin(2 * math.pi * frequency * TIME + phase)


def test_correlation_is_one_for_a_scaled_copy_minus_one_for_its_negative_zero_for_a_constant():
    curve = _sine(1.3)
    predicted = torch.stack([3 * curve + 5, -curve, torch.full_like(curve, 0.7)], 1)
    target = curve[:, None].expand(-1, 3)
    assert pearson_correlation(predicted, target).tolist() == pytest.approx([1.0, -1.0, 0.0], abs=1e-5)
    small = curve * 1e-6 + 1e-5
    assert pearson_correlation(small, small).item() == pytest.approx(1.0, abs=1e-3)
    assert pearson_correlation(curve, _sine(1.3, math.pi / 2)).item() == pytest.approx(0.0, abs=0.01)


def test_motion_std_of_a_sine_is_its_amplitude_over_root_two():
    assert motion_std(0.2 * _sine(2.0)).item() == pytest.approx(0.2 / math.sqrt(2), rel=1e-3)
    assert not motion_std(torch.ones(10, 3)).any()


def test_high_frequency_energy_is_the_fast_sines_share_of_the_power():
    curves = torch.stack([_sine(1.0), _sine(9.0), _sine(1.0) + 0.5 * _sine(9.0), torch.ones(250)], 1)
    share = high_frequency_energy(curves, fps=Fraction(25), cutoff=6)
    assert share.tolist() == pytest.approx([0.0, 1.0, 0.2, 0.0], abs=0.02)


@pytest.mark.parametrize("num_frames", [20, 21])
def test_all_energy_lies_above_a_negative_cutoff(num_frames):
    curve = torch.randn(num_frames, generator=torch.Generator().manual_seed(0))
    assert high_frequency_energy(curve, fps=Fraction(25), cutoff=-1).item() == pytest.approx(1.0)
    alternating = torch.tensor([1.0, -1.0] * (num_frames // 2) + [1.0] * (num_frames % 2))
    assert high_frequency_energy(alternating, fps=Fraction(25), cutoff=10).item() == pytest.approx(1.0, abs=0.05)


def test_a_drift_is_no_jitter():
    assert high_frequency_energy(TIME * 3, fps=Fraction(25), cutoff=6).item() == pytest.approx(0.0, abs=1e-4)


@pytest.mark.parametrize("delay", [-5, 0, 3, 10])
def test_a_late_picture_gives_a_positive_offset(delay):
    noise = torch.randn(300, generator=torch.Generator().manual_seed(0))
    smooth = torch.nn.functional.avg_pool1d(noise[None], 5, 1, 2)[0]
    audio, visual = smooth[20:270], smooth[20 - delay : 270 - delay] * 0.3 + 1
    offset, correlation = audio_visual_offset(audio, visual, fps=25)
    assert offset == pytest.approx(delay / 25, abs=0.005) and correlation == pytest.approx(1.0, abs=1e-4)


def test_offsets_between_frames_are_found():
    audio, visual = _sine(1.1), _sine(1.1, -2 * math.pi * 1.1 * 0.05)
    assert audio_visual_offset(audio, visual, fps=Fraction(25), max_offset=0.3)[0] == pytest.approx(0.05, abs=0.004)


def test_too_few_frames_for_the_search_are_refused():
    with pytest.raises(ValueError, match="Expected over 14 frames"):
        audio_visual_offset(torch.rand(14), torch.rand(14), fps=25)


def test_correlation_gradients_agree_with_finite_differences():
    generator = torch.Generator().manual_seed(0)
    predicted, target = torch.randn(2, 12, 3, dtype=torch.float64, generator=generator)
    assert torch.autograd.gradcheck(lambda curve: pearson_correlation(curve, target), predicted.requires_grad_())
    assert torch.autograd.gradcheck(lambda curve: high_frequency_energy(curve, 25, 5), predicted)
    constant = torch.ones(12, 3, requires_grad=True)
    (pearson_correlation(constant, constant.detach()) + high_frequency_energy(constant, 25, 5)).sum().backward()
    assert torch.isfinite(constant.grad).all()


def test_a_peak_lies_between_samples_and_at_an_end_on_one():
    curve = 3 - (torch.arange(9.0) - 4.3) ** 2
    assert peak_position(curve) == pytest.approx(4.3, abs=1e-5)
    assert peak_position(curve[:4]) == 3 and peak_position(curve[6:]) == 0
    assert peak_position(torch.zeros(5)) == 0


def test_the_margin_of_a_peak_is_over_what_lies_further_than_its_half_width():
    curve = torch.tensor([0.0, 0.5, 0.0, 0.8, 1.0, 0.9, 0.2])
    assert peak_margin(curve, 0) == pytest.approx(0.1)
    assert peak_margin(curve, 1) == pytest.approx(0.5)
