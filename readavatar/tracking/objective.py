"""What a fit minimises: a weighted sum of named energies of the parameters and a batch of frames."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from readavatar.data.tracking_data import Observations, TrackingBatch
from readavatar.errors import UserError
from readavatar.morphable.model import MorphableModel
from readavatar.rendering.camera import head_to_world, project, world_to_clip
from readavatar.rendering.rasterize import interpolate, rasterize, silhouette
from readavatar.rendering.shading import linear_to_srgb, shade, vertex_normals
from readavatar.rendering.texture import sample_texture
from readavatar.tracking import energies
from readavatar.tracking.albedo import AlbedoPrior
from readavatar.tracking.expression_prior import expression_prior
from readavatar.tracking.lighting import solve_lighting
from readavatar.tracking.model_part import FaceSurface, LandmarkModel
from readavatar.tracking.parameters import FaceParameters

ENERGIES = (
    "landmarks", "gaps", "irises", "expression", "sparsity", "shape", "focal", "smooth_pose", "smooth_expression",
    "smooth_gaze", "photometric", "albedo_smoothness", "albedo_symmetry", "albedo_typicality",
)  # fmt: skip
"""Each has a weight in the config."""

FOCAL_DEVIATION = 0.2
"""Of its logarithm: one face at arm's length says little about the lens."""
ROTATION_ACCELERATION = 0.004
"""Radians a frame²."""
POSITION_ACCELERATION = 0.001
"""Frame sides, and of the logarithm of the distance, a frame²."""
EXPRESSION_ACCELERATION = 0.03
GAZE_ACCELERATION = 0.05
"""Radians a frame²; saccades are faster, so this weighs little."""


