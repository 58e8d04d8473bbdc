"""How a speech–lip-motion network is trained: half a minute on one core, however much speech there is."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from rich.progress import track
from torch import Tensor

from readavatar.errors import UserError
from readavatar.expression.sync import SyncNetwork, Take, contrastive_loss

MOST_STEPS, BATCH_SIZE = 600, 16
WINDOW = 64
"""Frames of each window of a batch: its moments are one another's contrast."""
MOST_PASSES = 128
"""Through the data: of 48 s of one person, four times as many make held-out moments harder to tell apart."""
_LEARNING_RATE, _WARM_UP, _WEIGHT_DECAY = 2e-3, 0.1, 1e-2


def train_sync_expert(
    takes: Sequence[Take],
    lips: Float[Tensor, "E 60"],
    *,
    steps: int | None = None,
    seed: int = 0,
    network: SyncNetwork | None = None,
    progress: bool = False,
) -> SyncNetwork:
    """Train a network to tell which lips belong to which speech.

    Args:
        takes: Speech features (T, D) and expression coefficients (T, E) of the same frames; silences do not hurt.
        lips: Of ``lip_landmarks`` of the model that the coefficients are of.
        steps: Batches; by default ``MOST_STEPS``, or fewer where the data is little (``MOST_PASSES``).
        seed: Of the weights, the windows and the noise; the same seed gives the same network on the same machine.
        network: To be trained further (it is changed); by default a new one.
        progress: Show a progress bar.

    Returns:
        The network for use: in evaluation mode and frozen.

    Raises:
        UserError: Takes that do not fit together, or none of them is long enough.
    """
    window = _window_length(takes)
    long_enough = [take for take in takes if len(take[0]) >= window]
    steps = _num_steps(long_enough) if steps is None else steps
    starts = torch.tensor([len(speech) - window + 1 for speech, _ in long_enough])
    devices = [takes[0][0].device] if takes[0][0].is_cuda else []
    with torch.random.fork_rng(devices), torch.enable_grad():
        torch.manual_seed(seed)
        if network is None:
            network = SyncNetwork(takes[0][0].shape[1], takes[0][1].shape[1]).to(takes[0][0].device)
            network.standardise_by(takes, lips)
        network.train().requires_grad_(True)
        optimizer = torch.optim.AdamW(network.parameters(), lr=_LEARNING_RATE, weight_decay=_WEIGHT_DECAY)
        # OneCycleLR divides by the warm-up's length less one: ten steps would be one too few, or many.
        planned = max(2 * round(1 / _WARM_UP), steps)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, _LEARNING_RATE, planned, pct_start=_WARM_UP)
        for _ in track(range(steps), "Learning sync", disable=not progress, transient=True):
            speech, expressions = _draw(long_enough, starts, window)
            loss = contrastive_loss(network.hear(speech), network.see(expressions), network.scale)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        optimizer.zero_grad()
    return network.eval().requires_grad_(False)


def _window_length(takes: Sequence[Take]) -> int:
    for speech, expressions in takes:
        if len(speech) != len(expressions):
            raise UserError(
                f"Expected speech and expressions of the same frames, but got {len(speech)} and {len(expressions)}."
            )
    longest = max((len(speech) for speech, _ in takes), default=0)
    least = WINDOW // 2
    if longest < least:
        raise UserError(f"Expected {least} frames or more in a row to learn sync from, but got {longest}.")
    return min(WINDOW, longest)


def _num_steps(takes: Sequence[Take]) -> int:
    passes = sum(len(speech) for speech, _ in takes) / (BATCH_SIZE * WINDOW)
    return min(MOST_STEPS, math.ceil(MOST_PASSES * passes))


def _draw(takes: Sequence[Take], starts: Tensor, window: int) -> tuple[Tensor, Tensor]:
    """A batch of windows; every place in the takes is as likely as any other."""
    chosen = torch.multinomial(starts.float(), BATCH_SIZE, replacement=True)
    places = [(takes[index], int(torch.randint(int(starts[index]), ()))) for index in chosen.tolist()]
    speech, expressions = (
        torch.stack([take[part][start : start + window] for take, start in places]).float() for part in (0, 1)
    )
    return speech, expressions
