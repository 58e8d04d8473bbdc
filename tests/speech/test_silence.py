"""Claims on where nobody speaks."""

from __future__ import annotations

import torch

from readavatar.speech import is_silent


def _noise(seconds: float, loudness: float) -> torch.Tensor:
    return loudness * torch.randn(round(seconds * 16_000), generator=torch.Generator().manual_seed(0))


def test_a_pause_is_silent_in_its_frames_at_any_loudness():
    for gain in (1.0, 0.02):
        sound = torch.cat([_noise(1.0, 0.1), _noise(0.6, 0.0005), _noise(1.0, 0.1)])
        silent = is_silent(gain * sound, 25.0, 65)
        assert silent[26:39].all() and not silent[:25].any() and not silent[40:].any()


def test_the_closure_of_a_stop_is_not_a_silence():
    sound = torch.cat([_noise(1.0, 0.1), torch.zeros(1600), _noise(1.0, 0.1)])
    assert not is_silent(sound, 25.0, 52).any()


def test_a_level_between_the_thresholds_changes_nothing():
    murmur = _noise(0.5, 0.1 * 10 ** (-30 / 20))
    loud, quiet = _noise(1.0, 0.1), _noise(0.5, 1e-5)
    assert not is_silent(torch.cat([loud, murmur]), 25.0, 37)[25:].any()
    assert is_silent(torch.cat([loud, quiet, murmur]), 25.0, 50)[26:].all()


def test_silence_and_what_lies_beyond_the_sound_are_silent():
    assert is_silent(torch.zeros(16_000), 25.0, 25).all()
    assert is_silent(_noise(1.0, 0.1), 25.0, 50)[26:].all()


def test_a_sound_shorter_than_a_frame_works():
    assert is_silent(_noise(0.01, 0.1), 25.0, 1).shape == (1,)
