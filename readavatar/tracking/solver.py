"""One step of a fit: light and albedo in closed form, then Gauss–Newton on geometry, of a batch of frames."""

from __future__ import annotations

from collections.abc import Collection

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from readavatar.data.tracking_data import TrackingBatch
from readavatar.tracking.landmark_rows import landmark_rows
from readavatar.tracking.normal_equations import NormalEquations
from readavatar.tracking.objective import Objective
from readavatar.tracking.parameters import FaceParameters
from readavatar.tracking.pixel_rows import (
    filmed_face,
    fitted_lighting,
    improved_albedo,
    mean_squared_error,
    pixel_rows,
    with_albedo,
)
from readavatar.tracking.priors import expression_term, shared_term, smoothness, symmetry_rows
from readavatar.tracking.projection import NUM_POSE, View, view_of
from readavatar.tracking.terms import Rows
from readavatar.tracking.unknowns import OWN, SHARED, held_unknowns, move, step_bounds


class Solver:
    """Moves parameters towards what an objective wants."""

    def __init__(self, objective: Objective, num_pixels: int) -> None:
        """
        Args:
            objective: What is compared with what.
            num_pixels: Of a frame, that are compared in a step.
        """
        self.objective, self.num_pixels = objective, num_pixels

    @torch.no_grad()
    def step(
        self, parameters: FaceParameters, batch: TrackingBatch, free: Collection[str], consecutive: bool
    ) -> dict[str, Tensor]:
        """Improve what is free.

        Args:
            parameters: Changed in place.
            batch: Frames; with pixels, these are compared too.
            free: Names of parameters.
            consecutive: Whether the batch's frames are neighbours, so that motion over time means something; where
                shared parameters are free it plays no part.

        Returns:
            The terms' energies before the geometry's step, by weight key: weighted squares of typical errors, a frame
            (of shape, focal length and offsets: in all). Only ``photometric`` is the plain mean squared error of the
            gamma-encoded colours, in the light and albedo just found.
        """
        objective, indices = self.objective, batch.indices
        shares = bool(set(SHARED) & set(free))
        num_shared = len(parameters.shape) + 1 + parameters.offsets.numel() if shares else 0
        num_own = parameters.expression.shape[1] + NUM_POSE
        equations = NormalEquations(len(indices), num_own, num_shared, parameters.expression)
        view = view_of(parameters, indices)
        found = {}
        for name, rows in landmark_rows(objective, parameters, indices, view, shares).items():
            found[name] = add_rows(equations, rows, objective.weights[name])
        if batch.frames is not None:
            found["photometric"] = self._add_pixels(equations, parameters, batch, view, free, shares)
        term = expression_term(objective, parameters, indices)
        equations.add_own(F.pad(term.curvature, (0, NUM_POSE)), F.pad(term.gradient, (0, NUM_POSE)))
        found |= term.energies
        if len(objective.sides):
            confidence = objective.observations.confidence[indices]
            rows = symmetry_rows(parameters.expression[indices], objective.sides, confidence)
            found["symmetry"] = add_rows(equations, rows, objective.weights["symmetry"])
        if shares:
            term = shared_term(objective, parameters)
            equations.add_shared(term.curvature, term.gradient)
            found |= term.energies
        elif consecutive and (smooth := smoothness(objective, parameters, indices)):
            equations.couple(smooth.differences, smooth.precision)
            equations.add_own(torch.zeros_like(smooth.gradient), smooth.gradient)
            found |= smooth.energies
        held, held_shared = held_unknowns(parameters, len(indices), free)
        bounds = step_bounds(parameters.expression[indices], objective.expression_bounds)
        own, shared = equations.solve(held, held_shared[:num_shared], *bounds)
        move(parameters, indices, own, shared, objective.expression_bounds)
        return found

    def _add_pixels(
        self,
        equations: NormalEquations,
        parameters: FaceParameters,
        batch: TrackingBatch,
        view: View,
        free: Collection[str],
        shares: bool,
    ) -> Float[Tensor, ""]:
        """Find light and albedo, then add what the pixels say of geometry.

        Returns:
            The pixels' mean squared error.
        """
        objective, indices = self.objective, batch.indices
        face = filmed_face(objective, parameters, batch)
        if "lighting" in free:
            parameters.lighting[indices] = fitted_lighting(face, parameters.lighting[indices])
        lighting = parameters.lighting[indices]
        if "albedo" in free:
            parameters.albedo.copy_(improved_albedo(face, lighting, parameters.albedo, objective.albedo_prior))
            face = with_albedo(face, parameters.albedo)
        if {*OWN, "shape", "focal"} & set(free):
            rows = pixel_rows(objective, parameters, indices, view, face, self.num_pixels, shares)
            add_rows(equations, rows, objective.weights["photometric"])
        return mean_squared_error(face, lighting)


def add_rows(equations: NormalEquations, rows: Rows, weight: float) -> Float[Tensor, ""]:
    """Add a term.

    Returns:
        Its energy: weighted squares, a frame.
    """
    scale = (weight * rows.weights).sqrt()
    residuals = rows.residuals * scale
    shared = None if rows.shared is None else rows.shared * scale[..., None]
    equations.add(residuals, rows.jacobian * scale[..., None], shared)
    return residuals.square().sum() / len(residuals)
