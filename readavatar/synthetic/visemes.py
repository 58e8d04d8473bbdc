"""Visemes: phonemes → motion of lips, jaw and tongue, with coarticulation.

Each phoneme has targets for the mouth's expressions and, for each articulator (jaw, lips, rounding, tongue), a
dominance: an /s/ has a high dominance for a closed jaw, but takes the rounding of its neighbours. The articulators
    follow
Cohen & Massaro 1993, "Modeling coarticulation in synthetic visual speech":

    D_p(t) = α_p exp(−θ |t − t_p|)        F(t) = Σ_p D_p(t) T_p / Σ_p D_p(t)

Two gestures are always reached and are therefore not part of the mean: the closure of the lips (/p b m/) and the
contact of the lower lip with the upper teeth (/f v/).
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

import numpy as np

from readavatar.synthetic.voice import Phoneme

CONTROLS = ("jaw", "spread", "round", "lips", "tongue_raise", "tongue_advance", "bite")
"""The blended controls: jaw opening, lip spreading, rounding, lip parting, the tongue's state, bite."""


@dataclass(frozen=True)
class Viseme:
    """A phoneme's targets, in [0, 1] except the tongue's advance, and the dominance of its articulators."""

    jaw: float = 0.15
    spread: float = 0.1
    round: float = 0.0
    lips: float = 0.25
    """Parting of the lips in addition to the jaw's."""
    tongue: tuple[float, float] = (0.1, 0.0)
    """(raise in [0, 1], advance in [−1, 1]: where it is raised, −1 at the root and 1 at the tip)."""
    insists: tuple[float, float, float, float] = (1.0, 1.0, 1.0, 1.0)
    """Dominance α of the jaw, the lips, the rounding, the tongue."""
    closure: float = 0.0
    """1: the lips close."""
    lip_to_teeth: float = 0.0
    """1: the lower lip touches the upper teeth."""
    bite: float = 0.0
    """1: the lower front teeth are edge to edge with the upper ones."""


_CONSONANT = (0.9, 0.5, 0.25, 2.0)
_VOWEL = (1.0, 1.0, 1.0, 0.7)
_ROUND_VOWEL = (1.0, 1.0, 1.6, 0.7)


def _vowel(jaw: float, spread: float, lips: float, tongue: tuple[float, float]) -> Viseme:
    return Viseme(jaw, spread, 0.0, lips, tongue, _VOWEL)


def _round(jaw: float, rounding: float, tongue: tuple[float, float]) -> Viseme:
    return Viseme(jaw, 0.0, rounding, 0.15, tongue, _ROUND_VOWEL)


SILENCE = Viseme(0.0, 0.0, 0.0, 0.0, (0.05, 0.0), (0.7, 0.7, 0.5, 0.5))
_BILABIAL = Viseme(0.07, 0.0, 0.0, 0.0, (0.1, 0.0), (1.2, 1.2, 0.2, 0.2), closure=1.0)
_LABIODENTAL = Viseme(0.10, 0.05, 0.0, 0.15, (0.1, 0.0), (1.2, 1.0, 0.2, 0.3), lip_to_teeth=1.0)
_ALVEOLAR = Viseme(0.13, 0.10, 0.0, 0.25, (0.85, 0.9), _CONSONANT)
_SIBILANT = Viseme(0.05, 0.25, 0.0, 0.35, (0.55, 0.8), (2.5, 0.9, 0.3, 1.5), bite=1.0)
_POSTALVEOLAR = Viseme(0.06, 0.0, 0.65, 0.45, (0.6, 0.4), (2.5, 1.2, 2.0, 1.5), bite=1.0)
_DENTAL = Viseme(0.14, 0.10, 0.0, 0.30, (0.45, 1.0), (1.3, 0.7, 0.3, 3.0))
_LATERAL = Viseme(0.24, 0.08, 0.0, 0.30, (1.0, 1.0), (0.8, 0.5, 0.2, 3.0))
_VELAR = Viseme(0.22, 0.08, 0.0, 0.22, (0.8, -0.7), (0.7, 0.4, 0.15, 2.0))
_RHOTIC = Viseme(0.14, 0.0, 0.50, 0.25, (0.6, 0.1), (1.0, 0.8, 1.2, 1.5))
_LABIOVELAR = Viseme(0.08, 0.0, 1.0, 0.05, (0.5, -0.6), (1.4, 1.2, 3.0, 0.8))
_BILABIAL_FRICATIVE = Viseme(0.08, 0.05, 0.15, 0.03, (0.1, 0.0), (1.3, 1.3, 0.4, 0.2))
_PALATAL = Viseme(0.08, 0.45, 0.0, 0.30, (0.75, 0.3), (1.0, 1.0, 0.4, 1.5))
_GLOTTAL = Viseme(0.20, 0.10, 0.0, 0.25, (0.1, 0.0), (0.15, 0.1, 0.05, 0.1))
_SCHWA = Viseme(0.22, 0.10, 0.05, 0.25, (0.25, 0.0), (0.5, 0.4, 0.4, 0.4))

