"""Benchmarks of speed: the rasteriser, and every step from speech to pixels.

The rasteriser draws a face and a whole head that fill about half of the picture, on the CPU. If ICT-FaceKit is
installed, these are its face region and its published mesh. Otherwise they are the built-in head, and the same head
with each triangle split into three. The steps from speech to pixels use untrained networks of the default sizes, since
training does not change their speed.
"""

from __future__ import annotations

import functools
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from readavatar.appearance import AppearanceRenderer, render_face
from readavatar.appearance.settings import NetworkSettings as AppearanceSizes
from readavatar.assets import find_asset
from readavatar.benchmarks.scorecard import Figure, measure
from readavatar.data.raster.render_inputs import build_render_inputs, speech_windows
from readavatar.detection import FaceDetector
from readavatar.directing.footage import composite
from readavatar.expression import ExpressionGenerator, generate_expressions
from readavatar.expression.settings import NetworkSettings as ExpressionSizes
from readavatar.media.video import read_video, write_video
from readavatar.morphable import load_morphable_model
from readavatar.morphable.ict import METRES_PER_UNIT, NEUTRAL_FILE, find_ict_folder
from readavatar.morphable.model_files import read_obj
from readavatar.progress import track
from readavatar.rendering import pytorch3d_backend
from readavatar.rendering.camera import head_to_world, world_to_clip
from readavatar.rendering.rasterize import interpolate, rasterize, silhouette
from readavatar.rendering.shading import sample_texture, sample_texture_plainly
from readavatar.rendering.torch_backend import barycentrics_and_depth, interpolate_attributes
from readavatar.speech import load_speech_encoder
from readavatar.synthetic import write_actor_clip
from readavatar.types import TrackedFace, default_camera

SIZES, BATCHES = (256, 512), (1, 16)
DISTANCE = 0.6
"""Metres; at this distance the head covers about half of the picture."""
NUM_CHANNELS, TEXTURE_SIZE = 16, 512
"""Of the neural texture."""
NUM_ICT_FACE_VERTICES = 9_409
"""The mesh's first vertices, from the topology tables of ICT-FaceKit's README."""
ORACLE_PART = 500
"""The reference implementation tests every triangle at every pixel, which takes minutes; it gets every 500th
triangle."""
VISIBILITY_AIM, TEXTURE_AIM = "≤ 6 on 2 cores", "≤ 40 on 2 cores"
"""Of a whole head, 512², one image."""


class _Mesh(NamedTuple):
    name: str
    vertices: Float[Tensor, "V 3"]
    """Metres, the origin in the head."""
    faces: Int[Tensor, "F 3"]
    uvs: Float[Tensor, "U 2"]
    uv_faces: Int[Tensor, "F 3"]


def bench_rasterize(morphable_model: str = "builtin") -> dict[str, Figure]:
    """Time visibility, and texture look-up with 16 channels forward and backward (fw + bw), at 256² and 512².

    Batches are of one image and of 16. For comparison, one image is drawn with plain PyTorch (visibility is measured on
    a part of the triangles and scaled up; the texture row takes visibility from our kernel), and with PyTorch3D's CPU
    rasteriser if it is installed.

    Args:
        morphable_model: ``builtin`` or ``ict`` for the meshes described above; or another model for its own mesh.

    Returns:
        Milliseconds for each image.
    """
    rows: dict[str, Callable[[], Figure]] = {}
    for mesh in _meshes(morphable_model):
        for size in SIZES:
            for batch in BATCHES:
                rows |= _rows(mesh, size, batch)
            rows |= _rows_beside(mesh, size)
    return {name: row() for name, row in track(rows.items(), "rasterize")}


def _rows(mesh: _Mesh, size: int, batch: int) -> dict[str, Callable[[], Figure]]:
    is_aimed = len(mesh.vertices) > 20_000 and (size, batch) == (512, 1)
    aims = (VISIBILITY_AIM, TEXTURE_AIM) if is_aimed else ("", "")
    label = f"{mesh.name}, {size}² × {batch}"
    clip = functools.partial(_place, mesh, size, batch)
    return {
        f"{label}: visibility": lambda: measure(_visibility(mesh, clip(), size), batch, aim=aims[0]),
        f"{label}: texture, fw + bw": lambda: measure(_textured(mesh, clip(), size), batch, aim=aims[1]),
    }


