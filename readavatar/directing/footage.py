"""Which frame of the person's footage stands behind each frame of the new clip."""

from __future__ import annotations

import torch
from jaxtyping import Int
from torch import Tensor


def footage_order(num_frames: int, num_footage_frames: int, start: int = 0) -> Int[Tensor, " T"]:
    """Play the footage from ``start`` forwards, then backwards, and so on: head and background never jump.

    Args:
        num_frames: T, of the new clip; any number.
        num_footage_frames: Of the footage.
        start: First footage frame.

    Returns:
        Footage frame of each new frame; neighbours differ by one at most.
    """
    if not 0 <= start < num_footage_frames:
        raise ValueError(f"Expected `start` in [0, {num_footage_frames}), but got {start}.")
    if num_footage_frames == 1:
        return torch.zeros(num_frames, dtype=torch.long)
    period = 2 * (num_footage_frames - 1)
    position = (start + torch.arange(num_frames)) % period
    return torch.minimum(position, period - position)


def monotone_runs(order: Int[Tensor, " T"], longest: int) -> list[Int[Tensor, " n"]]:
    """Cut ``order`` into runs that go one way and hold at most ``longest`` frames each.

    A video decoder goes forwards only; a run that goes backwards is decoded forwards and turned round, so ``longest``
    bounds the frames in memory.
    """
    runs: list[list[int]] = []
    for index in order.tolist():
        run = runs[-1] if runs else None
        continues = (
            run is not None
            and len(run) < longest
            and abs(index - run[-1]) == 1
            and (len(run) < 2 or index - run[-1] == run[-1] - run[-2])
        )
        if continues:
            run.append(index)
        else:
            runs.append([index])
    return [torch.tensor(run) for run in runs]
