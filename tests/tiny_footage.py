"""A tiny fitted clip with landmarks, and an avatar whose appearance network has learnt nothing."""

from __future__ import annotations

import math
from pathlib import Path

import torch
from tiny_face import tiny_model, tiny_tracking, write_tiny_clip

from readavatar.appearance import AppearanceRenderer
from readavatar.appearance.settings import NetworkSettings
from readavatar.data.datasets.speech_features import describe_encoder
from readavatar.data.store import ClipStore
from readavatar.data.store.avatar import write_avatar_part
from readavatar.rendering.camera import head_to_world, project
from readavatar.speech import load_speech_encoder
from readavatar.types import Landmarks

SIZE, WINDOW = 48, 5


def face_points() -> torch.Tensor:
    """68 points of the tiny sheet's plane, metres: its outline, and the lips among them."""
    angle = 2 * math.pi * torch.arange(68) / 68
    outline = torch.stack([0.06 * angle.cos(), 0.08 * angle.sin(), 0 * angle], 1)
    lips = 2 * math.pi * torch.arange(20) / 20
    outline[48:] = torch.stack([0.03 * lips.cos(), -0.045 + 0.012 * lips.sin(), 0 * lips], 1)
    return outline


def write_footage(path: Path, num_frames: int = 24, size: int = SIZE) -> ClipStore:
    """A fitted clip with a face in all frames but the third, and where its landmarks are."""
    store = write_tiny_clip(path, num_frames, size)
    face = tiny_tracking(num_frames, size)
    pose = face.coefficients.rotation, face.coefficients.translation
    points = project(head_to_world(face_points().expand(num_frames, -1, -1), *pose), face.camera)
    seen = store.landmarks()
    store.write_landmarks(Landmarks(points, seen.landmark_confidence, seen.blendshapes, seen.head_to_camera))
    return store


def write_painter(folder: Path, footage: Path, size: int = SIZE, **changes) -> Path:
    """Write an appearance part with random weights for log-mel energies; ``changes`` update its configuration."""
    torch.manual_seed(0)
    encoder = load_speech_encoder("log_mel")
    settings = NetworkSettings(texture_width=8, texture_depth=2, unet_width=4, unet_levels=3, unet_max_width=8)
    network = AppearanceRenderer(encoder.num_features, len(tiny_model().region_names), WINDOW, settings)
    config = {
        "network": network.config,
        "speech_encoder": describe_encoder(encoder),
        "morphable_model": "tiny",
        "expression_names": ["jawOpen"],
        "size": size,
        "maps": {},
    }
    write_avatar_part(folder, "appearance", network, config | changes, footage)
    return folder
