"""A person without a face: the voice and the ways of acting that a performance's coefficients and sound depend on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from readavatar.emotion import MEAD_EMOTIONS
from readavatar.morphable.model import EXPRESSION_NAMES
from readavatar.synthetic.emotions import PATTERNS
from readavatar.synthetic.performance import Style
from readavatar.synthetic.voice import Voice

ACCENTS = (
    "en-us", "en-gb-x-rp", "en-gb-scotland", "en-us-nyc", "en-029", "en-gb-x-gbclan", "en-gb-x-gbcwmd",
)  # fmt: skip
"""espeak-ng's Englishes."""
LOW_SPEAKERS = (
    "m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8", "Alex", "Andy", "Denis", "Diogo", "Gene", "Henrique", "Hugo",
    "Jacky", "Lee", "Mario", "Michael", "Mike", "Storm", "boris", "ed", "edward", "gustave", "ian", "iven",
    "john", "klatt", "klatt3", "klatt4", "marcelo", "max", "michel", "miguel", "norbert", "pablo", "paul",
    "quincy", "rob", "robert", "sandro", "travis", "victor",
)  # fmt: skip
HIGH_SPEAKERS = (
    "f1", "f2", "f3", "f4", "f5", "Alicia", "Andrea", "Annie", "Nguyen", "anika", "aunty", "belinda", "grandma",
    "linda", "shelby", "steph", "steph2", "zac", "caleb",
)  # fmt: skip
"""espeak-ng's speaker variants whose phonemes' onsets lie within 12 ms of where their sound begins; robots and croaks
left out. Half of the characters have a high voice."""

FACTOR_SPREAD = 0.15
"""Standard deviation of the logarithm of how far an expression goes on one face and on the next."""
SIDE_SPREAD = 0.03
"""… and between a face's two sides."""
RESTING_EXPRESSIONS = (
    "mouthFrown", "mouthPress", "mouthDimple", "browInnerUp", "browDown", "eyeSquint", "eyeBlink", "cheekSquint",
)  # fmt: skip
"""What faces at rest differ in, pairs of expressions."""
LARGEST_OFFSET = 0.06
RESTING_CLOSURE = 1.0
"""Characters close their mouths in silence whatever they feel, so that what learns from them does so, too: a jaw that
hung open through every pause of a surprised voice would be the emotion's, but looks like a sync error."""
RESTING_SHARE = 0.4
"""Of the above that a face at rest shows a little of."""


@dataclass(frozen=True)
class Character:
    """Who acts, as far as sound and coefficients tell: an ``Actor`` without shape, colours, light and place."""

    seed: int
    voice: Voice
    style: Style


def make_character(seed: int) -> Character:
    """Draw a character; the same seed gives the same one. The draws are wider than ``make_actor``'s.

    Args:
        seed: 0 or more. Takes made for training and for judging should come from different seeds.
    """
    voice_generator, style_generator, habit_generator = np.random.default_rng([seed, 9]).spawn(3)
    return Character(seed, draw_voice(voice_generator), draw_style(style_generator, habit_generator))


def draw_voice(generator: np.random.Generator) -> Voice:
    """Any of espeak-ng's Englishes and speakers, at 120 to 220 words a minute."""
    speakers = HIGH_SPEAKERS if generator.random() < 0.5 else LOW_SPEAKERS
    accent, speaker = (names[int(generator.integers(len(names)))] for names in (ACCENTS, speakers))
    return Voice(
        name=f"{accent}+{speaker}",
        pitch=generator.uniform(35, 65),
        pitch_range=generator.uniform(30, 75),
        rate=generator.uniform(120, 220),
        size=float(np.exp(generator.uniform(np.log(0.88), np.log(1.15)))),
    )


def draw_style(generator: np.random.Generator, habit_generator: np.random.Generator) -> Style:
    """How someone acts, and what is theirs alone."""
    return Style(
        vigour=generator.uniform(0.75, 1.25),
        decay=generator.uniform(10, 18),
        intensity=generator.uniform(0.85, 1.05),
        liveliness=generator.uniform(0.6, 1.3),
        blinking=float(np.exp(generator.normal(0, 0.3))),
        resting_closure=RESTING_CLOSURE,
        habits=draw_habits(habit_generator),
    )


def draw_habits(generator: np.random.Generator) -> dict[str, tuple[float, float]]:
    """(factor, offset at rest) of every expression that emotion moves, nearly the same on both sides."""
    moved = {name for emotion in MEAD_EMOTIONS for name in PATTERNS[emotion]} | {"mouthPucker"}
    bases = sorted({name.removesuffix("_L").removesuffix("_R") for name in moved})
    habits = {}
    for base in bases:
        factor = np.exp(generator.normal(0, FACTOR_SPREAD))
        shows, height = generator.random() < RESTING_SHARE, generator.uniform(0, LARGEST_OFFSET)
        offset = height if base in RESTING_EXPRESSIONS and shows else 0.0
        for name in (base, f"{base}_L", f"{base}_R"):
            side = np.exp(generator.normal(0, SIDE_SPREAD))
            if name in EXPRESSION_NAMES:
                habits[name] = (float(factor * side), float(offset * side))
    return habits
