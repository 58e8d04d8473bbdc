"""Training the expression network."""

from __future__ import annotations

import math
from dataclasses import asdict, replace

import pytorch_lightning as pl
import torch
from jaxtyping import Float
from pytorch_lightning.cli import OptimizerCallable
from torch import Tensor, nn
from torch.optim import Adam, Optimizer
from torch.optim.swa_utils import AveragedModel

from readavatar.data.datasets.expression_windows import ExpressionBatch
from readavatar.expression.build_networks import CRITICS, build_networks, find_prior
from readavatar.expression.face_space import FACE_PARTS, FaceSpace, describe_scores, score_motion
from readavatar.expression.inference import slow_noise
from readavatar.expression.losses import (
    adversarial_loss,
    closure_loss,
    discriminator_loss,
    energy_score,
    gradient_penalty,
    matching_loss,
    weighted_sum,
)
from readavatar.expression.networks import ExpressionGenerator
from readavatar.expression.settings import LossWeights, NetworkSettings, Optimisation
from readavatar.expression.sync import lip_landmarks, sync_loss
from readavatar.expression.sync_training import train_sync_expert
from readavatar.morphable import load_morphable_model
from readavatar.optimization.ema import warmup_ema

_TEST_SAMPLES = 8
_CLOSED = 0.15
"""Lips count as closed in the lowest such share of the range of openings (5th to 95th percentile)."""
_LAST_RATE = 0.05
"""The learning rates fall along a cosine to this share."""


