"""The 53 expressions as displacements, after ARKit's descriptions of its blend shapes (Apple, ARFaceAnchor).

Fields are Gaussians over the nominal plane, in millimetres, written for the subject's left; the right is their mirror
image. Jaw motion uses the jaw's weights; lids slide on the eyeball.
"""

from __future__ import annotations

import numpy as np

from readavatar.morphable.builtin import eyes, mouth
from readavatar.morphable.builtin.head import Head, smoothest
from readavatar.morphable.builtin.parts import Array
from readavatar.morphable.builtin.surface import smooth_step
from readavatar.morphable.model import EXPRESSION_NAMES

JAW_HINGE = np.array([0.0, -14.0, 2.0])
"""The condyles' axis, just in front of and below the tragus."""
JAW_OPEN_ANGLE = np.deg2rad(17.0)
"""Parts the lips by about 30 mm; adults reach 45–50."""
CLOSE_SHARE = 0.75
"""The lower lip's share of closing the lips over an open jaw; the rest is the upper lip's."""

# fmt: off
_FIELDS: dict[str, tuple] = {
    # name: ((centre), (size), (millimetres to the left, up, forward), which lip: 0 both, 1 upper, −1 lower), …
    "mouthSmile_L": (
        ((26, -70), (12, 11), (7.0, 1.5, -4.5), 0), ((28, -70), (9.5, 11), (0, 7.0, 0), 0),
        ((11, -70), (8, 9), (1.6, 0.3, -1.0), 0),
        ((37, -42), (15, 13), (1.5, 4.2, 3.2), 0), ((31, -13), (13, 4), (0, 1.2, 0.6), 0),
        ((44, -72), (10, 12), (1.5, 2.0, -1.0), 0),
    ),
    "mouthFrown_L": (
        ((26, -71), (10, 10), (1.0, -7.5, -1.5), 0), ((13, -76), (9, 9), (0.5, -1.0, 0.2), 0),
        ((27, -90), (11, 9), (0.5, -2.5, 1.0), 0), ((9, -96), (10, 8), (0, 1.0, 0.8), 0),
    ),
    "mouthStretch_L": (
        ((26, -71), (12, 11), (8.0, -3.0, -4.5), 0), ((13, -74), (9, 9), (2.5, -0.8, -1.0), 0),
        ((40, -95), (14, 16), (2.5, -2.0, 0), 0),
    ),
    "mouthDimple_L": (((26, -70), (9, 9), (4.5, 1.2, -4.5), 0), ((36, -64), (8, 10), (1.0, 0.5, 1.2), 0)),
    "mouthUpperUp_L": (
        ((11, -64), (9, 10), (0.6, 6.0, 0.2), 1), ((20, -47), (9, 9), (0.8, 2.6, 1.4), 0),
    ),
    "mouthLowerDown_L": (((11, -77), (9, 10), (1.0, -6.2, -0.8), -1), ((12, -92), (12, 8), (0.3, -1.5, 0.3), 0)),
    "noseSneer_L": (
        ((14, -39), (7, 8), (0.5, 2.6, 0.5), 0), ((21, -45), (9, 10), (0.5, 2.6, 1.2), 0),
        ((9, -62), (9, 8), (0.2, 2.6, 0), 1), ((7, -10), (5, 6), (0, 1.8, 0.9), 0),
        ((12, 14), (9, 6), (-1.0, -2.0, 0.4), 0),
    ),
    "cheekPuff_L": (((45, -61), (14, 17), (7.0, 0, 6.5), 0), ((20, -68), (12, 12), (0.5, 0, 1.2), 0)),
    "cheekSquint_L": (
        ((37, -25), (15, 10), (-0.3, 4.2, 2.4), 0), ((31, -11), (13, 4), (0, 1.8, 0.6), 0),
    ),
    "browDown_L": (
        ((19, 17), (13, 8), (-2.6, -5.0, 0.9), 0), ((39, 18), (11, 8), (-1.0, -3.0, 0.2), 0),
        ((6, 8), (5, 6), (-0.5, -1.5, 0.8), 0),
    ),
    "browInnerUp_L": (
        ((13, 20), (11, 10), (0.4, 7.0, -0.2), 0), ((17, 40), (18, 13), (0, 2.5, 0.2), 0),
    ),
    "browOuterUp_L": (
        ((38, 20), (12, 10), (0.6, 6.5, -0.6), 0), ((37, 40), (16, 13), (0, 2.4, 0), 0),
    ),
    "eyeSquint_L": (((33, -17), (14, 6), (0, 1.6, 0.8), 0), ((47, -3), (6, 8), (-0.6, 0, 0.4), 0)),
    "mouthLeft": (((0, -70), (26, 16), (8.0, 0.3, -0.4), 0), ((30, -62), (14, 16), (1.8, 1.0, 1.0), 0)),
    "mouthFunnel": (
        ((0, -64), (13, 9), (0, 4.6, 6.5), 1), ((0, -77), (13, 9), (0, -6.2, 6.5), -1),
        ((24, -70), (9, 11), (-8.0, 0, 4.0), 0), ((-24, -70), (9, 11), (8.0, 0, 4.0), 0),
    ),
    "mouthPucker": (
        ((0, -70.5), (13, 11), (0, 0, 7.5), 0),
        ((0, -60), (10, 4), (0, 1.0, 0), 1), ((0, -82), (10, 4), (0, -0.8, 0), -1),
        ((24, -70), (9, 12), (-10.0, 0, 4.5), 0), ((-24, -70), (9, 12), (10.0, 0, 4.5), 0),
        ((42, -62), (13, 14), (-1.0, 0, -1.6), 0), ((-42, -62), (13, 14), (1.0, 0, -1.6), 0),
    ),
    "mouthShrugUpper": (((0, -62), (19, 10), (0, 3.6, 1.6), 1), ((0, -78), (17, 9), (0, 2.6, 1.4), -1)),
    "mouthShrugLower": (
        ((0, -78), (18, 10), (0, 3.4, 2.8), -1), ((0, -97), (17, 10), (0, 3.6, 0.6), 0),
        ((0, -64), (16, 9), (0, 2.9, 1.9), 1), ((26, -71), (8, 8), (0, -1.2, 0), 0),
        ((-26, -71), (8, 8), (0, -1.2, 0), 0),
    ),
}
_LIDS = {
    # name: (upper, lower, close, sideways)
    "eyeBlink_L": (0.0, 0.0, 1.0, 0.0),
    "eyeWide_L": (2.3, -0.4, 0.0, 0.0),
    "eyeSquint_L": (-1.4, 2.4, 0.0, 0.0),
    "eyeLookDown_L": (-4.0, -1.3, 0.0, 0.0),
    "eyeLookUp_L": (2.2, 0.7, 0.0, 0.0),
    "eyeLookIn_L": (0.1, 0.0, 0.0, -0.8),
    "eyeLookOut_L": (0.1, 0.0, 0.0, 0.8),
    "mouthSmile_L": (0.0, 0.9, 0.0, 0.0),
    "cheekSquint_L": (-0.2, 1.7, 0.0, 0.0),
    "browDown_L": (-0.8, 0.0, 0.0, 0.0),
}
# fmt: on


