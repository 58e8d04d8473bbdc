"""Characters and actors: persons drawn from a seed.

A character has a voice and a style of acting, which determine sound and coefficients. An actor also has a shape,
colours, lighting and a backdrop, for rendering.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from readavatar.emotion import MEAD_EMOTIONS
from readavatar.morphable import MorphableModel
from readavatar.morphable.model import EXPRESSION_NAMES
from readavatar.synthetic.albedo import draw_paint, make_albedo
from readavatar.synthetic.emotions import PATTERNS
from readavatar.synthetic.performance import DISTANCE, Style
from readavatar.synthetic.voice import VOICES, Voice

ACCENTS = (
    "en-us", "en-gb-x-rp", "en-gb-scotland", "en-us-nyc", "en-029", "en-gb-x-gbclan", "en-gb-x-gbcwmd",
)  # fmt: skip
"""espeak-ng's varieties of English."""
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
"""espeak-ng's speaker variants whose phoneme onsets are within 12 ms of the sound's, without robots and croaks. Half of
the characters have a high voice."""

FACTOR_SPREAD = 0.15
"""Standard deviation over characters of the logarithm of an expression's amplitude."""
SIDE_SPREAD = 0.03
"""The same between the two sides of a face."""
RESTING_EXPRESSIONS = (
    "mouthFrown", "mouthPress", "mouthDimple", "browInnerUp", "browDown", "eyeSquint", "eyeBlink", "cheekSquint",
)  # fmt: skip
"""Expressions in which faces at rest differ."""
LARGEST_OFFSET = 0.06
RESTING_CLOSURE = 1.0
"""Characters close their mouths in silence in every emotion, and networks learn this: a jaw that stays open in the
pauses of a surprised voice looks like a sync error."""
RESTING_SHARE = 0.4
"""Share of ``RESTING_EXPRESSIONS`` that a face at rest shows."""


@dataclass(frozen=True)
class Character:
    """The voice and style of a person, without an ``Actor``'s shape, colours, lighting and place."""

    seed: int
    voice: Voice
    style: Style


def make_character(seed: int) -> Character:
    """Draw a character; the same seed gives the same one. They vary more than those of ``make_actor``.

    Args:
        seed: 0 or more. Use different seeds for training and for evaluation.
    """
    voice_generator, style_generator, habit_generator = np.random.default_rng([seed, 9]).spawn(3)
    return Character(seed, draw_voice(voice_generator), draw_style(style_generator, habit_generator))


def draw_voice(generator: np.random.Generator) -> Voice:
    """A random variety of English and speaker of espeak-ng, at 120 to 220 words per minute."""
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
    """A random style of acting, with individual habits."""
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


SHAPE_SPREAD = 0.7
"""Standard deviation of actors' identity modes; with 1, some look unnatural."""


@dataclass(frozen=True)
class Actor:
    """One person with a voice and style, and the lighting of the film."""

    seed: int
    shape_coefficients: Float[Tensor, " S"]
    albedo: Float[Tensor, "3 texture_height texture_width"]
    """Linear light."""
    lighting: Float[Tensor, "9 3"]
    """Spherical harmonics, world frame."""
    voice: Voice
    style: Style
    translation: tuple[float, float, float]
    """Resting position of the head in the world, metres."""


def make_actor(seed: int, model: MorphableModel, *, texture_size: int = 512) -> Actor:
    """Draw a person; the same seed and model give the same one."""
    shape_generator, paint_generator, light_generator, acting_generator = np.random.default_rng([seed, 5]).spawn(4)
    shape = torch.from_numpy(shape_generator.normal(0, SHAPE_SPREAD, model.num_shape).clip(-2, 2)).float()
    return Actor(
        seed=seed,
        shape_coefficients=shape,
        albedo=make_albedo(model, draw_paint(paint_generator), texture_size),
        lighting=_draw_lighting(light_generator),
        voice=VOICES[int(acting_generator.integers(len(VOICES)))],
        style=Style(
            vigour=acting_generator.uniform(0.9, 1.15),
            decay=acting_generator.uniform(12, 17),
            intensity=acting_generator.uniform(0.9, 1.05),
            liveliness=acting_generator.uniform(0.7, 1.2),
        ),
        translation=_resting_place(model, shape),
    )


