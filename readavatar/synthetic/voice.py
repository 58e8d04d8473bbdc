"""Speech synthesis with known phonemes and times (espeak-ng, a formant synthesiser).

Emotion changes the voice's pitch level, pitch range, rate and loudness in the directions reviewed by Scherer 2003
("Vocal communication of emotion") and Juslin & Laukka 2003. The sizes of the changes are ours, limited by what the
synthesiser can speak clearly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
import torch
from jaxtyping import Float
from scipy.signal import resample_poly
from torch import Tensor

from readavatar.emotion import EmotionTrack
from readavatar.errors import UserError
from readavatar.media.waveform import SAMPLE_RATE
from readavatar.synthetic.espeak import run_espeak

PAUSES = (0.2, 0.5)
"""Seconds, least and most, between sentences."""
LARGEST_DENOMINATOR = 50
"""Of a voice's size as a fraction, which makes resampling cheap; steps of 2 % are not audible."""


@dataclass(frozen=True)
class Phoneme:
    """A stretch of speech, or of silence."""

    symbol: str
    """IPA without stress marks; empty for silence."""
    start: float
    """Seconds."""
    end: float
    stress: float = 0.0
    """0 unstressed, 0.5 secondary, 1 primary."""


@dataclass(frozen=True)
class Speech:
    """A waveform and its phonemes."""

    waveform: Float[Tensor, " num_samples"]
    """16 kHz, in [−1, 1]."""
    phonemes: tuple[Phoneme, ...]
    """In order, without gaps, from 0 to the waveform's end."""

    @property
    def duration(self) -> float:
        """Seconds."""
        return len(self.waveform) / SAMPLE_RATE


@dataclass(frozen=True)
class Voice:
    """A speaker."""

    name: str = "en-us"
    """espeak-ng's language and, after ``+``, its speaker variant."""
    pitch: float = 50.0
    """From 0 to 100; 50 is the variant's own."""
    pitch_range: float = 50.0
    """From 0 (monotone) to 100."""
    rate: float = 160.0
    """Words per minute."""
    size: float = 1.0
    """Factor on all frequencies: above 1 the vocal tract is shorter than the variant's own. It is rounded to the
    nearest fraction with a denominator of at most 50; the rate does not change."""


VOICES = (
    Voice("en-us"), Voice("en-us+f2", 55.0), Voice("en-gb-x-rp+m3", 45.0), Voice("en-gb-scotland+f4"),
    Voice("en-us+m7", 42.0), Voice("en-gb-x-rp+f3", 52.0, 60.0),
    Voice("en-us-nyc+m4"), Voice("en-029+f5"), Voice("en-gb-x-gbclan+m2", 48.0, 55.0),
    Voice("en-us+Annie"), Voice("en-us+Mike"), Voice("en-gb-x-rp+Andy", 46.0),
)  # fmt: skip
"""The voices of actors; any espeak-ng language works."""


@dataclass(frozen=True)
class Prosody:
    """How an emotion at full strength changes a voice."""

    pitch: float = 0.0
    """Added to ``Voice.pitch``."""
    pitch_range: float = 1.0
    """Times ``Voice.pitch_range``."""
    rate: float = 1.0
    """Times ``Voice.rate``."""
    loudness: float = 0.0
    """Decibels."""


PROSODY = {
    "angry": Prosody(pitch=10.0, pitch_range=1.35, rate=1.12, loudness=5.0),
    "contempt": Prosody(pitch=-6.0, pitch_range=0.8, rate=0.90, loudness=-1.0),
    "disgusted": Prosody(pitch=-8.0, pitch_range=0.75, rate=0.88, loudness=-2.0),
    "fear": Prosody(pitch=22.0, pitch_range=0.85, rate=1.18, loudness=0.0),
    "happy": Prosody(pitch=14.0, pitch_range=1.5, rate=1.08, loudness=3.0),
    "sad": Prosody(pitch=-10.0, pitch_range=0.5, rate=0.80, loudness=-6.0),
    "surprised": Prosody(pitch=20.0, pitch_range=1.6, rate=1.02, loudness=2.0),
}
"""By emotion; others do not change the voice."""


def emotional_voice(voice: Voice, emotion: Float[Tensor, " N"], names: Sequence[str]) -> tuple[Voice, float]:
    """The voice in an emotion, and its gain (a factor on the waveform). Mixtures add."""
    pitch, pitch_range, rate, loudness = voice.pitch, voice.pitch_range, voice.rate, 0.0
    for name, strength in zip(names, emotion.tolist(), strict=True):
        prosody = PROSODY.get(name, Prosody())
        pitch += strength * prosody.pitch
        pitch_range *= prosody.pitch_range**strength
        rate *= prosody.rate**strength
        loudness += strength * prosody.loudness
    return replace(voice, pitch=pitch, pitch_range=pitch_range, rate=rate), 10 ** (loudness / 20)


