"""Networks of the sizes that the settings ask for, with random weights."""

from __future__ import annotations

from readavatar.data.expression_data import ExpressionData
from readavatar.expression.discriminators import ExpressionDiscriminator
from readavatar.expression.networks import ExpressionGenerator
from readavatar.expression.settings import NetworkSettings


def new_generator(sizes: NetworkSettings, data: ExpressionData, num_expressions: int) -> ExpressionGenerator:
    """A generator for these data's speech features, emotions and people."""
    return ExpressionGenerator(
        data.num_speech_features,
        data.emotion_space.num_emotions,
        num_expressions,
        data.fps,
        kind=sizes.kind,
        width=sizes.width,
        reaches=sizes.reaches,
        num_noise=sizes.num_noise,
        num_people=len(data.people),
        code_width=sizes.code_width,
        dropout=sizes.dropout,
        speech_noise=sizes.speech_noise,
    )


def new_discriminator(sizes: NetworkSettings, generator: ExpressionGenerator) -> ExpressionDiscriminator:
    """Discriminators of what a generator makes."""
    given = {
        name: generator.config[name]
        for name in ("num_speech_features", "num_emotions", "num_expressions", "code_width")
    }
    return ExpressionDiscriminator(**given, width=sizes.discriminator_width, scales=sizes.discriminator_scales)
