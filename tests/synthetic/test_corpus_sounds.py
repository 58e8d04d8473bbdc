"""Rooms, noises and voices change how speech sounds, not when."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.signal import correlate

from readavatar.media.waveform import SAMPLE_RATE
from readavatar.synthetic import make_character
from readavatar.synthetic.espeak import FAINT, coloured_noise, faint_noise, vary_sound
from readavatar.synthetic.voice import Voice, synthesise

TEXT = "Bob moved the bright blue boat."


def _speech() -> torch.Tensor:
    return synthesise(TEXT, Voice("en-us")).waveform


def _lag(first: np.ndarray, second: np.ndarray) -> int:
    return int(np.argmax(correlate(second, first))) - (len(first) - 1)


def test_a_varied_sound_keeps_its_length_bounds_and_time():
    speech = _speech()
    for seed in range(20):
        varied = vary_sound(speech, np.random.default_rng(seed))
        assert varied.shape == speech.shape and varied.dtype == speech.dtype and varied.isfinite().all()
        assert varied.abs().max() <= 1
        assert _lag(speech.numpy(), varied.numpy()) == 0, seed


def test_a_varied_sound_differs_from_the_clean_one_and_by_its_seed_alone():
    speech = _speech()
    first, again, other = (vary_sound(speech, np.random.default_rng(seed)) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.allclose(first, other, atol=1e-3) and not torch.allclose(first, speech, atol=1e-3)


def test_a_muted_shot_is_exactly_silent_half_of_the_time_and_faint_otherwise():
    silent = torch.zeros(SAMPLE_RATE)
    levels = [float(faint_noise(silent, np.random.default_rng(seed)).square().mean().sqrt()) for seed in range(60)]
    assert 18 < sum(level == 0 for level in levels) < 42
    assert max(levels) <= 10 ** (FAINT[1] / 20) * 1.01


@pytest.mark.parametrize("exponent", [0.0, 1.0, 2.0])
def test_coloured_noise_falls_as_its_exponent_says(exponent):
    power = np.abs(np.fft.rfft(coloured_noise(1 << 16, exponent, np.random.default_rng(0)))) ** 2
    frequency = np.fft.rfftfreq(1 << 16, 1 / SAMPLE_RATE)
    low, high = (power[(frequency > f) & (frequency < 1.2 * f)].mean() for f in (200, 3200))
    assert np.log2(low / high) / 4 == pytest.approx(exponent, abs=0.15)


def test_a_smaller_speaker_is_higher_in_everything_but_as_quick_and_on_time():
    usual, small = (synthesise(TEXT, Voice("en-us", size=size)) for size in (1.0, 1.16))
    assert small.duration == pytest.approx(usual.duration, rel=0.12)
    assert [p.symbol for p in small.phonemes] == [p.symbol for p in usual.phonemes]
    assert small.phonemes[-1].end == pytest.approx(small.duration, abs=1e-6)

    def centroid(waveform: torch.Tensor) -> float:
        power = waveform.numpy()
        power = np.abs(np.fft.rfft(power)) ** 2
        return float(power @ np.fft.rfftfreq(len(waveform), 1 / SAMPLE_RATE) / power.sum())

    assert centroid(small.waveform) > 1.08 * centroid(usual.waveform)
    for speech in (usual, small):
        loud = int(torch.nonzero(speech.waveform.abs() > 0.05)[0, 0]) / SAMPLE_RATE
        assert abs(loud - next(p for p in speech.phonemes if p.symbol).start) < 0.04


@pytest.mark.parametrize("size", [0.88, 1.15])
def test_vowels_are_still_where_the_sound_is_in_another_size(size):
    speech = synthesise(TEXT, Voice("en-us", size=size))

    def loudness(start: float, end: float) -> float:
        return float(speech.waveform[round(start * SAMPLE_RATE) : round(end * SAMPLE_RATE)].square().mean().sqrt())

    vowels = [loudness(p.start, p.end) for p in speech.phonemes if p.stress == 1.0]
    assert len(vowels) == 5 and min(vowels) > 0.02


def test_characters_voices_are_many_and_within_what_people_speak():
    voices = [make_character(seed).voice for seed in range(40)]
    assert len({voice.name for voice in voices}) > 25
    assert all(120 <= voice.rate <= 220 and 0.87 < voice.size < 1.16 for voice in voices)
    for voice in voices[::8]:
        assert 0.02 < float(synthesise(TEXT, voice).waveform.abs().max()) < 1
