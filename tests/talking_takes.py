"""Takes as tensors in which speech features follow the jaw, for tests of sync."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from readavatar.expression.sync import SpokenMotion, SyncNetwork

NUM_FEATURES = 8


def make_take(
    seed: int, num_frames: int = 160, smile: float = 0.0
) -> tuple[Float[Tensor, "T 8"], Float[Tensor, "T 3"]]:
    """Speech features of a jaw that moves at random, with noise, and the expressions of ``talking_model``."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(1, 1, num_frames + 4, generator=generator)
    jaw = torch.nn.functional.avg_pool1d(noise, 5, 1)[0, 0]
    expressions = torch.stack([torch.rand(num_frames, generator=generator), 0.5 + jaw, torch.full_like(jaw, smile)], 1)
    mixing = torch.linspace(-1, 1, NUM_FEATURES)
    speech = 2 * jaw[:, None] * mixing + 0.2 * torch.randn(num_frames, NUM_FEATURES, generator=generator)
    return speech, expressions


def small_network(takes: list[SpokenMotion], lips: Float[Tensor, "3 60"], seed: int) -> SyncNetwork:
    """Untrained, for takes of ``make_take``."""
    torch.manual_seed(seed)
    network = SyncNetwork(NUM_FEATURES, 3, width=32, embedding=16)
    network.standardise_by(takes, lips)
    return network
