"""Which precision is the faster one here: processors without bfloat16 arithmetic emulate it, three times as slowly."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Literal

import torch

Precision = Literal["auto", "fp32", "bf16"]

_TRIALS = 2


def uses_bfloat16(precision: Precision, work: Callable[[bool], object], device: torch.device) -> bool:
    """Whether to compute under bfloat16 autocast.

    Args:
        precision: ``auto`` asks for a trial here and now.
        work: Typical work, for the trial, in bfloat16 or not; seconds at most.
        device: Where it is done.
    """
    return _faster_in_bfloat16(work, device) if precision == "auto" else precision == "bf16"


def _faster_in_bfloat16(work: Callable[[bool], object], device: torch.device) -> bool:
    seconds = {False: [], True: []}
    for trial in range(1 + _TRIALS):
        for bfloat16, taken in seconds.items():
            start = time.perf_counter()
            work(bfloat16)
            if device.type != "cpu":
                torch.accelerator.synchronize()
            if trial:  # the first has the set-up in it
                taken.append(time.perf_counter() - start)
    return min(seconds[True]) < min(seconds[False])