def silence(duration: float | int) -> Speech:
    """A silence of ``duration`` seconds."""
    num_samples = round(duration * SAMPLE_RATE)
    return Speech(torch.zeros(num_samples), (Phoneme("", 0.0, num_samples / SAMPLE_RATE),))


def speak(
    sentences: Sequence[str],
    *,
    voice: Voice,
    emotion: EmotionTrack,
    seed: int,
    duration: float | int = 0.0,
    pauses: tuple[float, float] = PAUSES,
) -> Speech:
    """Speak sentences one after another, each with the emotion at its beginning.

    Rate, pitch and the pauses between sentences vary a little with ``seed``.

    Args:
        sentences: The text.
        voice: The voice.
        emotion: Of the voice.
        seed: Of the variation.
        duration: Least length, seconds, filled with silence.
        pauses: Seconds, least and most, after each sentence; shorter in emotions with faster speech.

    Raises:
        UserError: The text cannot be spoken, or espeak-ng does not have the voice.
    """
    generator = np.random.default_rng([seed, 1])
    speech = silence(generator.uniform(0.25, 0.45))
    for sentence in sentences:
        vector = emotion.sample(torch.tensor([speech.duration]))[0]
        delivered, gain = emotional_voice(voice, vector, emotion.space.names)
        delivered = replace(
            delivered,
            pitch=delivered.pitch + generator.normal(0, 2.5),
            rate=delivered.rate * np.exp(generator.normal(0, 0.04)),
        )
        pause = silence(generator.uniform(*pauses) * voice.rate / delivered.rate)
        speech = _joined(speech, synthesise(sentence, delivered, gain), pause)
    return _joined(speech, silence(duration - speech.duration)) if duration > speech.duration else speech


def synthesise(text: str, voice: Voice, gain: float = 1.0) -> Speech:
    """Speak one text; the same text and voice give bit-identical samples.

    Raises:
        UserError: The text cannot be spoken, or espeak-ng does not have the voice.
    """
    size = Fraction(voice.size).limit_denominator(LARGEST_DENOMINATOR)
    # Playing faster by ``size`` raises all frequencies but shortens it, so the rate is lowered first.
    samples, events, sample_rate = run_espeak(
        text, voice.name, pitch=voice.pitch, pitch_range=voice.pitch_range, rate=voice.rate / float(size)
    )
    starts = [(sample / (sample_rate * float(size)), symbol) for sample, symbol in events]
    if not any(symbol for _, symbol in starts):
        raise UserError(f"Expected a sentence that can be spoken, but got '{text}'.")
    ratio = Fraction(SAMPLE_RATE, sample_rate) / size
    waveform = resample_poly(samples.astype(np.float64) / 32768, ratio.numerator, ratio.denominator)
    # A common root mean square for all voices, at which the loudest emotion does not clip.
    waveform *= 0.06 * gain / max(np.sqrt(np.mean(waveform**2)), 1e-4)
    waveform = np.tanh(waveform)
    return Speech(torch.from_numpy(waveform).float(), _intervals(starts, len(waveform) / SAMPLE_RATE))


def _intervals(starts: list[tuple[float, str]], duration: float) -> tuple[Phoneme, ...]:
    """Onsets → intervals that cover [0, duration]; an empty symbol is silence."""
    starts = sorted([(0.0, ""), *starts], key=lambda onset: onset[0])
    phonemes: list[Phoneme] = []
    for (start, symbol), end in zip(starts, [start for start, _ in starts[1:]] + [duration], strict=True):
        if end <= start:
            continue
        stress = 1.0 if "ˈ" in symbol else 0.5 if "ˌ" in symbol else 0.0
        symbol = symbol.strip("ˈˌ _:|")
        if not symbol and phonemes and not phonemes[-1].symbol:
            phonemes[-1] = replace(phonemes[-1], end=end)
        else:
            phonemes.append(Phoneme(symbol, start, end, stress))
    return tuple(phonemes)


def _joined(*parts: Speech) -> Speech:
    phonemes: list[Phoneme] = []
    offset = 0.0
    for part in parts:
        for phoneme in part.phonemes:
            if phonemes and not phonemes[-1].symbol and not phoneme.symbol:
                phonemes[-1] = replace(phonemes[-1], end=phoneme.end + offset)
            else:
                phonemes.append(replace(phoneme, start=phoneme.start + offset, end=phoneme.end + offset))
        offset += part.duration
    return Speech(torch.cat([part.waveform for part in parts]), tuple(phonemes))
