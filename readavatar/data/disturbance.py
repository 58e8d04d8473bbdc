"""Coefficients as a worse fit would give them, so that training has met tracking noise and driven faces before."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from readavatar.types import FaceCoefficients


@dataclass(frozen=True)
class Disturbance:
    """How often and by how much the fit is disturbed; standard deviations of normal noise."""

    share: float = 0.25
    """Of the frames."""
    expression: float = 0.02
    """Of each expression coefficient, which stays in [0, 1] where it was."""
    rotation: float = 0.003
    """Of each component of the axis-angle, radians: 0.2°, half a pixel at a face of 200."""
    translation: float = 0.0003
    """Of each coordinate, metres."""


def disturbed(coefficients: FaceCoefficients, disturbance: Disturbance, generator: torch.Generator) -> FaceCoefficients:
    """The coefficients of T frames with noise of their own each."""

    def noise(values: Tensor, scale: float) -> Tensor:
        return torch.randn(values.shape, generator=generator).to(values) * scale

    expressions = coefficients.expression_coefficients
    noisy = expressions + noise(expressions, disturbance.expression)
    # What is at rest stays so: a face of fifty half-started expressions is nobody's.
    inside = (expressions > 0) & (expressions < 1)
    return replace(
        coefficients,
        expression_coefficients=torch.where(inside, noisy.clamp(0, 1), expressions),
        rotation=coefficients.rotation + noise(coefficients.rotation, disturbance.rotation),
        translation=coefficients.translation + noise(coefficients.translation, disturbance.translation),
    )