class ExpressionModule(pl.LightningModule):
    """Learns how a person moves their face when they speak; the batches come from ``ExpressionData``."""

    def __init__(
        self,
        network: NetworkSettings = NetworkSettings(),  # noqa: B008 (all three are frozen)
        weights: LossWeights = LossWeights(),  # noqa: B008
        optimisation: Optimisation = Optimisation(),  # noqa: B008
        prior: str = "auto",
        generator_optimizer: OptimizerCallable = lambda parameters: Adam(parameters, lr=5e-3, betas=(0.5, 0.99)),
        discriminator_optimizer: OptimizerCallable = lambda parameters: Adam(parameters, lr=1e-3, betas=(0.0, 0.99)),
    ) -> None:
        """
        Args:
            network: Sizes.
            weights: Of the losses.
            optimisation: Everything else that a step depends on.
            prior: Where to begin: ``auto`` is the prior that comes with readavatar, where it fits the clips' speech
                features and expressions; ``none`` begins at random; or an avatar's folder.
            generator_optimizer: From parameters.
            discriminator_optimizer: From parameters.
        """
        super().__init__()
        self.automatic_optimization = False
        self.network, self.weights, self.optimisation = network, weights, optimisation
        self.generator_optimizer, self.discriminator_optimizer = generator_optimizer, discriminator_optimizer
        self.prior = prior
        self.generator: ExpressionGenerator | None = None

    def setup(self, stage: str) -> None:
        """Build the networks for what the data gives."""
        if self.generator is not None:
            return
        data = self.trainer.datamodule
        model = load_morphable_model(data.face_model)
        prior = find_prior(self.prior, data.description())
        if prior:
            self.print(f"Beginning from the prior '{prior.path}'.")
        begins_taught = prior and self.optimisation.train == "all"
        self.rate = self.optimisation.rate_from_prior if begins_taught else 1.0
        networks = build_networks(self.network, self.weights, self.optimisation, prior, data, model)
        self.generator, self.discriminator = networks.generator, networks.discriminator
        self.generator.blink_rates.copy_(data.blink_rates)
        self.sync_expert, self.distillation = networks.sync_expert, networks.distillation
        self.register_buffer("knows_sync", torch.tensor(networks.knows_sync))
        self.averaged = AveragedModel(self.generator, multi_avg_fn=warmup_ema(self.optimisation.ema_decay))
        self.space = FaceSpace(model)
        low, high = self.space.opening(data.training_expressions).quantile(torch.tensor([0.05, 0.95]))
        self.closed_below = float(torch.lerp(low, high, _CLOSED))
        # What there is no network for has no term.
        absent = {"adversarial", "matching"} if self.discriminator is None else set()
        absent |= {"distillation"} if self.distillation is None else set()
        absent |= {"sync"} if self.sync_expert is None else set()
        self.active_weights = {name: value for name, value in asdict(self.weights).items() if name not in absent}
        data.context = self.generator.context

    def on_fit_start(self) -> None:
        """The sync expert learns first, from the same clips."""
        if self.sync_expert is None or bool(self.knows_sync):
            return
        data = self.trainer.datamodule
        takes = [(clip.speech.float(), clip.expressions) for clip in data.spoken]
        lips = lip_landmarks(load_morphable_model(data.face_model))
        seed = int(torch.randint(2**31, ()))
        expert = train_sync_expert(takes, lips, seed=seed, progress=self.trainer.progress_bar_callback is not None)
        self.sync_expert.load_state_dict(expert.state_dict())
        self.sync_expert.to(self.device)
        self.knows_sync.fill_(True)

    def configure_optimizers(self) -> list[Optimizer]:
        """The generator's, and the discriminators' if there are any."""
        learnt = [parameter for parameter in self.generator.parameters() if parameter.requires_grad]
        optimizers = [self.generator_optimizer(learnt)]
        if self.discriminator is not None:
            optimizers.append(self.discriminator_optimizer(self.discriminator.parameters()))
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group["initial_lr"] = self.rate * group["lr"]
        return optimizers

    def training_step(self, batch: ExpressionBatch, batch_index: int) -> None:
        """One step of the generator, then one of the discriminators."""
        self._set_learning_rates()
        samples = self._draw(self.generator, batch, self.optimisation.samples)
        target = batch.expressions
        motions, velocities = (samples, target), (samples.diff(dim=2), target.diff(dim=1))
        terms = {part: lambda part=part: self._energy_score(part, *motions) for part in FACE_PARTS}
        terms["velocity"] = lambda: sum(self._energy_score(part, *velocities) for part in FACE_PARTS)
        terms["closure"] = lambda: self._closure(samples, target)
        if self.discriminator is not None:
            self.discriminator.requires_grad_(False)
            judged, real = (self._judge(self._standard(motion), batch) for motion in (samples[0], target))
            terms["adversarial"] = lambda: adversarial_loss(judged)
            terms["matching"] = lambda: matching_loss(judged, real)
        if self.sync_expert is not None:
            self.sync_expert.eval()
            terms["sync"] = lambda: sync_loss(self.sync_expert, self._inside(batch.speech, target), samples[0])
        if self.distillation is not None:
            terms["distillation"] = lambda: self.distillation(self.generator, batch, self._position("face"))
        total, values = weighted_sum(terms, self.active_weights, self.global_step)
        optimizer = self.optimizers()[0] if self.discriminator is not None else self.optimizers()
        optimizer.zero_grad()
        self.manual_backward(total)
        torch.nn.utils.clip_grad_norm_(self.generator.parameters(), self.optimisation.clip_gradients)
        optimizer.step()
        self.averaged.update_parameters(self.generator)
        if self.discriminator is not None:
            values["discriminator"] = self._discriminator_step(samples[0].detach(), batch, batch_index)
        self.log_dict({f"train/{name}": value for name, value in values.items()}, batch_size=len(target))
        self.log("loss", total.detach(), prog_bar=True, logger=False)

    def _discriminator_step(self, generated: Tensor, batch: ExpressionBatch, batch_index: int) -> Float[Tensor, ""]:
        settings = self.optimisation
        self.discriminator.requires_grad_(True)
        penalised = settings.r1 > 0 and batch_index % settings.r1_every == 0
        # The penalty is on standardised motion: per raw unit a coefficient that hardly moves has a huge gradient, and
        # the discriminators would learn to say the same of everything.
        true, false = self._standard(batch.expressions).requires_grad_(penalised), self._standard(generated)
        real = self._judge(true, batch)
        other = replace(batch, speech=batch.speech.roll(1, 0), emotion=batch.emotion.roll(1, 0))
        fakes = [(1.0, self._judge(false, batch)), (settings.mismatch, self._judge(true.detach(), other))]
        total = loss = discriminator_loss(real, fakes)
        if penalised:
            total = loss + settings.r1 * settings.r1_every * gradient_penalty(real, true)
        # Not through Lightning's wrapper, which would count this as a step of training: max_steps are batches.
        optimizer = self.optimizers(use_pl_optimizer=False)[1]
        optimizer.zero_grad()
        self.manual_backward(total)
        optimizer.step()
        return loss.detach()

    def _draw(
        self, generator: ExpressionGenerator, batch: ExpressionBatch, count: int, numbers: torch.Generator | None = None
    ) -> Float[Tensor, "S B T E"]:
        """``count`` motions for every window."""
        size, num_frames, _ = batch.speech.shape
        noise = slow_noise(count * size, num_frames, generator.num_noise, generator.fps, numbers).to(batch.speech)
        return generator(batch.speech, batch.emotion, batch.blinks, noise.unflatten(0, (count, size)), batch.person)

    def _standard(self, expressions: Float[Tensor, "B T E"]) -> Float[Tensor, "B T E"]:
        return self.generator.standard_expressions(expressions)

    def _judge(self, motion: Float[Tensor, "B T E"], batch: ExpressionBatch) -> list[list[Tensor]]:
        """The discriminators on standardised motion."""
        speech = self.generator.standard_speech(self._inside(batch.speech, motion))
        code = self.generator.codes[batch.person].detach()
        return self.discriminator(motion, speech, self._inside(batch.emotion, motion), code)

    def _inside(self, values: Float[Tensor, "B F C"], like: Float[Tensor, "B T E"]) -> Float[Tensor, "B T C"]:
        """Without the context."""
        return values[:, self.generator.context : self.generator.context + like.shape[1]]

    def _energy_score(self, part: str, samples: Tensor, target: Tensor) -> Float[Tensor, ""]:
        warm_up = self.optimisation.warm_up
        repulsion = min(1.0, self._progress / warm_up) if warm_up > 0 else 1.0
        return energy_score(self._position(part), samples, target, repulsion)

    @property
    def _progress(self) -> float:
        """Share of the training that is done."""
        return min(self.global_step / self.trainer.estimated_stepping_batches, 1.0)

    def _position(self, part: str):
        return lambda first, second: self.space.distance(part, first, second)

    def _closure(self, samples: Tensor, target: Tensor) -> Float[Tensor, ""]:
        opening = self.space.opening(target).expand(samples.shape[:-1])
        return closure_loss(self.space.opening(samples), opening, opening < self.closed_below)

    def _set_learning_rates(self) -> None:
        factor = _LAST_RATE + (1 - _LAST_RATE) * (1 + math.cos(math.pi * self._progress)) / 2
        for optimizer in self.trainer.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = group["initial_lr"] * factor

    def validation_step(self, batch: ExpressionBatch, batch_index: int) -> None:
        """Score the averaged network on held-out seconds."""
        self._score(batch, "val")

    def test_step(self, batch: ExpressionBatch, batch_index: int) -> None:
        """The same."""
        self._score(batch, "test")

    def _score(self, batch: ExpressionBatch, stage: str) -> None:
        numbers = torch.Generator().manual_seed(0)
        samples = self._draw(self.averaged.module, batch, _TEST_SAMPLES, numbers)[:, 0]
        for name, value in score_motion(samples, batch.expressions[0], self.space).items():
            self.log(f"{stage}/{name}", value, batch_size=samples.shape[1])

    def on_validation_epoch_end(self) -> None:
        """Say how good it is."""
        self._report("val")

    def on_test_epoch_end(self) -> None:
        """Likewise."""
        self._report("test")

    def _report(self, stage: str) -> None:
        if not self.trainer.sanity_checking:
            scores = {name.removeprefix(f"{stage}/"): value for name, value in self.trainer.callback_metrics.items()}
            self.print(f"held out, {self.global_step} steps: {describe_scores(scores)}")

    def avatar_parts(self) -> list[dict]:
        """The averaged network and what it was trained with, for the avatar's folder; with it what can go on."""
        network, description = self.averaged.module, self.trainer.datamodule.description()
        parts = [{"name": "expression", "network": network, "config": {"network": network.config, **description}}]
        critics = {"discriminator": self.discriminator, "sync": self.sync_expert}
        critics = {name: each for name, each in critics.items() if each is not None}
        if critics:
            config = {"network": {name: each.config for name, each in critics.items()}}
            parts.append({"name": CRITICS, "network": nn.ModuleDict(critics), "config": config})
        return parts
