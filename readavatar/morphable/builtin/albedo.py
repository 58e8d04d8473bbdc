"""The albedo, painted over the atlas: skin, lips, brows and hair by nominal place, then eyes, mouth parts and ears.

The renderers have no shadows, so that some shading of the creases is painted into the albedo.
"""

from __future__ import annotations

import numpy as np
from scipy.interpolate import PchipInterpolator
from scipy.ndimage import gaussian_filter

from readavatar.morphable.builtin import charts, eyes, mouth
from readavatar.morphable.builtin.parts import Array
from readavatar.morphable.builtin.surface import bump, hair_weight, loft, smooth_step

SIZE = 512


def _linear(red: int, green: int, blue: int) -> Array:
    """sRGB bytes to linear light."""
    srgb = np.array([red, green, blue]) / 255
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


SKIN, BLUSH, SHADE = _linear(226, 182, 159), _linear(214, 138, 120), _linear(176, 118, 96)
LIP, LIP_LINE = _linear(196, 120, 110), _linear(100, 46, 42)
HAIR, HAIR_LIGHT = _linear(46, 32, 25), _linear(92, 64, 46)
BROW = _linear(62, 43, 33)
LASH = _linear(28, 20, 18)
SCLERA, SCLERA_EDGE = _linear(232, 226, 220), _linear(206, 168, 158)
IRIS_DARK, IRIS_LIGHT, PUPIL = _linear(42, 52, 58), _linear(112, 138, 142), _linear(8, 8, 9)
TOOTH, TOOTH_NECK, TOOTH_GAP = _linear(236, 228, 210), _linear(222, 205, 176), _linear(120, 92, 72)
GUM, TONGUE, MOUTH_DARK = _linear(186, 104, 100), _linear(190, 104, 102), _linear(60, 18, 18)
CONJUNCTIVA = _linear(206, 132, 120)

_BROW_SPINE = PchipInterpolator([7, 11, 20, 30, 38, 45, 51], [15.0, 15.8, 18.0, 19.8, 20.0, 18.2, 15.0])
_BROW_HALF = PchipInterpolator([7, 9, 14, 24, 34, 43, 49, 51], [0.6, 2.2, 3.0, 2.9, 2.4, 1.7, 0.8, 0.3])
"""The brow's course and half thickness by nominal x."""

# fmt: off
_SHADOWS = (
    # centre, size, tilt, share of the light that is blocked
    ((7.0, -46.2), (2.6, 1.15), 10.0, 0.9),      # nostril
    ((11.5, -23.0), (3.2, 12.0), -8.0, 0.07),  # the nose's flank
    ((12.0, -46.6), (4.0, 1.3), 20.0, 0.32),     # under the wing
    ((0.0, -48.2), (5.0, 1.3), 0.0, 0.32),       # under the columella
    ((18.3, -42.5), (1.3, 4.5), 0.0, 0.34),      # behind the wing
    ((0.0, -84.5), (11.0, 2.6), 0.0, 0.16),      # under the lower lip
    ((26.0, -71.0), (2.4, 1.6), 0.0, 0.35),      # mouth's corner
    ((14.5, 4.0), (4.0, 6.0), 0.0, 0.16),        # inner corner under the brow
    ((31.0, -9.0), (11.0, 2.6), -6.0, 0.08),     # below the lower lid
    ((28.0, -57.0), (2.6, 10.0), 22.0, 0.07),    # nasolabial fold
)
_BLUSHES = (
    ((38.0, -30.0), (15.0, 11.0), 10.0, 0.42),   # cheek
    ((0.0, -37.0), (9.0, 7.0), 0.0, 0.26),       # nose's tip
    ((14.0, -41.0), (5.0, 5.0), 0.0, 0.22),      # wings
    ((0.0, -100.0), (14.0, 8.0), 0.0, 0.20),     # chin
    ((31.0, -3.0), (18.0, 10.0), 0.0, 0.22),     # lids
    ((0.0, -63.0), (24.0, 12.0), 0.0, 0.12),     # around the mouth
)
# fmt: on


def _mix(below: Array, above: Array, weight: Array) -> Array:
    return below + (above - below) * weight[..., None]


