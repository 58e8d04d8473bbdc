"""Lids that slide on the eyeball, their edges and inner sides, the eyeball itself and the lashes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from readavatar.morphable.builtin import charts
from readavatar.morphable.builtin.parts import Part, close_grid, grid_part
from readavatar.morphable.builtin.surface import Array, loft_parameters, skin_surface, smooth_max, smooth_step

EYE_CENTER = np.array([31.5, 0.0, 70.8])
"""Pupil distance 63; the cornea 12 mm ahead of the eyeball's centre."""
EYE_RADIUS = 12.0
LID_RADIUS = 13.3
"""Radius of the lids' outer edges around the eyeball's centre; the edge is 1.3 mm thick."""
EDGE_RADIUS = 12.2
IRIS_RADIUS = 5.9

NUM_COLUMNS = 40
INNER_CORNER, OUTER_CORNER = (-14.8, -1.9), (14.0, 0.9)
"""Of the opening, from the eyeball's centre."""
UPPER_HEIGHT, LOWER_HEIGHT = 5.0, 4.8
"""Of the lids' edges above and below the line through the corners."""
OUTLINE_CENTER, OUTLINE_SIZE = (31.0, 1.5), (21.0, 16.5)
"""The ellipse where the lids' rings end in the face."""
RING_BLEND = np.array([1.0, 0.8, 0.62, 0.47, 0.35, 0.25, 0.17, 0.10, 0.045, 0.0])
"""From the outline (1) to the lids' edge (0)."""
CREASE = 6.2
"""Of the upper lid, millimetres above its edge."""


def column_angles() -> Array:
    """Counter-clockwise seen from the front, from the outer corner; the columns crowd at both corners."""
    return np.linspace(0, 2 * np.pi, NUM_COLUMNS, endpoint=False)


def lid_edge(angles: Array) -> Array:
    """The opening's outline about the eyeball's centre, (n, 2)."""
    along = np.cos(angles)
    blend = 0.5 * (1 + along)
    x = INNER_CORNER[0] + blend * (OUTER_CORNER[0] - INNER_CORNER[0])
    line = INNER_CORNER[1] + blend * (OUTER_CORNER[1] - INNER_CORNER[1])
    arch = np.maximum(1 - along**2, 0) ** 0.82
    upper = UPPER_HEIGHT * arch * (1 - 0.13 * along)
    lower = -LOWER_HEIGHT * arch * (1 + 0.16 * along)
    return np.stack([x, line + np.where(np.sin(angles) >= 0, upper, lower)], -1)


def outline(angles: Array) -> Array:
    """Where the rings end, nominal (n, 2)."""
    return np.stack(
        [OUTLINE_CENTER[0] + OUTLINE_SIZE[0] * np.cos(angles), OUTLINE_CENTER[1] + OUTLINE_SIZE[1] * np.sin(angles)], -1
    )


def ball_depth(x: Array, y: Array, radius: float) -> Array:
    """Height of a ball over its centre, continued by its tangent cone: always outside the ball."""
    rho = np.hypot(x, y)
    edge = 0.84 * radius
    height = np.sqrt(radius**2 - np.minimum(rho, edge) ** 2)
    return height - np.maximum(rho - edge, 0) * edge / np.sqrt(radius**2 - edge**2)


def lid_surface(nominal: Array, blend: Array) -> Array:
    """The lids' skin over the eyeball: the face's relief, lifted to clear the ball.

    Args:
        nominal: (…, 2) seen from the front.
        blend: (…) 0 at the lids' edges, 1 where the rings end.
    """
    x, y = nominal[..., 0], nominal[..., 1]
    points = skin_surface(*loft_parameters(x, y))
    dx, dy = x - EYE_CENTER[0], y - EYE_CENTER[1]
    ball = EYE_CENTER[2] + ball_depth(dx, dy, LID_RADIUS)
    lifted = smooth_max(points[..., 2], ball, 2.6)
    weight = smooth_step(-0.1, 0.55, blend)
    points[..., 0], points[..., 1] = x, y
    points[..., 2] = ball + (lifted - ball) * weight
    return points


def _crease(angles: Array, blend: Array) -> Array:
    """The fold of the upper lid: a groove with the hood above it."""
    edge, end = lid_edge(angles) + EYE_CENTER[:2], outline(angles)
    above = blend * np.linalg.norm(end - edge, axis=-1)
    place = CREASE + 0.8 * np.cos(angles)
    strength = smooth_step(0.15, 0.75, np.sin(angles))
    groove = -1.1 * np.exp(-0.5 * ((above - place) / 0.9) ** 2)
    hood = 1.1 * np.exp(-0.5 * ((above - place - 2.6) / 1.5) ** 2)
    below = -0.3 * np.exp(-0.5 * ((above - 6.5) / 1.6) ** 2) * smooth_step(0.3, 0.9, -np.sin(angles))
    return strength * (groove + hood) + below


