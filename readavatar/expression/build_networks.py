"""What the prior knows of emotions that a person was not filmed in, kept while that person is learnt.

A training's networks: from a prior where one fits, with random weights where none does.

A prior is an avatar without footage, trained on many people: its networks' weights and what they were trained with. It
fits a training whose speech features are the same and whose expressions it has by name; emotions are matched by name,
too.
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
"""Of a batch: each is generated with and without an emotion, by both networks."""


class EmotionDistillation(nn.Module):
    """Asks that an emotion change the face as it does in the prior (distillation, Hinton et al. 2015; learning without
    forgetting, Li & Hoiem 2016), for the emotions of which the clips show nothing."""

    def __init__(self, prior: ExpressionGenerator, emotions: Sequence[int]) -> None:
        """
        Args:
            prior: Its generator for one person; stays as it is.
            emotions: Indices of those to keep.
        """
        super().__init__()
        self.prior = prior.eval().requires_grad_(False)
        self.emotions = list(emotions)

    def train(self, mode: bool = True) -> EmotionDistillation:
        """The prior never trains."""
        return super().train(False)

    def forward(
        self,
        generator: ExpressionGenerator,
        batch: ExpressionBatch,
        distance: Callable[[Tensor, Tensor], Tensor],
    ) -> Float[Tensor, ""]:
        """Mean distance between the two networks' effects of an emotion drawn at random, in sound of the batch."""
        speech, blinks, person = (each[:_WINDOWS] for each in (batch.speech, batch.blinks, batch.person))
        size, num_frames, _ = speech.shape
        noise = slow_noise(size, num_frames, generator.num_noise, generator.fps).to(speech)[None]
        chosen = torch.tensor(self.emotions, device=speech.device)[torch.randint(len(self.emotions), (size,))]
        strength = torch.rand(size, 1, device=speech.device)
        asked = torch.zeros(size, batch.emotion.shape[2], device=speech.device).scatter(1, chosen[:, None], strength)
        asked = asked[:, None].expand(-1, num_frames, -1)
        without = torch.zeros_like(asked)
        was_training = generator.training
        generator.eval()  # dropout would differ between the two and pass for an effect of the emotion
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
"""In the wheel; in a checkout."""
CRITICS = "expression_critics"
"""The avatar's part that holds what judged the generator in training: the discriminators and the sync expert."""


@dataclass(frozen=True)
class ExpressionPrior:
    """Trained networks, and how to address them by a training's own names."""

    path: Path
    generator: AvatarPart
    critics: AvatarPart | None
    expression_columns: list[int]
    """Of the prior's expressions, those of the training."""
    emotion_columns: list[int | None]
    """Likewise; None for an emotion that the prior does not know."""

    def build_generator(self, num_people: int, bounds: Float[Tensor, "E 2"]) -> ExpressionGenerator:
        """The prior's generator in the training's names; its new people move as the prior's do on average.

        Args:
            num_people: Codes.
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
        """The prior's discriminators, where the training has its expressions and emotions in its order."""
        config = self._critic("discriminator")
        if config is None or (self.expression_columns, self.emotion_columns) != (
            list(range(config["num_expressions"])),
            list(range(config["num_emotions"])),
        ):
            return None
        return self._load(ExpressionDiscriminator(**config), "discriminator")

    def build_sync_expert(self, lips: Float[Tensor, "E 60"]) -> SyncNetwork | None:
        """The prior's sync expert on the training's face.

        Args:
            lips: Of ``lip_landmarks``.
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
    """The prior for a training.

    Args:
        choice: ``auto`` (one that comes with readavatar, if one fits), ``none``, or the folder of a prior or an avatar.
        description: Of the data: ``speech_encoder``, ``expression_names``, ``emotion_names``, ``fps``.

    Raises:
        UserError: The folder holds none, or it does not fit.
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
    """Why a prior does not fit."""
    if config["speech_encoder"]["fingerprint"] != description["speech_encoder"]["fingerprint"]:
        ours, theirs = (each["speech_encoder"] for each in (description, config))
        return f"hears {theirs['name']} {theirs['layers'] or ''}, not {ours['name']} {ours['layers'] or ''}"
    if config["fps"] != description["fps"]:
        return f"moves at {config['fps']} fps, not {description['fps']}"
    if missing := set(description["expression_names"]) - set(config["expression_names"]):
        return f"does not know {len(missing)} of the expressions, such as '{min(missing)}'"
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
    """What a training needs; None where the settings do without."""

    generator: ExpressionGenerator
    discriminator: ExpressionDiscriminator | None = None
    sync_expert: SyncNetwork | None = None
    has_trained_sync: bool = False
    """Whether the expert is the prior's and needs no training."""
    distillation: EmotionDistillation | None = None


def build_networks(
    sizes: NetworkSettings,
    weights: LossWeights,
    optimization: OptimizationSettings,
    prior: ExpressionPrior | None,
    specification: ExpressionSpecification,
    model: MorphableModel,
) -> Networks:
    """Build what the weights ask for: from the prior where there is one, else with random weights.

    Raises:
        UserError: Only a code is to be learnt, and there is no prior that it could be learnt for.
    """
    num_people = len(specification.people)
    if optimization.train == "code":
        if prior is None:
            raise UserError("Expected a prior, to which a code is learnt (optimization.train: code), but none fits.")
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