_VISEMES: dict[str, Viseme] = {
    **dict.fromkeys("pbmɓʙ", _BILABIAL),
    **dict.fromkeys("fvɱʋⱱ", _LABIODENTAL),
    **dict.fromkeys("tdnɾɗʈɖɳɲɟc", _ALVEOLAR),
    **dict.fromkeys("szʂʐ", _SIBILANT),
    **dict.fromkeys("ʃʒɕʑ", _POSTALVEOLAR),
    **dict.fromkeys("θð", _DENTAL),
    **dict.fromkeys("lɫɭʎɬɮ", _LATERAL),
    **dict.fromkeys("kgɡŋɴxɣqχɢʁʀħʕ", _VELAR),
    **dict.fromkeys("ɹrɻɽ", _RHOTIC),
    **dict.fromkeys("wʍɥ", _LABIOVELAR),
    **dict.fromkeys("ɸβ", _BILABIAL_FRICATIVE),
    **dict.fromkeys("jç", _PALATAL),
    **dict.fromkeys("hʔɦ", _GLOTTAL),
    **dict.fromkeys("əɘɨᵻ", _SCHWA),
    **dict.fromkeys("ɑaɶ", _vowel(0.75, 0.10, 0.40, (0.05, -0.6))),
    **dict.fromkeys("ɐʌ", _vowel(0.52, 0.12, 0.35, (0.15, -0.3))),
    "æ": _vowel(0.65, 0.45, 0.50, (0.10, 0.3)),
    **dict.fromkeys("ɛ", _vowel(0.45, 0.40, 0.45, (0.30, 0.3))),
    "e": _vowel(0.34, 0.50, 0.42, (0.45, 0.3)),
    "ɪ": _vowel(0.22, 0.40, 0.35, (0.55, 0.3)),
    "i": _vowel(0.14, 0.70, 0.40, (0.75, 0.3)),
    **dict.fromkeys("ɜɝɚ", Viseme(0.26, 0.0, 0.40, 0.30, (0.50, 0.0), _ROUND_VOWEL)),
    "ɯ": _vowel(0.16, 0.25, 0.30, (0.65, -0.6)),
    "ɤ": _vowel(0.32, 0.25, 0.35, (0.35, -0.6)),
    **dict.fromkeys("uʉ", _round(0.12, 0.95, (0.65, -0.6))),
    "ʊ": _round(0.18, 0.70, (0.55, -0.5)),
    **dict.fromkeys("oɵ", _round(0.34, 0.80, (0.35, -0.6))),
    **dict.fromkeys("ɔ", _round(0.52, 0.60, (0.20, -0.7))),
    **dict.fromkeys("ɒ", _round(0.62, 0.40, (0.10, -0.7))),
    **dict.fromkeys("yʏ", _round(0.12, 0.90, (0.75, 0.3))),
    **dict.fromkeys("øœ", _round(0.32, 0.75, (0.50, 0.3))),
}


def visemes_of(symbol: str) -> tuple[Viseme, ...]:
    """One viseme for each sound of an IPA symbol: two for diphthongs and affricates; silence for an empty symbol.

    Marks (length, tone, nasality, slight lowering of the tongue) have no visible effect and are ignored.
    """
    sounds = [_VISEMES[letter] for letter in map(_base_letter, symbol_letters(symbol)) if letter in _VISEMES]
    return tuple(sounds) if sounds else (_SCHWA if symbol else SILENCE,)


def symbol_letters(symbol: str) -> list[str]:
    """The sounds of an IPA symbol as letters with their marks, composed where Unicode composes them."""
    return [letter for letter in unicodedata.normalize("NFC", symbol) if unicodedata.category(letter)[0] == "L"]


def _base_letter(letter: str) -> str:
    """ç is a letter of its own; ä and õ are a and o with a mark."""
    return letter if letter in _VISEMES else unicodedata.normalize("NFD", letter)[0]


def unknown_letters(symbol: str) -> list[str]:
    """Letters of an IPA symbol that no viseme stands for; modifiers (length, palatalisation) need none."""
    letters = [letter for letter in symbol_letters(symbol) if unicodedata.category(letter) != "Lm"]
    return [letter for letter in letters if _base_letter(letter) not in _VISEMES]


@dataclass(frozen=True)
class _Segment:
    viseme: Viseme
    start: float
    end: float
    weight: float


def _segments(phonemes: tuple[Phoneme, ...]) -> list[_Segment]:
    segments = []
    for phoneme in phonemes:
        visemes = visemes_of(phoneme.symbol)
        bounds = np.linspace(phoneme.start, phoneme.end, len(visemes) + 1)
        weight = 1.0 + 0.4 * phoneme.stress
        segments += [
            _Segment(viseme, start, end, weight)
            for viseme, start, end in zip(visemes, bounds[:-1], bounds[1:], strict=True)
        ]
    return segments


