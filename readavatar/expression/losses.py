"""Losses of the generator: distances on the face, lip closure, a sync expert and discriminators."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from readavatar.data.datasets.expression_windows import ExpressionBatch
from readavatar.expression.build_networks import Networks
from readavatar.expression.face_space import FACE_PARTS, FaceSpace
from readavatar.expression.networks import ExpressionGenerator
from readavatar.expression.settings import LossWeights, OptimizationSettings
from readavatar.expression.sync import sync_loss
from readavatar.optimization.losses import (
    Judgement,
    discriminator_hinge_loss,
    feature_matching_loss,
    generator_hinge_loss,
    r1_penalty,
    weighted_sum,
)

_CLOSED = 0.15
"""Lips count as closed in the lowest share of the range of openings (5th to 95th percentile)."""


def energy_score(
    distance: Callable[[Tensor, Tensor], Tensor],
    samples: Float[Tensor, "S B T E"],
    target: Float[Tensor, "B T E"],
    repulsion: float = 1.0,
) -> Float[Tensor, ""]:
    """Mean distance of samples to the target minus half the mean distance between samples.

    The energy score (Gneiting & Raftery 2007, eq. 22) is smallest in expectation if the samples have the distribution
    of the targets; with one sample it is a regression.

    Args:
        distance: Between two motions, frame by frame.
        samples: S motions generated for the same sound.
        target: The true motion.
        repulsion: Weight of the distance between samples; 0 is a regression.
    """
    score = distance(samples, target.expand_as(samples)).mean()
    if len(samples) == 1:
        return score
    first, second = torch.triu_indices(len(samples), len(samples), 1)
    return score - 0.5 * repulsion * distance(samples[first], samples[second]).mean()


def closure_loss(
    predicted: Float[Tensor, "*b"], target: Float[Tensor, "*b"], is_closed: Bool[Tensor, "*b"]
) -> Float[Tensor, ""]:
    """Mean square of the excess opening of the lips over frames in which the true lips are closed.

    Args:
        predicted: Opening, millimetres.
        target: The true opening.
        is_closed: Frames with truly closed lips.
    """
    excess = (predicted - target).clamp(min=0).square() * is_closed
    return excess.sum() / is_closed.sum().clamp(min=1)


class ExpressionObjective(nn.Module):
    """The weighted losses of the generator, and that of the discriminators."""

    def __init__(
        self,
        weights: LossWeights,
        optimization: OptimizationSettings,
        networks: Networks,
        space: FaceSpace,
        expressions: Float[Tensor, "T E"],
    ) -> None:
        """
        Args:
            weights: Of the terms; a term whose network is missing is left out.
            optimization: For the discriminators' step.
            networks: The discriminators, the sync expert and the distillation.
            space: Distances on the face.
            expressions: Of the training clips, for the range of lip openings.
        """
        super().__init__()
        self.optimization, self.space = optimization, space
        self.discriminator, self.sync_expert = networks.discriminator, networks.sync_expert
        self.distillation = networks.distillation
        low, high = space.opening(expressions).quantile(torch.tensor([0.05, 0.95]))
        self.closed_below = float(torch.lerp(low, high, _CLOSED))
        absent = {"adversarial", "matching"} if self.discriminator is None else set()
        absent |= {"distillation"} if self.distillation is None else set()
        absent |= {"sync"} if self.sync_expert is None else set()
        self.weights = {name: value for name, value in asdict(weights).items() if name not in absent}

    def forward(
        self,
        generator: ExpressionGenerator,
        batch: ExpressionBatch,
        samples: Float[Tensor, "S B T E"],
        repulsion: float,
        step: int,
    ) -> tuple[Float[Tensor, ""], dict[str, Float[Tensor, ""]]]:
        """The generator's objective, and each term's value.

        Args:
            generator: The generator of the samples.
            batch: The training windows.
            samples: S motions for each window.
            repulsion: For ``energy_score``.
            step: Of the training.
        """
        target = batch.expressions
        motions, velocities = (samples, target), (samples.diff(dim=2), target.diff(dim=1))
        score = self._energy_score
        terms = {part: lambda part=part: score(part, *motions, repulsion) for part in FACE_PARTS}
        terms["velocity"] = lambda: sum(score(part, *velocities, repulsion) for part in FACE_PARTS)
        terms["closure"] = lambda: self._closure(samples, target)
        if self.discriminator is not None:
            self.discriminator.requires_grad_(False)
            standard = generator.standard_expressions
            fake, real = (self._judgement(generator, standard(motion), batch) for motion in (samples[0], target))
            terms["adversarial"] = lambda: generator_hinge_loss(fake)
            terms["matching"] = lambda: feature_matching_loss(fake, real)
        if self.sync_expert is not None:
            self.sync_expert.eval()
            terms["sync"] = lambda: sync_loss(self.sync_expert, generator.inside(batch.speech, target), samples[0])
        if self.distillation is not None:
            terms["distillation"] = lambda: self.distillation(generator, batch, self._distance("face"))
        return weighted_sum(terms, self.weights, step)

    def discriminator_step(
        self, generator: ExpressionGenerator, batch: ExpressionBatch, generated: Float[Tensor, "B T E"], penalised: bool
    ) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
        """The discriminators' hinge loss with the gradient penalty (if ``penalised``), and without it.

        Args:
            generator: For the standardisation of motion and speech.
            batch: True motion.
            generated: One motion for each window.
            penalised: Whether to add the penalty.
        """
        settings = self.optimization
        self.discriminator.requires_grad_(True)
        # The penalty is on standardised motion: in raw units, coefficients that hardly move have a huge gradient, and
        # the discriminators would become constant.
        true = generator.standard_expressions(batch.expressions).requires_grad_(penalised)
        false = generator.standard_expressions(generated)
        real = self._judgement(generator, true, batch)
        other = replace(batch, speech=batch.speech.roll(1, 0), emotion=batch.emotion.roll(1, 0))
        fake, mismatched = self._judgement(generator, false, batch), self._judgement(generator, true.detach(), other)
        loss = discriminator_hinge_loss(real, [(1.0, fake), (settings.mismatch, mismatched)])
        if not penalised:
            return loss, loss.detach()
        penalty = r1_penalty(real, true) * true.shape[1]  # per frame
        return loss + settings.r1 * settings.r1_every * penalty, loss.detach()

    def _judgement(
        self, generator: ExpressionGenerator, motion: Float[Tensor, "B T E"], batch: ExpressionBatch
    ) -> Judgement:
        """The discriminators on standardised motion."""
        speech = generator.standard_speech(generator.inside(batch.speech, motion))
        code = generator.codes[batch.person].detach()
        return self.discriminator(motion, speech, generator.inside(batch.emotion, motion), code)

    def _energy_score(self, part: str, samples: Tensor, target: Tensor, repulsion: float) -> Float[Tensor, ""]:
        return energy_score(self._distance(part), samples, target, repulsion)

    def _distance(self, part: str) -> Callable[[Tensor, Tensor], Tensor]:
        return lambda first, second: self.space.distance(part, first, second)

    def _closure(self, samples: Tensor, target: Tensor) -> Float[Tensor, ""]:
        opening = self.space.opening(target).expand(samples.shape[:-1])
        return closure_loss(self.space.opening(samples), opening, opening < self.closed_below)
