"""All parts together, with what the expressions and identities need to know about every vertex."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix, diags, identity
from scipy.sparse.linalg import splu

from readavatar.morphable.builtin import ears, eyes, mouth, teeth
from readavatar.morphable.builtin.parts import Array, Indices, Whole, merge, mirror
from readavatar.morphable.builtin.skin import Skin, build_skin
from readavatar.morphable.builtin.surface import loft

_COLUMN = np.arange(mouth.NUM_COLUMNS) / mouth.HALF_COLUMNS
_LIP_JAW = np.where(_COLUMN <= 1, 0.42 * _COLUMN**2.0, 1 - 0.58 * (2 - _COLUMN) ** 2.0)
"""The jaw's share by the lips' columns: an open mouth is an oval whose corners hang 0.42 of the way down."""
_SOCKET_FOLLOW = np.array([1.0, 1.0, 0.95, 0.85, 0.6, 0.35, 0.15, 0.0, 0.0])
"""How much of the lips' motion the rings behind the slit share, front to back."""


@dataclass(frozen=True)
class Head:
    """The neutral head in the authoring frame, millimetres."""

    whole: Whole
    skin: Skin
    nominal: Array
    """(V, 2) where the face's fields see each vertex; behind the lips and lids that of the edge."""
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
    """Per-vertex values of the left half, for both."""
    return values[np.minimum(whole.mirrored, np.arange(len(whole.mirrored)))]


def build_head() -> Head:
    """Assemble the neutral head."""
    skin = build_skin()
    parts = {
        "skin": skin.part,
        "eyeball": eyes.eyeball(),
        "teeth_upper": teeth.teeth(upper=True),
        "teeth_lower": teeth.teeth(upper=False),
        "gums_upper": teeth.gums(upper=True),
        "gums_lower": teeth.gums(upper=False),
        "tongue": teeth.tongue(),
        "ear": ears.ear(),
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
    """The least bent values (bi-Laplacian energy) on the left half's skin that agree with ``values`` where fixed.

    The two lips share no edge, so that the slit is a border although it has no width.
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
    """1 on what hangs on the jaw, 0 on what hangs on the skull, the smoothest values in between."""
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
