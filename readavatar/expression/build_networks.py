"""The networks of a training: from a prior if one fits, otherwise with random weights.

A prior is an avatar without footage, trained on many people. It fits a training with the same speech features whose
expressions it has by name; emotions are matched by name, too. Distillation keeps the prior's response to emotions that
the training clips do not show.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

import readavatar
from readavatar.data.datasets.expression import ExpressionSpecification
from readavatar.data.datasets.expression_windows import ExpressionBatch
from readavatar.data.store.avatar import Avatar, AvatarPart
from readavatar.errors import UserError
from readavatar.expression.inference import slow_noise
from readavatar.expression.networks import ExpressionDiscriminator, ExpressionGenerator
from readavatar.expression.settings import LossWeights, NetworkSettings, OptimizationSettings
from readavatar.expression.sync import SyncNetwork, lip_landmarks
from readavatar.morphable import MorphableModel

_WINDOWS = 4
"""Number of windows of a batch; each is generated with and without an emotion, by both networks."""


class EmotionDistillation(nn.Module):
    """A loss that keeps the prior's effect of emotions that the clips do not show.

    Distillation: Hinton et al. 2015; learning without forgetting: Li & Hoiem 2016.
    """

    def __init__(self, prior: ExpressionGenerator, emotions: Sequence[int]) -> None:
        """
        Args:
            prior: The prior's generator for one person; it is not changed.
            emotions: Indices of these emotions.
        """
        super().__init__()
        self.prior = prior.eval().requires_grad_(False)
        self.emotions = list(emotions)

    def train(self, mode: bool = True) -> EmotionDistillation:
        """Keep the prior in evaluation mode."""
        return super().train(False)

    def forward(
        self,
        generator: ExpressionGenerator,
        batch: ExpressionBatch,
        distance: Callable[[Tensor, Tensor], Tensor],
    ) -> Float[Tensor, ""]:
        """Mean distance between the effects of a random emotion in both networks, for the batch's sound."""
        speech, blinks, person = (each[:_WINDOWS] for each in (batch.speech, batch.blinks, batch.person))
        size, num_frames, _ = speech.shape
        noise = slow_noise(size, num_frames, generator.num_noise, generator.fps).to(speech)[None]
        chosen = torch.tensor(self.emotions, device=speech.device)[torch.randint(len(self.emotions), (size,))]
        strength = torch.rand(size, 1, device=speech.device)
        asked = torch.zeros(size, batch.emotion.shape[2], device=speech.device).scatter(1, chosen[:, None], strength)
        asked = asked[:, None].expand(-1, num_frames, -1)
        without = torch.zeros_like(asked)
        was_training = generator.training
        generator.eval()  # dropout would differ between both passes and look like an effect of the emotion
        ours = generator(speech, asked, blinks, noise, person) - generator(speech, without, blinks, noise, person)
        generator.train(was_training)
        with torch.no_grad():
            nobody = torch.zeros_like(person)
            theirs = self.prior(speech, asked, blinks, noise, nobody) - self.prior(
                speech, without, blinks, noise, nobody
            )
        return distance(ours, theirs).mean()


Network = TypeVar("Network", bound=nn.Module)
_PACKAGE = Path(readavatar.__file__).parent
_FOLDERS = tuple(folder / "checkpoints" / "expression_prior" for folder in (_PACKAGE, _PACKAGE.parent))
"""In the wheel, and in a checkout."""
CRITICS = "expression_critics"
"""The avatar's part with the networks of the generator's losses: the discriminators and the sync expert."""


@dataclass(frozen=True)
class ExpressionPrior:
    """The prior's networks, with the mapping to a training's expressions and emotions."""

    path: Path
    generator: AvatarPart
    critics: AvatarPart | None
    expression_columns: list[int]
    """Index in the prior of each of the training's expressions."""
    emotion_columns: list[int | None]
    """Likewise of the emotions; None for one that the prior does not have."""

    def build_generator(self, num_people: int, bounds: Float[Tensor, "E 2"]) -> ExpressionGenerator:
        """The prior's generator for the training's expressions and emotions. New people start with the mean style.

        Args:
            num_people: Number of people.
            bounds: Of the coefficients.
        """
        sizes = self.generator.config["network"] | {
            "num_people": num_people,
            "num_expressions": len(self.expression_columns),
            "num_emotions": len(self.emotion_columns),
        }
        network, state = ExpressionGenerator(**sizes), dict(self.generator.state)
        for name in ("head.weight", "head.bias", "expression_mean", "expression_std"):
            state[name] = state[name][self.expression_columns]
        state["expression_bounds"] = bounds
        state["codes"] = state["codes"].mean(0, keepdim=True).repeat(num_people, 1)
        state["blink_rates"] = state["blink_rates"].mean(0, keepdim=True).repeat(num_people)
        known = len(self.generator.config["emotion_names"])
        weight = state["condition.0.weight"]
        columns = [weight[:, c] if c is not None else torch.zeros(len(weight)) for c in self.emotion_columns]
        state["condition.0.weight"] = torch.cat([torch.stack(columns, 1), weight[:, known:]], 1)
        network.load_state_dict(state)
        return network

    def build_discriminator(self) -> ExpressionDiscriminator | None:
        """The prior's discriminators; None if the training's expressions or emotions differ."""
        config = self._critic("discriminator")
        if config is None or (self.expression_columns, self.emotion_columns) != (
            list(range(config["num_expressions"])),
            list(range(config["num_emotions"])),
        ):
            return None
        return self._load(ExpressionDiscriminator(**config), "discriminator")

    def build_sync_expert(self, lips: Float[Tensor, "E 60"]) -> SyncNetwork | None:
        """The prior's sync expert for the training's face model; None if it has none.

        Args:
            lips: From ``lip_landmarks``.
        """
        config = self._critic("sync")
        return self._load(SyncNetwork(**config), "sync").on_face(lips).eval() if config else None

    def _critic(self, name: str) -> dict | None:
        return self.critics.config["network"].get(name) if self.critics else None

    def _load(self, network: Network, name: str) -> Network:
        prefix = f"{name}."
        state = self.critics.state
        network.load_state_dict({key.removeprefix(prefix): state[key] for key in state if key.startswith(prefix)})
        return network


