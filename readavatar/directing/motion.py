"""What an avatar does with a sound: its expressions, frame by frame, on the footage's own head."""

from __future__ import annotations

import dataclasses
import math

from jaxtyping import Float, Int
from torch import Tensor

from readavatar.data.avatar import Avatar, load_network
from readavatar.data.frame_rate import resample_frames
from readavatar.data.speech_features import load_described_encoder
from readavatar.emotion import EmotionTrack
from readavatar.errors import UserError
from readavatar.expression import ExpressionGenerator, generate_expressions
from readavatar.types import TrackedFace

_FOOTAGE_EXPRESSIONS = ("eyeLookDown", "eyeLookIn", "eyeLookOut", "eyeLookUp")
"""Lids that follow the eyes; the gaze is the footage's, so these are too."""


def generate_motion(
    avatar: Avatar,
    footage: TrackedFace,
    waveform: Float[Tensor, " num_samples"],
    emotion: EmotionTrack,
    num_frames: int,
    fps: float,
    seed: int,
    manner: str | None = None,
) -> Float[Tensor, "T E"]:
    """Stage 2: the expression coefficients of every frame, learnt at the network's own rate and given at the footage's.

    Raises:
        UserError: Footage in another morphable model than the avatar's, or a manner that it did not learn.
    """
    part = avatar.part("expression")
    if tuple(part.config["expression_names"]) != footage.expression_names:
        raise UserError(
            f"Expected footage fitted with the morphable model '{part.config['morphable_model']}' that the avatar "
            f"'{avatar.path}' learned its expressions in, but it is fitted with '{footage.morphable_model}'; fit both "
            "again."
        )
    people = part.config["people"]
    if manner is not None and manner not in people:
        raise UserError(f"Expected a manner of {', '.join(people)}, but got '{manner}'.")
    generator = load_network(ExpressionGenerator(**part.config["network"]), part)
    own_fps = part.config["fps"]
    count = num_frames if own_fps == fps else math.ceil(num_frames / fps * own_fps) + 1
    speech = load_described_encoder(part.config["speech_encoder"]).encode(waveform, own_fps, count)
    expressions = generate_expressions(
        generator,
        speech,
        emotion.sample_frames(count, own_fps),
        seed=seed,
        person=people.index(manner) if manner else 0,
    )
    return expressions if own_fps == fps else resample_frames(expressions, own_fps, fps, num_frames)


def with_footage_gaze(
    expressions: Float[Tensor, "T E"], footage: TrackedFace, order: Int[Tensor, " T"]
) -> Float[Tensor, "T E"]:
    """Expressions whose lids follow the eyes of the footage, played in an order, since the gaze is the footage's."""
    columns = [index for index, name in enumerate(footage.expression_names) if name.startswith(_FOOTAGE_EXPRESSIONS)]
    expressions = expressions.clone()
    expressions[:, columns] = footage.coefficients.expression_coefficients[order][:, columns]
    return expressions


def retargeted(footage: TrackedFace, order: Int[Tensor, " T"], expressions: Float[Tensor, "T E"]) -> TrackedFace:
    """The footage's head, light and gaze in the new order, with new expressions."""
    coefficients = dataclasses.replace(footage.coefficients.frames(order), expression_coefficients=expressions)
    return dataclasses.replace(footage, coefficients=coefficients, lighting=footage.lighting[order])
