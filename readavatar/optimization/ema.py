"""Averages of a network's weights over its training."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def warmup_ema(decay: float) -> Callable[[list[Tensor], list[Tensor], Tensor], None]:
    """An exponential moving average that forgets its first, random weights sooner: a ``multi_avg_fn``.

    Args:
        decay: Weight of the past once ``(1 + n) / (10 + n)``, n averages in, has grown beyond it.
    """

    def average(averaged: list[Tensor], current: list[Tensor], num_averaged: Tensor) -> None:
        share = min((1 + int(num_averaged)) / (10 + int(num_averaged)), decay)
        torch._foreach_lerp_(averaged, current, 1 - share)

    return average