def find_prior(choice: str, description: Mapping) -> ExpressionPrior | None:
    """Find the prior for a training.

    Args:
        choice: ``auto`` (a shipped prior if one fits), ``none``, or the folder of a prior or an avatar.
        description: Of the data: ``speech_encoder``, ``expression_names``, ``emotion_names``, ``fps``.

    Raises:
        UserError: The folder has no prior, or it does not fit.
    """
    if choice == "none":
        return None
    if choice != "auto":
        avatar = Avatar(choice)
        if reason := _misfit(avatar.part_config("expression"), description):
            raise UserError(f"Expected a prior that fits, but '{choice}' {reason}; give --model.prior none.")
        return _read(avatar, description)
    for folder in _FOLDERS:
        for card in sorted(folder.glob("*/avatar.json")):
            avatar = Avatar(card.parent)
            if not _misfit(avatar.part_config("expression"), description):
                return _read(avatar, description)
    return None


def _misfit(config: Mapping, description: Mapping) -> str | None:
    """Why a prior does not fit; None if it fits."""
    if config["speech_encoder"]["fingerprint"] != description["speech_encoder"]["fingerprint"]:
        ours, theirs = (each["speech_encoder"] for each in (description, config))
        return f"uses {theirs['name']} {theirs['layers'] or ''}, not {ours['name']} {ours['layers'] or ''}"
    if config["fps"] != description["fps"]:
        return f"moves at {config['fps']} fps, not {description['fps']}"
    if missing := set(description["expression_names"]) - set(config["expression_names"]):
        return f"lacks {len(missing)} of the expressions, such as '{min(missing)}'"
    return None


def _read(avatar: Avatar, description: Mapping) -> ExpressionPrior:
    part = avatar.part("expression")
    expressions, emotions = part.config["expression_names"], part.config["emotion_names"]
    return ExpressionPrior(
        path=avatar.path,
        generator=part,
        critics=avatar.part(CRITICS) if CRITICS in avatar.card.parts else None,
        expression_columns=[expressions.index(name) for name in description["expression_names"]],
        emotion_columns=[emotions.index(name) if name in emotions else None for name in description["emotion_names"]],
    )


@dataclass(frozen=True)
class Networks:
    """The networks of a training; None for those that the settings do not need."""

    generator: ExpressionGenerator
    discriminator: ExpressionDiscriminator | None = None
    sync_expert: SyncNetwork | None = None
    has_trained_sync: bool = False
    """Whether the expert is from the prior and needs no training."""
    distillation: EmotionDistillation | None = None


def build_networks(
    sizes: NetworkSettings,
    weights: LossWeights,
    optimization: OptimizationSettings,
    prior: ExpressionPrior | None,
    specification: ExpressionSpecification,
    model: MorphableModel,
) -> Networks:
    """Build the networks that the loss weights need: from the prior if there is one, else with random weights.

    Raises:
        UserError: Only a style code is to be trained, but there is no prior.
    """
    num_people = len(specification.people)
    if optimization.train == "code":
        if prior is None:
            raise UserError(
                "Expected a prior for training only a style code (optimization.train: code), but none fits."
            )
        generator = prior.build_generator(num_people, model.expression_bounds).requires_grad_(False)
        generator.codes.requires_grad_(True)
        generator.blink_rates.copy_(specification.blink_rates())
        return Networks(generator)
    if prior:
        generator = prior.build_generator(num_people, model.expression_bounds)
    else:
        generator = _generator(sizes, specification, model)
    generator.blink_rates.copy_(specification.blink_rates())
    discriminator = sync_expert = distillation = None
    has_trained_sync = False
    if weights.adversarial > 0 or weights.matching > 0:
        discriminator = (prior and prior.build_discriminator()) or _discriminator(sizes, generator)
    if weights.sync > 0:
        trained = prior and prior.build_sync_expert(lip_landmarks(model))
        has_trained_sync = trained is not None
        sync_expert = trained or SyncNetwork(specification.num_speech_features, model.num_expressions)
        sync_expert.requires_grad_(False)
    unseen = specification.unseen_emotions()
    if prior and unseen and weights.distillation > 0:
        distillation = EmotionDistillation(prior.build_generator(1, model.expression_bounds), unseen)
    return Networks(generator, discriminator, sync_expert, has_trained_sync, distillation)


def _generator(
    sizes: NetworkSettings, specification: ExpressionSpecification, model: MorphableModel
) -> ExpressionGenerator:
    generator = ExpressionGenerator(
        specification.num_speech_features,
        len(specification.emotion_names),
        model.num_expressions,
        specification.fps,
        num_people=len(specification.people),
        **sizes.generator_sizes,
    )
    speech, expressions = specification.training_speech(), specification.training_expressions()
    generator.standardise_by(speech, expressions, model.expression_bounds)
    return generator


def _discriminator(sizes: NetworkSettings, generator: ExpressionGenerator) -> ExpressionDiscriminator:
    names = ("num_speech_features", "num_emotions", "num_expressions", "code_width")
    return ExpressionDiscriminator(
        **{name: generator.config[name] for name in names},
        width=sizes.discriminator_width,
        scales=sizes.discriminator_scales,
    )
