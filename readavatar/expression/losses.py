"""What motion is trained by: distances on the face, the lips' closure and the discriminators' verdict."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from readavatar.errors import UserError

Judgement = Sequence[Sequence[Tensor]]
"""Features and, last, verdicts of each discriminator."""


def energy_score(
    distance: Callable[[Tensor, Tensor], Tensor],
    samples: Float[Tensor, "S B T E"],
    target: Float[Tensor, "B T E"],
    repulsion: float = 1.0,
) -> Float[Tensor, ""]:
    """Mean distance of samples to the target, less half the mean distance between samples.

    The energy score (Gneiting & Raftery 2007, eq. 22) is least, on average, when the samples are distributed as the
    targets are; with one sample it is a regression.

    Args:
        distance: Between two motions, frame by frame.
        samples: S motions drawn for the same sound.
        target: The true one.
        repulsion: Times the distance between samples; 0 is a regression of each.
    """
    score = distance(samples, target.expand_as(samples)).mean()
    if len(samples) == 1:
        return score
    first, second = torch.triu_indices(len(samples), len(samples), 1)
    return score - 0.5 * repulsion * distance(samples[first], samples[second]).mean()


def closure_loss(
    predicted: Float[Tensor, "*b"], target: Float[Tensor, "*b"], is_closed: Bool[Tensor, "*b"]
) -> Float[Tensor, ""]:
    """Mean square of how much wider the lips are open than the truth's, over the frames in which those are closed.

    Args:
        predicted: Opening, millimetres.
        target: The true opening.
        is_closed: Where the truth's lips are closed.
    """
    excess = (predicted - target).clamp(min=0).square() * is_closed
    return excess.sum() / is_closed.sum().clamp(min=1)


def adversarial_loss(judged: Judgement) -> Float[Tensor, ""]:
    """The generator's hinge loss (Lim & Ye 2017): minus the mean verdict."""
    return -torch.stack([result[-1].mean() for result in judged]).mean()


def discriminator_loss(real: Judgement, fakes: Sequence[tuple[float, Judgement]]) -> Float[Tensor, ""]:
    """The discriminators' hinge loss; each kind of false motion has a weight."""
    losses = [F.relu(1 - result[-1]).mean() for result in real]
    for weight, fake in fakes:
        losses += [weight * F.relu(1 + result[-1]).mean() for result in fake]
    return torch.stack(losses).sum() / len(real)


def matching_loss(judged: Judgement, real: Judgement) -> Float[Tensor, ""]:
    """L1 between the discriminators' features of generated and true motion (Larsen et al. 2016)."""
    terms = [
        F.l1_loss(ours, theirs.detach())
        for ours_of_scale, theirs_of_scale in zip(judged, real, strict=True)
        for ours, theirs in zip(ours_of_scale[:-1], theirs_of_scale[:-1], strict=True)
    ]
    return torch.stack(terms).mean()


def gradient_penalty(real: Judgement, motion: Float[Tensor, "B T E"]) -> Float[Tensor, ""]:
    """R1: half the squared gradient of the verdicts on true motion (Mescheder et al. 2018, eq. 9), per frame."""
    total = sum(result[-1].mean(dim=(1, 2)).sum() for result in real)
    (gradient,) = torch.autograd.grad(total, motion, create_graph=True)
    return 0.5 * gradient.square().sum(dim=(1, 2)).mean() * motion.shape[1]


def weighted_sum(
    terms: Mapping[str, Callable[[], Float[Tensor, ""]]], weights: Mapping[str, float], step: int
) -> tuple[Float[Tensor, ""], dict[str, Float[Tensor, ""]]]:
    """The objective, and the value of each of its terms under its weight's name; a term of weight 0 is not computed.

    Raises:
        ValueError: A weight other than 0 without a term.
        UserError: A term that is not finite.
    """
    chosen = {name: weight for name, weight in weights.items() if weight}
    if missing := chosen.keys() - terms.keys():
        raise ValueError(f"Expected a term for every weight, but there is none for {sorted(missing)}.")
    values = {name: terms[name]() for name in chosen}
    total = sum((weight * values[name] for name, weight in chosen.items()), start=torch.zeros(()))
    if not bool(total.isfinite()):
        wrong = {name: float(value.detach()) for name, value in values.items() if not bool(value.isfinite())}
        raise UserError(
            f"Expected finite losses, but at step {step} got {wrong}; check the clips' tracking, or train with a lower "
            "learning rate."
        )
    return total, {name: value.detach() for name, value in values.items()}
