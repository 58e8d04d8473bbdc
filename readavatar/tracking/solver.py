"""The solver of a fit: one step computes light and albedo in closed form, then geometry by Gauss–Newton."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from readavatar.data.datasets.tracking import TrackingBatch
from readavatar.rendering.camera import axis_angle_to_matrix, matrix_to_axis_angle
from readavatar.tracking.normal_equations import NormalEquations
from readavatar.tracking.objective import FitObjective
from readavatar.tracking.parameters import NUM_POSE, FaceParameters, View, view_of
from readavatar.tracking.regularizers import expression_term, shared_term, smoothness, symmetry_rows
from readavatar.tracking.residuals import (
    Rows,
    filmed_face,
    fitted_lighting,
    improved_albedo,
    landmark_rows,
    mean_squared_error,
    pixel_rows,
    with_albedo,
)


class GivenSteps(torch.optim.Optimizer):
    """An optimizer that only runs its closure, which changes the parameters.

    Lightning counts, logs, checkpoints and resumes a training by its optimizer's steps. Here, ``Solver`` computes the
    steps, without gradients or a learning rate.
    """

    def __init__(self, parameters: Iterable[nn.Parameter]) -> None:
        super().__init__(parameters, {})

    def step(self, closure: Callable[[], object]) -> object:
        """Take a step.

        Args:
            closure: Changes the parameters.
        """
        return closure()


OWN = ("expression", "rotation", "position", "gaze")
"""A frame's own unknowns, in the order of the equations."""
SHARED = ("shape", "focal", "offsets")
"""Those that all frames share, in the order of the equations."""
MAX_GAZE = 0.9
"""Largest rotation of an eye, radians."""
MAX_STEP = {"expression": 0.3, "pose": 0.15, "gaze": 0.3, "shape": 1.0, "focal": 0.1}
"""Largest steps, in which the linearisation is valid."""


def held_unknowns(
    parameters: FaceParameters, num_frames: int, free: Collection[str]
) -> tuple[Bool[Tensor, "B D"], Bool[Tensor, " G"]]:
    """Whether each of the frames' own and of the shared unknowns is fixed."""
    own, shared = (
        torch.cat([torch.full((size,), name not in free) for name, size in zip(names, sizes, strict=True)])
        for names, sizes in (
            (OWN, (parameters.expression.shape[1], 3, 3, 2)),
            (SHARED, (len(parameters.shape), 1, parameters.offsets.numel())),
        )
    )
    device = parameters.expression.device
    return own.to(device).repeat(num_frames, 1), shared.to(device)


def step_bounds(
    expression: Float[Tensor, "B E"], bounds: Float[Tensor, "E 2"]
) -> tuple[Float[Tensor, "B D"], Float[Tensor, "B D"]]:
    """The least and the greatest step of each of the frames' own unknowns; only expressions are bounded."""
    (low, high), limit = bounds.unbind(1), MAX_STEP["expression"]
    lowest, highest = (low - expression).clamp(min=-limit), (high - expression).clamp(max=limit)
    return F.pad(lowest, (0, NUM_POSE), value=-torch.inf), F.pad(highest, (0, NUM_POSE), value=torch.inf)


def move(
    parameters: FaceParameters,
    indices: Int[Tensor, " B"],
    own: Float[Tensor, "B D"],
    shared: Float[Tensor, " G"],
    bounds: Float[Tensor, "E 2"],
) -> None:
    """Apply a step, limited to where the linearisation is valid; a head rotation is applied after the current one."""

    def limited(step: Tensor, name: str) -> Tensor:
        return step.clamp(-MAX_STEP[name], MAX_STEP[name])

    expression, turn, position, gaze = own.split([len(bounds), 3, 3, 2], 1)
    moved = parameters.expression[indices] + limited(expression, "expression")
    parameters.expression[indices] = moved.clamp(bounds[:, 0], bounds[:, 1])
    turn = axis_angle_to_matrix(limited(turn, "pose"))
    parameters.rotation[indices] = matrix_to_axis_angle(turn @ axis_angle_to_matrix(parameters.rotation[indices]))
    parameters.position[indices] += limited(position, "pose")
    looked = parameters.gaze[indices] + limited(gaze, "gaze")
    parameters.gaze[indices] = looked.clamp(-MAX_GAZE, MAX_GAZE)
    if len(shared):
        shape, focal, offsets = shared.split([len(parameters.shape), 1, parameters.offsets.numel()])
        parameters.shape += limited(shape, "shape")
        parameters.focal += limited(focal[0], "focal")
        parameters.offsets += offsets.view(-1, 3)


class Solver:
    """Improves parameters under an objective."""

    def __init__(self, objective: FitObjective, num_pixels: int) -> None:
        """
        Args:
            objective: The objective.
            num_pixels: Number of pixels of a frame that a step compares.
        """
        self.objective, self.num_pixels = objective, num_pixels

    @torch.no_grad()
    def step(
        self, parameters: FaceParameters, batch: TrackingBatch, free: Collection[str], consecutive: bool
    ) -> dict[str, Tensor]:
        """Improve the free parameters.

        Args:
            parameters: Changed in place.
            batch: Frames; if they have pixels, these are also compared.
            free: Names of parameters.
            consecutive: Whether the batch's frames are consecutive, which smoothness over time requires; it is not used
                if shared parameters are free.

        Returns:
            The terms' energies before the step, by weight key: weighted squares in units of typical errors, means over
            frames (sums for shape, focal length and offsets). Only ``photometric`` is the mean squared error of the
            gamma-encoded colours, with the new light and albedo.
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
        """Update light and albedo, then add the pixels' equations of geometry.

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
        Its energy: weighted squares, mean over frames.
    """
    scale = (weight * rows.weights).sqrt()
    residuals = rows.residuals * scale
    shared = None if rows.shared is None else rows.shared * scale[..., None]
    equations.add(residuals, rows.jacobian * scale[..., None], shared)
    return residuals.square().sum() / len(residuals)
