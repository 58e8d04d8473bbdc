"""One call for every rasteriser: which triangle does a pixel's centre see, and where on it.

A backend decides visibility alone. The barycentrics are computed here from the clip-space vertices of the triangle
seen, so that values and gradients are the same for all backends.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

from readavatar.errors import UserError
from readavatar.rendering import nvdiffrast_backend, pytorch3d_backend, torch_backend

BACKENDS = ("cpu", "nvdiffrast", "pytorch3d", "torch")
_ranges = WeakTensorKeyDictionary()
"""Of the indices, by faces: meshes keep theirs from frame to frame."""


@dataclass(frozen=True)
class Fragments:
    """What each pixel's centre sees."""

    face_index: Int[Tensor, "B H W"]
    """−1 where there is no surface."""
    barycentrics: Float[Tensor, "B H W 3"]
    """Perspective-correct; zeros on the background."""
    depth: Float[Tensor, "B H W"]
    """z / w in [−1, 1]; 1 on the background."""


def rasterize(
    vertices_clip: Float[Tensor, "B V 4"],
    faces: Int[Tensor, "F 3"],
    resolution: tuple[int, int],
    backend: str = "auto",
) -> Fragments:
    """Rasterise triangles; both sides are seen, and what lies between the near and the far plane.

    Args:
        vertices_clip: OpenGL clip space (``camera.world_to_clip``); barycentrics and depth are differentiable in it.
        faces: Vertex indices, for all B.
        resolution: Height and width, pixels.
        backend: One of ``BACKENDS``, or ``auto``: ``cpu`` for tensors on the CPU; on a GPU nvdiffrast, else PyTorch3D.

    Raises:
        UserError: An unknown backend, or one that is not installed or not for this device.
        ValueError: Face indices outside the vertices, or vertices of less than single precision.
    """
    if vertices_clip.dtype not in (torch.float32, torch.float64):
        # Three digits are no position; this is what a projection under autocast gives.
        raise ValueError(f"Expected vertices of float32 or float64, but got {vertices_clip.dtype}.")
    _check_indices(faces, vertices_clip.shape[1], "vertices")
    visible_faces = _backend(backend, vertices_clip.device)
    if 0 in (len(vertices_clip), len(faces), *resolution):
        face_index = torch.full((len(vertices_clip), *resolution), -1, device=vertices_clip.device)
    else:
        face_index = visible_faces(vertices_clip.detach(), faces, resolution)
    if vertices_clip.is_cpu:
        from readavatar.rendering.cpu_barycentric import BarycentricsAndDepth

        return Fragments(face_index, *BarycentricsAndDepth.apply(vertices_clip, faces, face_index))
    return Fragments(face_index, *torch_backend.barycentrics_and_depth(vertices_clip, faces, face_index))


def interpolate(
    attributes: Float[Tensor, "#B U C"], faces: Int[Tensor, "F 3"], fragments: Fragments
) -> Float[Tensor, "B C H W"]:
    """Attributes of the triangles' corners at every pixel; zeros on the background.

    Args:
        attributes: One row a vertex, or a uv if ``faces`` are a mesh's ``uv_faces``; of one mesh, or of each of B.
        faces: As many as were rasterised.
        fragments: Of ``rasterize``.

    Raises:
        ValueError: Face indices outside the attributes, or fewer faces than were rasterised.
    """
    _check_indices(faces, attributes.shape[1], "attributes")
    # numpy's maximum, as a parallel one of PyTorch's would wake its threads for a tenth of a millisecond's work.
    index = fragments.face_index
    if index.numel() and (highest := int(index.numpy().max() if index.is_cpu else index.max())) >= len(faces):
        raise ValueError(f"Expected the faces that were rasterised, {highest + 1} or more, but got {len(faces)}.")
    barycentrics = fragments.barycentrics.to(attributes.dtype)
    if attributes.is_cpu:
        from readavatar.rendering.cpu_barycentric import InterpolateAttributes

        return InterpolateAttributes.apply(attributes, faces, fragments.face_index, barycentrics)
    return torch_backend.interpolate_attributes(attributes, faces, fragments.face_index, barycentrics)


def silhouette(fragments: Fragments) -> Float[Tensor, "B 1 H W"]:
    """1 where there is a surface, else 0; without gradients."""
    return (fragments.face_index >= 0)[:, None].to(fragments.barycentrics.dtype)


def _check_indices(faces: Int[Tensor, "F 3"], count: int, what: str) -> None:
    # Compiled code would read whatever lies there in memory.
    lowest, highest = _index_range(faces)
    if lowest < 0 or highest >= count:
        raise ValueError(f"Expected `faces` indices from 0 and below {count} {what}, but got {lowest} to {highest}.")


def _index_range(faces: Int[Tensor, "F 3"]) -> tuple[int, int]:
    """The least and the greatest index, (0, −1) without faces; found anew only where the tensor was written to."""
    version, found = _ranges.get(faces, (None, None))
    if version != faces._version:
        found = tuple(map(int, faces.aminmax())) if len(faces) else (0, -1)
        _ranges[faces] = (faces._version, found)
    return found


def _backend(name: str, device: torch.device) -> Callable[..., Int[Tensor, "B H W"]]:
    if name not in ("auto", *BACKENDS):
        raise UserError(f"Expected a rasteriser backend of auto, {', '.join(BACKENDS)}, but got '{name}'.")
    if name == "auto":
        name = "cpu" if device.type == "cpu" else _gpu_backend()
    if (name == "cpu" and device.type != "cpu") or (name == "nvdiffrast" and device.type != "cuda"):
        wanted = "cpu" if name == "cpu" else "cuda"
        raise UserError(f"Expected tensors on {wanted} for rasteriser backend '{name}', but they are on {device.type}.")
    if name == "cpu":
        # numba is imported by those who use it: it takes half a second.
        from readavatar.rendering.cpu import visible_faces

        return visible_faces
    modules = {"nvdiffrast": nvdiffrast_backend, "pytorch3d": pytorch3d_backend, "torch": torch_backend}
    return modules[name].visible_faces


def _gpu_backend() -> str:
    for name, module in (("nvdiffrast", nvdiffrast_backend), ("pytorch3d", pytorch3d_backend)):
        if module.is_installed():
            return name
    raise UserError(
        "Expected nvdiffrast or PyTorch3D to rasterise tensors on a GPU, but neither is installed; install nvdiffrast "
        f"as {nvdiffrast_backend.INSTALLATION} says, or move the tensors to the CPU."
    )
