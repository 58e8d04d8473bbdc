"""A training's networks: from the prior where there is one, with random weights where there is none."""

from __future__ import annotations

from dataclasses import dataclass

from readavatar.data.expression_data import ExpressionData
from readavatar.errors import UserError
from readavatar.expression.discriminators import ExpressionDiscriminator
from readavatar.expression.keeping import EmotionKeeper
from readavatar.expression.networks import ExpressionGenerator
from readavatar.expression.prior import Prior
from readavatar.expression.settings import LossWeights, NetworkSettings, Optimisation
from readavatar.expression.sync import SyncNetwork, lip_landmarks
from readavatar.morphable import MorphableModel


@dataclass(frozen=True)
class Networks:
    """What a training needs; None where the settings do without."""

    generator: ExpressionGenerator
    discriminator: ExpressionDiscriminator | None
    sync_expert: SyncNetwork | None
    knows_sync: bool
    """Whether the expert is the prior's and needs no training."""
    keeper: EmotionKeeper | None


def build_networks(
    sizes: NetworkSettings,
    weights: LossWeights,
    optimisation: Optimisation,
    prior: Prior | None,
    data: ExpressionData,
    model: MorphableModel,
) -> Networks:
    """Build what the weights ask for.

    Raises:
        UserError: Only a code is to be learnt, and there is no prior that it could be learnt for.
    """
    if optimisation.train == "code":
        if prior is None:
            raise UserError("Expected a prior, to which a code is learnt (optimisation.train: code), but none fits.")
        generator = prior.build_generator(len(data.people), model.expression_bounds).requires_grad_(False)
        generator.codes.requires_grad_(True)
        return Networks(generator, None, None, False, None)
    generator = _generator(sizes, prior, data, model)
    discriminator = sync_expert = None
    knows_sync = False
    if weights.adversarial > 0 or weights.matching > 0:
        discriminator = (prior and prior.build_discriminator()) or _discriminator(sizes, generator)
    if weights.sync > 0:
        known = prior and prior.build_sync_expert(lip_landmarks(model))
        knows_sync = known is not None
        sync_expert = (known or SyncNetwork(data.num_speech_features, model.num_expressions)).requires_grad_(False)
    unseen = data.unseen_emotions
    keeper = None
    if prior and unseen and weights.keep > 0:
        keeper = EmotionKeeper(prior.build_generator(1, model.expression_bounds), unseen)
    return Networks(generator, discriminator, sync_expert, knows_sync, keeper)


def _generator(
    sizes: NetworkSettings, prior: Prior | None, data: ExpressionData, model: MorphableModel
) -> ExpressionGenerator:
    if prior:
        return prior.build_generator(len(data.people), model.expression_bounds)
    generator = ExpressionGenerator(
        data.num_speech_features,
        data.emotion_space.num_emotions,
        model.num_expressions,
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
    generator.standardise_by(data.training_speech, data.training_expressions, model.expression_bounds)
    return generator


def _discriminator(sizes: NetworkSettings, generator: ExpressionGenerator) -> ExpressionDiscriminator:
    names = ("num_speech_features", "num_emotions", "num_expressions", "code_width")
    return ExpressionDiscriminator(
        **{name: generator.config[name] for name in names},
        width=sizes.discriminator_width,
        scales=sizes.discriminator_scales,
    )
