"""What rooms, microphones and backgrounds do to a voice, so that what learns from clean speech also hears real ones.

Nothing here moves anything in time: filters have no phase, and reverberation keeps the direct path where it was.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from scipy.signal import fftconvolve
from torch import Tensor

from readavatar.synthetic.voice import SAMPLE_RATE

TILT = 5.0
"""Decibels an octave around 1 kHz at the most, either way … standard deviation of a third of it."""
PEAK = 6.0
"""Decibels, standard deviation of three broad peaks or dips."""
TELEPHONE_SHARE = 0.15
"""Of takes whose highest frequencies are missing, from 3.4 to 7 kHz on."""
REVERBERATION_SHARE = 0.6
REVERBERATION_TIME = (0.1, 0.5)
"""Seconds until the echo has decayed by 60 dB: from a car to a hall without curtains."""
DIRECT_TO_ECHO = (2.0, 18.0)
"""Decibels: from across a table to right at the microphone."""
EARLIEST_ECHO = 0.003
"""Seconds after the direct sound: a metre's way more."""
NOISE_SHARE = 0.8
NOISE = (15.0, 45.0)
"""Decibels of the voice above the noise."""
GAIN = (-14.0, 6.0)
"""Decibels."""
FAINT = (-80.0, -45.0)
"""Decibels of full scale: an empty room's noise in a muted shot."""
EXACT_ZERO_SHARE = 0.5
"""Of muted shots: the sound was cut rather than the room silent."""


def vary_sound(
    waveform: Float[Tensor, " num_samples"], generator: np.random.Generator
) -> Float[Tensor, " num_samples"]:
    """Another microphone, room, background and level; as long as before, in [−1, 1], and not shifted in time."""
    equaliser, room, background, level = generator.spawn(4)
    sound = _equalised(waveform.double().numpy(), equaliser)
    if room.random() < REVERBERATION_SHARE:
        sound = _reverberated(sound, room)
    if background.random() < NOISE_SHARE:
        sound = sound + _noise_for(sound, background)
    sound = sound * 10 ** (level.uniform(*GAIN) / 20)
    return _tensor(sound / max(1.0, np.abs(sound).max() / 0.99))


def faint_noise(
    waveform: Float[Tensor, " num_samples"], generator: np.random.Generator
) -> Float[Tensor, " num_samples"]:
    """A muted shot's sound: the same silence half of the time, an empty room's noise otherwise."""
    if generator.random() < EXACT_ZERO_SHARE:
        return waveform
    noise = coloured_noise(len(waveform), generator.uniform(0, 2), generator)
    return waveform + _tensor(noise * 10 ** (generator.uniform(*FAINT) / 20))


def coloured_noise(num_samples: int, exponent: float, generator: np.random.Generator) -> np.ndarray:
    """(num_samples,) of root mean square 1 whose power falls by frequency ** exponent: 0 white, 1 pink, 2 brown."""
    spectrum = np.fft.rfft(generator.standard_normal(num_samples))
    frequency = np.fft.rfftfreq(num_samples, 1 / SAMPLE_RATE)
    # Below 50 Hz microphones hear nothing; without the floor, brown noise would be a slow drift alone.
    noise = np.fft.irfft(spectrum * (frequency > 20) * np.maximum(frequency, 50) ** (-exponent / 2), num_samples)
    return noise / max(np.sqrt(np.mean(noise**2)), 1e-12)


def _equalised(sound: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """A smooth gain by frequency, without phase: what is heard at a time stays there."""
    frequency = np.fft.rfftfreq(len(sound), 1 / SAMPLE_RATE)
    octaves = np.log2(np.maximum(frequency, 60) / 1000)
    decibels = np.clip(generator.normal(0, TILT / 3), -TILT, TILT) * octaves
    for _ in range(3):
        centre, width = generator.uniform(-3.0, 2.7), generator.uniform(0.4, 1.5)
        decibels += generator.normal(0, PEAK) * np.exp(-0.5 * ((octaves - centre) / width) ** 2)
    cut, telephone = generator.uniform(3400, 7000), generator.random() < TELEPHONE_SHARE
    if telephone:
        decibels -= 40 / (1 + np.exp(-(frequency - cut) / 150))
    filtered = np.fft.irfft(np.fft.rfft(sound) * 10 ** (decibels / 20), len(sound))
    # The level is drawn apart from the colour.
    return filtered * np.sqrt(np.mean(sound**2) / max(np.mean(filtered**2), 1e-12))


def _reverberated(sound: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    seconds = generator.uniform(*REVERBERATION_TIME)
    times = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    echo = generator.standard_normal(len(times)) * 10 ** (-3 * times / seconds) * (times > EARLIEST_ECHO)
    echo *= 10 ** (-generator.uniform(*DIRECT_TO_ECHO) / 20) / np.sqrt(np.sum(echo**2))
    return sound + fftconvolve(sound, echo)[: len(sound)]


def _noise_for(sound: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """White to brown noise, or the babble of six of the same voice, backwards and from elsewhere in the take."""
    if generator.random() < 0.3:
        shifts = generator.integers(0, len(sound), 6)
        noise = sum(np.roll(sound[::-1], int(shift)) for shift in shifts)
        noise = noise / max(np.sqrt(np.mean(noise**2)), 1e-12)
    else:
        noise = coloured_noise(len(sound), generator.uniform(0, 2), generator)
    return noise * np.sqrt(np.mean(sound**2)) * 10 ** (-generator.uniform(*NOISE) / 20)


def _tensor(sound: np.ndarray) -> Float[Tensor, " num_samples"]:
    return torch.from_numpy(np.ascontiguousarray(sound)).float()