def lid_rings(upper: float = 0.0, lower: float = 0.0, close: float = 0.0, sideways: float = 0.0) -> Array:
    """The lids' rings from the outline to the edge, then the edge's inner rim and two rings behind it.

    Args:
        upper: Lift of the upper lid's edge in its middle, millimetres.
        lower: The same for the lower lid.
        close: 1 brings both edges together on the closing line.
        sideways: Shift of both edges' middles to the subject's left, millimetres.

    Returns:
        (13, columns, 3).
    """
    angles = column_angles()
    edge = lid_edge(angles)
    arch = np.abs(np.sin(angles)) ** 1.3
    is_upper = np.sin(angles) >= 0
    opposite = lid_edge(-angles)[:, 1]
    # In a blink, the upper lid moves most and the lower one a little.
    meeting = np.where(is_upper, edge[:, 1] * 0.12 + opposite * 0.88, opposite * 0.12 + edge[:, 1] * 0.88)
    shift = np.where(is_upper, upper, lower) * arch + close * (meeting - edge[:, 1])
    blend = RING_BLEND[:, None]
    nominal = outline(angles) * blend[..., None] + (edge + EYE_CENTER[:2]) * (1 - blend[..., None])
    follow = smooth_step(0.75, 0.0, blend)
    moved = nominal + np.stack(np.broadcast_arrays(sideways * arch * follow, shift * follow), -1)
    rings = lid_surface(moved, np.broadcast_to(blend, moved.shape[:2]))
    # Stretching a lid flattens its fold.
    stretch = np.clip(1 - np.abs(shift) / 9.0, 0.25, 1)
    rings[..., 2] += np.stack([_crease(angles, np.full(len(angles), b)) for b in RING_BLEND]) * stretch
    # Beyond the middle of the way a straight path would cut into the ball: end a little outside instead.
    sagitta = np.abs(shift * follow) ** 2 / (8 * LID_RADIUS)
    outward = rings - EYE_CENTER
    outward /= np.linalg.norm(outward, axis=-1, keepdims=True)
    rings += outward * (1.2 * sagitta * follow)[..., None]
    return np.concatenate([rings, _inner_rings(edge, shift, 1.2 * shift**2 / (8 * LID_RADIUS))])


def _inner_rings(edge: Array, shift: Array, lift: Array) -> Array:
    """The edge's inner rim on the eyeball, and the conjunctiva that closes the corners behind it."""
    rings = []
    middle = np.array([-0.5, -0.3])
    # (scale about the opening's middle, radius, share of the lid's motion, depth below the surface)
    for scale, radius, share, depth in ((0.965, EDGE_RADIUS, 1.0, 0.0), (0.93, 11.6, 0.9, 0.4), (0.72, 10.6, 0.4, 0.8)):
        at = middle + (edge - middle) * scale
        at = np.stack([at[:, 0], at[:, 1] + shift * share], -1)
        z = ball_depth(at[:, 0], at[:, 1], radius) - depth + lift * share
        rings.append(np.concatenate([at, z[:, None]], -1) + EYE_CENTER)
    return np.stack(rings)


def eyeball() -> Part:
    """A sphere around the gaze axis, finer over the iris; its chart is a disc with the pupil in the middle."""
    polar = np.concatenate([np.deg2rad([0, 6, 12, 18, 24, 29.5, 34]), np.deg2rad(np.linspace(42, 180, 10))])
    azimuth = np.linspace(0, 2 * np.pi, 23)
    p, a = np.meshgrid(polar, azimuth, indexing="ij")
    offset = np.stack([np.sin(p) * np.cos(a), np.sin(p) * np.sin(a), np.cos(p)], -1) * EYE_RADIUS
    radius = 0.5 * np.sqrt(p / np.pi)
    uvs = charts.EYEBALL.uv(0.5 + radius * np.cos(a), 0.5 - radius * np.sin(a))
    grid = grid_part(offset + EYE_CENTER, uvs, "eyeball_left", flip=True)
    return close_grid(grid, polar.size, azimuth.size)


LASH_COLUMNS = np.arange(1, NUM_COLUMNS // 2 - 1)
"""Of the upper lid."""


def lashes(rings: Array) -> Array:
    """The upper lashes as a strip (3, n, 3) that stands on the lid's edge."""
    base = rings[len(RING_BLEND) - 1, LASH_COLUMNS]
    outward = base - EYE_CENTER
    outward /= np.linalg.norm(outward, axis=-1, keepdims=True)
    share = np.sin(np.linspace(0.25, np.pi - 0.35, len(base)))[:, None] * np.linspace(1.15, 0.75, len(base))[:, None]
    sideways = np.linspace(1.2, -0.3, len(base))[:, None] * np.array([1.0, 0, 0])
    middle = base + share * (1.1 * outward + 0.2 * sideways + np.array([0, -0.35, 0.2]))
    tip = base + share * (2.0 * outward + 0.6 * sideways + np.array([0, 0.35, 0.4]))
    return np.stack([base, middle, tip])


def lash_part(rings: Array) -> Part:
    """The lashes' strip as a part."""
    points = lashes(rings)
    s, t = np.meshgrid(np.linspace(0, 1, points.shape[1]), np.linspace(1, 0, 3))
    return grid_part(points, charts.LASHES.uv(s, t), "lashes", flip=True)


def lid_blend() -> NDArray[np.float64]:
    """(13,) how far each ring is from the lids' edge; 0 behind it."""
    return np.concatenate([RING_BLEND, np.zeros(3)])
