"""Rasterisation with any backend: the visible triangle at each pixel's centre, and the point on it.

A backend only computes visibility. The barycentrics are computed here from the visible triangle's vertices in clip
space, so that values and gradients are the same for all backends.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import cache

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

from readavatar.errors import UserError
from readavatar.rendering import nvdiffrast_backend, pytorch3d_backend, torch_backend

_GPU_BACKENDS = {"nvdiffrast": nvdiffrast_backend, "pytorch3d": pytorch3d_backend}
"""In order of speed."""
BACKENDS = ("cpu", *_GPU_BACKENDS, "torch")
_LOGGER = logging.getLogger(__name__)
_ranges = WeakTensorKeyDictionary()
"""Cached ranges of indices by tensor of faces, which is the same for all frames."""


@dataclass(frozen=True)
class Fragments:
    """The visible surface at each pixel's centre."""

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
    """Rasterise triangles: both sides, between the near and the far plane.

    Args:
        vertices_clip: OpenGL clip space (``camera.world_to_clip``); barycentrics and depth are differentiable in it.
        faces: Vertex indices, for all B.
        resolution: Height and width, pixels.
        backend: One of ``BACKENDS``, or ``auto``: on a CUDA device nvdiffrast if it works, else PyTorch3D if it
            works; otherwise ``cpu``, whose result is copied to the tensors' device.

    Raises:
        UserError: The backend is unknown, not installed or not for this device; not with ``auto``.
        ValueError: Face indices outside the vertices, or vertices of less than single precision.

    Example:
        >>> import torch
        >>> from readavatar import rasterize
        >>> vertices_clip = torch.tensor([[[-1.0, -1.0, 0.0, 1.0], [1.2, -1.0, 0.0, 1.0], [-1.0, 1.2, 0.0, 1.0]]])
        >>> faces = torch.tensor([[0, 1, 2]])
        >>> fragments = rasterize(vertices_clip, faces, resolution=(4, 4))
        >>> fragments.face_index
        tensor([[[ 0, -1, -1, -1],
                 [ 0,  0, -1, -1],
                 [ 0,  0,  0, -1],
                 [ 0,  0,  0,  0]]])
        >>> fragments.barycentrics[0, 3, 0]
        tensor([0.7727, 0.1136, 0.1136])
    """
    if vertices_clip.dtype not in (torch.float32, torch.float64):
        # Half precision is too inaccurate for positions; it is the result of a projection under autocast.
        raise ValueError(f"Expected vertices of float32 or float64, but got {vertices_clip.dtype}.")
    _check_indices(faces, vertices_clip.shape[1], "vertices")
    backend = _chosen_backend(backend, vertices_clip.device)
    if 0 in (len(vertices_clip), len(faces), *resolution):
        face_index = torch.full((len(vertices_clip), *resolution), -1, device=vertices_clip.device)
    else:
        face_index = _visible_faces(backend, vertices_clip.detach(), faces, resolution)
    if vertices_clip.is_cpu:
        from readavatar.rendering.cpu_barycentric import BarycentricsAndDepth

        return Fragments(face_index, *BarycentricsAndDepth.apply(vertices_clip, faces, face_index))
    return Fragments(face_index, *torch_backend.barycentrics_and_depth(vertices_clip, faces, face_index))