def _rows_beside(mesh: _Mesh, size: int) -> dict[str, Callable[[], Figure]]:
    label, clip = f"{mesh.name}, {size}² × 1", functools.partial(_place, mesh, size, 1)
    part = mesh._replace(faces=mesh.faces[::ORACLE_PART])
    scale = len(mesh.faces) / len(part.faces)
    rows = {
        f"{label}: visibility, torch (once, 1/{ORACLE_PART})": lambda: _once(
            _visibility(part, clip(), size, "torch"), scale
        ),
        f"{label}: texture, fw + bw, torch": lambda: measure(_textured_plainly(mesh, clip(), size)),
    }
    if pytorch3d_backend.is_installed():
        rows[f"{label}: visibility, PyTorch3D (once)"] = lambda: _once(_visibility(mesh, clip(), size, "pytorch3d"))
    return rows


def _once(action: Callable[[], object], scale: float = 1) -> Figure:
    start = time.perf_counter()
    action()
    elapsed = (time.perf_counter() - start) * 1000 * scale
    return Figure(elapsed, elapsed, elapsed, "ms")


def _visibility(mesh: _Mesh, clip: Tensor, size: int, backend: str = "cpu") -> Callable[[], object]:
    return lambda: rasterize(clip, mesh.faces, (size, size), backend)


def _textured(mesh: _Mesh, clip: Tensor, size: int) -> Callable[[], None]:
    texture, gradient = _texture_and_gradient(mesh, clip, size)

    def run() -> None:
        vertices = clip.detach().requires_grad_()
        fragments = rasterize(vertices, mesh.faces, (size, size))
        uvs = interpolate(mesh.uvs[None], mesh.uv_faces, fragments)
        torch.autograd.grad(sample_texture(texture, uvs), (texture, vertices), gradient)

    return run


def _textured_plainly(mesh: _Mesh, clip: Tensor, size: int) -> Callable[[], None]:
    texture, gradient = _texture_and_gradient(mesh, clip, size)

    def run() -> None:
        vertices = clip.detach().requires_grad_()
        face_index = rasterize(clip, mesh.faces, (size, size)).face_index
        barycentrics, _ = barycentrics_and_depth(vertices, mesh.faces, face_index)
        uvs = interpolate_attributes(mesh.uvs[None], mesh.uv_faces, face_index, barycentrics)
        torch.autograd.grad(sample_texture_plainly(texture, uvs), (texture, vertices), gradient)

    return run


