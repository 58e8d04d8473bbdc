"""The albedo texture of a fit: its start, and a prior for smoothness and symmetry."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.ndimage import distance_transform_edt
from scipy.spatial import cKDTree
from torch import Tensor, nn
from torch.nn import functional as F

from readavatar.morphable.model import MorphableModel
from readavatar.rendering.rasterize import interpolate, rasterize
from readavatar.rendering.shading import sample_texture
from readavatar.tracking.model_part import EYEBALLS

SKIN_LUMINANCE = 0.2
"""Of the mean albedo, since a video cannot separate albedo from light. It is low enough that eyes and teeth next to the
darkest skin stay below 1."""
DEFAULT_SKIN = (0.5, 0.38, 0.32)
REGION_ALBEDO = {
    "mouth_socket": (0.05, 0.02, 0.02),
    "gums": (0.3, 0.12, 0.12),
    "tongue": (0.3, 0.12, 0.12),
    "teeth_upper": (0.35, 0.33, 0.28),
    "teeth_lower": (0.35, 0.33, 0.28),
    "eyeball_left": (0.5, 0.5, 0.5),
    "eyeball_right": (0.5, 0.5, 0.5),
}
"""Linear reflectances of the other regions. Teeth are dark, as in the lips' shade, so that they do not show through."""
MIRROR_TOLERANCE = 0.004
"""Metres; if a texel's mirror image is farther from the surface, the texel has no counterpart."""
ALBEDO_RANGE = (0.005, 1.0)
IRIS_ALBEDO = 0.1
IRIS_RADIUS = 5.85 / 63
"""Relative to the distance between the eyes, since irises have almost the same size on all people."""
NUM_RINGS, OUTERMOST_RING = 48, 0.2
"""Number of rings around an eye's axis that have a constant albedo, and the radius of the last one."""
_LUMINANCE = (0.2126, 0.7152, 0.0722)


@dataclass(frozen=True)
class TexelMap:
    """The surface under each of the R × R texels."""

    region: Int[Tensor, "R R"]
    """Index into the model's ``region_names``; in gaps between charts that of the nearest texel."""
    mirrored: Int[Tensor, " n"]
    """Flat index of the texel on the face's other side, for each of ``symmetric``."""
    symmetric: Int[Tensor, " n"]
    """Flat indices of the texels that have a counterpart."""
    positions: Float[Tensor, "m 3"]
    """On the mean face, metres, of each of the flat R × R texels; zeros in gaps."""


@torch.no_grad()
def map_texels(model: MorphableModel, size: int) -> TexelMap:
    """Rasterise the model's charts into a texture of ``size`` texels a side."""
    uvs = model.uvs
    on_chart = torch.stack([2 * uvs[:, 0] - 1, 1 - 2 * uvs[:, 1], torch.zeros(len(uvs)), torch.ones(len(uvs))], 1)
    fragments = rasterize(on_chart[None], model.uv_faces, (size, size))
    positions = interpolate(model.template[None], model.faces, fragments)[0].permute(1, 2, 0).reshape(-1, 3)
    covered = (fragments.face_index[0] >= 0).flatten()
    face_regions = model.vertex_regions[model.faces[:, 0]]
    region = face_regions[fragments.face_index[0].clamp(min=0)]
    nearest = distance_transform_edt(~covered.view(size, size).numpy(), return_distances=False, return_indices=True)
    region = region[torch.from_numpy(nearest[0]), torch.from_numpy(nearest[1])]
    texels = torch.nonzero(covered)[:, 0]
    points = positions[texels].numpy()
    distance, place = cKDTree(points).query(points * np.array([-1, 1, 1]), workers=-1)
    has_mirror = torch.from_numpy(distance < MIRROR_TOLERANCE)
    return TexelMap(region, texels[torch.from_numpy(place)[has_mirror]], texels[has_mirror], positions)


def _eyes(model: MorphableModel, texels: TexelMap) -> tuple[Int[Tensor, " n"], Float[Tensor, " n"]]:
    """The eyeballs' texels, and how far each lies from its eye's axis, relative to the distance between the eyes."""
    found, outward = [torch.zeros(0, dtype=torch.long)], [torch.zeros(0)]
    for name in EYEBALLS:
        if not len(eyeball := model.region(name)):
            continue
        corners = model.template[eyeball].aminmax(dim=0)
        centre = (corners.min + corners.max) / 2
        inside = torch.nonzero((texels.region == model.region_names.index(name)).flatten())[:, 0]
        across = (texels.positions[inside] - centre)[:, :2].norm(dim=1) / (2 * centre[0].abs())
        at_front = texels.positions[inside, 2] > centre[2]
        found.append(inside)
        outward.append(torch.where(at_front, across, OUTERMOST_RING))
    return torch.cat(found), torch.cat(outward)


