"""Losses of adversarial trainings, and the weighted sum of a training's terms. Optimizers are stepped elsewhere.

A discriminator returns a ``Judgement``: for each of its scales the activations of every layer. The last one are logits,
above 0 for "real".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from readavatar.errors import UserError

Judgement = Sequence[Sequence[Tensor]]
"""By scale and layer; batch first."""


def generator_hinge_loss(fake: Judgement) -> Float[Tensor, ""]:
    """Minus the mean logit of generated samples, mean over scales (Lim & Ye 2017)."""
    return -torch.stack([layers[-1].mean() for layers in fake]).mean()


def discriminator_hinge_loss(real: Judgement, fakes: Sequence[tuple[float, Judgement]]) -> Float[Tensor, ""]:
    """Hinge loss of a discriminator, mean over scales (Lim & Ye 2017).

    Args:
        real: Of real samples.
        fakes: A weight and the judgement of each kind of fake sample.
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
        real: Of the corresponding real samples; they get no gradient.
        counted: Whether to compare each of the B; None compares all.
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
        real: Of ``samples``; each scale contributes its mean logit.
        samples: Requires a gradient.
    """
    total = sum(layers[-1].flatten(1).mean(1).sum() for layers in real)
    (gradient,) = torch.autograd.grad(total, samples, create_graph=True)
    return 0.5 * gradient.square().sum(dim=tuple(range(1, gradient.ndim))).mean()


def weighted_sum(
    terms: Mapping[str, Callable[[], Float[Tensor, ""]]], weights: Mapping[str, float], step: int
) -> tuple[Float[Tensor, ""], dict[str, Float[Tensor, ""]]]:
    """The weighted sum of terms, and the value of each term by name. A term of weight 0 is not computed.

    Args:
        terms: By name, a function that computes the term.
        weights: By the same names.
        step: Of the training, for the error message.

    Raises:
        UserError: A weight other than 0 has no term, or a term is not finite.
    """
    chosen = {name: weight for name, weight in weights.items() if weight}
    if missing := sorted(chosen.keys() - terms.keys()):
        raise UserError(f"Expected loss weights of {', '.join(sorted(terms))}, but got one for '{missing[0]}'.")
    values = {name: terms[name]() for name in chosen}
    total = sum((weight * values[name] for name, weight in chosen.items()), start=torch.zeros(()))
    if not bool(total.isfinite()):
        wrong = {name: float(value.detach()) for name, value in values.items() if not bool(value.isfinite())}
        raise UserError(
            f"Expected finite losses, but at step {step} got {wrong}; check the clips' tracking, or train with a lower "
            "learning rate."
        )
    return total, {name: value.detach() for name, value in values.items()}
