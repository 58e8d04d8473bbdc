"""Shading: vertex normals, texture look-up, spherical-harmonics light and the sRGB curve."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor
from torch.nn import functional as F

from readavatar.rendering.window_filters import mean_of_points


def vertex_normals(vertices: Float[Tensor, "B V 3"], faces: Int[Tensor, "F 3"]) -> Float[Tensor, "B V 3"]:
    """Unit normals, each the mean of the triangles around it weighted by their areas.

    Example:
        >>> import torch
        >>> from readavatar.rendering.shading import vertex_normals
        >>> vertices = torch.tensor([[[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]])
        >>> vertex_normals(vertices, torch.tensor([[0, 1, 2]]))
        tensor([[[0., 0., 1.],
                 [0., 0., 1.],
                 [0., 0., 1.]]])
    """
    if vertices.is_cpu and faces.is_cpu and vertices.dtype in (torch.float32, torch.float64):
        # numba is imported here, since the import takes half a second.
        from readavatar.rendering.cpu_shading import VertexNormals

        return VertexNormals.apply(vertices, faces)
    return vertex_normals_plainly(vertices, faces)


def vertex_normals_plainly(vertices: Float[Tensor, "B V 3"], faces: Int[Tensor, "F 3"]) -> Float[Tensor, "B V 3"]:
    """``vertex_normals`` in plain PyTorch: for any device, and as the compiled version's reference."""
    a, b, c = vertices[:, faces].unbind(2)
    across = torch.linalg.cross(b - a, c - a)
    normals = torch.zeros_like(vertices)
    for corner in range(3):
        normals = normals.index_add(1, faces[:, corner], across)
    return unit_length(normals, dim=-1)


def unit_length(vectors: Float[Tensor, "*shape"], dim: int) -> Float[Tensor, "*shape"]:
    """Normalise vectors along an axis; zeros stay zeros. ``torch.nn.functional.normalize`` takes ten times as long
    along any axis except a long last one."""
    return vectors * vectors.square().sum(dim, keepdim=True).clamp(min=1e-24).rsqrt()


def sample_texture(texture: Float[Tensor, "#B C h w"], uvs: Float[Tensor, "B 2 H W"]) -> Float[Tensor, "B C H W"]:
    """Bilinear look-up; (0, 0) is the outer corner of the top-left texel, outside, the edge is repeated."""
    if texture.is_cpu and uvs.is_cpu and texture.dtype == uvs.dtype in (torch.float32, torch.float64):
        from readavatar.rendering.cpu_shading import SampleTexture

        return SampleTexture.apply(texture, uvs, sample_texture_plainly)
    return sample_texture_plainly(texture, uvs)


def sample_texture_plainly(
    texture: Float[Tensor, "#B C h w"], uvs: Float[Tensor, "B 2 H W"]
) -> Float[Tensor, "B C H W"]:
    """``sample_texture`` with PyTorch's own gradients: for any device."""
    grid = uvs.permute(0, 2, 3, 1) * 2 - 1
    texture = texture.expand(len(uvs), -1, -1, -1)
    return F.grid_sample(texture, grid, mode="bilinear", padding_mode="border", align_corners=False)


def mean_texture(
    texture: Float[Tensor, "1 C y x"],
    offsets: Float[Tensor, "R C"],
    uvs: Float[Tensor, "B 2 h w"],
    regions: UInt8[Tensor, "B h w"],
    supersampling: int,
) -> Float[Tensor, "B C H W"]:
    """The mean of a texture's look-ups at several points of each pixel; points without a surface count as zeros.

    Args:
        texture: Differentiable.
        offsets: Added in each region; differentiable.
        uvs: Of the points, as for ``sample_texture``; not differentiable here.
        regions: Row of ``offsets`` for each point; 0 where there is no surface.
        supersampling: Points along a pixel's side.

    Raises:
        ValueError: A region has no offset.
    """
    # Compiled code would read outside the array.
    if regions.numel() and (highest := int(regions.max())) >= len(offsets):
        raise ValueError(f"Expected an offset for each of {highest + 1} regions, but got {len(offsets)}.")
    if texture.is_cpu and uvs.is_cpu and texture.dtype == uvs.dtype == torch.float32:
        from readavatar.rendering.cpu_shading import MeanTexture

        return MeanTexture.apply(texture, offsets, uvs, regions, supersampling)
    return mean_texture_plainly(texture, offsets, uvs, regions, supersampling)


def mean_texture_plainly(
    texture: Float[Tensor, "1 C y x"],
    offsets: Float[Tensor, "R C"],
    uvs: Float[Tensor, "B 2 h w"],
    regions: UInt8[Tensor, "B h w"],
    supersampling: int,
) -> Float[Tensor, "B C H W"]:
    """``mean_texture`` in plain PyTorch: for any device, and as the compiled version's reference."""
    seen = sample_texture_plainly(texture, uvs.detach()) + offsets[regions.long()].movedim(-1, 1)
    return mean_of_points(seen * (regions > 0)[:, None], supersampling)


def spherical_harmonics(normals: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B 9 H W"]:
    """The first nine real spherical harmonics of unit directions, scaled so that the constant one is 1.

    In order 1, y, z, x, xy, yz, 3z² − 1, xz, x² − y² (Ramamoorthi & Hanrahan 2001, eq. 3, without the normalising
    factors, which lighting coefficients include together with those of the Lambertian kernel).

    Example:
        >>> import torch
        >>> from readavatar.rendering.shading import spherical_harmonics
        >>> normals = torch.tensor([0.0, 0.0, 1.0]).reshape(1, 3, 1, 1)
        >>> spherical_harmonics(normals).flatten()
        tensor([1., 0., 1., 0., 0., 0., 2., 0., 0.])
    """
    x, y, z = normals.unbind(1)
    return torch.stack([torch.ones_like(x), y, z, x, x * y, y * z, 3 * z * z - 1, x * z, x * x - y * y], 1)


def shade(
    albedo: Float[Tensor, "B 3 H W"], normals: Float[Tensor, "B 3 H W"], lighting: Float[Tensor, "B 9 3"]
) -> Float[Tensor, "B 3 H W"]:
    """Linear-light radiance of a Lambertian surface (Ramamoorthi & Hanrahan 2001, eq. 11).

    Args:
        albedo: Linear-light reflectance in [0, 1].
        normals: Unit vectors in the frame of the lighting (the world's); zeros on the background.
        lighting: Coefficients of ``spherical_harmonics`` by colour channel; ambient light of radiance 1 is (1, 0, …).

    Example:
        >>> import torch
        >>> from readavatar.rendering.shading import shade
        >>> normals = torch.tensor([0.0, 0.0, 1.0]).reshape(1, 3, 1, 1)
        >>> lighting = torch.zeros(1, 9, 3)
        >>> lighting[:, 0] = 0.5  # from all around
        >>> lighting[:, 2] = 0.25  # more along +z
        >>> shade(torch.full((1, 3, 1, 1), 0.8), normals, lighting).flatten()
        tensor([0.6000, 0.6000, 0.6000])
    """
    return albedo * torch.einsum("bkhw,bkc->bchw", spherical_harmonics(normals), lighting)


def linear_to_srgb(linear: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """IEC 61966-2-1.

    Example:
        >>> import torch
        >>> from readavatar.rendering.shading import linear_to_srgb
        >>> linear_to_srgb(torch.tensor([0.0, 0.5, 1.0]))
        tensor([0.0000, 0.7354, 1.0000])
    """
    safe = linear.clamp(min=0.0031308)  # keeps the power's gradient finite in the other branch
    return torch.where(linear <= 0.0031308, 12.92 * linear, 1.055 * safe ** (1 / 2.4) - 0.055)


def srgb_to_linear(encoded: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """IEC 61966-2-1.

    Example:
        >>> import torch
        >>> from readavatar.rendering.shading import srgb_to_linear
        >>> srgb_to_linear(torch.tensor([0.0, 0.5, 1.0]))
        tensor([0.0000, 0.2140, 1.0000])
    """
    safe = encoded.clamp(min=0.04045)
    return torch.where(encoded <= 0.04045, encoded / 12.92, ((safe + 0.055) / 1.055) ** 2.4)
