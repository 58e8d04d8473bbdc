"""Videos whose faces are discs, and a detector that finds them: preparing is tested without a detector's model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from readavatar.data.preparation.faces import FACE_OVAL
from readavatar.detection import DetectedFace
from readavatar.media.video import write_video

SKIN = (224, 172, 150)
BACKGROUND = (30, 60, 90)

Disc = tuple[float, float, float]
"""x and y of the centre and the radius, pixels."""


def disc_frame(discs: Sequence[Disc], height: int = 120, width: int = 160) -> np.ndarray:
    """A picture of antialiased discs; a disc's red channel is what the detector sees."""
    y, x = np.mgrid[:height, :width] + 0.5
    frame = np.broadcast_to(np.array(BACKGROUND, float), (height, width, 3)).copy()
    for centre_x, centre_y, radius in discs:
        inside = np.clip(radius + 0.5 - np.hypot(x - centre_x, y - centre_y), 0, 1)[..., None]
        frame += inside * (np.array(SKIN, float) - frame)
    return frame.round().astype(np.uint8)


def write_discs(path: Path, frames: Sequence[Sequence[Disc]], *, fps=25, sound: bool = True, **size: int) -> Path:
    """A video of discs, with a quiet hum."""
    num_samples = round(len(frames) / fps * 16_000)
    waveform = 0.1 * torch.sin(torch.arange(num_samples) * 0.1) if sound else None
    write_video(path, (disc_frame(discs, **size) for discs in frames), fps, waveform, 16_000 if sound else None, crf=4)
    return path


def disc_landmarks(x: float, y: float, radius: float) -> np.ndarray:
    """478 landmarks on and in a disc; MediaPipe's outline runs around it, clockwise from the top."""
    angles = np.linspace(0, 2 * np.pi, 478, endpoint=False)
    points = np.stack([x + 0.5 * radius * np.sin(angles), y - 0.5 * radius * np.cos(angles)], 1)
    around = np.linspace(0, 2 * np.pi, len(FACE_OVAL), endpoint=False)
    points[list(FACE_OVAL)] = np.stack([x + radius * np.sin(around), y - radius * np.cos(around)], 1)
    return points.astype(np.float32)


def disc_face(x: float, y: float, radius: float) -> DetectedFace:
    """What the detector says of a disc."""
    return DetectedFace(disc_landmarks(x, y, radius), np.full(52, 0.25, np.float32), (2 * np.eye(4)).astype(np.float32))


class DiscDetector:
    """Finds the discs by looking at the picture (connected patches of skin)."""

    def detect(self, frame: np.ndarray) -> list[DetectedFace]:
        from scipy import ndimage

        labels, num_discs = ndimage.label(np.abs(frame.astype(int) - SKIN).sum(2) < 100)
        faces = []
        for index in range(1, num_discs + 1):
            rows, columns = np.nonzero(labels == index)
            radius = (len(rows) / np.pi) ** 0.5
            if radius > 2:
                faces.append(disc_face(columns.mean() + 0.5, rows.mean() + 0.5, radius))
        return faces
