"""Inference of stage 2: motion of any length from a trained generator, and an avatar's motion for a sound."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from readavatar.data.datasets.annotations import blink_pulses
from readavatar.data.datasets.speech_features import load_described_encoder
from readavatar.data.store.avatar import Avatar, load_network
from readavatar.emotion import EmotionTrack
from readavatar.errors import UserError
from readavatar.expression.networks import ExpressionGenerator
from readavatar.media.frame_rate import resample_frames
from readavatar.speech import SpeechEncoder
from readavatar.types import TrackedFace

_BETWEEN_BLINKS = 0.5
"""Least time between two blinks, seconds."""
_NOISE_SECONDS = (0.08, 0.3, 1.2)
"""Standard deviations of the Gaussians that smooth the noise: a flash of the brows, a syllable, a phrase."""


def slow_noise(
    num_sequences: int, num_frames: int, num_channels: int, fps: float, generator: torch.Generator | None = None
) -> Float[Tensor, "B F K"]:
    """Smooth Gaussian noise of unit variance; channels alternate between the time scales.

    Args:
        num_sequences: B.
        num_frames: F.
        num_channels: K.
        fps: Frames per second.
        generator: Random generator; None takes the global one.
    """
    noise = torch.zeros(num_sequences, num_frames, num_channels)
    for turn, seconds in enumerate(_NOISE_SECONDS):
        channels = range(turn, num_channels, len(_NOISE_SECONDS))
        if not channels:
            continue
        radius = max(1, round(3 * seconds * fps))
        kernel = torch.exp(-0.5 * (torch.arange(-radius, radius + 1) / (seconds * fps)) ** 2)
        kernel = kernel / kernel.square().sum().sqrt()
        white = torch.randn(num_sequences * len(channels), 1, num_frames + 2 * radius, generator=generator)
        smooth = F.conv1d(white, kernel[None, None])
        noise[..., turn :: len(_NOISE_SECONDS)] = smooth.unflatten(0, (num_sequences, -1))[:, :, 0].mT
    return noise


def random_blinks(num_frames: int, fps: float, rate: float, generator: torch.Generator) -> Float[Tensor, " F"]:
    """Pulses of blinks at random times: a Poisson process with a dead time.

    Args:
        num_frames: F.
        fps: Frames per second.
        rate: Mean number of blinks per second.
        generator: Random generator.
    """
    if rate <= 0:
        return torch.zeros(num_frames)
    mean = max(1 / rate - _BETWEEN_BLINKS, _BETWEEN_BLINKS)
    count = 10 + int(2 * num_frames / fps * rate)  # more than needed
    waits = _BETWEEN_BLINKS - mean * torch.rand(count, generator=generator).clamp(min=1e-6).log()
    times = waits.cumsum(0) - mean * torch.rand((), generator=generator)
    return blink_pulses((times * fps)[(times > 0) & (times < num_frames / fps)], num_frames, fps)


@torch.no_grad()
def generate_expressions(
    generator: ExpressionGenerator,
    speech_features: Float[Tensor, "T D"],
    emotion: Float[Tensor, "T N"],
    seed: int = 0,
    chunk: int = 1024,
    person: int = 0,
    blinks: Float[Tensor, " T"] | None = None,
) -> Float[Tensor, "T E"]:
    """Generate one of the motions that fit a sound and an emotion.

    Args:
        generator: A trained generator.
        speech_features: Of every frame.
        emotion: Of every frame, in [0, 1].
        seed: Of the motion; equal seeds give equal motions.
        chunk: Frames computed at once; the result does not depend on it.
        person: Index of the person whose style is used.
        blinks: From ``blink_pulses``; by default random ones at the person's rate.
    """
    if len(speech_features) != len(emotion):
        raise ValueError(
            f"Expected as many frames of emotion as of speech, {len(speech_features)}, got {len(emotion)}."
        )
    was_training, context = generator.training, generator.context
    generator.eval()
    numbers = torch.Generator().manual_seed(seed)
    noise = slow_noise(1, len(emotion) + 2 * context, generator.num_noise, generator.fps, numbers)
    device = generator.speech_mean.device
    if blinks is None:
        blinks = random_blinks(len(emotion), generator.fps, float(generator.blink_rates[person]), numbers)
    parts, whose = [], torch.tensor([person], device=device)
    for first in range(0, len(emotion), chunk):
        last = min(first + chunk, len(emotion))
        near = torch.arange(first - context, last + context).clamp(0, len(emotion) - 1)  # the ends are repeated
        inputs = (values[near].to(device)[None] for values in (speech_features, emotion, blinks))
        around = noise[None, :, first : last + 2 * context].to(device)
        parts.append(generator(*inputs, around, whose)[0, 0])
    generator.train(was_training)
    return torch.cat(parts).to(speech_features.device)


_FOOTAGE_EXPRESSIONS = ("eyeLookDown", "eyeLookIn", "eyeLookOut", "eyeLookUp")
"""Expressions that follow the gaze; both are taken from the footage."""


def generate_motion(
    avatar: Avatar,
    footage: TrackedFace,
    waveform: Float[Tensor, " num_samples"],
    emotion: EmotionTrack,
    num_frames: int,
    fps: float,
    seed: int,
    style: str | None = None,
    device: torch.device | str = "cpu",
    load_encoder: Callable[[dict], SpeechEncoder] = load_described_encoder,
) -> Float[Tensor, "T E"]:
    """Generate the expression coefficients of every frame, resampled from the network's rate to the footage's.

    Args:
        avatar: An avatar with an expression part.
        footage: The footage whose expressions are replaced.
        waveform: 16 kHz.
        emotion: In the avatar's emotions.
        num_frames: T.
        fps: Of the footage.
        seed: Of the motion.
        style: Name of the person whose style is used; by default the first of the training.
        device: For the computation; the result is on the CPU.
        load_encoder: Loads the described speech encoder; it is moved to the device.

    Raises:
        UserError: The footage has another morphable model than the avatar, or the style is unknown.
    """
    part = avatar.part("expression")
    if tuple(part.config["expression_names"]) != footage.expression_names:
        raise UserError(
            f"Expected footage fitted with the morphable model '{part.config['morphable_model']}' that the avatar "
            f"'{avatar.path}' was trained with, but it is fitted with '{footage.morphable_model}'; fit both "
            "again."
        )
    people = part.config["people"]
    if style is not None and style not in people:
        raise UserError(f"Expected a style of {', '.join(people)}, but got '{style}'.")
    generator = load_network(ExpressionGenerator(**part.config["network"]), part).to(device)
    own_fps = part.config["fps"]
    count = num_frames if own_fps == fps else math.ceil(num_frames / fps * own_fps) + 1
    speech = load_encoder(part.config["speech_encoder"]).to(device).encode(waveform.to(device), own_fps, count)
    expressions = generate_expressions(
        generator,
        speech,
        emotion.sample_frames(count, own_fps),
        seed=seed,
        person=people.index(style) if style else 0,
    ).cpu()
    return expressions if own_fps == fps else resample_frames(expressions, own_fps, fps, num_frames)


def with_footage_gaze(
    expressions: Float[Tensor, "T E"], footage: TrackedFace, order: Int[Tensor, " T"]
) -> Float[Tensor, "T E"]:
    """Replace the expressions that follow the gaze by those of the footage, in the order of its frames."""
    columns = [index for index, name in enumerate(footage.expression_names) if name.startswith(_FOOTAGE_EXPRESSIONS)]
    expressions = expressions.clone()
    expressions[:, columns] = footage.coefficients.expression_coefficients[order][:, columns]
    return expressions


def retargeted(footage: TrackedFace, order: Int[Tensor, " T"], expressions: Float[Tensor, "T E"]) -> TrackedFace:
    """The footage's head pose, lighting and gaze in the given order, with new expressions."""
    coefficients = dataclasses.replace(footage.coefficients.frames(order), expression_coefficients=expressions)
    return dataclasses.replace(footage, coefficients=coefficients, lighting=footage.lighting[order])