def _draw_lighting(generator: np.random.Generator) -> Float[Tensor, "9 3"]:
    """A soft key light from the front, above and one side, and an ambient light of a slightly different colour."""
    lighting = np.zeros((9, 3))
    ambient = generator.uniform(0.62, 0.78) * np.exp(generator.normal(0, 0.03, 3))
    key = generator.uniform(0.28, 0.42) * np.exp(generator.normal(0, 0.04, 3))
    direction = np.array([generator.choice([-1, 1]) * generator.uniform(0.25, 0.8), generator.uniform(0.2, 0.6), 1.0])
    direction /= np.linalg.norm(direction)
    lighting[0] = ambient
    for row, axis in ((1, 1), (2, 2), (3, 0)):  # y, z, x
        lighting[row] = direction[axis] * key
    # The second order makes the key light slightly sharper.
    lighting[7] = 0.25 * direction[0] * direction[2] * key
    lighting[4] = 0.25 * direction[0] * direction[1] * key
    return torch.from_numpy(lighting).float()


def _resting_place(model: MorphableModel, shape: Float[Tensor, " S"]) -> tuple[float, float, float]:
    """The head's position: the landmarks' box is in the picture's centre, a little lower to leave room for the hair."""
    landmarks = model.landmarks_3d(model(shape[None], torch.zeros(1, model.num_expressions)))[0]
    middle = (landmarks.amin(0) + landmarks.amax(0)) / 2
    return (-float(middle[0]), -float(middle[1]) - 0.014, -DISTANCE)


def make_backdrop(seed: int, size: int, zoom: float = 1.0) -> Float[Tensor, "3 size size"]:
    """A softly lit wall with blurred spots of colour, and shoulders in a plain shirt; linear light.

    Args:
        seed: Of the wall and the shirt.
        size: Height and width, pixels.
        zoom: Of the lens; 1 shows the whole backdrop, 2 its middle half.
    """
    generator = np.random.default_rng([seed, 6])
    across = ((np.arange(size) + 0.5) / size * 2 - 1) / zoom
    x, y = np.meshgrid(across, across)
    base = generator.uniform(0.10, 0.35) * np.exp(generator.normal(0, 0.15, 3))
    slope = generator.normal(0, 0.18, 2)
    picture = base[:, None, None] * (1 + slope[0] * x + (slope[1] - 0.15) * y)
    for _ in range(int(generator.integers(3, 7))):
        centre, radius = generator.uniform(-1, 1, 2), generator.uniform(0.12, 0.4)
        colour = generator.uniform(0.3, 2.2) * base * np.exp(generator.normal(0, 0.35, 3))
        distance = np.hypot(x - centre[0], y - centre[1]) / radius
        alpha = generator.uniform(0.25, 0.7) / (1 + np.exp((distance - 1) * generator.uniform(6, 14)))
        picture = picture + alpha * (colour[:, None, None] - picture)
    shirt = generator.uniform(0.03, 0.35) * np.exp(generator.normal(0, 0.4, 3))
    return torch.from_numpy(np.clip(_with_shoulders(picture, x, y, shirt), 0, 1)).float()


def _with_shoulders(picture: np.ndarray, x: np.ndarray, y: np.ndarray, shirt: np.ndarray) -> np.ndarray:
    height = 0.70 + 0.42 * np.abs(x) ** 2.2  # of the shoulders' outline below the picture's centre
    alpha = 1 / (1 + np.exp(-60 * (y - height)))
    light = np.clip(1.05 - 0.45 * np.abs(x) + 0.25 * (y - height), 0.3, 1.3)
    return picture + alpha * (shirt[:, None, None] * light - picture)
