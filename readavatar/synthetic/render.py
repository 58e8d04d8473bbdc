"""Rendering of an actor: coefficients → frames and face masks."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from readavatar.morphable import MorphableModel
from readavatar.rendering.camera import head_to_world, project, world_to_clip
from readavatar.rendering.rasterize import interpolate, rasterize
from readavatar.rendering.shading import linear_to_srgb, sample_texture, shade, vertex_normals
from readavatar.synthetic.mouth_interior import move_teeth, move_tongue, tongue_light
from readavatar.types import FaceCoefficients, TrackedFace

SUPERSAMPLING = 2
"""Samples along each side of a pixel."""

_Frame = tuple[UInt8[np.ndarray, "H W 3"], UInt8[np.ndarray, "H W"]]


@dataclass(frozen=True)
class Scene:
    """The content of the picture."""

    face: TrackedFace
    tongue: Float[Tensor, "T 2"]
    bite: Float[Tensor, " T"]
    background: Float[Tensor, "3 H W"]
    """Linear light, behind the head; the camera's size."""


def world_vertices(
    model: MorphableModel, coefficients: FaceCoefficients, tongue: Float[Tensor, "T 2"], bite: Float[Tensor, " T"]
) -> Float[Tensor, "T V 3"]:
    """The whole head in the world, metres."""
    vertices = model(coefficients.shape_coefficients[None], coefficients.expression_coefficients, coefficients.gaze)
    moved = move_tongue(model, move_teeth(model, vertices, bite), tongue)
    return head_to_world(moved, coefficients.rotation, coefficients.translation)


def projected_landmarks(model: MorphableModel, scene: Scene) -> Float[Tensor, "T 68 2"]:
    """The iBUG landmarks in each frame, pixels."""
    points = [
        model.landmarks_3d(
            world_vertices(model, scene.face.coefficients.frames(frames), scene.tongue[frames], scene.bite[frames])
        )
        for frames in torch.arange(scene.face.coefficients.num_frames).split(64)
    ]
    return project(torch.cat(points), scene.face.camera)


def render(model: MorphableModel, scene: Scene, *, noise: int | float = 0.0, seed: int = 0) -> Iterator[_Frame]:
    """Yield each frame (RGB, sRGB) and its face mask (255 inside).

    Args:
        model: Of the coefficients.
        scene: The scene.
        noise: Standard deviation of the sensor noise, relative to white, gamma-encoded.
        seed: Of the noise.
    """
    in_mask = face_triangles(model)

    def draw(index: int) -> tuple[np.ndarray, np.ndarray]:
        with torch.inference_mode():
            colours, mask = _render_frame(model, scene, index, in_mask)
            if noise > 0:
                generator = np.random.default_rng([seed, 4, index])
                colours = colours + noise * torch.from_numpy(generator.standard_normal(colours.shape, np.float32))
            frame = (colours * 255).round().clamp(0, 255).to(torch.uint8)
            return frame.permute(1, 2, 0).contiguous().numpy(), (mask * 255).round().to(torch.uint8).numpy()

    return _in_threads(draw, scene.face.coefficients.num_frames)


def _in_threads(draw: Callable[[int], _Frame], num_frames: int) -> Iterator[_Frame]:
    """Render frames in order on as many threads as PyTorch has, one thread for each frame.

    This is twice as fast as all threads on one frame, and the pixels do not depend on the number of threads.
    """
    num_threads = torch.get_num_threads()
    pool = ThreadPoolExecutor(num_threads, initializer=torch.set_num_threads, initargs=(1,))
    pending: deque[Future[_Frame]] = deque()
    try:
        for index in range(num_frames):
            pending.append(pool.submit(draw, index))
            if len(pending) > 2 * num_threads:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(num_threads)  # the workers' setting also applies to later threads


def face_triangles(model: MorphableModel) -> Bool[Tensor, " F"]:
    """The triangles of a full-face mask: skin from brow to chin, eyes and the mouth's inside."""
    inside = torch.zeros(model.num_vertices, dtype=torch.bool)
    for mask in ("face", "lips", "eyes", "mouth_interior"):
        inside |= model.vertex_mask(mask)
    return inside[model.faces].all(1)


def _render_frame(
    model: MorphableModel, scene: Scene, index: int, in_mask: Bool[Tensor, " F"]
) -> tuple[Float[Tensor, "3 H W"], Float[Tensor, "H W"]]:
    frame = slice(index, index + 1)
    camera = scene.face.camera
    fine = (camera.height * SUPERSAMPLING, camera.width * SUPERSAMPLING)
    coefficients = scene.face.coefficients.frames(frame)
    vertices = world_vertices(model, coefficients, scene.tongue[frame], scene.bite[frame])
    fragments = rasterize(world_to_clip(vertices, camera), model.faces, fine)
    normals = interpolate(vertex_normals(vertices, model.faces), model.faces, fragments)
    uvs = interpolate(model.uvs[None], model.uv_faces, fragments)
    # Only the covered samples, as one row (1 × N pixels): they are less than half of all.
    face_index = fragments.face_index.flatten()
    rays = torch.nonzero(face_index >= 0)[:, 0]
    albedo = sample_texture(scene.face.albedo[None], uvs.flatten(2)[:, :, None, rays])
    normals = normals.flatten(2)[:, :, None, rays]
    normals = normals * normals.square().sum(1, keepdim=True).clamp(min=1e-12).rsqrt()
    light = interpolate(tongue_light(model, scene.tongue[frame])[..., None], model.faces, fragments).flatten(2)[
        :, :, None, rays
    ]
    radiance = shade(albedo * light, normals, scene.face.lighting[frame])[0, :, 0]
    layers = torch.zeros(5, face_index.numel())
    layers[:3, rays] = radiance.clamp(min=0)
    layers[3, rays] = 1.0
    layers[4, rays] = in_mask[face_index[rays]].float()
    # Light is averaged over a pixel, not its gamma-encoded value.
    layers = F.avg_pool2d(layers.unflatten(1, fine)[None], SUPERSAMPLING)[0]
    linear = layers[:3] + (1 - layers[3:4]) * scene.background
    return linear_to_srgb(linear.clamp(0, 1)), layers[4]
