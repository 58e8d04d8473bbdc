"""Emotion tracks drawn at random: every emotion, strength, mixture and change that a dial can ask for."""

from __future__ import annotations

import numpy as np
import torch

from readavatar.emotion import EmotionSpace, EmotionTrack

SHARES = {"neutral": 0.10, "single": 0.35, "mixture": 0.20, "changing": 0.35}
"""Of takes, by kind of track."""
STRENGTHS = {"full": 0.30, "level": 0.25, "any": 0.45}
"""Of single emotions: exactly 1; MEAD's levels 1 and 2; anything."""
LEVELS = (1 / 3, 2 / 3)
"""MEAD's lower two of three levels of intensity."""
WEAKEST = 0.05
NEUTRAL_KEYFRAME_SHARE = 0.2
STEP_SHARE = 0.3
"""Of changes that are steps …"""
STEP = 0.01
"""… which last so many seconds; the others are ramps of up to …"""
LONGEST_RAMP = 2.0


def draw_emotion(generator: np.random.Generator, duration: float, space: EmotionSpace | None = None) -> EmotionTrack:
    """Draw a track.

    Args:
        generator: Of all that is random here.
        duration: Seconds within which a track changes.
        space: Whose emotions; by default MEAD's.
    """
    space = space or EmotionSpace()
    kind = str(generator.choice(list(SHARES), p=list(SHARES.values())))
    if kind == "neutral":
        return EmotionTrack.constant(space)
    if kind == "changing":
        return _changing(generator, duration, space)
    vector = draw_single(generator, space) if kind == "single" else draw_mixture(generator, space)
    return EmotionTrack.constant(space, _tensor(vector))


def draw_single(generator: np.random.Generator, space: EmotionSpace) -> np.ndarray:
    """(N,) one emotion in a strength that corpora have, or in any."""
    vector = np.zeros(space.num_emotions)
    kind = str(generator.choice(list(STRENGTHS), p=list(STRENGTHS.values())))
    level, anything = generator.choice(LEVELS), generator.uniform(WEAKEST, 1)
    vector[generator.integers(space.num_emotions)] = {"full": 1.0, "level": level, "any": anything}[kind]
    return vector


def draw_mixture(generator: np.random.Generator, space: EmotionSpace) -> np.ndarray:
    """(N,) two emotions, each in any strength."""
    vector = np.zeros(space.num_emotions)
    chosen = generator.choice(space.num_emotions, size=min(2, space.num_emotions), replace=False)
    vector[chosen] = generator.uniform(WEAKEST, 1, len(chosen))
    return vector


def _changing(generator: np.random.Generator, duration: float, space: EmotionSpace) -> EmotionTrack:
    """Two to four vectors, held in turn, with ramps or steps between them."""
    num_held = int(generator.integers(2, 5))
    # Changes at least half a second apart in takes of 4 s and more, so that each can be seen.
    apart = min(0.5, duration / (2 * num_held))
    starts = np.sort(generator.uniform(0, duration - apart * num_held, num_held - 1)) + apart * np.arange(1, num_held)
    times, vectors = [0.0], [_held(generator, space)]
    for index, start in enumerate(starts):
        latest = starts[index + 1] if index + 1 < len(starts) else duration
        steps = generator.random() < STEP_SHARE
        ramp = min(generator.uniform(STEP, LONGEST_RAMP), latest - start - STEP)
        times += [start, start + (STEP if steps else ramp)]
        vectors += [vectors[-1], _held(generator, space)]
    return EmotionTrack(space, _tensor(np.array(times)), torch.stack([_tensor(vector) for vector in vectors]))


def _held(generator: np.random.Generator, space: EmotionSpace) -> np.ndarray:
    if generator.random() < NEUTRAL_KEYFRAME_SHARE:
        return np.zeros(space.num_emotions)
    return draw_single(generator, space) if generator.random() < 0.6 else draw_mixture(generator, space)


def _tensor(vector: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.asarray(vector)).float()
