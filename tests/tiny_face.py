"""A morphable model of a hundred vertices and clips of it, for tests of what needs a fitted face."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from readavatar.data.raster.render_inputs import MapSettings, RenderInputs, build_render_inputs, build_render_maps
from readavatar.data.store import ClipInfo, ClipStore, Crop, writing_clip_store
from readavatar.morphable.model import MorphableData, MorphableModel
from readavatar.types import FaceCoefficients, Landmarks, TrackedFace, default_camera

GRID = 9


def tiny_model() -> MorphableModel:
    """A curved sheet 14 × 18 cm with a mouth and eyes, and teeth behind the mouth; jawOpen moves its lower third."""
    steps = torch.linspace(-1, 1, GRID)
    y, x = torch.meshgrid(-steps, steps, indexing="ij")
    sheet = torch.stack([0.07 * x, 0.09 * y, 0.03 * (1 - x.square() - 0.5 * y.square())], -1).flatten(0, 1)
    teeth = torch.tensor([[-0.02, -0.04, -0.01], [0.02, -0.04, -0.01], [0.02, -0.06, -0.01], [-0.02, -0.06, -0.01]])
    corner = torch.arange(GRID * GRID).reshape(GRID, GRID)
    a, b, c, d = corner[:-1, :-1], corner[:-1, 1:], corner[1:, 1:], corner[1:, :-1]
    quads = torch.stack([a, d, c, b], -1).flatten(0, 1)
    centre = quads.float().mean(1)
    quads = quads[(centre - centre[(GRID - 1) * 5 + 3]).abs() > 0.5]  # no quad between the lips, in front of the teeth
    quads = torch.cat([quads, GRID * GRID + torch.tensor([[0, 3, 2, 1]])])
    faces = torch.cat([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
    template = torch.cat([sheet, teeth])
    uvs = torch.stack([(x + 1) / 2, (1 - y) / 2], -1).flatten(0, 1) * 0.8
    uvs = torch.cat([uvs, torch.tensor([[0.85, 0.85], [1.0, 0.85], [1.0, 1.0], [0.85, 1.0]])])
    jaw = torch.zeros_like(template)
    jaw[template[:, 1] < -0.05, 1] = -0.02
    row, column = (index.flatten() for index in torch.meshgrid(torch.arange(GRID), torch.arange(GRID), indexing="ij"))
    is_teeth = torch.arange(len(template)) >= GRID * GRID
    on_sheet = torch.cat([torch.ones(GRID * GRID, dtype=torch.bool), torch.zeros(4, dtype=torch.bool)])
    lips = torch.cat([(row >= 4) & (row <= 7) & (column >= 2) & (column <= 6), torch.zeros(4, dtype=torch.bool)])
    eyes = torch.cat([(row >= 1) & (row <= 3) & (column != 4), torch.zeros(4, dtype=torch.bool)])
    masks = {"face": on_sheet, "lips": lips, "eyes": eyes, "upper_face": template[:, 1] > 0, "mouth_interior": is_teeth}
    return MorphableModel(
        MorphableData(
            name="tiny",
            template=template,
            shape_basis=torch.zeros(1, len(template), 3),
            expression_basis=jaw[None],
            expression_names=("jawOpen",),
            expression_bounds=torch.tensor([[0.0, 1.0]]),
            faces=faces,
            uvs=uvs,
            uv_faces=faces,
            vertex_regions=is_teeth.long(),
            region_names=("face", "teeth_upper"),
            landmark_vertices=torch.zeros(68, 3, dtype=torch.long),
            landmark_barycentrics=torch.full((68, 3), 1 / 3),
            vertex_masks=masks,
        )
    )


def tiny_tracking(num_frames: int, size: int, seed: int = 0) -> TrackedFace:
    """A head that nods and opens its mouth."""
    generator = torch.Generator().manual_seed(seed)
    time = torch.arange(num_frames) / 25
    turning = torch.stack([0.1 * torch.sin(3 * time), 0.2 * torch.sin(2 * time), 0 * time], -1)
    coefficients = FaceCoefficients(
        shape_coefficients=torch.zeros(1),
        expression_coefficients=(0.5 + 0.5 * torch.sin(9 * time))[:, None],
        rotation=turning,
        translation=torch.tensor([0.0, 0.0, -0.65]) + 0.004 * torch.randn(num_frames, 3, generator=generator),
        gaze=0.1 * torch.randn(num_frames, 2, generator=generator),
    )
    camera = default_camera(size, size)
    return TrackedFace(coefficients, camera, torch.ones(num_frames, 9, 3), torch.ones(3, 2, 2), "tiny", ("jawOpen",))


def tiny_inputs(
    num_frames: int = 2, size: int = 48, num_features: int = 6, window: int = 5, supersampling: int = 1
) -> RenderInputs:
    """What the network sees of the tiny face before a grey wall, with random speech."""
    speech = torch.randn(num_frames, window, num_features, generator=torch.Generator().manual_seed(3))
    wall = torch.full((num_frames, 3, size, size), 0.5)
    settings = MapSettings(supersampling=supersampling)
    return build_render_inputs(tiny_tracking(num_frames, size), tiny_model(), speech, wall, settings)


def write_tiny_clip(
    path: Path, num_frames: int = 15, size: int = 48, has_audio: bool = True, seed: int = 0
) -> ClipStore:
    """A fitted clip of the tiny face, coloured by its uvs."""
    face = tiny_tracking(num_frames, size, seed)
    maps = build_render_maps(face, tiny_model(), (size, size))
    colour = torch.cat([0.3 + 0.4 * maps.uvs, 0.5 + 0.2 * torch.sin(20 * maps.uvs[:, :1])], 1)
    frames = torch.where((maps.regions > 0)[:, None], colour, 0.5)
    confidence = torch.ones(num_frames)
    confidence[2] = 0
    with writing_clip_store(path) as writer:
        for frame in frames:
            pixels = (frame * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
            writer.add_frame(pixels, np.zeros((size, size), np.uint8))
        if has_audio:
            noise = torch.randn(num_frames * 640, generator=torch.Generator().manual_seed(seed)) * 0.1
            writer.write_waveform(noise)
        zeros = torch.zeros(num_frames, 68, 2)
        pose = torch.eye(4).expand(num_frames, 4, 4)
        writer.write_landmarks(Landmarks(zeros, confidence, torch.zeros(num_frames, 52), pose))
        crop = Crop(0.0, 0.0, float(size))
        writer.finish(ClipInfo(num_frames, "25", size, None, "tiny", None, size, size, crop, has_audio))
    store = ClipStore(path)
    store.write_tracking(face)
    return store
