"""Gauss–Newton's normal equations of several frames, with unknowns of each frame and unknowns that all frames share.

With residuals r and their Jacobian J the step δ solves Jᵀ J δ = −Jᵀ r. Only the shared unknowns couple frames, so
that the matrix has an arrow shape. Each frame's own unknowns are eliminated by the Schur complement, with a cost that
is linear in the number of frames (Triggs et al. 2000, *Bundle adjustment*, section 6).
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Shaped
from scipy.linalg import solveh_banded
from torch import Tensor

DAMPING = 1e-3
"""Relative to each diagonal element (Marquardt 1963): unknowns without information do not move."""
ACTIVE_SET_ROUNDS = 4
"""Number of rounds; afterwards, the remaining violations are clamped to the bounds."""


class NormalEquations:
    """Accumulates the terms of B frames with D own unknowns each and G shared ones."""

    def __init__(self, num_frames: int, num_own: int, num_shared: int, like: Tensor) -> None:
        """
        Args:
            num_frames: B.
            num_own: D.
            num_shared: G; may be 0.
            like: A tensor with the device and type of the equations.
        """
        self.own = like.new_zeros(num_frames, num_own, num_own)
        self.cross = like.new_zeros(num_frames, num_own, num_shared)
        self.shared = like.new_zeros(num_shared, num_shared)
        self.own_gradient = like.new_zeros(num_frames, num_own)
        self.shared_gradient = like.new_zeros(num_shared)
        self.over_time: Tensor | None = None
        self.over_time_weights: Tensor | None = None

    def add(
        self,
        residuals: Float[Tensor, "B R"],
        own: Float[Tensor, "B R D"],
        shared: Float[Tensor, "B R G"] | None = None,
    ) -> None:
        """Add squared residuals that are already weighted.

        Args:
            residuals: At the current unknowns.
            own: Their derivatives by each frame's own unknowns.
            shared: Derivatives by the shared unknowns; None if they have no effect or are not free.
        """
        self.own += own.mT @ own
        self.own_gradient += (own.mT @ residuals[..., None])[..., 0]
        if shared is not None and self.shared.numel():
            self.cross += own.mT @ shared
            flat = shared.flatten(0, 1)
            self.shared += flat.mT @ flat
            self.shared_gradient += flat.mT @ residuals.flatten()

    def add_own(self, curvature: Float[Tensor, "B D"], gradient: Float[Tensor, "B D"]) -> None:
        """Add a term that is separate in each of the frames' own unknowns."""
        self.own.diagonal(dim1=1, dim2=2).add_(curvature)
        self.own_gradient += gradient

    def add_shared(self, curvature: Float[Tensor, " G"], gradient: Float[Tensor, " G"]) -> None:
        """Add a term that is separate in each of the shared unknowns."""
        self.shared.diagonal().add_(curvature)
        self.shared_gradient += gradient

    def couple(self, differences: Float[Tensor, "t B"], weights: Float[Tensor, " D"]) -> None:
        """Couple neighbouring frames: ½ Σ w ‖A δ‖² of each unknown over the frames; ``add_own`` adds its gradient.

        Args:
            differences: A, rows of differences over time.
            weights: w, of each of a frame's own unknowns.
        """
        self.over_time = differences.mT @ differences
        self.over_time_weights = weights

    def solve(
        self,
        held_own: Bool[Tensor, "B D"],
        held_shared: Bool[Tensor, " G"],
        lowest: Float[Tensor, "B D"],
        highest: Float[Tensor, "B D"],
    ) -> tuple[Float[Tensor, "B D"], Float[Tensor, " G"]]:
        """The step within the bounds, by an active-set method: unknowns that would violate a bound are fixed to it.

        Args:
            held_own: Unknowns that are fixed.
            held_shared: Likewise.
            lowest: Least steps of the frames' own unknowns.
            highest: Likewise.

        Returns:
            Steps of the frames' own unknowns and of the shared ones.
        """
        if self.over_time is None:
            system = _Arrow(self.own, self.cross, self.shared, self.own_gradient, self.shared_gradient)
        else:
            system = _Chain(self.own, self.over_time, self.over_time_weights, self.own_gradient)
        step = torch.zeros_like(self.own_gradient)
        fixed = held_own.clone()
        for _ in range(ACTIVE_SET_ROUNDS):
            own, shared = system.solve(fixed, step, held_shared)
            beyond = ~fixed & ((own < lowest) | (own > highest))
            step = torch.where(fixed, step, own.clamp(lowest, highest))
            if not bool(beyond.any()):
                break
            fixed = fixed | beyond
        return step, shared


