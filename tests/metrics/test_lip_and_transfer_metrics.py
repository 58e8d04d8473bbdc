"""Closed lips, trembling lips, and coefficients that carry a meaning to another person."""

import math

import torch

from readavatar.metrics import closure_recall, fast_motion_ratio, nearest_centroid_accuracy, window_means

GAPS = torch.tensor([0.0, 0.2, 0.4] * 10 + [3.0, 5.0, 8.0] * 10)


def test_a_perfect_fit_recalls_every_closure_whatever_its_unit():
    assert closure_recall(GAPS, GAPS, 0.5) == 1.0
    assert closure_recall(0.01 * GAPS + 7, GAPS, 0.5) == 1.0


def test_gaps_that_say_nothing_recall_what_chance_does():
    noise = torch.rand(5000, generator=torch.Generator().manual_seed(0))
    truth = torch.rand(5000, generator=torch.Generator().manual_seed(1))
    assert abs(closure_recall(noise, truth, 0.5) - 0.05) < 0.02


def test_without_a_closure_there_is_no_recall():
    assert math.isnan(closure_recall(GAPS, GAPS + 1, 0.5))


def test_tremor_raises_and_smoothing_lowers_fast_motion():
    time = torch.arange(250) / 25
    motion = torch.stack([torch.sin(6 * time), torch.sin(60 * time)], 1)
    tremor = torch.randn(250, 2, generator=torch.Generator().manual_seed(0))
    assert abs(fast_motion_ratio(motion, motion, 25) - 1) < 1e-6
    assert fast_motion_ratio(motion + tremor, motion, 25) > 1.05
    smooth = (motion[:-2] + motion[1:-1] + motion[2:]) / 3
    assert fast_motion_ratio(smooth, motion[1:-1], 25) < 0.5


def test_classes_that_lie_apart_are_told_apart_and_equal_ones_are_not():
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(4).repeat_interleave(25)
    samples = 3 * torch.eye(4)[labels] + 0.1 * torch.randn(100, 4, generator=generator)
    assert nearest_centroid_accuracy(samples, labels, samples + 0.1, labels) == 1.0
    same = torch.randn(400, 4, generator=generator)
    chance = nearest_centroid_accuracy(samples, labels, same, torch.randint(4, (400,), generator=generator))
    assert 0.15 < chance < 0.35


def test_windows_cover_whole_seconds_and_a_short_clip_is_one_window():
    values = torch.arange(7.0)[:, None]
    assert torch.equal(window_means(values, 3), torch.tensor([[1.0], [4.0]]))
    assert torch.equal(window_means(values, 10), torch.tensor([[3.0]]))
