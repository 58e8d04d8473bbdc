"""The objective of a fit: model, observations and priors, with predicted landmarks and rendered maps."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from readavatar.data.datasets.tracking import Observations, TrackingBatch
from readavatar.errors import UserError
from readavatar.morphable.model import MorphableModel
from readavatar.rendering.camera import head_to_world, project, world_to_clip
from readavatar.rendering.rasterize import Fragments, interpolate, rasterize, silhouette
from readavatar.rendering.shading import linear_to_srgb, sample_texture, shade, unit_length, vertex_normals
from readavatar.tracking.albedo import AlbedoPrior
from readavatar.tracking.detector_priors import blendshape_prior, read_calibration
from readavatar.tracking.model_part import FaceSurface, LandmarkModel
from readavatar.tracking.parameters import FaceParameters
from readavatar.types import Camera

TERMS = (
    "landmarks", "gaps", "irises", "photometric", "expression", "sparsity", "symmetry", "shape", "focal", "offsets",
    "smooth_pose", "smooth_expression", "smooth_gaze",
)  # fmt: skip
"""The terms; each has a weight in the config."""


@dataclass(frozen=True)
class SurfaceMaps:
    """The face's surface at each pixel of B frames."""

    head: Float[Tensor, "B n 3"]
    """The surface's vertices, head frame, metres."""
    camera: Camera
    fragments: Fragments
    uvs: Float[Tensor, "B 2 H W"]
    normals: Float[Tensor, "B 3 H W"]
    """Unit length, world frame."""
    albedo: Float[Tensor, "B 3 H W"]
    """Linear light."""
    covered: Float[Tensor, "B 1 H W"]
    """1 where the face is visible."""


def cropped(maps: SurfaceMaps, rows: slice, columns: slice) -> SurfaceMaps:
    """Some rows and columns of the maps; the camera stays that of the whole frame."""
    fragments = Fragments(
        maps.fragments.face_index[:, rows, columns],
        maps.fragments.barycentrics[:, rows, columns],
        maps.fragments.depth[:, rows, columns],
    )
    images = {name: getattr(maps, name)[:, :, rows, columns] for name in ("uvs", "normals", "albedo", "covered")}
    return replace(maps, fragments=fragments, **images)


class FitObjective(nn.Module):
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
            weights: Of each of ``TERMS``.
            texture_size: Texels of the albedo's sides.
            backend: For ``rendering.rasterize``.
        """
        super().__init__()
        wrong = sorted(set(weights) ^ set(TERMS))
        if wrong:
            raise UserError(f"Expected a weight for each of {', '.join(TERMS)}, but {', '.join(wrong)} do not match.")
        self.weights, self.backend = dict(weights), backend
        self.expression_names = model.expression_names
        self.register_buffer("expression_bounds", model.expression_bounds, persistent=False)
        self.observations = observations
        self.landmark_model = LandmarkModel(model)
        self.surface = FaceSurface(model)
        self.albedo_prior = AlbedoPrior(model, texture_size)
        self.prior = blendshape_prior(observations, model.expression_names, model.expression_bounds)
        offsets, self.offset_spread = read_calibration(model.name)
        self.register_buffer("typical_offsets", offsets, persistent=False)
        names = model.expression_names
        sides = [(names.index(name), names.index(f"{name[:-2]}_R")) for name in names if f"{name[:-2]}_R" in names]
        sides = [(left, right) for left, right in sides if left != right]
        self.register_buffer("sides", torch.tensor(sides, dtype=torch.long).view(-1, 2), persistent=False)
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
        """Set the focal length of the prior, and the heads' sizes as the unit of errors, from the parameters."""
        self.initial_focal = parameters.focal.detach().clone()
        self.units = (self.eye_distance * (-parameters.position[:, 2]).exp()).detach()

    def predict_landmarks(
        self, parameters: FaceParameters, indices: Int[Tensor, " B"]
    ) -> tuple[Float[Tensor, "B 68 2"], Float[Tensor, "B P 2"]]:
        """Landmarks (with the detector's offsets) and pupils, frame sides."""
        landmarks, pupils = self.landmark_model(
            parameters.shape[None], parameters.expression[indices], parameters.gaze[indices]
        )
        points = torch.cat([landmarks + parameters.offsets, pupils], 1)
        world = head_to_world(points, parameters.rotation[indices], parameters.translation(indices))
        projected = project(world, parameters.camera(indices, 1))
        return projected[:, :68], projected[:, 68:]

    def surface_maps(self, parameters: FaceParameters, indices: Int[Tensor, " B"], resolution: int) -> SurfaceMaps:
        """Rasterise the surface at the frames' pixels."""
        surface = self.surface
        head = surface(parameters.shape[None], parameters.expression[indices], parameters.gaze[indices])
        vertices = head_to_world(head, parameters.rotation[indices], parameters.translation(indices))
        camera = parameters.camera(indices, resolution)
        fragments = rasterize(world_to_clip(vertices, camera), surface.faces, (resolution, resolution), self.backend)
        normals = interpolate(vertex_normals(vertices, surface.faces), surface.faces, fragments)
        uvs = interpolate(surface.uvs[None], surface.uv_faces, fragments)
        albedo = sample_texture(parameters.albedo[None], uvs)
        return SurfaceMaps(head, camera, fragments, uvs, unit_length(normals, 1), albedo, silhouette(fragments))

    def render(
        self, parameters: FaceParameters, indices: Int[Tensor, " B"], resolution: int
    ) -> tuple[Float[Tensor, "B 3 H W"], Float[Tensor, "B 1 H W"]]:
        """The lit face, gamma-encoded, and its mask."""
        maps = self.surface_maps(parameters, indices, resolution)
        return lit(maps, parameters.lighting[indices]), maps.covered

    def seen_texels(self, parameters: FaceParameters, batch: TrackingBatch) -> Float[Tensor, "R R"]:
        """The weight of each texel of the albedo in the batch's pixels."""
        maps = self.surface_maps(parameters, batch.indices, batch.frames.shape[-1])
        return self.albedo_prior.splat(maps.uvs, maps.covered * (batch.masks > 0.5))[0]


def lit(maps: SurfaceMaps, lighting: Float[Tensor, "B 9 3"]) -> Float[Tensor, "B 3 H W"]:
    """The lit face, gamma-encoded."""
    return linear_to_srgb(shade(maps.albedo, maps.normals, lighting).clamp(min=0))
