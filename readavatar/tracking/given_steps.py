"""The fit's optimizer as torch and Lightning know one: its step is given whole."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import nn


class GivenSteps(torch.optim.Optimizer):
    """Runs the closure it is given, which moves the parameters itself.

    Lightning counts, logs, checkpoints and resumes a training by its optimizer's steps; ours are solved for in closed
    form (see ``solver``), and have neither gradients nor a learning rate.
    """

    def __init__(self, parameters: Iterable[nn.Parameter]) -> None:
        super().__init__(parameters, {})

    def step(self, closure: Callable[[], object]) -> object:
        """Take a step.

        Args:
            closure: Moves the parameters.
        """
        return closure()
