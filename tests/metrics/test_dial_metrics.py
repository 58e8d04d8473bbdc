"""What is asked for against what comes: ranks, falls and times by hand."""

from __future__ import annotations

import math

import pytest
import torch

from readavatar.metrics import largest_step_back, rank_correlation, step_response

ASKED = torch.linspace(0, 1, 11)


def test_any_rising_answer_ranks_as_asked_and_a_constant_one_not_at_all():
    assert rank_correlation(ASKED, ASKED**3) == pytest.approx(1.0)
    assert rank_correlation(ASKED, 1 - ASKED) == pytest.approx(-1.0)
    assert rank_correlation(ASKED, torch.full((11,), 0.4)) == 0.0


def test_two_swapped_steps_cost_what_spearman_says():
    measured = ASKED.clone()
    measured[[4, 5]] = measured[[5, 4]]
    assert rank_correlation(ASKED, measured) == pytest.approx(1 - 6 * 2 / (11 * 120))


def test_a_fall_is_told_from_its_noise():
    noise = torch.tensor([[0.1], [-0.1], [0.0]])
    rising = ASKED.repeat(3, 1)
    assert largest_step_back(rising) == (0.0, 0.0)
    falls = rising.clone()
    falls[:, 5:] -= 0.3 + noise
    step = largest_step_back(falls)
    assert step.size == pytest.approx(0.2) and step.in_errors == pytest.approx(0.2 / (0.1 / math.sqrt(3)))


def test_a_ramp_is_timed_at_its_tenths_and_its_half():
    time = torch.arange(100) / 25
    up = ((time - 1.5) / 1.0).clamp(0, 1)
    response = step_response(up, 20, 25)
    assert response.half == pytest.approx(2.0) and response.rise == pytest.approx(0.8)
    down = step_response(0.7 - 0.4 * up, 20, 25)
    assert down.half == pytest.approx(2.0) and down.rise == pytest.approx(0.8)


def test_ripples_on_the_plateaus_are_no_rise():
    time = torch.arange(100) / 25
    step = (time > 2).float()
    rippled = step + 0.15 * torch.sin(2 * math.pi * 5 * time)
    assert step_response(rippled, 40, 25).rise < 0.3


def test_an_answer_without_a_step_has_no_time():
    flat = 0.1 * torch.randn(100, generator=torch.Generator().manual_seed(0))
    assert math.isnan(step_response(flat, 20, 25).half)
    assert math.isnan(step_response(torch.ones(100), 20, 25).half)
