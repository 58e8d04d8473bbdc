"""A small face of known shape, on which the loaders' fixtures are built."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest


@dataclass(frozen=True)
class FaceMesh:
    """The front of an ellipsoid in metres, x to the subject's left, y up, z out of the face."""

    vertices: np.ndarray
    faces: np.ndarray
    landmark_vertices: np.ndarray


def landmark_positions() -> np.ndarray:
    """(68, 2) x and y of a plain symmetric face in the iBUG order, metres."""
    angles = np.linspace(-np.pi / 2, np.pi / 2, 17)
    jaw = np.stack([0.07 * np.sin(angles), -0.095 * np.cos(angles)], 1)
    brow = np.stack([np.linspace(-0.05, -0.012, 5), [0.015, 0.02, 0.022, 0.021, 0.018]], 1)
    bridge = np.stack([np.zeros(4), [0.0, -0.012, -0.024, -0.036]], 1)
    nostrils = np.stack([np.linspace(-0.014, 0.014, 5), np.full(5, -0.045)], 1)
    right_eye = np.array(
        [[-0.045, 0], [-0.038, 0.005], [-0.028, 0.005], [-0.02, 0], [-0.028, -0.005], [-0.038, -0.005]]
    )
    left_eye = (right_eye * [-1, 1])[[3, 2, 1, 0, 5, 4]]
    turn = np.pi - 2 * np.pi * np.arange(12) / 12
    outer = np.stack([0.026 * np.cos(turn), -0.068 + 0.012 * np.sin(turn)], 1)
    turn = np.pi - 2 * np.pi * np.arange(8) / 8
    inner = np.stack([0.02 * np.cos(turn), -0.068 + 0.005 * np.sin(turn)], 1)
    return np.concatenate([jaw, brow, (brow * [-1, 1])[::-1], bridge, nostrils, right_eye, left_eye, outer, inner])


@pytest.fixture(scope="session")
def face_mesh() -> FaceMesh:
    """61 × 71 vertices, every landmark the vertex nearest to its place."""
    columns, rows = np.linspace(-0.075, 0.075, 61), np.linspace(-0.11, 0.06, 71)
    x, y = (grid.ravel() for grid in np.meshgrid(columns, rows))
    z = 0.11 * np.sqrt(1 - (x / 0.08) ** 2) - 0.04 * ((y + 0.03) / 0.09) ** 2
    vertices = np.stack([x, y, z], 1)
    corner = (np.arange(70)[:, None] * 61 + np.arange(60)).ravel()
    faces = np.concatenate(
        [np.stack([corner, corner + 1, corner + 62], 1), np.stack([corner, corner + 62, corner + 61], 1)]
    )
    distances = np.linalg.norm(vertices[None, :, :2] - landmark_positions()[:, None], axis=2)
    return FaceMesh(vertices, faces, distances.argmin(1))


@pytest.fixture
def private_cache(tmp_path, monkeypatch):
    """The loaders' cache in the test's own folder, and no override from the environment."""
    monkeypatch.setenv("READAVATAR_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("READAVATAR_ASSETS", raising=False)