class AlbedoPrior(nn.Module):
    """A typical albedo of each region, and a prior for smooth, symmetric textures."""

    def __init__(self, model: MorphableModel, size: int) -> None:
        super().__init__()
        texels = map_texels(model, size)
        names = model.region_names
        self.register_buffer("symmetric", texels.symmetric, persistent=False)
        self.register_buffer("mirrored", texels.mirrored, persistent=False)
        self.register_buffer("region", texels.region, persistent=False)
        skin = torch.tensor([name not in REGION_ALBEDO for name in names])
        self.register_buffer("is_skin", skin[texels.region], persistent=False)
        eye_texels, outward = _eyes(model, texels)
        self.register_buffer("eye_texels", eye_texels, persistent=False)
        rings = (outward / OUTERMOST_RING * NUM_RINGS).long().clamp(max=NUM_RINGS - 1)
        self.register_buffer("eye_rings", rings, persistent=False)
        self.register_buffer("mean", self._typical(model, size), persistent=False)
        self.has_own = model.data.albedo is not None
        if not self.has_own:
            self.mean.flatten(1)[:, eye_texels[outward < IRIS_RADIUS]] = IRIS_ALBEDO

    def _typical(self, model: MorphableModel, size: int) -> Float[Tensor, "3 R R"]:
        if model.data.albedo is not None:
            return F.interpolate(model.data.albedo[None].float(), (size, size), mode="area")[0]
        colours = [REGION_ALBEDO.get(name, DEFAULT_SKIN) for name in model.region_names]
        return torch.tensor(colours)[self.region].permute(2, 0, 1).contiguous()

    def set_skin_colour(self, colour: Float[Tensor, " 3"]) -> None:
        """Set the person's skin colour (linear, of any brightness) at the typical luminance."""
        if self.has_own:
            return
        luminance = colour @ torch.tensor(_LUMINANCE).to(colour)
        scaled = (colour / luminance.clamp(min=1e-4) * SKIN_LUMINANCE).clamp(0.02, 0.95)
        self.mean[:, self.is_skin] = scaled[:, None]

    def skin_luminance(self) -> Float[Tensor, ""]:
        """Luminance of the typical skin."""
        return torch.tensor(_LUMINANCE).to(self.mean) @ self.mean[:, self.is_skin].mean(1)

    def complete(self, albedo: Float[Tensor, "3 R R"], seen: Float[Tensor, "R R"]) -> Float[Tensor, "3 R R"]:
        """Fill the skin that no frame showed with the colours around it.

        Args:
            albedo: The fitted albedo.
            seen: The weight with which each texel was seen.
        """
        if self.has_own:
            return albedo
        weight = seen * self.is_skin
        if not bool((weight > 0).any()):
            return albedo
        # Texels at the edge of the face were seen too little to change much; a well seen texel has weight 1.
        trust = (weight / weight[weight > 0].median()).clamp(max=1).square()
        filled = push_pull(albedo[None], trust[None, None])[0]
        share = torch.where(self.is_skin, trust, 1.0)
        return albedo * share + filled * (1 - share)

    def splat(self, uvs: Float[Tensor, "B 2 H W"], values: Float[Tensor, "B C H W"]) -> Float[Tensor, "C R R"]:
        """Add pixels' values to the texels that they sample: the transpose of ``sample_texture``."""
        with torch.enable_grad():
            probe = torch.zeros(1, values.shape[1], *self.region.shape, device=values.device, requires_grad=True)
            return torch.autograd.grad((sample_texture(probe, uvs) * values).sum(), probe)[0][0]

    def improve(
        self,
        albedo: Float[Tensor, "3 R R"],
        uvs: Float[Tensor, "B 2 H W"],
        radiance: Float[Tensor, "B 3 H W"],
        shading: Float[Tensor, "B 3 H W"],
        weight: Float[Tensor, "B 1 H W"],
        typicality: float,
        symmetry: float,
    ) -> Float[Tensor, "3 R R"]:
        """One step towards the albedo that explains pixels best (Jacobi's method on the normal equations).

        Args:
            albedo: The current albedo.
            uvs: Texture coordinates of each pixel.
            radiance: The filmed pixels, linear light.
            shading: The light that reaches each pixel's surface.
            weight: Of the pixels.
            typicality: Weight of each region's typical albedo, relative to the pixels of a well seen texel.
            symmetry: Likewise for the face's other side.
        """
        residual = radiance - shading * sample_texture(albedo[None], uvs)
        moment, power = self.splat(uvs, torch.cat([weight * shading * residual, weight * shading.square()], 1)).chunk(2)
        unit = power[:, self.is_skin].mean().clamp(min=1e-8)
        flat, moment, power = albedo.flatten(1), moment.flatten(1).clone(), power.flatten(1).clone()
        mirrored = symmetry * unit
        moment[:, self.symmetric] += mirrored * (flat[:, self.mirrored] - flat[:, self.symmetric])
        power[:, self.symmetric] += mirrored
        moment += typicality * unit * (self.mean.flatten(1) - flat)
        power += typicality * unit
        improved = (flat + moment / power.clamp(min=1e-8)).clamp(*ALBEDO_RANGE)
        return self._round_eyes(improved, power).view_as(albedo)

    def _round_eyes(self, albedo: Float[Tensor, "3 n"], power: Float[Tensor, "3 n"]) -> Float[Tensor, "3 n"]:
        """Make both eyeballs equal and rotationally symmetric, so that only the gaze changes their appearance."""
        if not len(self.eye_texels):
            return albedo
        seen = power[:, self.eye_texels]
        total = torch.zeros(3, NUM_RINGS, device=albedo.device)
        sums = total.index_add(1, self.eye_rings, seen * albedo[:, self.eye_texels])
        rings = sums / total.index_add(1, self.eye_rings, seen).clamp(min=1e-12)
        rounded = albedo.clone()
        rounded[:, self.eye_texels] = rings[:, self.eye_rings]
        return rounded


def push_pull(image: Float[Tensor, "1 C h w"], weight: Float[Tensor, "1 1 h w"]) -> Float[Tensor, "1 C h w"]:
    """Fill the unknown pixels of an image with weighted means of their surroundings (Gortler et al. 1996, sec. 3.4)."""
    if min(image.shape[-2:]) < 2:
        return image
    coarse_weight = F.avg_pool2d(weight, 2)
    coarse = F.avg_pool2d(image * weight, 2) / coarse_weight.clamp(min=1e-8)
    coarse = push_pull(coarse, coarse_weight.clamp(max=1))
    coarse = F.interpolate(coarse, image.shape[-2:], mode="bilinear", align_corners=False)
    share = weight.clamp(max=1)
    return image * share + coarse * (1 - share)