def _rotation_x(angle: float) -> Array:
    cos, sin = np.cos(angle), np.sin(angle)
    return np.array([[1, 0, 0], [0, cos, -sin], [0, sin, cos]])


def mirrored(displacement: Array, head: Head) -> Array:
    """The same expression on the other side."""
    return displacement[head.whole.mirrored] * np.array([-1.0, 1.0, 1.0])


def _gaussians(head: Head, fields: tuple) -> Array:
    """The sum of a table's fields on the skin."""
    x, y = head.nominal.T
    total = np.zeros_like(head.whole.vertices)
    for center, size, move, lip in fields:
        weight = np.exp(-0.5 * (((x - center[0]) / size[0]) ** 2 + ((y - center[1]) / size[1]) ** 2)) * head.follows
        weight = weight * {0: 1.0, 1: 1 - head.jaw, -1: head.jaw}[lip]
        total += weight[:, None] * np.array(move)
    return total


def _lid_motion(head: Head, settings: tuple) -> Array:
    """Both lids and the lashes of the left eye."""
    rest, moved = eyes.lid_rings(), eyes.lid_rings(*settings)
    total = np.zeros_like(head.whole.vertices)
    total[head.skin.lid_grid] = moved - rest
    total[head.lashes] = eyes.lashes(moved) - eyes.lashes(rest)
    return total


