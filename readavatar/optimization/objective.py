"""A training objective: a weighted sum whose terms bear the names of their weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from readavatar.errors import UserError


def weighted_sum(
    terms: Mapping[str, Callable[[], Float[Tensor, ""]]], weights: Mapping[str, float], step: int
) -> tuple[Float[Tensor, ""], dict[str, Float[Tensor, ""]]]:
    """The objective, and the value of each of its terms under its weight's name; a term of weight 0 is not computed.

    Args:
        terms: By name, what computes a term.
        weights: By the same names.
        step: Of the training, for the error's message.

    Raises:
        UserError: A weight other than 0 without a term, or a term that is not finite.
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
