"""The LightningModule of stage 2."""

from __future__ import annotations

import logging
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.optim import Adam, Optimizer
from torch.optim.lr_scheduler import LRScheduler

from readavatar.data.datasets.expression import ExpressionSpecification
from readavatar.data.datasets.expression_windows import ExpressionBatch
from readavatar.expression.build_networks import CRITICS, build_networks, find_prior
from readavatar.expression.face_space import FaceSpace, describe_scores, score_motion
from readavatar.expression.inference import slow_noise
from readavatar.expression.losses import ExpressionObjective
from readavatar.expression.networks import ExpressionGenerator
from readavatar.expression.settings import LossWeights, NetworkSettings, OptimizationSettings
from readavatar.expression.sync import lip_landmarks
from readavatar.expression.sync_training import train_sync_expert
from readavatar.media.images import plot_curves
from readavatar.morphable import load_morphable_model
from readavatar.optimization.training_module import AdversarialModule, make_ema

_LOGGER = logging.getLogger(__name__)

_TEST_SAMPLES = 8


class ExpressionModule(AdversarialModule):
    """Trains the generator of a person's facial motion; batches come from ``ExpressionData``."""

    def __init__(
        self,
        network: NetworkSettings = NetworkSettings(),  # noqa: B008 (all three are frozen)
        weights: LossWeights = LossWeights(),  # noqa: B008
        optimization: OptimizationSettings = OptimizationSettings(),  # noqa: B008
        prior: str = "auto",
    ) -> None:
        """
        Args:
            network: Sizes of the networks.
            weights: Of the losses.
            optimization: Learning rates and everything else that a step depends on.
            prior: Initial networks: ``auto`` is the shipped prior, if it fits the clips' speech features and
                expressions; ``none`` is random weights; or an avatar's folder.
        """
        super().__init__()
        self.network, self.weights, self.optimization, self.prior = network, weights, optimization, prior
        self.generator: ExpressionGenerator | None = None

    def build(self, specification: ExpressionSpecification) -> None:
        """Build the networks for some clips, before a trainer sees the module."""
        self.specification = specification
        model = load_morphable_model(specification.morphable_model)
        prior = find_prior(self.prior, specification.description())
        if prior:
            _LOGGER.info("Starting from the prior '%s'.", prior.path)
        begins_trained = prior and self.optimization.train == "all"
        self.rate = self.optimization.rate_from_prior if begins_trained else 1.0
        networks = build_networks(self.network, self.weights, self.optimization, prior, specification, model)
        self.generator = networks.generator
        self.register_buffer("has_trained_sync", torch.tensor(networks.has_trained_sync))
        self.ema = make_ema(self.generator, self.optimization.ema_decay)
        self.objective = ExpressionObjective(
            self.weights, self.optimization, networks, FaceSpace(model), specification.training_expressions()
        )

    def requirements(self) -> dict[str, int]:
        """The data's requirements: ``context``, frames on either side of a window."""
        return {"context": self.generator.context}

    def on_fit_start(self) -> None:
        """Train the sync expert first, on the same clips."""
        expert = self.objective.sync_expert
        if expert is None or bool(self.has_trained_sync):
            return
        takes = [(clip.speech.float(), clip.expressions) for clip in self.specification.spoken]
        lips = lip_landmarks(load_morphable_model(self.specification.morphable_model))
        seed = int(torch.randint(2**31, ()))
        trained = train_sync_expert(takes, lips, seed=seed, progress=self.trainer.progress_bar_callback is not None)
        expert.load_state_dict(trained.state_dict())
        expert.to(self.device)
        self.has_trained_sync.fill_(True)

    def configure_optimizers(self) -> tuple[list[Optimizer], list[LRScheduler]]:
        """The generator's, and the discriminators' if there are any."""
        settings, discriminator = self.optimization, self.objective.discriminator
        learnt = [parameter for parameter in self.generator.parameters() if parameter.requires_grad]
        rate, of_discriminator = self.rate * settings.discriminator_learning_rate, None
        if discriminator is not None:
            of_discriminator = Adam(discriminator.parameters(), rate, betas=(0.0, 0.99))
        return self.with_schedules(
            Adam(learnt, self.rate * settings.learning_rate, betas=(0.5, 0.99)), of_discriminator
        )

    def training_step(self, batch: ExpressionBatch, batch_index: int) -> None:
        """One step of the generator, then one of the discriminators."""
        settings, target = self.optimization, batch.expressions
        samples = self._draw(self.generator, batch, settings.samples)
        progress = min(self.global_step / self.trainer.estimated_stepping_batches, 1.0)
        repulsion = min(1.0, progress / settings.warm_up) if settings.warm_up > 0 else 1.0
        total, values = self.objective(self.generator, batch, samples, repulsion, self.global_step)
        self.step_network(total, self.generator, settings.clip_gradients)
        self.ema.update_parameters(self.generator)
        if self.objective.discriminator is not None:
            values["discriminator"] = self._discriminator_step(samples[0].detach(), batch, batch_index)
        self.step_schedules()
        self.log_dict({f"train/{name}": value for name, value in values.items()}, batch_size=len(target))
        self.log("loss", total.detach(), prog_bar=True, logger=False)

    def _discriminator_step(self, generated: Tensor, batch: ExpressionBatch, batch_index: int) -> Float[Tensor, ""]:
        penalised = self.optimization.r1 > 0 and batch_index % self.optimization.r1_every == 0
        total, loss = self.objective.discriminator_step(self.generator, batch, generated, penalised)
        self.step_discriminator(total)
        return loss

    def _draw(
        self, generator: ExpressionGenerator, batch: ExpressionBatch, count: int, numbers: torch.Generator | None = None
    ) -> Float[Tensor, "S B T E"]:
        """``count`` motions for every window."""
        size, num_frames, _ = batch.speech.shape
        noise = slow_noise(count * size, num_frames, generator.num_noise, generator.fps, numbers).to(batch.speech)
        return generator(batch.speech, batch.emotion, batch.blinks, noise.unflatten(0, (count, size)), batch.person)

    def validation_step(self, batch: ExpressionBatch, batch_index: int) -> None:
        """Score the averaged network on held-out seconds."""
        self._score(batch, "val")

    def test_step(self, batch: ExpressionBatch, batch_index: int) -> None:
        """The same."""
        self._score(batch, "test")

    def _score(self, batch: ExpressionBatch, stage: str) -> None:
        numbers = torch.Generator().manual_seed(0)
        samples, target = self._draw(self.ema.module, batch, _TEST_SAMPLES, numbers)[:, 0], batch.expressions[0]
        for name, value in score_motion(samples, target, self.objective.space).items():
            self.log(f"{stage}/{name}", value, batch_size=samples.shape[1])
        self.examples.append((target, samples[0]))

    def on_validation_epoch_end(self) -> None:
        """Print the scores."""
        self._report("val")

    def on_test_epoch_end(self) -> None:
        """Likewise."""
        self._report("test")

    def _report(self, stage: str) -> None:
        if not self.trainer.sanity_checking:
            scores = {name.removeprefix(f"{stage}/"): value for name, value in self.trainer.callback_metrics.items()}
            when = f", {self.global_step} steps" if stage == "val" else ""
            _LOGGER.info("held out%s: %s", when, describe_scores(scores))

    def write_pictures(self, path: Path) -> list[Path]:
        """Plot the first held-out clip's mouth opening, true and generated, into ``path`` + ``.png``."""
        target, generated = (self.objective.space.opening(motion).cpu() for motion in self.examples[0])
        curves = {"true": target, "generated": generated}
        return [plot_curves(path.with_suffix(".png"), self.generator.fps, curves, "mouth opening, mm")]

    def avatar_parts(self) -> list[dict]:
        """The averaged network with its configuration, and the networks for fine-tuning, for the avatar's folder."""
        network, description = self.ema.module, self.specification.description()
        parts = [{"name": "expression", "network": network, "config": {"network": network.config, **description}}]
        critics = {"discriminator": self.objective.discriminator, "sync": self.objective.sync_expert}
        critics = {name: each for name, each in critics.items() if each is not None}
        if critics:
            config = {"network": {name: each.config for name, each in critics.items()}}
            parts.append({"name": CRITICS, "network": nn.ModuleDict(critics), "config": config})
        return parts