def _noise(rng: np.random.Generator, shape: tuple[int, int], sigma: tuple[float, float]) -> Array:
    """Smooth noise of standard deviation 1."""
    field = gaussian_filter(rng.standard_normal(shape), sigma, mode="wrap")
    return field / field.std()


def paint_albedo() -> Array:
    """(3, SIZE, SIZE), linear light in [0, 1]."""
    rng = np.random.default_rng(7)
    centre = (np.arange(SIZE) + 0.5) / SIZE
    u, v = np.meshgrid(centre, centre)
    # The atlas is symmetric: fold it onto the left half, and let only the noise and the catchlight differ.
    folded = np.stack([0.5 + np.abs(u - 0.5), v], -1)
    image = _skin(folded, rng)
    for chart, paint in (
        (charts.EYEBALL, _eyeball),
        (charts.TEETH_UPPER, _teeth),
        (charts.TEETH_LOWER, _teeth),
        (charts.GUMS_UPPER, _gums),
        (charts.GUMS_LOWER, _gums),
        (charts.TONGUE, _tongue),
        (charts.MOUTH, _mouth),
        (charts.LID_INSIDE, _lid_inside),
        (charts.EAR, _ear),
        (charts.LASHES, _lashes),
    ):
        s, t = chart.local(folded)
        inside = (s > -0.02) & (s < 1.02) & (t > -0.04) & (t < 1.04)
        side = np.where(u[inside] >= 0.5, 1.0, -1.0)
        image[inside] = paint(np.clip(s[inside], 0, 1), np.clip(t[inside], 0, 1), side)
    return np.clip(np.moveaxis(image, -1, 0), 0, 1)


def _skin(uv: Array, rng: np.random.Generator) -> Array:
    theta, row = charts.skin_parameters(uv)
    theta = np.clip(theta, 0, np.pi)
    at = loft(theta, row)
    front = smooth_step(1.5, 1.2, theta)
    x, y = at[..., 0], at[..., 1]
    shape = x.shape
    image = np.broadcast_to(SKIN, (*shape, 3)).copy()
    for center, size, tilt, weight in _BLUSHES:
        image = _mix(image, BLUSH, np.clip(weight * bump(x, y, center, size, tilt), 0, 1) * front)
    mottle = 0.5 * _noise(rng, shape, (7.0, 7.0)) + 0.5 * _noise(rng, shape, (2.0, 2.0))
    image *= 1 + 0.018 * mottle[..., None] * np.array([0.7, 1.0, 1.0])
    # Under the jaw and down the neck less light arrives.
    image *= (1 - 0.22 * smooth_step(-112, -124, row) * smooth_step(-175, -140, row) * smooth_step(1.9, 0.6, theta))[
        ..., None
    ]
    image = _lips(image, x, y, front, rng)
    for center, size, tilt, weight in _SHADOWS:
        kept_out = np.clip(weight * bump(x, y, center, size, tilt), 0, 0.9) * front
        image *= 1 - kept_out[..., None] * np.array([0.85, 1.0, 1.05]).clip(0, 1)
    image = _lids(image, x, y, front)
    image = _brows(image, x, y, front, rng)
    return _hair(image, theta, row, rng)


def _lips(image: Array, x: Array, y: Array, front: Array, rng: np.random.Generator) -> Array:
    inside_x = np.clip(x, 0, mouth.CORNER_X)
    above = y - (mouth.SEAM_Y + mouth.SEAM_CURVE(inside_x))
    height = np.where(above > 0, mouth.UPPER_HEIGHT(inside_x), mouth.LOWER_HEIGHT(inside_x))
    near_corner = smooth_step(mouth.CORNER_X + 1.2, mouth.CORNER_X - 1.5, x)
    lip = smooth_step(0.9, -0.7, np.abs(above) - height) * near_corner * front
    streaks = _noise(rng, x.shape, (4.0, 0.8))
    tint = LIP * (1 + 0.05 * streaks[..., None])
    tint = tint * np.where(above > 0, 0.86, 1.0)[..., None]
    image = _mix(image, tint, 0.78 * lip)
    line = np.exp(-((above / 0.75) ** 2)) * smooth_step(mouth.CORNER_X + 2.0, mouth.CORNER_X - 2.0, x) * front
    return _mix(image, LIP_LINE, 0.8 * line)


