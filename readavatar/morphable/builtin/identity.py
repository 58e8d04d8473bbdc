"""Identity modes: smooth warps of space, each by about one standard deviation of adults (Farkas 1994).

Around each eye a warp is replaced by a translation (and a scale, where the eyes' size is the mode), so that lids and
eyeball keep their fit; teeth, gums and tongue move with the mouth as a whole.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from readavatar.morphable.builtin import eyes
from readavatar.morphable.builtin.head import Head
from readavatar.morphable.builtin.parts import Array
from readavatar.morphable.builtin.surface import smooth_step

Warp = Callable[[Array], Array]

# fmt: off
_FIELDS: dict[str, tuple] = {
    # name: ((centre x, y, z), (size), (millimetres sideways, up, forward)), …; both sides alike
    "jaw_width": (((50, -76, 25), (18, 22, 35), (2.5, 0, 0.5)),),
    "chin_length": (((0, -112, 85), (26, 17, 40), (0, -4.0, 0)),),
    "chin_protrusion": (((0, -100, 95), (19, 14, 40), (0, 0, 3.2)),),
    "nose_length": (((0, -44, 108), (15, 11, 22), (0, -3.0, 0.3)),),
    "nose_width": (((14, -40, 98), (8, 11, 16), (2.3, 0, -0.3)),),
    "nose_bridge": (((0, -15, 102), (8, 12, 14), (0, 0, 2.6)),),
    "nose_tip": (((0, -38, 118), (9, 9, 14), (0, 1.6, 2.0)),),
    "lip_fullness": (((0, -62, 104), (17, 3.6, 20), (0, 1.3, 1.3)), ((0, -79.5, 104), (15, 4.2, 20), (0, -1.4, 1.4))),
    "brow_ridge": (((26, 15, 92), (20, 7, 25), (0, -1.0, 2.3)),),
    "brow_height": (((28, 18, 90), (24, 9, 30), (0, 2.4, 0)),),
    "cheekbones": (((52, -19, 60), (13, 12, 24), (2.0, 0.3, 2.4)),),
    "cheek_fullness": (((46, -56, 60), (14, 17, 28), (2.2, 0, 2.0)),),
    "forehead_height": (((0, 75, 50), (60, 28, 70), (0, 4.5, 0)),),
    "forehead_slope": (((0, 62, 85), (45, 24, 40), (0, 0, -4.0)),),
    "ear_size": (((76, -17, -16), (13, 34, 20), (2.6, 0, -1.2)), ((76, 10, -12), (12, 16, 22), (0, 2.2, 0))),
}
# fmt: on


def _gaussian_warp(fields: tuple) -> Warp:
    """Mirrored Gaussians in space; a field on the midline counts once."""

    def warp(points: Array) -> Array:
        total = np.zeros_like(points)
        for center, size, move in fields:
            for side in (1.0, -1.0) if center[0] else (1.0,):
                flip = np.array([side, 1, 1])
                distance = (points - np.array(center) * flip) / np.array(size)
                weight = np.exp(-0.5 * (distance**2).sum(-1, keepdims=True))
                total += weight * np.array(move) * (flip if center[0] else np.array([0, 1, 1]))
        return total

    return warp


def _face_width(points: Array) -> Array:
    """Across, cheeks most."""
    weight = np.exp(-0.5 * ((points[:, 1] + 30) / 60) ** 2) * smooth_step(-90, 20, points[:, 2])
    return np.stack([0.045 * points[:, 0] * weight, 0 * weight, 0 * weight], -1)


def _face_length(points: Array) -> Array:
    """Longer below the eyes."""
    below = np.minimum(points[:, 1] + 8, 0) * smooth_step(-150, -112, points[:, 1])
    neck = smooth_step(-112, -150, points[:, 1]) * -104
    amount = 0.042 * (below + neck) * smooth_step(-40, 20, points[:, 2])
    return np.stack([0 * amount, amount, 0 * amount], -1)


def _cranium(points: Array) -> Array:
    """A larger braincase."""
    weight = smooth_step(0, 45, points[:, 1] + 0.35 * np.maximum(-points[:, 2], 0)) * smooth_step(105, 40, points[:, 2])
    return 0.035 * (points - np.array([0, 15, 0])) * weight[:, None]


def _mouth_width(points: Array) -> Array:
    weight = np.exp(-0.5 * ((points[:, 1] + 70) / 13) ** 2) * smooth_step(55, 85, points[:, 2])
    stretch = points[:, 0] * np.exp(-0.5 * (points[:, 0] / 26) ** 4)
    return np.stack([0.11 * stretch * weight, 0 * weight, -0.02 * np.abs(stretch) * weight], -1)


def _neck(points: Array) -> Array:
    nape = smooth_step(-60, -105, points[:, 1]) * smooth_step(20, -30, points[:, 2])
    weight = np.minimum(smooth_step(-95, -135, points[:, 1]) + nape, 1.0)[:, None]
    return 0.06 * (points - np.array([0, 0, -15])) * np.array([1, 0, 1]) * weight


def _around_eyes(points: Array) -> tuple[Array, Array]:
    """Which eye is nearer (−1, +1), and 1 within the orbit, 0 outside."""
    side = np.where(points[:, 0] >= 0, 1.0, -1.0)
    offset = points - eyes.EYE_CENTER * np.stack([side, np.ones_like(side), np.ones_like(side)], -1)
    return side, smooth_step(28.0, 15.5, np.linalg.norm(offset * np.array([1, 1.15, 0.85]), axis=1))


def _eye_warp(move: tuple = (0, 0, 0), scale: float = 0.0, turn: float = 0.0) -> Warp:
    """Moves (sideways, up, forward), scales and tilts (radians, outer corner up) both eyes with their surroundings."""

    def warp(points: Array) -> Array:
        side, weight = _around_eyes(points)
        flip = np.stack([side, np.ones_like(side), np.ones_like(side)], -1)
        offset = points * flip - eyes.EYE_CENTER
        tilted = np.stack([-turn * offset[:, 1], turn * offset[:, 0], 0 * side], -1)
        return (np.array(move) + scale * offset + tilted) * flip * weight[:, None]

    return warp


IDENTITY_MODES: dict[str, Warp] = {
    "face_width": _face_width,
    "face_length": _face_length,
    "cranium_size": _cranium,
    "mouth_width": _mouth_width,
    "neck_width": _neck,
    "eye_size": _eye_warp(scale=0.05),
    "eye_spacing": _eye_warp(move=(1.5, 0, -0.3)),
    "eye_tilt": _eye_warp(turn=np.deg2rad(3.0)),
    "eye_depth": _eye_warp(move=(0, 0, -1.6)),
} | {name: _gaussian_warp(fields) for name, fields in _FIELDS.items()}
"""By name, in the order of the shape basis."""

_KEEPS_EYES = ("eye_size", "eye_spacing", "eye_tilt", "eye_depth")


def build_identities(head: Head) -> Array:
    """(S, V, 3) millimetres for one standard deviation of each of ``IDENTITY_MODES``."""
    points, regions = head.whole.vertices, head.whole.regions
    side, orbit = _around_eyes(points)
    eyeball = np.char.startswith(regions, "eyeball") | np.char.startswith(regions, "eye_socket")
    inside_mouth = np.isin(regions, ("teeth_upper", "teeth_lower", "gums", "tongue"))
    basis = []
    for name, warp in IDENTITY_MODES.items():
        moved = warp(points)
        if name not in _KEEPS_EYES:
            at_center = warp(eyes.EYE_CENTER[None])[0]
            rigid = at_center * np.stack([side, np.ones_like(side), np.ones_like(side)], -1)
            share = np.where(eyeball, 1.0, orbit)[:, None]
            moved = moved + share * (rigid - moved)
        at_mouth = warp(np.array([[0.0, -70.0, 95.0]]))[0]
        moved[inside_mouth] = at_mouth * np.array([0, 1, 1])
        moved[points[:, 0] == 0, 0] = 0.0
        basis.append(moved)
    return np.stack(basis)
