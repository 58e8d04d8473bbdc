"""An exponential moving average (EMA) of a network's weights, which is what is tested and exported."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel


def make_ema(network: nn.Module, decay: float) -> AveragedModel:
    """The average of ``network`` over its training; random first weights are forgotten sooner than ``decay`` says.

    Args:
        network: Trained; copied.
        decay: Weight of the past once ``(1 + n) / (10 + n)``, n averages in, has grown beyond it.
    """

    def average(averaged: list[Tensor], current: list[Tensor], num_averaged: Tensor) -> None:
        share = min((1 + int(num_averaged)) / (10 + int(num_averaged)), decay)
        torch._foreach_lerp_(averaged, current, 1 - share)

    return AveragedModel(network, multi_avg_fn=average)
