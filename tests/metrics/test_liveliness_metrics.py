"""How much takes move is counted within them, in the curves' own units."""

from __future__ import annotations

import math

import pytest
import torch

from readavatar.metrics import pooled_fast_energy, pooled_std


def _wave(frequency: float, seconds: float = 8.0, fps: float = 25.0) -> torch.Tensor:
    time = torch.arange(round(seconds * fps)) / fps
    return torch.sin(2 * math.pi * frequency * time)[:, None]


def test_what_differs_between_takes_is_no_motion():
    assert pooled_std([_wave(1.0), 5 + _wave(1.0)]) == pytest.approx(math.sqrt(0.5), rel=1e-3)
    assert pooled_std([torch.zeros(10, 2), torch.ones(10, 2)]) == 0


def test_longer_takes_count_for_more_and_dimensions_add_up():
    still, moving = torch.zeros(300, 1), _wave(1.0, seconds=4.0)
    assert pooled_std([still, moving]) == pytest.approx(math.sqrt(0.5 * 100 / 400), rel=1e-2)
    assert pooled_std([_wave(1.0).expand(-1, 2)]) == pytest.approx(1.0, rel=1e-3)


def test_fast_energy_is_the_mean_square_above_the_cutoff():
    takes = [3 * _wave(0.5) + 2 * _wave(5.0) + 10, 3 * _wave(0.5) + 2 * _wave(5.0)]
    assert pooled_fast_energy(takes, 25, 2) == pytest.approx(4 * 0.5, rel=0.02)
    assert pooled_fast_energy([3 * _wave(0.5)], 25, 2) < 0.001


def test_a_drift_is_no_fast_motion():
    assert pooled_fast_energy([torch.linspace(0, 9, 100)[:, None]], 25, 2) < 1e-6
