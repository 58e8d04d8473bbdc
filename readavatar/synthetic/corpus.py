"""Takes of many characters as sound and coefficients, without pictures, for training the expression stage."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float
from torch import Tensor

from readavatar.emotion import EmotionTrack
from readavatar.errors import UserError
from readavatar.synthetic.characters import Character
from readavatar.synthetic.emotions import draw_emotion
from readavatar.synthetic.espeak import faint_noise, vary_sound
from readavatar.synthetic.performance import perform
from readavatar.synthetic.sentences import HELD_OUT_SENTENCES, LANGUAGES, draw_sentence
from readavatar.synthetic.voice import PAUSES, Phoneme, silence, speak

SHORTEST_TAKE, LONGEST_TAKE = 6.0, 15.0
"""Seconds."""
MUTED_SHARE = 0.10
"""Share of takes without speech."""
OTHER_VOICE_SHARE = 0.5
"""Share of takes whose voice has another emotion than the face: half of them neutral, half random."""
UNCHANGED_SOUND_SHARE = 0.2
"""Share of takes with the synthesiser's unchanged sound."""
ENGLISH_SHARE = 0.5
"""Share of takes in English, if it is among several languages."""
CORPUS_PAUSES = (0.3, 1.5)
"""Seconds, least and most, between a take's sentences: long enough for the mouth to close."""
FLUENT_SHARE = 0.3
"""Share of takes without such pauses."""
HELD_OUT_TAKES = 500_000
"""Added to the numbers of held-out takes, so that their behaviour differs from training takes."""


@dataclass(frozen=True)
class Take:
    """One performance: sound, requested emotion and the face's motion."""

    waveform: Float[Tensor, " num_samples"]
    """16 kHz, as long as the frames."""
    phonemes: tuple[Phoneme, ...]
    emotion: Float[Tensor, "T N"]
    """As requested."""
    expressions: Float[Tensor, "T E"]
    """E are ``EXPRESSION_NAMES``, each in [0, 1]."""
    fps: float
    person: int
    """The character's seed."""

    @property
    def duration(self) -> float:
        """Seconds."""
        return len(self.expressions) / self.fps


def play(
    character: Character,
    take: int,
    sentences: list[str],
    emotion: EmotionTrack,
    *,
    voice_emotion: EmotionTrack | None = None,
    fps: int | float = 25,
    duration: int | float | None = None,
    pauses: tuple[float, float] = PAUSES,
) -> Take:
    """A take of given sentences and emotion, with clean sound.

    Random behaviour only depends on the character's seed and on ``take``: it is the same for another emotion. Give a
    ``voice_emotion`` to also keep the sound.

    Args:
        character: The character.
        take: Number of the performance.
        sentences: The text; none gives a muted take.
        emotion: Of the face.
        voice_emotion: Of the voice; by default the same.
        fps: Frames per second.
        duration: Least length of the take, seconds, and length of a muted take (by default 2).
        pauses: Seconds, least and most, between sentences.

    Raises:
        UserError: The emotion is not supported, or a sentence cannot be spoken.
    """
    seed = character.seed * 1_000_003 + take
    if sentences:
        speech = speak(
            sentences,
            voice=character.voice,
            emotion=voice_emotion or emotion,
            seed=seed,
            duration=duration or 0.0,
            pauses=pauses,
        )
    else:
        speech = silence(duration or 2.0)
    performance = perform(speech, emotion, fps=fps, seed=seed, style=character.style)
    return Take(
        waveform=performance.waveform,
        phonemes=performance.phonemes,
        emotion=performance.emotion,
        expressions=performance.coefficients.expression_coefficients,
        fps=float(fps),
        person=character.seed,
    )