class _Arrow:
    """The matrix and right-hand side with blocks of frames that only the shared unknowns couple."""

    def __init__(
        self,
        own: Float[Tensor, "b d d"],
        cross: Float[Tensor, "b d G"],
        shared: Float[Tensor, "G G"],
        own_gradient: Float[Tensor, "b d"],
        shared_gradient: Float[Tensor, " G"],
    ) -> None:
        self.own, self.cross, self.shared = _precise(own), _precise(cross), _precise(shared)
        self.own_gradient, self.shared_gradient = _precise(own_gradient), _precise(shared_gradient)

    def solve(
        self, fixed: Bool[Tensor, "B D"], given: Float[Tensor, "B D"], held_shared: Bool[Tensor, " G"]
    ) -> tuple[Float[Tensor, "B D"], Float[Tensor, " G"]]:
        """The step of the free unknowns if the fixed ones take the ``given`` steps."""
        free, free_shared = _precise(~fixed).view_as(self.own_gradient), _precise(~held_shared)
        taken = (_precise(given) * _precise(fixed)).view_as(self.own_gradient)
        gradient = (self.own_gradient + (self.own @ taken[..., None])[..., 0]) * free
        factor = torch.linalg.cholesky(_restricted(self.own, free))
        solved = torch.cholesky_solve(gradient[..., None], factor)[..., 0]
        if not self.shared.numel():
            return (taken - solved).view_as(given).to(given), self.shared_gradient.to(given)
        shared_gradient = self.shared_gradient + torch.einsum("bdg,bd->g", self.cross, taken)
        cross = self.cross * free[..., None] * free_shared
        eliminated = torch.cholesky_solve(cross, factor)
        complement = _restricted(self.shared, free_shared) - torch.einsum("bdg,bdh->gh", cross, eliminated)
        right = shared_gradient * free_shared - torch.einsum("bdg,bd->g", eliminated, gradient)
        shared_step = -torch.linalg.solve(complement, right)
        return (taken - solved - eliminated @ shared_step).view_as(given).to(given), shared_step.to(given)


class _Chain:
    """The matrix and right-hand side of frames that are coupled with the next two: a band of 2 D below the diagonal."""

    def __init__(
        self,
        own: Float[Tensor, "B D D"],
        over_time: Float[Tensor, "B B"],
        weights: Float[Tensor, " D"],
        gradient: Float[Tensor, "B D"],
    ) -> None:
        self.own, self.gradient = own.cpu().double(), gradient.cpu().double()
        self.over_time, self.weights = over_time.cpu().double(), weights.cpu().double()

    def solve(
        self, fixed: Bool[Tensor, "B D"], given: Float[Tensor, "B D"], held_shared: Bool[Tensor, " 0"]
    ) -> tuple[Float[Tensor, "B D"], Float[Tensor, " 0"]]:
        """The step of the free unknowns if the fixed ones take the ``given`` steps."""
        num_frames, num_own = self.gradient.shape
        free, taken = (~fixed).cpu().double(), (given * fixed).cpu().double()
        moved = (self.own @ taken[..., None])[..., 0] + self.over_time @ taken * self.weights
        gradient = (self.gradient + moved) * free
        own = _restricted(self.own, free)
        band = own.new_zeros(2 * num_own + 1, num_frames, num_own)
        row, column = torch.tril_indices(num_own, num_own)
        band[row - column, :, column] = own[:, row, column].mT
        for apart in range(min(3, num_frames)):
            both = free[: num_frames - apart] * free[apart:]
            coupling = self.over_time.diagonal(-apart)[:, None] * self.weights * both
            band[apart * num_own, : num_frames - apart] += coupling
        solved = solveh_banded(band.flatten(1).numpy(), gradient.flatten().numpy(), lower=True, check_finite=False)
        step = taken - torch.from_numpy(solved).view_as(taken)
        return step.to(given), given.new_zeros(0)


def _precise(values: Shaped[Tensor, "*n"]) -> Float[Tensor, "*n"]:
    return (values.cpu() if values.device.type == "mps" else values).double()  # Apple's GPUs have single precision


def _restricted(matrix: Float[Tensor, "*b n n"], free: Float[Tensor, "*b n"]) -> Float[Tensor, "*b n n"]:
    """Replace rows and columns of fixed unknowns by the identity's, and damp the rest."""
    kept = matrix * free[..., :, None] * free[..., None, :]
    diagonal = kept.diagonal(dim1=-2, dim2=-1)
    diagonal.add_(DAMPING * diagonal + 1e-6 + (1 - free))
    return kept