class Objective(nn.Module):
    """The observations, the model and the priors; no parameters of its own."""

    def __init__(
        self,
        model: MorphableModel,
        observations: Observations,
        weights: dict[str, float],
        texture_size: int,
        backend: str = "auto",
    ) -> None:
        """
        Args:
            model: The face.
            observations: Of all frames.
            weights: Of each of ``ENERGIES``.
            texture_size: Texels of the albedo's sides.
            backend: Of ``rendering.rasterize``.
        """
        super().__init__()
        wrong = sorted(set(weights) ^ set(ENERGIES))
        if wrong:
            raise UserError(f"Expected a weight for each of {', '.join(ENERGIES)}, but {', '.join(wrong)} don't match.")
        self.weights, self.backend = dict(weights), backend
        self.observations = observations
        self.landmark_model = LandmarkModel(model)
        self.surface = FaceSurface(model)
        self.albedo_prior = AlbedoPrior(model, texture_size)
        self.prior = expression_prior(
            observations.blendshapes, observations.confidence, model.expression_names, model.expression_bounds
        )
        corners = model.landmarks_3d(model.template[None])[0, [36, 45]]
        self.eye_distance = float((corners[0] - corners[1]).norm())
        self.initial_focal: Tensor | None = None
        self.units: Tensor | None = None

    def _apply(self, function, recurse: bool = True):
        # The observations are plain dataclasses; they follow the module to its device.
        super()._apply(function, recurse)
        device = self.albedo_prior.mean.device
        self.observations, self.prior = self.observations.to(device), self.prior.to(device)
        if self.units is not None:
            self.units, self.initial_focal = self.units.to(device), self.initial_focal.to(device)
        return self

    def fix_units(self, parameters: FaceParameters) -> None:
        """Take the parameters' focal length as the prior's, and the heads' sizes as what errors are measured in."""
        self.initial_focal = parameters.focal.detach().clone()
        self.units = (self.eye_distance * (-parameters.position[:, 2]).exp()).detach()

    def predict_landmarks(
        self, parameters: FaceParameters, indices: Int[Tensor, " B"]
    ) -> tuple[Float[Tensor, "B 68 2"], Float[Tensor, "B P 2"]]:
        """Landmarks and pupils, frame sides."""
        landmarks, pupils = self.landmark_model(
            parameters.shape[None], parameters.expression[indices], parameters.gaze[indices]
        )
        points = torch.cat([landmarks, pupils], 1)
        world = head_to_world(points, parameters.rotation[indices], parameters.translation(indices))
        projected = project(world, parameters.camera(indices, 1))
        return projected[:, :68], projected[:, 68:]

    def surface_maps(
        self,
        parameters: FaceParameters,
        indices: Int[Tensor, " B"],
        resolution: int,
        texture: Float[Tensor, "3 R R"] | None = None,
    ) -> tuple[Float[Tensor, "B 3 H W"], Float[Tensor, "B 3 H W"], Float[Tensor, "B 1 H W"]]:
        """Albedo (or another ``texture``) and world normals at every pixel that sees the face, and where it is seen."""
        surface = self.surface
        head = surface(parameters.shape[None], parameters.expression[indices], parameters.gaze[indices])
        vertices = head_to_world(head, parameters.rotation[indices], parameters.translation(indices))
        clip = world_to_clip(vertices, parameters.camera(indices, resolution))
        fragments = rasterize(clip, surface.faces, (resolution, resolution), self.backend)
        # A tenth of a degree in a normal changes a pixel less than a tenth of a pixel in where its texel comes from, so
        # gradients go the second way alone; the first would be a third of a step's time.
        normals = interpolate(vertex_normals(vertices.detach(), surface.faces), surface.faces, fragments)
        uvs = interpolate(surface.uvs[None], surface.uv_faces, fragments)
        texture = parameters.albedo if texture is None else texture
        return sample_texture(texture[None], uvs), F.normalize(normals, dim=1), silhouette(fragments)

    def render(
        self, parameters: FaceParameters, indices: Int[Tensor, " B"], resolution: int
    ) -> tuple[Float[Tensor, "B 3 H W"], Float[Tensor, "B 1 H W"]]:
        """The face in its light, gamma-encoded, and where it is."""
        albedo, normals, covered = self.surface_maps(parameters, indices, resolution)
        return linear_to_srgb(shade(albedo, normals, parameters.lighting[indices]).clamp(min=0)), covered

    def seen_texels(self, parameters: FaceParameters, batch: TrackingBatch) -> Float[Tensor, "R R"]:
        """How much each texel of the albedo contributes to the batch's pixels."""
        with torch.enable_grad():
            probe = parameters.albedo.detach().clone().requires_grad_()
            albedo, _, covered = self.surface_maps(parameters, batch.indices, batch.frames.shape[-1], probe)
            total = (albedo * covered * (batch.masks > 0.5)).sum()
        # The gradient of a sum of bilinear look-ups is the sum of their weights.
        return torch.autograd.grad(total, probe)[0][0]

    def energies(
        self, parameters: FaceParameters, batch: TrackingBatch, consecutive: bool, relight: bool = False
    ) -> dict[str, Float[Tensor, ""]]:
        """The energies of a batch, unweighted.

        Args:
            parameters: Of all frames.
            batch: Its frames; with pixels, the photometric energy and the albedo's and the light's priors come in.
            consecutive: Whether the batch's frames are neighbours, so that motion over time means something.
            relight: Whether to set the batch's light to what explains its pixels best.
        """
        found = self._landmark_energies(parameters, batch.indices) | self._prior_energies(parameters, batch.indices)
        if consecutive:
            found |= self._smoothness_energies(parameters, batch.indices)
        if batch.frames is not None:
            found |= self._photometric_energies(parameters, batch, relight)
        return found

    def total(self, found: dict[str, Float[Tensor, ""]]) -> Float[Tensor, ""]:
        """Their weighted sum."""
        return sum(self.weights[name] * value for name, value in found.items())

    def _landmark_energies(self, parameters: FaceParameters, indices: Tensor) -> dict[str, Tensor]:
        seen, unit = self.observations, self.units[indices]
        confidence, target = seen.confidence[indices], seen.landmarks_2d[indices]
        predicted, pupils = self.predict_landmarks(parameters, indices)
        found = {
            "landmarks": (energies.landmark_energy(predicted, target, unit) * confidence).mean(),
            "gaps": (energies.gap_energy(predicted, target, unit) * confidence).mean(),
        }
        if self.landmark_model.has_eyes:
            openness = energies.eye_openness(target)
            by_frame = energies.iris_energy(pupils, seen.irises[indices], unit, openness)
            found["irises"] = (by_frame * confidence * seen.has_irises[indices]).mean()
        return found

    def _prior_energies(self, parameters: FaceParameters, indices: Tensor) -> dict[str, Tensor]:
        expression, confidence = parameters.expression[indices], self.observations.confidence[indices]
        by_frame = energies.gaussian_energy(expression, self.prior.mean[indices], self.prior.deviation[indices])
        return {
            "expression": (by_frame * confidence).mean(),
            "sparsity": (energies.sparsity_energy(expression) * confidence).mean(),
            "shape": parameters.shape.square().mean(),
            "focal": ((parameters.focal - self.initial_focal) / FOCAL_DEVIATION).square(),
        }

    def _smoothness_energies(self, parameters: FaceParameters, indices: Tensor) -> dict[str, Tensor]:
        # Two frames on either side take part, held still, so that batches join smoothly.
        first, last = int(indices[0]), int(indices[-1])
        start, stop = max(0, first - 2), min(self.observations.num_frames, last + 3)
        clips = self.observations.clip_index[start:stop]

        def window(values: Tensor) -> Tensor:
            held = values.detach()
            return torch.cat([held[start:first], values[first : last + 1], held[last + 1 : stop]]).flatten(1)

        def accelerations(values: Tensor, scale: float) -> Tensor:
            return energies.second_differences(window(values) / scale, clips).square()

        expression = accelerations(parameters.expression, EXPRESSION_ACCELERATION) * self.prior.smoothness
        pose = torch.cat(
            [
                accelerations(parameters.rotation, ROTATION_ACCELERATION),
                accelerations(parameters.position, POSITION_ACCELERATION),
            ],
            1,
        )
        count = len(indices)
        return {
            "smooth_pose": pose.mean(1).sum() / count,
            "smooth_expression": expression.mean(1).sum() / count,
            "smooth_gaze": accelerations(parameters.gaze, GAZE_ACCELERATION).mean(1).sum() / count,
        }

    def _photometric_energies(
        self, parameters: FaceParameters, batch: TrackingBatch, relight: bool
    ) -> dict[str, Tensor]:
        indices, frames = batch.indices, batch.frames
        albedo, normals, covered = self.surface_maps(parameters, indices, frames.shape[-1])
        mask = covered * (batch.masks > 0.5)
        lighting = parameters.lighting[indices]
        if relight:
            lighting = solve_lighting(albedo.detach(), normals.detach(), frames, mask, lighting)
            parameters.lighting.data[indices] = lighting
        rendered = linear_to_srgb(shade(albedo, normals, lighting).clamp(min=0))
        by_frame = energies.photometric_energy(rendered, frames, mask)
        texture, prior = parameters.albedo, self.albedo_prior
        return {
            "photometric": (by_frame * self.observations.confidence[indices]).mean(),
            "albedo_smoothness": prior.smoothness(texture),
            "albedo_symmetry": prior.symmetry(texture),
            "albedo_typicality": prior.typicality(texture),
        }