@dataclass(frozen=True)
class Articulation:
    """What the mouth does over time, T samples each."""

    controls: dict[str, np.ndarray]
    """By ``CONTROLS``."""
    closure: np.ndarray
    """0 free, 1 the lips together."""
    lip_to_teeth: np.ndarray
    """0 free, 1 the lower lip at the upper teeth."""


DECAY = 14.0
"""θ, 1/s: a sound's influence falls to 1/e this fast beyond its own edges (Cohen & Massaro use 10 to 30)."""
LONGEST_ONSET = 0.06
"""Seconds into a sound after which it is wholly itself; short sounds are so in their middle half."""
FARTHEST_INFLUENCE = 1.0
"""Seconds; beyond, e^−14 of a sound is left."""
CLOSURE_RAMP = 0.06
"""Seconds from free to closed lips."""
SHORTEST_CLOSURE = 0.045
"""Seconds; at 25 frames per second, every closure is in a frame."""


def articulate(phonemes: tuple[Phoneme, ...], times: np.ndarray, decay: float = DECAY) -> Articulation:
    """The articulators at ``times`` (seconds).

    Args:
        phonemes: Of a speech.
        times: (T,) seconds.
        decay: θ above; lower values are more slurred.
    """
    segments = _segments(phonemes)
    visemes = [segment.viseme for segment in segments]
    starts = np.array([segment.start for segment in segments])
    ends = np.array([segment.end for segment in segments])
    inset = np.minimum((ends - starts) / 4, LONGEST_ONSET)
    targets = np.array([[v.jaw, v.spread, v.round, v.lips, *v.tongue, v.bite] for v in visemes])
    dominance = np.array([segment.viseme.insists for segment in segments])[:, [0, 1, 2, 1, 3, 3, 0]]
    dominance *= np.array([[segment.weight] for segment in segments])
    blended = np.empty((len(times), len(CONTROLS)))
    for first in range(0, len(times), 256):
        block = times[first : first + 256]
        near = (ends > block[0] - FARTHEST_INFLUENCE) & (starts < block[-1] + FARTHEST_INFLUENCE)
        before = (starts + inset)[near] - block[:, None]
        after = block[:, None] - (ends - inset)[near]
        falloff = np.exp(-decay * np.maximum(0, np.maximum(before, after)))
        blended[first : first + 256] = falloff @ (dominance * targets)[near] / (falloff @ dominance[near])
    controls = dict(zip(CONTROLS, blended.T, strict=True))
    return Articulation(
        controls,
        _gesture([segment for segment in segments if segment.viseme.closure], times, lead=0.02),
        _gesture([segment for segment in segments if segment.viseme.lip_to_teeth], times, lead=0.0),
    )


def _gesture(segments: list[_Segment], times: np.ndarray, lead: float) -> np.ndarray:
    """1 during each segment and ``lead`` seconds before it (a stop sounds when it opens), with smooth ramps."""
    strength = np.zeros_like(times)
    for segment in segments:
        start, end = segment.start - lead, segment.end
        missing = max(0.0, SHORTEST_CLOSURE - (end - start)) / 2
        outside = np.maximum(0, np.maximum(start - missing - times, times - end - missing)) / CLOSURE_RAMP
        inside = np.clip(1 - outside, 0, 1)
        strength = np.maximum(strength, inside * inside * (3 - 2 * inside))
    return strength


def mouth_expressions(articulation: Articulation, vigour: float | np.ndarray = 1.0) -> dict[str, np.ndarray]:
    """Articulators → the mouth's expressions, (T,) each, before any emotion; closures are made in ``performance``.

    Args:
        articulation: The articulators.
        vigour: Factor on the openings: low for a mumble, high for a shout.
    """
    jaw, spread, rounding, lips = (articulation.controls[key] for key in CONTROLS[:4])
    free = (1 - articulation.closure) * (1 - articulation.lip_to_teeth)
    touch = articulation.lip_to_teeth
    jaw = np.clip(jaw * vigour, 0, 1)
    lips = lips * vigour * free
    expressions = {
        "jawOpen": jaw,
        "mouthFunnel": 0.45 * rounding * (0.4 + 0.6 * free),
        "mouthPucker": 0.95 * rounding**1.3,
        "mouthRollLower": 0.55 * touch + 0.12 * articulation.closure,
        "mouthRollUpper": 0.12 * articulation.closure,
        "mouthShrugLower": 0.20 * touch,
    }
    for side in "LR":
        expressions[f"mouthStretch_{side}"] = 0.45 * spread * (1 - rounding)
        expressions[f"mouthDimple_{side}"] = 0.15 * spread * (1 - rounding)
        expressions[f"mouthLowerDown_{side}"] = 0.50 * lips * (1 - 0.5 * rounding)
        expressions[f"mouthUpperUp_{side}"] = 0.30 * lips * (1 - 0.6 * rounding) + 0.18 * touch
        expressions[f"mouthPress_{side}"] = 0.20 * articulation.closure
    return {name: np.clip(value, 0, 1) for name, value in expressions.items()}
