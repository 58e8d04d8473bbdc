"""The 68 iBUG landmarks and the masks, by nominal place and by the rings around eyes and mouth."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from readavatar.morphable.builtin import charts, eyes, mouth
from readavatar.morphable.builtin.head import Head
from readavatar.morphable.builtin.parts import Array, Indices
from readavatar.morphable.builtin.surface import loft, loft_parameters

# fmt: off
_JAW = ((1.44, -2), (1.42, -23), (1.38, -46), (1.28, -72), (1.13, -91), (0.92, -103), (0.66, -108.5), (0.34, -110.5),
        (0.0, -111.5))
"""(azimuth, row) of landmarks 16, 15, …, 8: from the left ear to the chin."""
_FACE = {22: (13, 18), 23: (28, 21), 24: (40, 21), 25: (48.5, 19), 26: (54, 15),
         27: (0, -2), 28: (0, -18), 29: (0, -31), 30: (0, -38), 33: (0, -47.6), 34: (6.5, -46.6), 35: (13.5, -45)}
"""Nominal (x, y) of the brow's, the nose's bridge's and its base's landmarks on the left and the midline. iBUG spaces
them evenly; along the brow and the bridge these follow MediaPipe's points instead, which the fits are made to."""
_EYE_ANGLES = {42: 180, 43: 118, 44: 62, 45: 0, 46: -65, 47: -118}
_OUTER_LIPS = {51: (1, 0.0), 52: (1, 8.0), 53: (1, 18.5), 54: (0, 25.0), 55: (-1, 18.5), 56: (-1, 6.5), 57: (-1, 0.0)}
_INNER_LIPS = {62: (1, 0.0), 63: (1, 12.0), 64: (0, 25.0), 65: (-1, 12.0), 66: (-1, 0.0)}
"""(which lip, abscissa)."""
_RIGHT_OF = {16: 0, 15: 1, 14: 2, 13: 3, 12: 4, 11: 5, 10: 6, 9: 7, 22: 21, 23: 20, 24: 19, 25: 18, 26: 17, 34: 32,
             35: 31, 42: 39, 43: 38, 44: 37, 45: 36, 46: 41, 47: 40, 52: 50, 53: 49, 54: 48, 55: 59, 56: 58, 63: 61,
             64: 60, 65: 67}
# fmt: on


def _locate(uv: Array, head: Head) -> tuple[Indices, Array]:
    """The skin triangle of the left half under a point of the atlas, and its barycentrics."""
    part = head.skin.part
    corners = part.uvs[part.uv_faces]
    a, b, c = corners[:, 0], corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    area = b[:, 0] * c[:, 1] - b[:, 1] * c[:, 0]
    area = np.where(np.abs(area) < 1e-12, np.inf, area)
    offset = uv - a
    second = (offset[:, 0] * c[:, 1] - offset[:, 1] * c[:, 0]) / area
    third = (b[:, 0] * offset[:, 1] - b[:, 1] * offset[:, 0]) / area
    weights = np.stack([1 - second - third, second, third], -1)
    best = int(np.argmax(np.where(np.isfinite(area), weights.min(1), -np.inf)))
    weight = np.clip(weights[best], 0, None)
    return part.faces[best], weight / weight.sum()


def _at_vertex(vertex: int, head: Head) -> tuple[Indices, Array]:
    faces = head.skin.part.faces
    face = faces[int((faces == vertex).any(1).argmax())]
    return np.roll(face, -int(np.nonzero(face == vertex)[0][0])), np.array([1.0, 0.0, 0.0])


def _lip_column(lip: int, abscissa: float) -> int:
    if lip == 0:
        return mouth.HALF_COLUMNS
    column = int(np.argmin(np.abs(mouth.column_x()[: mouth.HALF_COLUMNS + 1] - abscissa)))
    return column if lip > 0 else mouth.NUM_COLUMNS - 1 - column


def build_landmarks(head: Head) -> tuple[Indices, Array]:
    """(68, 3) corners and (68, 3) barycentrics."""
    found: dict[int, tuple[Indices, Array]] = {}
    for index, (theta, row) in zip(range(16, 7, -1), _JAW, strict=True):
        found[index] = _locate(charts.skin_uv(np.array(theta), np.array(float(row))), head)
    for index, (x, y) in _FACE.items():
        found[index] = _locate(charts.skin_uv(*loft_parameters(np.array(float(x)), np.array(float(y)))), head)
    edge = head.skin.lid_grid[len(eyes.RING_BLEND) - 1]
    for index, degrees in _EYE_ANGLES.items():
        turn = (eyes.column_angles() - np.deg2rad(degrees) + np.pi) % (2 * np.pi) - np.pi
        found[index] = _at_vertex(int(edge[np.argmin(np.abs(turn))]), head)
    for ring, lips in ((len(mouth.SKIN_BLEND), _OUTER_LIPS), (mouth.SEAM_RING, _INNER_LIPS)):
        for index, (lip, abscissa) in lips.items():
            found[index] = _at_vertex(int(head.skin.mouth_grid[ring, _lip_column(lip, abscissa)]), head)
    for left, right in _RIGHT_OF.items():
        found[right] = (head.whole.mirrored[found[left][0]], found[left][1])
    return np.stack([found[i][0] for i in range(68)]), np.stack([found[i][1] for i in range(68)])


def build_masks(head: Head) -> dict[str, NDArray[np.bool_]]:
    """(V,) each, of ``MASK_NAMES``."""
    regions = head.whole.regions
    x, y = np.abs(head.nominal[:, 0]), head.nominal[:, 1]
    depth = head.whole.vertices[:, 2]
    skin = np.isin(regions, ("face", "head", "brows")) & (depth > loft(np.array(1.45), np.array(0.0))[2])
    face = skin & (y < 26) & (head.whole.vertices[:, 1] > -122) & (depth > 12) & (regions == "face")
    lips = face & (np.hypot(np.maximum(x - 14, 0), y + 70.5) < 21)
    near_eye = ((x - eyes.OUTLINE_CENTER[0]) / 20) ** 2 + ((y - 0.5) / 13) ** 2 < 1
    eyeball = np.char.startswith(regions, "eyeball") | np.char.startswith(regions, "eye_socket") | (regions == "lashes")
    return {
        "face": face,
        "lips": lips,
        "eyes": (face & near_eye) | eyeball,
        "upper_face": skin & (head.whole.vertices[:, 1] > -38),
        "mouth_interior": np.isin(regions, ("teeth_upper", "teeth_lower", "tongue", "gums", "mouth_socket")),
    }
