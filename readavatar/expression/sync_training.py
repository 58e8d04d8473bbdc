"""By how many frames motion is late against its speech, as a trained speech–lip-motion network judges it.

How a speech–lip-motion network is trained: half a minute on one core, however much speech there is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from readavatar.errors import UserError
from readavatar.expression.sync import SpokenMotion, SyncNetwork, contrastive_loss
from readavatar.progress import track

MAX_OFFSET = 15
"""Frames searched to either side."""
LEAST_WINDOWS = 60
"""Windows of lips in a take: with fewer, a chance peak is as high as a true one."""
SURE = 1.7
"""Least confidence. Of 852 stretches of 4 to 10 s of real lips with real speech of another moment, person or language,
1 to 2 in a hundred reached it, whichever encoder and seed; with their own, about half of 4 s, two thirds to four fifths
of 5 s, and all of 8 s."""
_PEAK_HALF_WIDTH = 4
"""Frames beside the peak that belong to it."""


@dataclass(frozen=True)
class SyncOffset:
    """What was measured."""

    frames: float
    """By how many frames the motion comes after the speech; negative where the speech is late."""
    confidence: float
    """How much nearer than at any other place, times the root of the number of windows: the chance differences between
    places shrink with that root."""
    distances: Float[Tensor, " offsets"]
    """One minus the mean similarity at each offset from −``MAX_OFFSET`` to ``MAX_OFFSET``, in [0, 2]."""

    @property
    def is_sure(self) -> bool:
        """Whether the speech is this motion's at all."""
        return self.confidence >= SURE


@torch.no_grad()
def sync_offset(network: SyncNetwork, speech: Float[Tensor, "T D"], expressions: Float[Tensor, "T E"]) -> SyncOffset:
    """Measure a take's offset.

    Args:
        network: Trained, in evaluation mode; for coefficients of another face model than it was trained on, first
            ``SyncNetwork.on_face``.
        speech: Features as the network was trained on.
        expressions: Of the same frames.

    Raises:
        UserError: The take is too short.
    """
    least = LEAST_WINDOWS + 2 * network.context
    if len(speech) < least:
        raise UserError(f"Expected {least} frames or more to measure an offset, but got {len(speech)}.")
    heard, seen = network.hear(speech[None])[0], network.see(expressions[None])[0]
    count = len(heard)
    similarity = torch.stack(
        [
            (heard[max(0, -offset) : count - max(0, offset)] * seen[max(0, offset) : count - max(0, -offset)])
            .sum(-1)
            .mean()
            for offset in range(-MAX_OFFSET, MAX_OFFSET + 1)
        ]
    )
    frames, margin = _peak(similarity)
    return SyncOffset(frames, margin * count**0.5, 1 - similarity)


def describe_offset(offset: SyncOffset) -> str:
    """One line for people."""
    trust = f"(confidence {offset.confidence:.1f}; {SURE} and more is trusted)"
    if not offset.is_sure:
        return f"the lips do not follow the speech, or too little is said to tell {trust}"
    if abs(offset.frames) < 0.5:
        return f"lips and speech are in time, to within half a frame {trust}"
    late = "lips are" if offset.frames > 0 else "speech is"
    return f"the {late} late by {abs(offset.frames):.1f} frames {trust}"


def _peak(similarity: Float[Tensor, " offsets"]) -> tuple[float, float]:
    """Where the similarity is greatest (a parabola through the neighbours), and by how much."""
    best = int(similarity.argmax())
    fraction = 0.0
    if 0 < best < len(similarity) - 1:
        before, at, after = similarity[best - 1 : best + 2].tolist()
        curvature = before - 2 * at + after
        fraction = 0.5 * (before - after) / curvature if curvature < 0 else 0.0
    elsewhere = (torch.arange(len(similarity)) - best).abs() > _PEAK_HALF_WIDTH
    return best - MAX_OFFSET + fraction, float(similarity[best] - similarity[elsewhere].max())


MOST_STEPS, BATCH_SIZE = 600, 16
WINDOW = 64
"""Frames of each window of a batch: its moments are one another's contrast."""
MOST_PASSES = 128
"""Through the data: of 48 s of one person, four times as many make held-out moments harder to tell apart."""
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
    """Train a network to tell which lips belong to which speech.

    Args:
        takes: Speech features (T, D) and expression coefficients (T, E) of the same frames; silences do not hurt.
        lips: Of ``lip_landmarks`` of the model that the coefficients are of.
        steps: Batches; by default ``MOST_STEPS``, or fewer where the data is little (``MOST_PASSES``).
        seed: Of the weights, the windows and the noise; the same seed gives the same network on the same machine.
        network: To be trained further (it is changed); by default a new one.
        progress: Draw a progress bar; by default only within ``progress_bars()``.

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
        for _ in track(range(steps), "Learning sync", enabled=progress):
            speech, expressions = _draw(long_enough, starts, window)
            loss = contrastive_loss(network.hear(speech), network.see(expressions), network.scale)
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
    """A batch of windows; every place in the takes is as likely as any other."""
    chosen = torch.multinomial(starts.float(), BATCH_SIZE, replacement=True)
    places = [(takes[index], int(torch.randint(int(starts[index]), ()))) for index in chosen.tolist()]
    speech, expressions = (
        torch.stack([take[part][start : start + window] for take, start in places]).float() for part in (0, 1)
    )
    return speech, expressions
