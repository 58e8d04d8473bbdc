"""Random behaviour besides speech and emotion: blinks, saccades, brow beats and head sway.

It does not depend on the sound (except brow beats in part), so that a sentence has many true performances.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from readavatar.synthetic.voice import Phoneme

BLINK_CLOSING, BLINK_CLOSED, BLINK_OPENING = 0.07, 0.03, 0.15
"""Seconds of an average blink (VanderWerf et al. 2003: closing is about twice as fast as opening)."""
SHORTEST_BETWEEN_BLINKS = 0.5
"""Seconds."""
MEAN_FIXATION = 1.1
"""Seconds, at a conversation's partner; those elsewhere are half as long."""
SACCADE_SECONDS_PER_RADIAN, SACCADE_SECONDS = 0.0022 * 180 / np.pi, 0.021
"""The main sequence: duration = 2.2 ms per degree + 21 ms (Carpenter 1988)."""


@dataclass(frozen=True)
class Gestures:
    """T samples of each."""

    blink: np.ndarray
    """0 open, 1 closed."""
    gaze_target: np.ndarray
    """(T, 2) radians, world: (yaw to the subject's left, pitch up) of the gaze target relative to the camera."""
    brow_beat: np.ndarray
    """0 at rest, 1 the strongest."""
    head_sway: np.ndarray
    """(T, 3) radians: chin down, to the subject's left, tilt to the subject's right."""
    head_shift: np.ndarray
    """(T, 3) metres, world."""


def behave(
    times: np.ndarray,
    phonemes: tuple[Phoneme, ...],
    blink_rate: np.ndarray,
    brow_rate: np.ndarray,
    generator: np.random.Generator,
) -> Gestures:
    """Draw a performance's gestures.

    Args:
        times: (T,) seconds.
        phonemes: Of the speech; brows and head accent some of its stressed vowels.
        blink_rate: (T,) blinks per second.
        brow_rate: (T,) factor on the rate of brow beats; 1 is usual.
        generator: Random generator; the order of the draws below must not change, since seeds depend on it.
    """
    blink_generator, gaze_generator, brow_generator, sway_generator = generator.spawn(4)
    beats = _brow_beats(times, phonemes, brow_rate, brow_generator)
    sway = _smooth_noise(times, np.radians([2.2, 3.2, 1.8]), 0.35, sway_generator)
    sway[:, 0] += np.radians(1.5) * _nods(times, phonemes, sway_generator)
    return Gestures(
        blink=_blinks(times, blink_rate, blink_generator),
        gaze_target=_saccades(times, gaze_generator),
        brow_beat=beats,
        head_sway=sway,
        head_shift=_smooth_noise(times, np.array([0.0035, 0.0018, 0.0035]), 0.25, sway_generator),
    )


def _smoothstep(value: np.ndarray) -> np.ndarray:
    value = np.clip(value, 0, 1)
    return value * value * (3 - 2 * value)


def _blinks(times: np.ndarray, rate: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """A Poisson process with a dead time; lids close fast and open slowly."""
    closed = np.zeros_like(times)
    onset = float(times[0]) if len(times) else 0.0
    while True:
        mean = 1 / np.interp(onset, times, rate)
        onset += SHORTEST_BETWEEN_BLINKS + generator.exponential(max(mean - SHORTEST_BETWEEN_BLINKS, 0.2))
        speed = np.exp(generator.normal(0, 0.15))
        depth = 1.0 if generator.random() < 0.9 else generator.uniform(0.5, 0.9)
        if onset >= times[-1]:
            return closed
        since = (times - onset) * speed
        closing = _smoothstep(since / BLINK_CLOSING)
        opening = _smoothstep((since - BLINK_CLOSING - BLINK_CLOSED) / BLINK_OPENING)
        closed = np.maximum(closed, depth * (closing - opening))


def _saccades(times: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Fixations joined by saccades of the main sequence's duration; half of them at the camera."""
    gaze = np.zeros((len(times), 2))
    position, now = np.zeros(2), float(times[0])
    while now < times[-1]:
        at_camera = generator.random() < 0.6
        spread = np.radians([1.0, 0.7]) if at_camera else np.radians([9.0, 5.0])
        target = np.clip(generator.normal(0, spread), -0.4, 0.4)
        now += generator.gamma(2.5, MEAN_FIXATION / 2.5) * (1.0 if np.hypot(*position) < 0.05 else 0.5)
        duration = SACCADE_SECONDS + SACCADE_SECONDS_PER_RADIAN * np.hypot(*(target - position))
        progress = np.clip((times - now) / duration, 0, 1)
        minimum_jerk = progress**3 * (10 - 15 * progress + 6 * progress**2)
        gaze += minimum_jerk[:, None] * (target - position)
        position, now = target, now + duration
    return gaze


def _stressed_vowels(phonemes: tuple[Phoneme, ...]) -> list[float]:
    return [(phoneme.start + phoneme.end) / 2 for phoneme in phonemes if phoneme.stress == 1.0]


def _brow_beats(
    times: np.ndarray, phonemes: tuple[Phoneme, ...], rate: np.ndarray, generator: np.random.Generator
) -> np.ndarray:
    """Raised brows near a quarter of the stressed vowels, and occasionally elsewhere."""
    beats = np.zeros_like(times)
    centres = []
    for centre in _stressed_vowels(phonemes):
        chance, lag = generator.random(), generator.normal(0.02, 0.06)
        if chance < 0.25 * np.interp(centre, times, rate):
            centres.append(centre + lag)
    duration = times[-1] - times[0]
    centres += list(times[0] + duration * generator.random(generator.poisson(0.12 * duration)))
    for centre in centres:
        height, half_width = generator.uniform(0.25, 1.0), generator.uniform(0.14, 0.35)
        beats = np.maximum(beats, height * _smoothstep(1 - np.abs(times - centre) / half_width))
    return beats


def _nods(times: np.ndarray, phonemes: tuple[Phoneme, ...], generator: np.random.Generator) -> np.ndarray:
    nods = np.zeros_like(times)
    for centre in _stressed_vowels(phonemes):
        if generator.random() < 0.3:
            height, half_width = generator.uniform(0.3, 1.2), generator.uniform(0.18, 0.35)
            nods += height * _smoothstep(1 - np.abs(times - centre - 0.05) / half_width)
    return nods


def _smooth_noise(
    times: np.ndarray, scale: np.ndarray, highest_frequency: float, generator: np.random.Generator
) -> np.ndarray:
    """(T, C) sums of slow sines with random frequencies and phases; standard deviation ``scale`` by channel."""
    num_waves = 5
    frequencies = generator.uniform(0.04, highest_frequency, (num_waves, len(scale)))
    phases = generator.uniform(0, 2 * np.pi, (num_waves, len(scale)))
    waves = np.sin(2 * np.pi * frequencies * times[:, None, None] + phases)
    return waves.sum(1) * scale * np.sqrt(2 / num_waves)