def _texture_and_gradient(mesh: _Mesh, clip: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """The texture, and the gradient of the visible pixels."""
    texture = torch.ones(1, NUM_CHANNELS, TEXTURE_SIZE, TEXTURE_SIZE, requires_grad=True)
    covered = silhouette(rasterize(clip, mesh.faces, (size, size)))
    return texture, covered.expand(-1, NUM_CHANNELS, -1, -1).contiguous()


def _place(mesh: _Mesh, size: int, batch: int) -> Float[Tensor, "batch V 4"]:
    """The mesh in clip space, rotated a little further in each image."""
    turn = torch.zeros(batch, 3)
    turn[:, 1] = torch.linspace(-0.3, 0.3, batch)
    place = torch.tensor([0.0, 0.0, -DISTANCE]).expand(batch, 3)
    return world_to_clip(head_to_world(mesh.vertices.expand(batch, -1, -1), turn, place), default_camera(size, size))


def _meshes(morphable_model: str) -> list[_Mesh]:
    if morphable_model not in ("builtin", "ict"):
        return [_model_mesh(morphable_model)]
    folder = find_asset("ict_facekit")
    return _ict_meshes(folder) if folder else _builtin_meshes()


def _ict_meshes(asset: Path) -> list[_Mesh]:
    mesh = read_obj(find_ict_folder(asset) / NEUTRAL_FILE)
    vertices = (mesh.vertices - mesh.vertices[:NUM_ICT_FACE_VERTICES].mean(0)) * METRES_PER_UNIT
    uvs = mesh.uvs % 1  # its materials use a unit tile each
    parts = [torch.from_numpy(part).contiguous() for part in (vertices, mesh.faces, uvs, mesh.uv_faces)]
    head = _Mesh("ICT head", parts[0].float(), parts[1], parts[2].float(), parts[3])
    in_face = (head.faces < NUM_ICT_FACE_VERTICES).all(1)
    face = head._replace(
        name="ICT face",
        vertices=head.vertices[:NUM_ICT_FACE_VERTICES],
        faces=head.faces[in_face],
        uv_faces=head.uv_faces[in_face],
    )
    return [_counted(face), _counted(head)]


def _builtin_meshes() -> list[_Mesh]:
    face = _model_mesh("builtin")._replace(name="built-in head")
    vertices, faces = _split_in_three(face.vertices, face.faces)
    uvs, uv_faces = _split_in_three(face.uvs, face.uv_faces)
    return [_counted(face), _counted(_Mesh("split head", vertices, faces, uvs, uv_faces))]


def _model_mesh(morphable_model: str) -> _Mesh:
    model = load_morphable_model(morphable_model)
    return _counted(_Mesh(f"{model.name} head", model.template, model.faces, model.uvs, model.uv_faces))


def _split_in_three(
    points: Float[Tensor, "n D"], faces: Int[Tensor, "F 3"]
) -> tuple[Float[Tensor, "m D"], Int[Tensor, "G 3"]]:
    """Each triangle split at its centroid."""
    centroid = len(points) + torch.arange(len(faces))
    split = [torch.stack([faces[:, i], faces[:, (i + 1) % 3], centroid], 1) for i in range(3)]
    return torch.cat([points, points[faces].mean(1)]), torch.cat(split)


def _counted(mesh: _Mesh) -> _Mesh:
    return mesh._replace(name=f"{mesh.name} ({len(mesh.vertices) / 1000:.1f}k vertices)")


SIZE = 256
NUM_FRAMES = 16
"""Rendered in one batch, as by ``animate``."""


def bench_stages(morphable_model: str = "builtin") -> dict[str, Figure]:
    """Time every step from speech to pixels: milliseconds for each frame of 256² at 25 fps."""
    figures: dict[str, Figure] = {}
    with tempfile.TemporaryDirectory() as folder:
        store = write_actor_clip(Path(folder) / "clip", size=SIZE, duration=4.0, morphable_model=morphable_model)
        face, num_frames, waveform = store.truth(), store.num_frames, store.waveform()
        source, copy = store.source, Path(folder) / "copy.mp4"
        pixels = [store.frame(index) for index in range(NUM_FRAMES)]
        figures["decode"] = measure(lambda: list(read_video(source)), per=num_frames)
        figures["encode (H.264)"] = measure(lambda: write_video(copy, pixels, 25), per=NUM_FRAMES)
        figures.update(_detection(pixels))
        for name in ("log_mel", "auto"):  # auto: the best encoder whose weights are installed
            encoder = load_speech_encoder(name)
            figures[f"speech: {encoder.name}"] = measure(
                lambda e=encoder: e.encode(waveform, 25.0, num_frames), per=num_frames
            )
        speech = load_speech_encoder("log_mel").encode(waveform, 25.0, num_frames)
        sizes = ExpressionSizes().generator_sizes
        generator = ExpressionGenerator(speech.shape[1], 7, len(face.expression_names), fps=25.0, num_people=1, **sizes)
        emotion = torch.zeros(num_frames, 7)
        figures["expression"] = measure(lambda: generate_expressions(generator, speech, emotion), per=num_frames)

        model = load_morphable_model(morphable_model)
        frames = torch.arange(NUM_FRAMES)
        part = _first_frames(face)
        windows, context = speech_windows(speech, frames, 9), store.frames(frames)
        figures["rasterise"] = measure(lambda: build_render_inputs(part, model, windows, context), per=NUM_FRAMES)
        inputs = build_render_inputs(part, model, windows, context)
        renderer = AppearanceRenderer(speech.shape[1], len(model.region_names), 9, AppearanceSizes()).eval()
        for name, bfloat16 in (("fp32", False), ("bf16", True)):
            figures[f"appearance, {name}"] = measure(
                lambda b=bfloat16: render_face(renderer, inputs, bfloat16=b), per=NUM_FRAMES
            )
        image, alpha = render_face(renderer, inputs)
        figures["composite"] = measure(lambda: composite(context[0], image[0], alpha[0], store.info.crop))
    return figures


def _first_frames(face: TrackedFace) -> TrackedFace:
    return replace(face, coefficients=face.coefficients.frames(slice(NUM_FRAMES)), lighting=face.lighting[:NUM_FRAMES])


def _detection(pixels: list[np.ndarray]) -> dict[str, Figure]:
    if find_asset("face_landmarker") is None:
        return {}
    with FaceDetector(video=True) as detector:
        return {"detection": measure(lambda: [detector.detect(frame) for frame in pixels], per=len(pixels))}