def _jaw_motion(head: Head, weight: Array, angle: float = 0.0, shift: tuple = (0, 0, 0), turn: float = 0.0) -> Array:
    """A rigid motion of the lower jaw: opening angle, shift, turn about the vertical (radians, millimetres)."""
    offset = head.whole.vertices - JAW_HINGE
    cos, sin = np.cos(turn), np.sin(turn)
    turned = offset @ np.array([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]]).T
    rigid = turned @ _rotation_x(angle).T - offset + np.array(shift)
    return weight[:, None] * rigid


def _sliding_weight(head: Head) -> Array:
    """The jaw's weights when it slides with closed lips: the upper lip moves with it."""
    x, y = head.nominal.T
    dragged = 0.75 * np.exp(-0.5 * ((x / 24) ** 2 + ((y + 69) / 10) ** 2)) * head.follows
    return head.jaw + (1 - head.jaw) * dragged


def _jaw_open(head: Head) -> Array:
    """Opening of the jaw; the mouth's corners and cheeks move inwards."""
    drawn_in = _gaussians(head, (((27, -74), (10, 14), (-2.6, 0, -1.0), 0), ((-27, -74), (10, 14), (2.6, 0, -1.0), 0)))
    return _jaw_motion(head, head.jaw, JAW_OPEN_ANGLE, (0, 0, 1.5)) + drawn_in


def _mouth_close(head: Head, jaw_open: Array) -> Array:
    """Closes the lips over an open jaw, each by its share of the gap; chin, nose and cheeks do not move."""
    skin = head.skin
    lips = skin.mouth_grid[len(mouth.SKIN_BLEND) : mouth.SEAM_RING + 1 + mouth.INNER_RINGS]
    slit = skin.mouth_grid[mouth.SEAM_RING]
    gap = jaw_open[slit[::-1]] - jaw_open[slit]
    gap[mouth.HALF_COLUMNS + 1 :] *= -1
    share = np.where(mouth.is_upper() > 0, 1 - CLOSE_SHARE, -CLOSE_SHARE)
    x, y = head.nominal[: len(skin.theta)].T
    fixed = (y > -50) | (y < -104) | (x > 52) | (skin.theta > 1.2)
    values = np.zeros((len(fixed), 3))
    fixed[skin.mouth_grid[-5:]] = True
    fixed[lips], values[lips] = True, (share[:, None] * gap)[None]
    left = np.zeros((head.whole.num_left, 3))
    left[: len(fixed)] = smoothest(skin, fixed, values)
    return head.whole_displacement(left)


