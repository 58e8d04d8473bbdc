"""Training a sync network, and measuring by how many frames motion is late against its speech."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from readavatar.errors import UserError
from readavatar.expression.sync import SpokenMotion, SyncNetwork, contrastive_loss
from readavatar.metrics import peak_margin, peak_position
from readavatar.progress import track

MAX_OFFSET = 15
"""Largest offset that is searched, frames to either side."""
LEAST_WINDOWS = 60
"""Least number of windows in a take; with fewer, chance peaks are as high as true ones."""
SURE = 1.7
"""Least confidence. Of 852 stretches of 4 to 10 s of real lips with wrong speech (another moment, person or language),
1 to 2 % reach it, with every encoder and seed. With their own speech, about half of those of 4 s reach it, two thirds
to four fifths of 5 s, and all of 8 s."""
_PEAK_HALF_WIDTH = 4
"""Frames to either side that belong to the peak."""


@dataclass(frozen=True)
class SyncOffset:
    """The result of a measurement."""

    frames: float
    """By how many frames the motion is late; negative if the speech is late."""
    confidence: float
    """Margin of the similarity over any other offset, times the square root of the number of windows, since random
    differences shrink with that root."""
    distances: Float[Tensor, " offsets"]
    """One minus the mean similarity at each offset from −``MAX_OFFSET`` to ``MAX_OFFSET``, in [0, 2]."""

    @property
    def is_sure(self) -> bool:
        """Whether the speech belongs to this motion."""
        return self.confidence >= SURE


@torch.no_grad()
def sync_offset(network: SyncNetwork, speech: Float[Tensor, "T D"], expressions: Float[Tensor, "T E"]) -> SyncOffset:
    """Measure a take's offset.

    Args:
        network: Trained, in evaluation mode; for coefficients of another face model than it was trained on, first
            ``SyncNetwork.on_face``.
        speech: Features of the encoder that the network was trained with.
        expressions: Of the same frames.

    Raises:
        UserError: The take is too short.
    """
    least = LEAST_WINDOWS + 2 * network.context
    if len(speech) < least:
        raise UserError(f"Expected {least} frames or more to measure an offset, but got {len(speech)}.")
    speech_vectors, motion_vectors = network.embed_speech(speech[None])[0], network.embed_motion(expressions[None])[0]
    count = len(speech_vectors)
    similarity = torch.stack(
        [
            (
                speech_vectors[max(0, -offset) : count - max(0, offset)]
                * motion_vectors[max(0, offset) : count - max(0, -offset)]
            )
            .sum(-1)
            .mean()
            for offset in range(-MAX_OFFSET, MAX_OFFSET + 1)
        ]
    )
    confidence = peak_margin(similarity, _PEAK_HALF_WIDTH) * count**0.5
    return SyncOffset(peak_position(similarity) - MAX_OFFSET, confidence, 1 - similarity)


def describe_offset(offset: SyncOffset) -> str:
    """The result as one line of text."""
    trust = f"(confidence {offset.confidence:.1f}; {SURE} and more is trusted)"
    if not offset.is_sure:
        return f"the lips do not follow the speech, or there is too little speech {trust}"
    if abs(offset.frames) < 0.5:
        return f"lips and speech are in time, to within half a frame {trust}"
    late = "lips are" if offset.frames > 0 else "speech is"
    return f"the {late} late by {abs(offset.frames):.1f} frames {trust}"


MOST_STEPS, BATCH_SIZE = 600, 16
WINDOW = 64
"""Frames of each window in a batch, within which moments are contrasted."""
MOST_PASSES = 128
"""Most passes through the data: with 48 s of one person, four times as many are worse on held-out data."""
_LEARNING_RATE, _WARM_UP, _WEIGHT_DECAY = 2e-3, 0.1, 1e-2


def train_sync_expert(
    takes: Sequence[SpokenMotion],
    lips: Float[Tensor, "E 60"],
    *,
    steps: int | None = None,
    seed: int = 0,
    network: SyncNetwork | None = None,
    progress: bool | None = None,
) -> SyncNetwork:
    """Train a sync network; it takes half a minute on one core.

    Args:
        takes: Speech features (T, D) and expression coefficients (T, E) of the same frames; silences are allowed.
        lips: From ``lip_landmarks`` of the coefficients' model.
        steps: Batches; by default ``MOST_STEPS``, or fewer for little data (``MOST_PASSES``).
        seed: Of the weights, the windows and the noise; the same seed gives the same network on the same machine.
        network: A network to fine-tune in place; by default a new one.
        progress: Draw a progress bar; by default only within ``progress_bars()``.

    Returns:
        The trained network, in evaluation mode and frozen.

    Raises:
        UserError: Speech and expressions differ in length, or no take is long enough.
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
        # OneCycleLR divides by the warm-up's length minus one, which is 0 for ten steps.
        planned = max(2 * round(1 / _WARM_UP), steps)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, _LEARNING_RATE, planned, pct_start=_WARM_UP)
        for _ in track(range(steps), "Learning sync", enabled=progress):
            speech, expressions = _draw(long_enough, starts, window)
            loss = contrastive_loss(network.embed_speech(speech), network.embed_motion(expressions), network.scale)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        optimizer.zero_grad()
    return network.eval().requires_grad_(False)


def _window_length(takes: Sequence[SpokenMotion]) -> int:
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


def _num_steps(takes: Sequence[SpokenMotion]) -> int:
    passes = sum(len(speech) for speech, _ in takes) / (BATCH_SIZE * WINDOW)
    return min(MOST_STEPS, math.ceil(MOST_PASSES * passes))


def _draw(takes: Sequence[SpokenMotion], starts: Tensor, window: int) -> tuple[Tensor, Tensor]:
    """A batch of windows, uniform over all places in the takes."""
    chosen = torch.multinomial(starts.float(), BATCH_SIZE, replacement=True)
    places = [(takes[index], int(torch.randint(int(starts[index]), ()))) for index in chosen.tolist()]
    speech, expressions = (
        torch.stack([take[part][start : start + window] for take, start in places]).float() for part in (0, 1)
    )
    return speech, expressions
