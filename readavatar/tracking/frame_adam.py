"""Adam for parameters of which a step touches some rows only."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor


class FrameAdam(torch.optim.Optimizer):
    """Adam (Kingma & Ba 2015, alg. 1) in which a row without gradient stays as it is, its moments and step count too.

    Plain Adam would push every frame on by its momentum at each step that does not look at it. In a parameter group
    with ``rows=True`` each entry of the first axis is a row; otherwise the parameter is one.
    """

    def __init__(self, params: Iterable[dict], betas: tuple[float, float] = (0.9, 0.99), eps: float = 1e-12) -> None:
        super().__init__(params, {"lr": 0.0, "betas": betas, "eps": eps, "rows": False})

    @torch.no_grad()
    def step(self, closure=None) -> None:
        """Update every parameter that has a gradient."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, group)

    def _update(self, parameter: Tensor, group: dict) -> None:
        # A view with rows in front; the one row of a shared parameter is all of it.
        rows = (len(parameter) if group["rows"] else 1, -1)
        values, gradient = parameter.view(rows), parameter.grad.view(rows)
        state = self.state[parameter]
        if not state:
            state["first"], state["second"] = torch.zeros_like(values), torch.zeros_like(values)
            state["steps"] = values.new_zeros(rows[0], 1)
        touched = gradient.ne(0).any(1).nonzero()[:, 0]
        beta1, beta2 = group["betas"]
        gradient, steps = gradient[touched], state["steps"][touched] + 1
        first = state["first"][touched].lerp(gradient, 1 - beta1)
        second = state["second"][touched].lerp(gradient.square(), 1 - beta2)
        change = (first / (1 - beta1**steps)) / ((second / (1 - beta2**steps)).sqrt() + group["eps"])
        values[touched] -= group["lr"] * change
        state["first"][touched], state["second"][touched], state["steps"][touched] = first, second, steps
