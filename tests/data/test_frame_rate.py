"""Claims on resampling curves."""

from __future__ import annotations

import torch

from readavatar.media.frame_rate import resample_frames


def _at_centres(fps: float, num_frames: int) -> torch.Tensor:
    return torch.sin((torch.arange(num_frames) + 0.5) / fps)[:, None]


def test_a_smooth_curve_is_found_at_the_centres_of_the_new_frames():
    resampled = resample_frames(_at_centres(25.0, 100), 25.0, 60.0, 240)
    torch.testing.assert_close(resampled[3:-3], _at_centres(60.0, 240)[3:-3], atol=1e-3, rtol=0)


def test_nothing_overshoots_and_the_ends_are_held():
    steps = torch.tensor([0.0, 0.0, 1.0, 1.0, 0.0])[:, None]
    resampled = resample_frames(steps, 25.0, 100.0, 24)
    assert resampled.min() >= 0 and resampled.max() <= 1
    assert resampled[0] == 0 and resampled[-1] == 0
    assert torch.equal(resample_frames(steps[:1], 25.0, 30.0, 2), torch.zeros(2, 1))


def test_the_same_rate_changes_nothing():
    curve = torch.rand(30, 4)
    torch.testing.assert_close(resample_frames(curve, 25.0, 25.0, 30), curve)
