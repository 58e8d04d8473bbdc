"""A face of sixty vertices and fitted clips in which its jaw follows the loudness, for tests of the motion stage."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

import readavatar.data.datasets.expression
import readavatar.expression.module
from readavatar.data.store import ClipInfo, ClipStore, Crop, writing_clip_store
from readavatar.emotion import EmotionTrack
from readavatar.morphable.model import MorphableData, MorphableModel
from readavatar.types import FaceCoefficients, Landmarks, TrackedFace, default_camera

NAMES = ("browInnerUp_L", "jawOpen", "mouthSmile_L")
FPS = 25.0


def talking_model() -> MorphableModel:
    """Sixty points: 0–19 brows, 20–39 upper lip, 40–59 lower lip; the landmarks of the inner lips lie on the latter."""
    generator = torch.Generator().manual_seed(0)
    template = 0.05 * torch.rand(60, 3, generator=generator)
    template[20:40, 1], template[40:, 1] = 0.0, -0.001
    basis = torch.zeros(3, 60, 3)
    basis[0, :20, 1], basis[1, 40:, 1] = 0.01, -0.02
    basis[2, 20:] = 0.004 * torch.randn(40, 3, generator=generator)
    landmarks = torch.zeros(68, 3, dtype=torch.long)
    for upper, lower in ((61, 67), (62, 66), (63, 65)):
        landmarks[upper], landmarks[lower] = upper - 40, upper - 20
    vertex = torch.arange(60)
    masks = {"face": vertex >= 0, "lips": vertex >= 20, "upper_face": vertex < 20}
    faces = torch.tensor([[0, 1, 2]])
    return MorphableModel(
        MorphableData(
            name="talking",
            template=template,
            shape_basis=torch.zeros(1, 60, 3),
            expression_basis=basis,
            expression_names=NAMES,
            expression_bounds=torch.tensor([[0.0, 1.0]] * 3),
            faces=faces,
            uvs=torch.zeros(60, 2),
            uv_faces=faces,
            vertex_regions=torch.zeros(60, dtype=torch.long),
            region_names=("face",),
            landmark_vertices=landmarks,
            landmark_barycentrics=torch.full((68, 3), 1 / 3),
            vertex_masks=masks,
        )
    )


def use_talking_model(monkeypatch) -> None:
    """Let the expression stage find it, whatever model the clips name."""
    for module in (readavatar.expression.module, readavatar.data.datasets.expression):
        monkeypatch.setattr(module, "load_morphable_model", lambda name: talking_model())


def write_talking_clip(
    path: Path,
    seconds: float = 4.0,
    emotion: EmotionTrack | None = None,
    has_audio: bool = True,
    fps: str = "25",
    unseen: slice = slice(0, 0),
    is_tracked: bool = True,
    names: tuple[str, ...] = NAMES,
    seed: int = 0,
) -> ClipStore:
    """A clip whose jaw is as open as the sound is loud, and whose brows go up and down as they please."""
    generator = torch.Generator().manual_seed(seed)
    num_frames = round(seconds * FPS)
    loudness = torch.nn.functional.interpolate(
        torch.rand(1, 1, round(3 * seconds) + 2, generator=generator), num_frames, mode="linear"
    )[0, 0]
    brows = 0.3 + 0.2 * torch.sin(torch.arange(num_frames) / 6 + 6 * torch.rand(1, generator=generator))
    expressions = torch.stack([brows, 0.8 * loudness, 0.1 + 0.05 * loudness], 1)
    confidence = torch.ones(num_frames)
    confidence[unseen] = 0
    with writing_clip_store(path) as writer:
        black = np.zeros((8, 8, 3), np.uint8)
        for _ in range(num_frames):
            writer.add_frame(black, black[..., 0])
        if has_audio:
            noise = torch.randn(num_frames * 640, generator=generator)
            writer.write_waveform(0.2 * noise * loudness.repeat_interleave(640))
        poses = torch.eye(4).expand(num_frames, 4, 4)
        writer.write_landmarks(
            Landmarks(torch.zeros(num_frames, 68, 2), confidence, torch.zeros(num_frames, 52), poses)
        )
        if emotion:
            writer.write_emotion(emotion)
        writer.finish(ClipInfo(num_frames, fps, 8, None, "clip", None, 8, 8, Crop(0.0, 0.0, 8.0), has_audio))
    store = ClipStore(path)
    if is_tracked:
        still = torch.zeros(num_frames, 3)
        coefficients = FaceCoefficients(torch.zeros(1), expressions, still, still.clone(), torch.zeros(num_frames, 2))
        lighting, albedo = torch.zeros(num_frames, 9, 3), torch.zeros(3, 2, 2)
        store.write_tracking(TrackedFace(coefficients, default_camera(8, 8), lighting, albedo, "talking", names))
    return store
