"""Results of a fit: what is stored in clips, and errors against the truth."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from readavatar.data.datasets.tracking import Observations
from readavatar.data.store import ClipStore
from readavatar.metrics import landmark_error, vertex_error
from readavatar.morphable.model import MorphableModel
from readavatar.rendering.camera import axis_angle_to_matrix
from readavatar.tracking.parameters import FaceParameters
from readavatar.types import Camera, FaceCoefficients, TrackedFace

_TRUTH_FRAMES = 40
"""Frames of a clip that are compared with the truth, spread evenly to save memory."""


@torch.no_grad()
def tracked_face(
    parameters: FaceParameters, model: MorphableModel, observations: Observations, clip: int, size: int
) -> TrackedFace:
    """The fit of one clip, for frames with sides of ``size`` pixels."""
    frames = observations.clip_frames(clip)
    camera = parameters.camera(frames[:1], size)
    coefficients = FaceCoefficients(
        shape_coefficients=parameters.shape.clone(),
        expression_coefficients=parameters.expression[frames],
        rotation=parameters.rotation[frames],
        translation=parameters.translation(frames),
        gaze=parameters.gaze[frames],
    )
    camera = Camera(camera.intrinsics[0], camera.world_to_camera[0].contiguous(), size, size)
    return TrackedFace(
        coefficients, camera, parameters.lighting[frames], parameters.albedo.clone(), model.name, model.expression_names
    )


@dataclass(frozen=True)
class TruthErrors:
    """Errors of a fit against a digital actor's truth, means over the frames."""

    vertices: float
    """Of the face after rigid alignment, millimetres."""
    lip_motion: float
    """Of the lips' displacement from the person's own neutral, millimetres."""
    rotation: float
    """Degrees."""
    translation: float
    """Of the direction to the head, relative to 1."""
    gaze: float
    """Degrees."""


@torch.no_grad()
def compare_with_truth(face: TrackedFace, truth: TrackedFace, model: MorphableModel) -> TruthErrors:
    """Errors of a fit that uses the truth's own model."""
    count = truth.coefficients.num_frames
    chosen = torch.linspace(0, count - 1, min(count, _TRUTH_FRAMES)).round().long()
    fitted, true = face.coefficients.frames(chosen), truth.coefficients.frames(chosen)
    fitted_vertices, true_vertices = (head_vertices(part, model) for part in (fitted, true))
    fitted_neutral, true_neutral = (neutral_vertices(part, model) for part in (fitted, true))
    on_face, lips = model.vertex_mask("face"), model.vertex_mask("lips")
    motion = (fitted_vertices - fitted_neutral) - (true_vertices - true_neutral)
    turn = axis_angle_to_matrix(fitted.rotation).mT @ axis_angle_to_matrix(true.rotation)
    directions = [part.translation / part.translation.norm(dim=-1, keepdim=True) for part in (fitted, true)]
    return TruthErrors(
        vertices=float(vertex_error(fitted_vertices[:, on_face], true_vertices[:, on_face]).mean()) * 1000,
        lip_motion=float(motion[:, lips].norm(dim=-1).mean()) * 1000,
        rotation=float(degrees_of_turn(turn).mean()),
        translation=float((directions[0] - directions[1]).norm(dim=-1).mean()),
        gaze=float((fitted.gaze - true.gaze).norm(dim=-1).rad2deg().mean()),
    )


def degrees_of_turn(matrix: Float[Tensor, "B 3 3"]) -> Float[Tensor, " B"]:
    # |R − 1| = 2√2 sin(angle / 2): accurate at small angles, unlike the arc cosine of the trace.
    distance = (matrix - torch.eye(3).to(matrix)).flatten(1).norm(dim=1)
    return 2 * (distance / 8**0.5).clamp(max=1).asin().rad2deg()


def head_vertices(coefficients: FaceCoefficients, model: MorphableModel) -> Float[Tensor, "B V 3"]:
    return model(coefficients.shape_coefficients[None], coefficients.expression_coefficients, coefficients.gaze)


def neutral_vertices(coefficients: FaceCoefficients, model: MorphableModel) -> Float[Tensor, "1 V 3"]:
    nothing = torch.zeros(1, model.num_expressions).to(model.template)
    return model(coefficients.shape_coefficients[None], nothing)


def inner_landmark_errors(predicted: Float[Tensor, "B 68 2"], target: Float[Tensor, "B 68 2"]) -> Float[Tensor, " B"]:
    """Mean over the 51 landmarks within the face, per cent of the inter-ocular distance."""
    return landmark_error(predicted, target)[:, 17:].mean(1) * 100


def truth_of(store: ClipStore, model: MorphableModel) -> TrackedFace | None:
    """A digital actor's truth if it belongs to the same model; else None."""
    if not (store.path / "truth.safetensors").exists():
        return None
    truth = store.truth()
    same = truth.morphable_model == model.name and truth.expression_names == model.expression_names
    return truth if same else None