def _lids(image: Array, x: Array, y: Array, front: Array) -> Array:
    """The lash line, the fold of the upper lid, and the shade in it."""
    angles = eyes.column_angles()
    edge = eyes.lid_edge(angles) + eyes.EYE_CENTER[:2]
    top, bottom = edge[: len(edge) // 2 + 1][::-1], edge[len(edge) // 2 :]
    upper, lower = np.interp(x, top[:, 0], top[:, 1]), np.interp(x, bottom[:, 0], bottom[:, 1])
    lower = np.where(x > edge[0, 0], upper, lower)
    within = smooth_step(edge[:, 0].min() - 1.0, edge[:, 0].min() + 2.5, x) * smooth_step(
        edge[:, 0].max() + 2.2, edge[:, 0].max() - 1.5, x
    )
    above = y - upper
    fold_place = eyes.CREASE - 1.0 + 0.8 * (x - eyes.EYE_CENTER[0]) / 14
    fold = np.exp(-(((above - fold_place) / 0.8) ** 2)) * within * front
    image = image * (1 - 0.38 * fold[..., None] * np.array([0.8, 1, 1]))
    shade = np.exp(-0.5 * ((above - 3.5) / 2.6) ** 2) * within * front * (above > -1)
    image = image * (1 - 0.16 * shade[..., None] * np.array([0.7, 1, 1]))
    lashes = smooth_step(1.15, 0.2, np.abs(above - 0.1)) * within * front
    image = _mix(image, LASH, 0.9 * lashes)
    below = smooth_step(0.9, 0.1, np.abs(y - lower)) * within * front
    return _mix(image, LASH, 0.34 * below)


def _brows(image: Array, x: Array, y: Array, front: Array, rng: np.random.Generator) -> Array:
    """Hairs that fan from the inner end upwards to the tail."""
    along = np.clip(x, 7, 51)
    offset = y - _BROW_SPINE(along)
    half = _BROW_HALF(along)
    ends = smooth_step(6.0, 10.0, x) * smooth_step(52.0, 48.0, x)
    body = smooth_step(1.0, -1.0, np.abs(offset) - half) * ends * front
    slope = np.interp(along, [7, 20, 51], [1.3, 0.55, 0.12])
    # Each hair is a line of constant root abscissa: noise of about a hair's width along it.
    root = x - offset / np.maximum(slope, 0.25)
    hairs = np.interp(root, np.arange(-20, 80, 1.3), rng.standard_normal(77))
    body = body * smooth_step(-1.2, 0.9, half - np.abs(offset) + 0.35 * hairs)
    density = np.clip(0.9 + 0.07 * hairs + 0.07 * _noise(rng, x.shape, (1.2, 1.2)), 0.4, 1)
    density = density * np.interp(along, [7, 13, 40, 51], [0.7, 0.95, 0.98, 0.85])
    return _mix(image, BROW, body * density)


def _hair(image: Array, theta: Array, row: Array, rng: np.random.Generator) -> Array:
    """Strands that run back from the forehead, darker at the roots, ragged at the line."""
    ragged = 0.8 * _noise(rng, theta.shape, (3.0, 0.7)) + 1.2 * _noise(rng, theta.shape, (5.0, 5.0))
    strands = 0.65 * _noise(rng, theta.shape, (9.0, 0.7)) + 0.35 * _noise(rng, theta.shape, (16.0, 2.4))
    # Alike on both sides where the atlas' borders meet behind the head.
    behind = smooth_step(2.3, 3.0, theta)
    ragged, strands = (field + behind * 0.5 * (field[:, ::-1] - field) for field in (ragged, strands))
    cover = hair_weight(theta, row + ragged)
    tone = np.clip(0.30 + 0.24 * strands + 0.12 * smooth_step(30, 150, row), 0, 1)
    hair = HAIR + (HAIR_LIGHT - HAIR) * tone[..., None]
    return _mix(image, hair, np.clip(cover, 0, 1) * 0.97)


def _eyeball(s: Array, t: Array, side: Array) -> Array:
    x, y = (s - 0.5) * 2, (0.5 - t) * 2
    polar = np.pi * np.clip(np.hypot(x, y), 0, 1) ** 2
    azimuth = np.arctan2(y, x)
    iris_edge = np.arcsin(eyes.IRIS_RADIUS / eyes.EYE_RADIUS)
    ratio = polar / iris_edge
    image = _mix(np.broadcast_to(SCLERA, (len(s), 3)), SCLERA_EDGE, smooth_step(0.62, 1.35, polar))
    # The upper lid's shadow.
    image = image * (1 - 0.34 * smooth_step(0.12, 0.48, np.sin(polar) * np.sin(azimuth)))[:, None]
    fibres = 0.5 + 0.25 * np.sin(23 * azimuth + 3 * np.sin(5 * azimuth)) + 0.25 * np.sin(41 * azimuth + 2.0)
    brightness = np.clip(0.25 + 0.55 * fibres * (1.15 - ratio), 0, 1)
    iris = _mix(np.broadcast_to(IRIS_DARK, image.shape), IRIS_LIGHT, brightness)
    iris = _mix(iris, IRIS_LIGHT * 1.1, 0.45 * np.clip(-np.sin(azimuth), 0, 1) * smooth_step(0.35, 0.7, ratio))
    iris = _mix(iris, IRIS_DARK * 0.25, smooth_step(0.74, 0.98, ratio))
    iris = iris * (1 - 0.35 * smooth_step(0.1, 0.42, np.sin(polar) * np.sin(azimuth)))[:, None]
    image = _mix(image, iris, smooth_step(1.08, 0.94, ratio))
    image = _mix(image, PUPIL, smooth_step(0.40, 0.30, ratio))
    # A highlight, since the renderers have no specular reflection.
    light = np.hypot(np.sin(polar) * np.cos(azimuth) * side + 0.17, np.sin(polar) * np.sin(azimuth) - 0.19)
    return _mix(image, np.ones(3), 0.92 * smooth_step(0.1, 0.045, light))


def _teeth(s: Array, t: Array, side: Array) -> Array:
    image = _mix(np.broadcast_to(TOOTH, (len(s), 3)), TOOTH_NECK, smooth_step(0.42, 0.12, t))
    image = image * (1 - 0.45 * smooth_step(0.25, 1.0, s))[:, None]
    return image * (1 - 0.35 * smooth_step(0.68, 1.0, t))[:, None]


def _gums(s: Array, t: Array, side: Array) -> Array:
    return GUM * (1 - 0.5 * smooth_step(0.2, 1.0, s) - 0.25 * smooth_step(0.3, 0.0, t))[:, None].clip(0.2, 1)


def _tongue(s: Array, t: Array, side: Array) -> Array:
    groove = 1 - 0.28 * np.exp(-((s / 0.06) ** 2)) * (t > 0.1)
    back = 1 - 0.75 * smooth_step(0.25, 0.9, t)
    grain = 1 + 0.05 * np.sin(170 * s) * np.sin(130 * t)
    return TONGUE * (groove * back * grain * (1 - 0.3 * smooth_step(0.45, 0.8, s)))[:, None]


def _mouth(s: Array, t: Array, side: Array) -> Array:
    image = _mix(np.broadcast_to(LIP * 0.8, (len(s), 3)), GUM * 0.55, smooth_step(0.05, 0.35, s))
    return _mix(image, MOUTH_DARK * 0.55, smooth_step(0.3, 0.7, s))


def _lid_inside(s: Array, t: Array, side: Array) -> Array:
    radius = np.hypot(s - 0.5, t - 0.5) * 2
    image = _mix(np.broadcast_to(CONJUNCTIVA, (len(s), 3)), CONJUNCTIVA * 0.8, smooth_step(0.72, 0.5, radius))
    # The upper edge is in shadow and full of roots.
    return image * (1 - 0.62 * smooth_step(0.55, 0.42, t))[:, None]


def _ear(s: Array, t: Array, side: Array) -> Array:
    radius = np.hypot(s - 0.5, t - 0.5) * 2
    image = _mix(np.broadcast_to(SKIN, (len(s), 3)), BLUSH, 0.35 + 0.25 * smooth_step(0.5, 0.75, radius))
    bowl = np.exp(-((radius / 0.3) ** 2))
    groove = np.exp(-(((radius - 0.46) / 0.05) ** 2))
    return image * (1 - 0.5 * bowl - 0.18 * groove)[:, None]


def _lashes(s: Array, t: Array, side: Array) -> Array:
    return np.broadcast_to(LASH, (len(s), 3))
