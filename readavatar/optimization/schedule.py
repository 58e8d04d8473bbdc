"""How learning rates change over a training."""

from __future__ import annotations

import math

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

LAST_SHARE = 0.05
"""Of a learning rate at the end of a training."""


def cosine_decay(optimizer: Optimizer, num_steps: int) -> LambdaLR:
    """Let each group's rate fall along half a cosine to ``LAST_SHARE`` of it (Loshchilov & Hutter 2017, eq. 5).

    ``CosineAnnealingLR`` has one end for all groups; here each group falls to a share of its own rate.

    Args:
        optimizer: Its groups' rates are the first step's.
        num_steps: Of the training; the rates stay at their end after as many.
    """

    def share(step: int) -> float:
        progress = min(step / num_steps, 1.0)
        return LAST_SHARE + (1 - LAST_SHARE) * (1 + math.cos(math.pi * progress)) / 2

    return LambdaLR(optimizer, share)
