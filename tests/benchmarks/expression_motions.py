"""Motions that a scorecard must tell apart: the truth, and the truth with one fault each."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from readavatar.benchmarks.expression.motion import MotionSource, true_motion
from readavatar.benchmarks.expression.takes import Trial, make_trial
from readavatar.morphable import EXPRESSION_NAMES
from readavatar.synthetic import Take

JAW = EXPRESSION_NAMES.index("jawOpen")
LIP_CLOSER = EXPRESSION_NAMES.index("mouthClose")


def small_trial() -> Trial:
    """An actor on the built-in head, who says little."""
    return make_trial(901, "builtin", num_lines=2, minutes=0.7, training_minutes=0.7)


def truth(trial: Trial) -> MotionSource:
    """Another performance."""
    return true_motion(trial.character)


def smoothed(trial: Trial, frames: int = 13) -> MotionSource:
    """What a regression gives: peaks are flattened, what is random is averaged away."""
    act = truth(trial)

    def motion(take: Take, emotion: Float[Tensor, "T N"], seed: int) -> Float[Tensor, "T E"]:
        mean = torch.stack([act(take, emotion, other) for other in range(4)]).mean(0)
        padded = F.pad(mean.mT[None], (frames // 2, frames // 2), mode="replicate")
        return F.avg_pool1d(padded, frames, 1)[0].mT

    return motion


def delayed(trial: Trial, frames: int) -> MotionSource:
    """All that the face does comes late."""
    act = truth(trial)

    def motion(take: Take, emotion: Float[Tensor, "T N"], seed: int) -> Float[Tensor, "T E"]:
        shown = act(take, emotion, seed)
        return torch.cat([shown[:1].expand(frames, -1), shown[:-frames]])

    return motion


def feeling(trial: Trial, strength: float) -> MotionSource:
    """The emotion that is asked for is shown so many times as strongly; not at all with 0."""
    act = truth(trial)
    return lambda take, emotion, seed: act(take, strength * emotion, seed)


def trembling(trial: Trial, size: float = 0.03) -> MotionSource:
    """Every coefficient trembles."""
    act = truth(trial)

    def motion(take: Take, emotion: Float[Tensor, "T N"], seed: int) -> Float[Tensor, "T E"]:
        shown = act(take, emotion, seed)
        return shown + size * torch.randn(shown.shape, generator=torch.Generator().manual_seed(seed))

    return motion


def gaping(trial: Trial, width: float = 0.15) -> MotionSource:
    """The mouth never closes."""
    act = truth(trial)

    def motion(take: Take, emotion: Float[Tensor, "T N"], seed: int) -> Float[Tensor, "T E"]:
        shown = act(take, emotion, seed)
        shown[:, JAW] = shown[:, JAW].clamp(min=width)
        shown[:, LIP_CLOSER] = 0.0
        return shown

    return motion


def asleep(trial: Trial) -> MotionSource:
    """A face that does nothing."""
    return lambda take, emotion, seed: torch.zeros(len(emotion), len(EXPRESSION_NAMES))
