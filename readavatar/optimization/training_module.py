"""The base of the adversarial stages' LightningModules, with learning-rate schedules and averaged weights."""

from __future__ import annotations

import math

import pytorch_lightning as pl
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler
from torch.optim.swa_utils import AveragedModel

LAST_SHARE = 0.05
"""Share of a learning rate that is left at the end of a training."""


def cosine_decay(optimizer: Optimizer, num_steps: int) -> LambdaLR:
    """Lower each group's rate along half a cosine to ``LAST_SHARE`` of it (Loshchilov & Hutter 2017, eq. 5).

    ``CosineAnnealingLR`` has the same final rate for all groups; here it is a share of each group's own.

    Args:
        optimizer: With the rates of the first step.
        num_steps: Of the training; later steps keep the final rates.
    """

    def share(step: int) -> float:
        progress = min(step / num_steps, 1.0)
        return LAST_SHARE + (1 - LAST_SHARE) * (1 + math.cos(math.pi * progress)) / 2

    return LambdaLR(optimizer, share)


def make_ema(network: nn.Module, decay: float) -> AveragedModel:
    """The exponential moving average (EMA) of ``network``'s weights, which is tested and exported.

    At the beginning the decay is smaller, so that the random initial weights have less influence.

    Args:
        network: The network in training; it is copied.
        decay: Largest decay. After n averages it is ``(1 + n) / (10 + n)`` if that is smaller.
    """

    def average(averaged: list[Tensor], current: list[Tensor], num_averaged: Tensor) -> None:
        share = min((1 + int(num_averaged)) / (10 + int(num_averaged)), decay)
        torch._foreach_lerp_(averaged, current, 1 - share)

    return AveragedModel(network, multi_avg_fn=average)


class AdversarialModule(pl.LightningModule):
    """A network and an optional discriminator, each with an optimizer whose rate falls along a cosine.

    A training step is a batch; the discriminator's step is not counted.
    """

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.examples: list[tuple[Tensor, Tensor]] = []
        """(truth, generated) of the last validation or test, for plots."""

    def with_schedules(self, *optimizers: Optimizer | None) -> tuple[list[Optimizer], list[LRScheduler]]:
        """For ``configure_optimizers``: the network's optimizer, and the discriminator's unless it is None."""
        chosen = [optimizer for optimizer in optimizers if optimizer is not None]
        num_steps = self.trainer.estimated_stepping_batches
        return chosen, [cosine_decay(optimizer, num_steps) for optimizer in chosen]

    def step_network(self, loss: Float[Tensor, ""], network: nn.Module, max_norm: float) -> None:
        """Step the network's optimizer after clipping the gradient to ``max_norm``."""
        optimizers = self.optimizers()
        optimizer = optimizers[0] if isinstance(optimizers, list) else optimizers
        optimizer.zero_grad()
        self.manual_backward(loss)
        torch.nn.utils.clip_grad_norm_(network.parameters(), max_norm, foreach=True)
        optimizer.step()

    def step_discriminator(self, loss: Float[Tensor, ""]) -> None:
        """Step the discriminator's optimizer."""
        # Without Lightning's wrapper, which would count this as a training step: max_steps counts batches.
        optimizer = self.optimizers(use_pl_optimizer=False)[1]
        optimizer.zero_grad()
        self.manual_backward(loss)
        optimizer.step()

    def step_schedules(self) -> None:
        """Set the learning rates of the next batch."""
        schedules = self.lr_schedulers()
        for schedule in schedules if isinstance(schedules, list) else [schedules]:
            schedule.step()

    def on_validation_epoch_start(self) -> None:
        """Clear the examples of the last validation."""
        self.examples.clear()

    def on_test_epoch_start(self) -> None:
        """Clear the examples of the last test."""
        self.examples.clear()
