"""What the modules of the two adversarial stages have in common."""

from __future__ import annotations

import pytorch_lightning as pl
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from readavatar.optimization.schedule import cosine_decay


class AdversarialModule(pl.LightningModule):
    """A network and, where there is one, its discriminator, each with an optimizer whose rate falls along a cosine.

    A step of training is a batch: the discriminator's step does not count as another.
    """

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.examples: list[tuple[Tensor, Tensor]] = []
        """(truth, generated) of the last validation or test, to be drawn."""

    def with_schedules(self, *optimizers: Optimizer | None) -> tuple[list[Optimizer], list[LRScheduler]]:
        """What ``configure_optimizers`` returns: the network's optimizer, and the discriminator's unless it is None."""
        chosen = [optimizer for optimizer in optimizers if optimizer is not None]
        num_steps = self.trainer.estimated_stepping_batches
        return chosen, [cosine_decay(optimizer, num_steps) for optimizer in chosen]

    def step_network(self, loss: Float[Tensor, ""], network: nn.Module, max_norm: float) -> None:
        """Step the network's optimizer, after its gradient was clipped to ``max_norm``."""
        optimizers = self.optimizers()
        optimizer = optimizers[0] if isinstance(optimizers, list) else optimizers
        optimizer.zero_grad()
        self.manual_backward(loss)
        torch.nn.utils.clip_grad_norm_(network.parameters(), max_norm, foreach=True)
        optimizer.step()

    def step_discriminator(self, loss: Float[Tensor, ""]) -> None:
        """Step the discriminator's optimizer."""
        # Not through Lightning's wrapper, which would count this as a step of training: max_steps are batches.
        optimizer = self.optimizers(use_pl_optimizer=False)[1]
        optimizer.zero_grad()
        self.manual_backward(loss)
        optimizer.step()

    def step_schedules(self) -> None:
        """Go on to the next batch's learning rates."""
        schedules = self.lr_schedulers()
        for schedule in schedules if isinstance(schedules, list) else [schedules]:
            schedule.step()

    def on_validation_epoch_start(self) -> None:
        """Forget the last validation's examples."""
        self.examples.clear()

    def on_test_epoch_start(self) -> None:
        """Likewise."""
        self.examples.clear()
