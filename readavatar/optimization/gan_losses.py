"""Losses of an adversarial training. They return values; optimizers are stepped elsewhere.

A discriminator gives a ``Judgement``: for each of its scales the activations of every layer, the last of which are
logits, above 0 for "real".
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

Judgement = Sequence[Sequence[Tensor]]
"""By scale and layer; batch first."""


def generator_hinge_loss(fake: Judgement) -> Float[Tensor, ""]:
    """Minus the mean logit of generated samples, mean over scales (Lim & Ye 2017)."""
    return -torch.stack([layers[-1].mean() for layers in fake]).mean()


def discriminator_hinge_loss(real: Judgement, fakes: Sequence[tuple[float, Judgement]]) -> Float[Tensor, ""]:
    """Hinge loss of a discriminator, mean over scales (Lim & Ye 2017).

    Args:
        real: Of real samples.
        fakes: A weight and the judgement of each kind of false sample.
    """
    losses = [F.relu(1 - layers[-1]).mean() for layers in real]
    for weight, fake in fakes:
        losses += [weight * F.relu(1 + layers[-1]).mean() for layers in fake]
    return torch.stack(losses).sum() / len(real)


def feature_matching_loss(
    fake: Judgement, real: Judgement, counted: Bool[Tensor, " B"] | None = None
) -> Float[Tensor, ""]:
    """L1 between a discriminator's features of generated and real samples (Wang et al. 2018, eq. 2).

    Args:
        fake: Of B generated samples.
        real: Of the real samples that they should resemble; no gradient goes there.
        counted: Which of the B to compare; None compares all.
    """
    pairs = [
        (ours, theirs.detach())
        for ours_by_layer, theirs_by_layer in zip(fake, real, strict=True)
        for ours, theirs in zip(ours_by_layer[:-1], theirs_by_layer[:-1], strict=True)
    ]
    if counted is not None:
        if not counted.any():
            return fake[0][0].new_zeros(())
        pairs = [(ours[counted], theirs[counted]) for ours, theirs in pairs]
    return torch.stack([F.l1_loss(ours, theirs) for ours, theirs in pairs]).mean()


def r1_penalty(real: Judgement, samples: Float[Tensor, B * shape]) -> Float[Tensor, ""]:
    """Half the squared gradient of the logits at real samples, mean over B (Mescheder et al. 2018, eq. 9).

    Args:
        real: Of ``samples``; each scale counts with its mean logit.
        samples: Requires a gradient.
    """
    total = sum(layers[-1].flatten(1).mean(1).sum() for layers in real)
    (gradient,) = torch.autograd.grad(total, samples, create_graph=True)
    return 0.5 * gradient.square().sum(dim=tuple(range(1, gradient.ndim))).mean()