def _lip_motion(head: Head, upper: tuple | None, lower: tuple | None, side: int = 0) -> Array:
    """Thins and rolls the vermilion: (share of its height, millimetres up at the slit, millimetres forward)."""
    grid = head.skin.mouth_grid[: mouth.SEAM_RING + 1 + mouth.INNER_RINGS]
    total = np.zeros_like(head.whole.vertices)
    nominal = mouth.nominal_rings()
    height = np.zeros(grid.shape)
    height[: len(nominal)] = nominal[..., 1] - mouth.seam()[:, 1]
    ring = np.concatenate([mouth.SKIN_BLEND, np.zeros(len(mouth.LIP_BLEND)), np.zeros(mouth.INNER_RINGS)])
    fade = smooth_step(1.0, 0.0, ring)[:, None]
    lip = np.concatenate([np.ones(len(mouth.SKIN_BLEND)), mouth.LIP_BLEND, np.zeros(mouth.INNER_RINGS)])
    depth = smooth_step(1.0, 0.1, lip)[:, None]
    inward = np.abs(mouth.column_x()) / mouth.CORNER_X
    across = np.sqrt(np.maximum(1 - inward**2, 0)) ** 0.7
    for columns, motion in ((slice(0, mouth.HALF_COLUMNS), upper), (slice(mouth.HALF_COLUMNS + 1, None), lower)):
        if motion is None:
            continue
        share, up, forward = motion
        border_height = (mouth.border() - mouth.seam())[columns, 1]
        thin = -share * np.sign(border_height) * np.minimum(np.abs(height[:, columns]), np.abs(border_height))
        total[grid[:, columns], 1] = (thin * fade + up * (0.35 + 0.65 * depth) * fade) * across[columns]
        total[grid[:, columns], 2] = forward * (0.25 + 0.75 * depth) * fade * across[columns]
    num_left = head.whole.num_left
    source = np.minimum(head.whole.mirrored, np.arange(len(total)))[num_left:]
    total[num_left:] = total[source] * np.array([-1.0, 1.0, 1.0])
    if side:
        total *= smooth_step(-7.0, 7.0, side * head.nominal[:, 0])[:, None]
    return total


def build_expressions(head: Head) -> Array:
    """(53, V, 3) millimetres, in the order of ``EXPRESSION_NAMES``."""
    shapes = {name: _gaussians(head, fields) for name, fields in _FIELDS.items()}
    for name, settings in _LIDS.items():
        lids = _lid_motion(head, settings)
        if name in shapes:
            # Where the lids slide, the fields must not push them through the eyeball.
            shapes[name][head.skin.lid_grid] *= smooth_step(0.0, 0.6, eyes.lid_blend())[:, None, None]
            shapes[name][head.lashes] = 0.0
        shapes[name] = shapes.get(name, 0.0) + lids
    for name in ("browInnerUp_L", "browOuterUp_L", "noseSneer_L"):
        shapes[name][head.skin.lid_grid] *= smooth_step(0.05, 0.7, eyes.lid_blend())[:, None, None]
        shapes[name][head.lashes] = 0.0
    shapes["mouthPress_L"] = _lip_motion(head, (0.34, -0.5, -1.0), (0.34, 0.5, -1.0), side=1) + _gaussians(
        head, (((26, -70), (8, 8), (1.5, 0.2, -1.0), 0), ((12, -92), (10, 8), (0, 0.8, 1.0), 0))
    )
    shapes["mouthRollUpper"] = _lip_motion(head, (0.6, -1.6, -4.6), None)
    shapes["mouthRollLower"] = _lip_motion(head, None, (0.6, 1.6, -4.6))
    shapes["jawOpen"] = _jaw_open(head)
    sliding = _sliding_weight(head)
    shapes["jawForward"] = _jaw_motion(head, sliding, shift=(0, 0, 6.0))
    shapes["jawLeft"] = _jaw_motion(head, sliding, shift=(3.0, 0, 0), turn=np.deg2rad(2.6))
    shapes["jawRight"] = mirrored(shapes["jawLeft"], head)
    shapes["mouthRight"] = mirrored(shapes["mouthLeft"], head)
    shapes["mouthClose"] = _mouth_close(head, shapes["jawOpen"])
    for name in [name for name in shapes if name.endswith("_L")]:
        shapes[name[:-1] + "R"] = mirrored(shapes[name], head)
    for name in EXPRESSION_NAMES:
        if not name.endswith(("_L", "_R", "Left", "Right")):
            # Both halves alike to the last bit.
            shapes[name] = 0.5 * (shapes[name] + mirrored(shapes[name], head))
    return np.stack([shapes[name] for name in EXPRESSION_NAMES])