def interpolate(
    attributes: Float[Tensor, "#B U C"], faces: Int[Tensor, "F 3"], fragments: Fragments
) -> Float[Tensor, "B C H W"]:
    """Attributes of the triangles' corners at every pixel; zeros on the background.

    Args:
        attributes: One row for each vertex (or uv, if ``faces`` are a mesh's ``uv_faces``); of one mesh, or of each of
            B.
        faces: As many as were rasterised.
        fragments: From ``rasterize``.

    Raises:
        ValueError: Face indices outside the attributes, or fewer faces than were rasterised.

    Example:
        >>> import torch
        >>> from readavatar.rendering.rasterize import interpolate, rasterize
        >>> vertices_clip = torch.tensor([[[-1.0, -1.0, 0.0, 1.0], [1.2, -1.0, 0.0, 1.0], [-1.0, 1.2, 0.0, 1.0]]])
        >>> faces = torch.tensor([[0, 1, 2]])
        >>> fragments = rasterize(vertices_clip, faces, resolution=(4, 4))
        >>> interpolate(torch.tensor([[[0.0], [1.0], [0.0]]]), faces, fragments)
        tensor([[[[0.1136, 0.0000, 0.0000, 0.0000],
                  [0.1136, 0.3409, 0.0000, 0.0000],
                  [0.1136, 0.3409, 0.5682, 0.0000],
                  [0.1136, 0.3409, 0.5682, 0.7955]]]])
    """
    _check_indices(faces, attributes.shape[1], "attributes")
    # numpy's maximum: PyTorch's would start its threads for 0.1 ms of work.
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
    # Compiled code would read outside the array.
    lowest, highest = _index_range(faces)
    if lowest < 0 or highest >= count:
        raise ValueError(f"Expected `faces` indices from 0 and below {count} {what}, but got {lowest} to {highest}.")


def _index_range(faces: Int[Tensor, "F 3"]) -> tuple[int, int]:
    """The least and the greatest index, (0, −1) without faces; computed again only if the tensor was modified."""
    version, found = _ranges.get(faces, (None, None))
    if version != faces._version:
        found = tuple(map(int, faces.aminmax())) if len(faces) else (0, -1)
        _ranges[faces] = (faces._version, found)
    return found


def has_gpu_rasterizer(device: torch.device) -> bool:
    """Whether ``rasterize`` computes visibility on the device itself, not on the CPU."""
    return device.type == "cuda" and _working_gpu_backend() is not None


def _chosen_backend(name: str, device: torch.device) -> str:
    if name not in ("auto", *BACKENDS):
        raise UserError(f"Expected a rasteriser backend of auto, {', '.join(BACKENDS)}, but got '{name}'.")
    if name == "nvdiffrast" and device.type != "cuda":
        raise UserError(f"Expected tensors on cuda for rasteriser backend '{name}', but they are on {device.type}.")
    if name != "auto":
        return name
    found = _working_gpu_backend() if device.type == "cuda" else None
    if found is not None:
        return found
    return "cpu" if device.type == "cpu" or _compiles() else "torch"


def _visible_faces(
    backend: str, vertices_clip: Float[Tensor, "B V 4"], faces: Int[Tensor, "F 3"], resolution: tuple[int, int]
) -> Int[Tensor, "B H W"]:
    if backend == "cpu":
        # numba is imported here, since the import takes half a second.
        from readavatar.rendering.cpu import visible_faces

        return visible_faces(vertices_clip, faces, resolution)
    if backend == "torch":
        return torch_backend.visible_faces(vertices_clip, faces, resolution)
    module = _GPU_BACKENDS[backend]
    try:
        return module.visible_faces(vertices_clip, faces, resolution)
    except ImportError as error:
        raise UserError(
            f"Expected {module.LIBRARY} for rasteriser backend '{backend}', but it does not import ({error}); install "
            f"it as {module.INSTALLATION} says, or choose another backend."
        ) from error


@cache
def _working_gpu_backend() -> str | None:
    """The first of the GPU backends that draws a triangle on the current CUDA device."""
    for name, module in _GPU_BACKENDS.items():
        if not module.is_installed():
            continue
        try:
            triangle = torch.tensor([[[-3.0, -3.0, 0, 1], [3.0, -3.0, 0, 1], [0.0, 3.0, 0, 1]]], device="cuda")
            seen = module.visible_faces(triangle, torch.arange(3, device="cuda")[None], (16, 16))
            if bool(seen[0, 8, 8] == 0):
                return name
            reason = "a triangle was not drawn"
        except Exception as error:  # a library for another driver, GPU or PyTorch may raise any error
            reason = (str(error) or type(error).__name__).splitlines()[0]
        _LOGGER.warning("%s is installed but does not work here (%s); it is not used.", module.LIBRARY, reason)
    return None


@cache
def _compiles() -> bool:
    try:
        import readavatar.rendering.cpu  # noqa: F401
    except ImportError as error:
        _LOGGER.warning("numba does not import (%s); rasterising with PyTorch alone, which is very slow.", error)
        return False
    return True