def draw_takes(
    character: Character,
    minutes: int | float,
    *,
    fps: int | float = 25,
    held_out: bool = False,
    languages: tuple[str, ...] = LANGUAGES,
    change_sound: bool = True,
) -> list[Take]:
    """Random takes of 6 to 15 s with various sentences, emotions, voices and room acoustics.

    The same character gives the same takes, and fewer minutes the first of them.

    Args:
        character: The character.
        minutes: Of all takes together, at least.
        fps: Frames per second.
        held_out: Use ``HELD_OUT_SENTENCES``, which training takes do not contain, in English.
        languages: Of the speech, from ``LANGUAGES``.
        change_sound: Add room acoustics and noise to most takes (``vary_sound``); otherwise the sound is clean.

    Raises:
        UserError: ``minutes`` is not positive, or there are no sentences in a language.
    """
    if not minutes > 0:
        raise UserError(f"Expected more than 0 minutes of takes, but got {minutes}.")
    unknown = [language for language in languages if language not in LANGUAGES]
    if unknown or not languages:
        raise UserError(f"Expected languages of {', '.join(LANGUAGES)}, but got {unknown or 'none'}.")
    takes: list[Take] = []
    while sum(take.duration for take in takes) < 60 * minutes:
        number = len(takes) + (HELD_OUT_TAKES if held_out else 0)
        takes.append(_draw_take(character, number, float(fps), held_out, languages, change_sound))
    return takes


def _draw_take(
    character: Character, number: int, fps: float, held_out: bool, languages: tuple[str, ...], change_sound: bool
) -> Take:
    generator = np.random.default_rng([character.seed, 11, number])
    emotion_generator, voice_generator, word_generator, sound_generator = generator.spawn(4)
    duration = generator.uniform(SHORTEST_TAKE, LONGEST_TAKE)
    emotion = draw_emotion(emotion_generator, duration)
    chances = (MUTED_SHARE, OTHER_VOICE_SHARE, 0.5, FLUENT_SHARE)
    muted, other_voice, neutral_voice, fluent = generator.random(4) < chances
    if muted:
        take = play(character, number, [], emotion, fps=fps, duration=duration)
        return replace(take, waveform=faint_noise(take.waveform, sound_generator)) if change_sound else take
    voice_emotion = emotion
    if other_voice:
        voice_emotion = (
            EmotionTrack.constant(emotion.space) if neutral_voice else draw_emotion(voice_generator, duration)
        )
    language = "en" if held_out else _draw_language(word_generator, languages)
    speaker = character
    if language != "en":
        _, _, variant = character.voice.name.partition("+")
        speaker = replace(character, voice=replace(character.voice, name=f"{language}+{variant}"))
    pauses = PAUSES if fluent else CORPUS_PAUSES
    sentences = _draw_text(word_generator, language, held_out, duration, character.voice.rate, sum(pauses) / 2)
    while True:
        take = play(
            speaker, number, sentences, emotion,
            voice_emotion=voice_emotion, fps=fps, duration=SHORTEST_TAKE, pauses=pauses,
        )  # fmt: skip
        if take.duration <= LONGEST_TAKE or len(sentences) == 1:
            break
        sentences = sentences[:-1]
    if change_sound and sound_generator.random() >= UNCHANGED_SOUND_SHARE:
        take = replace(take, waveform=vary_sound(take.waveform, sound_generator))
    return take


def _draw_language(generator: np.random.Generator, languages: tuple[str, ...]) -> str:
    others = [language for language in languages if language != "en"]
    if "en" in languages and (not others or generator.random() < ENGLISH_SHARE):
        return "en"
    return others[int(generator.integers(len(others)))]


def _draw_text(
    generator: np.random.Generator, language: str, held_out: bool, duration: float, rate: float, pause: float
) -> list[str]:
    """Sentences that take about ``duration`` seconds with their pauses; at least one."""
    held_out_order = [int(index) for index in generator.permutation(len(HELD_OUT_SENTENCES))]
    seconds, sentences = 0.4, []
    while True:
        sentence = HELD_OUT_SENTENCES[held_out_order.pop()] if held_out else draw_sentence(generator, language)
        # A word is five letters and a space; a Chinese character or a kana takes as long as three letters.
        letters = sum(3 if ord(letter) > 0x3000 else 1 for letter in sentence)
        lasts = letters / 6 * 60 / rate + pause
        if sentences and seconds + lasts / 2 > duration:  # nearer to the duration without it
            return sentences
        sentences.append(sentence)
        seconds += lasts
