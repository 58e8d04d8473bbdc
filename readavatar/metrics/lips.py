"""Whether lips close when they should, and whether they tremble."""

from __future__ import annotations

from numbers import Real

import torch
from jaxtyping import Float
from torch import Tensor


def closure_recall(
    fitted_gap: Float[Tensor, " T"], true_gap: Float[Tensor, " T"], closed: Real, false_closures: float = 0.05
) -> float:
    """Share of the truly closed frames that a fit shows closed.

    What a fit calls closed is a threshold on its own gap, set so that of the frames whose lips are truly apart
    ``false_closures`` are called closed: a fit that shrinks all gaps gains nothing.

    Args:
        fitted_gap: Between the lips, any unit.
        true_gap: In the unit of ``closed``.
        closed: Below this the lips are closed.
        false_closures: In (0, 1).

    Returns:
        In [0, 1]; NaN where no frame is closed, or all are.
    """
    is_closed = true_gap < closed
    if not bool(is_closed.any()) or bool(is_closed.all()):
        return float("nan")
    threshold = fitted_gap[~is_closed].quantile(false_closures)
    return float((fitted_gap[is_closed] <= threshold).float().mean())


def fast_motion_ratio(
    fitted: Float[Tensor, " T *c"], true: Float[Tensor, " T *c"], fps: Real, cutoff: Real = 8
) -> float:
    """Energy of motion faster than ``cutoff`` Hz, fitted over true: above 1 a fit trembles, below 1 it smears."""
    fitted, true = (_fast_energy(curves, float(fps), float(cutoff)) for curves in (fitted, true))
    return float(fitted / true) if true > 0 else float("nan")


def _fast_energy(curves: Float[Tensor, " T *c"], fps: float, cutoff: float) -> Float[Tensor, ""]:
    flat = (curves - curves.mean(0)).flatten(1)
    window = torch.hann_window(len(flat), periodic=False, dtype=flat.dtype, device=flat.device)[:, None]
    power = torch.fft.rfft(flat * window, dim=0).abs().square()
    return power[torch.fft.rfftfreq(len(flat), 1 / fps, device=flat.device) > cutoff].sum()
