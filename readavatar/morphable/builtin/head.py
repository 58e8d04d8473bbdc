"""The whole head: all parts, the weights that expressions and identities use, the 68 landmarks and the masks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix, diags, identity
from scipy.sparse.linalg import splu

from readavatar.morphable.builtin import charts, eyes, mouth
from readavatar.morphable.builtin.parts import Array, Indices, Whole, merge, mirror
from readavatar.morphable.builtin.skin import Skin, build_skin, ear
from readavatar.morphable.builtin.surface import loft, loft_parameters

_COLUMN = np.arange(mouth.NUM_COLUMNS) / mouth.HALF_COLUMNS
_LIP_JAW = np.where(_COLUMN <= 1, 0.42 * _COLUMN**2.0, 1 - 0.58 * (2 - _COLUMN) ** 2.0)
"""The jaw's share of motion by the lips' columns: an open mouth is an oval, whose corners move down by 0.42 of it."""
_SOCKET_FOLLOW = np.array([1.0, 1.0, 0.95, 0.85, 0.6, 0.35, 0.15, 0.0, 0.0])
"""Share of the lips' motion of the rings behind the slit, front to back."""


@dataclass(frozen=True)
class Head:
    """The neutral head in the authoring frame, millimetres."""

    whole: Whole
    skin: Skin
    nominal: Array
    """(V, 2) nominal place of each vertex, for the fields; behind lips and lids it is that of the edge."""
    follows: Array
    """(V,) share of the skin's motion: 1 on the face, fading to 0 at the ears, the neck's cut and inside the mouth."""
    jaw: Array
    """(V,) share of the lower jaw's motion: 1 from the lower lip to the chin, on lower teeth, gums and tongue."""
    lashes: Indices
    """(3, n) vertices of the left lashes' strip."""

    def whole_displacement(self, left: Array) -> Array:
        """(V, 3) of a symmetric displacement from that of the left half's vertices."""
        is_left = np.arange(len(self.whole.vertices)) < self.whole.num_left
        return mirrored_values(left, self.whole) * np.where(is_left[:, None], 1, [-1, 1, 1])


def mirrored_values(values: Array, whole: Whole) -> Array:
    """Extend per-vertex values of the left half to both halves."""
    return values[np.minimum(whole.mirrored, np.arange(len(whole.mirrored)))]


def build_head() -> Head:
    """Assemble the neutral head."""
    skin = build_skin()
    parts = {
        "skin": skin.part,
        "eyeball": eyes.eyeball(),
        "teeth_upper": mouth.teeth(upper=True),
        "teeth_lower": mouth.teeth(upper=False),
        "gums_upper": mouth.gums(upper=True),
        "gums_lower": mouth.gums(upper=False),
        "tongue": mouth.tongue(),
        "ear": ear(),
        "lashes": eyes.lash_part(eyes.lid_rings()),
    }
    half = merge(list(parts.values()))
    whole = mirror(half)
    sizes = {name: len(part.vertices) for name, part in parts.items()}
    starts = dict(zip(sizes, np.cumsum([0, *sizes.values()]), strict=False))
    nominal = half.vertices[:, :2].copy()
    nominal[: sizes["skin"]] = loft(skin.theta, skin.row)[:, :2]
    follows, jaw = np.zeros(len(half.vertices)), np.zeros(len(half.vertices))
    follows[: sizes["skin"]] = np.clip((1.62 - skin.theta) / 0.35, 0, 1) * np.clip((skin.row + 175) / 45, 0, 1)
    follows[skin.mouth_grid[mouth.SEAM_RING + 1 :]] = _SOCKET_FOLLOW[:, None]
    jaw[: sizes["skin"]] = _jaw_weights(skin)
    for name in ("teeth_lower", "gums_lower", "tongue"):
        jaw[starts[name] : starts[name] + sizes[name]] = 1.0
    left = np.arange(len(whole.vertices)) < whole.num_left
    full_nominal = mirrored_values(nominal, whole) * np.where(left[:, None], 1, [-1, 1])
    lashes = starts["lashes"] + np.arange(sizes["lashes"]).reshape(3, -1)
    return Head(whole, skin, full_nominal, mirrored_values(follows, whole), mirrored_values(jaw, whole), lashes)


def smoothest(skin: Skin, fixed: NDArray[np.bool_], values: Array) -> Array:
    """The smoothest values (least bi-Laplacian energy) on the left half's skin that equal ``values`` where ``fixed``.

    The lips share no edge, so that the slit is a border although it has no width.
    """
    num = len(fixed)
    edges = np.concatenate([skin.part.faces[:, [0, 1]], skin.part.faces[:, [1, 2]], skin.part.faces[:, [2, 0]]])
    length = np.maximum(np.linalg.norm(skin.part.vertices[edges[:, 0]] - skin.part.vertices[edges[:, 1]], axis=1), 0.3)
    adjacency = coo_matrix((1 / length, (edges[:, 0], edges[:, 1])), shape=(num, num)).tocsr()
    adjacency = adjacency + adjacency.T
    degree = np.asarray(adjacency.sum(1)).ravel()
    laplacian = (diags(degree) - adjacency).tocsr()
    energy = (laplacian @ diags(1 / degree) @ laplacian).tocsr()
    free = np.nonzero(~fixed)[0]
    result = np.array(values, float)
    right = -energy[free][:, np.nonzero(fixed)[0]] @ result[fixed]
    result[free] = splu(energy[free][:, free].tocsc() + 1e-9 * identity(len(free), format="csc")).solve(right)
    return result


def _jaw_weights(skin: Skin) -> Array:
    """1 on the jaw, 0 on the skull, and the smoothest values in between."""
    x, y = np.moveaxis(loft(skin.theta, skin.row)[:, :2], -1, 0)
    num = len(x)
    fixed, value = np.zeros(num, bool), np.zeros(num)
    fixed |= (y > -49 + 0.34 * x) | (skin.theta > 1.7) | (skin.row < -160)
    on_jaw = (skin.theta < 0.85) & (skin.row < -84 + 0.1 * x) & (skin.row > -116) & (x < 40)
    fixed |= on_jaw
    value[on_jaw] = 1.0
    grid = skin.mouth_grid
    lip = slice(len(mouth.SKIN_BLEND), mouth.SEAM_RING + 1 + mouth.INNER_RINGS)
    fixed[grid[lip]], value[grid[lip]] = True, _LIP_JAW
    fixed[grid[-2:]], value[grid[-2:]] = True, 0.4
    return np.clip(smoothest(skin, fixed, value), 0, 1)


# fmt: off
_JAW = ((1.44, -2), (1.42, -23), (1.38, -46), (1.28, -72), (1.13, -91), (0.92, -103), (0.66, -108.5), (0.34, -110.5),
        (0.0, -111.5))
"""(azimuth, row) of landmarks 16, 15, …, 8: from the left ear to the chin."""
_FACE = {22: (13, 18), 23: (28, 21), 24: (40, 21), 25: (48.5, 19), 26: (54, 15),
         27: (0, -2), 28: (0, -18), 29: (0, -31), 30: (0, -38), 33: (0, -47.6), 34: (6.5, -46.6), 35: (13.5, -45)}
"""Nominal (x, y) of the brow's, the nose's bridge's and its base's landmarks on the left and the midline. iBUG spaces
them evenly; along the brow and the bridge these follow MediaPipe's points instead, which are what the tracker fits."""
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
