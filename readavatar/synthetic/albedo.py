"""An actor's albedo: skin, hair, brows, lips and eyes over a morphable model's texture coordinates.

A model's own albedo is tinted; a model without one is painted by its regions and landmarks. All colours are
linear-light reflectances.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Float
from matplotlib.path import Path as Polygon
from scipy.ndimage import distance_transform_edt, gaussian_filter
from torch import Tensor

from readavatar.morphable import MorphableModel
from readavatar.rendering.rasterize import interpolate, rasterize
from readavatar.synthetic.mouth_interior import light_in_mouth

SKIN_TONES = ((0.62, 0.40, 0.30), (0.56, 0.34, 0.24), (0.48, 0.28, 0.18), (0.36, 0.20, 0.12), (0.22, 0.115, 0.065),
              (0.13, 0.065, 0.04))  # fmt: skip
"""From fair to dark: Fitzpatrick's types I to VI."""
HAIR_TONES = ((0.012, 0.009, 0.008), (0.035, 0.020, 0.012), (0.09, 0.05, 0.025), (0.22, 0.13, 0.06), 
              (0.12, 0.04, 0.015), (0.25, 0.24, 0.23))  # fmt: skip
IRIS_TONES = ((0.09, 0.04, 0.018), (0.16, 0.085, 0.03), (0.10, 0.15, 0.07), (0.09, 0.19, 0.32), (0.17, 0.21, 0.22))


@dataclass(frozen=True)
class Paint:
    """The colours of one actor."""

    skin: np.ndarray
    """(3,)"""
    hair: np.ndarray
    iris: np.ndarray
    seed: int
    """Of blotches and moles."""


def draw_paint(generator: np.random.Generator) -> Paint:
    """Choose a person's colours; dark skin rarely has fair hair or light eyes."""
    tone = generator.random() * (len(SKIN_TONES) - 1)
    skin = np.array([np.interp(tone, range(len(SKIN_TONES)), channel) for channel in zip(*SKIN_TONES, strict=True)])
    is_dark = tone > 2.5
    hair = HAIR_TONES[generator.integers(2 if is_dark else len(HAIR_TONES))]
    iris = IRIS_TONES[generator.integers(2 if is_dark else len(IRIS_TONES))]
    jitter = np.exp(generator.normal(0, 0.06, (3, 3)))
    return Paint(
        skin * jitter[0], np.array(hair) * jitter[1], np.array(iris) * jitter[2], int(generator.integers(2**31))
    )


def make_albedo(model: MorphableModel, paint: Paint, size: int = 512) -> Float[Tensor, "3 size size"]:
    """An actor's albedo over ``model``'s uvs, in [0, 1]."""
    positions, regions = _texel_surface(model, size)
    if model.data.albedo is not None:
        resized = torch.nn.functional.interpolate(
            model.data.albedo[None].float(), size=(size, size), mode="bilinear", antialias=True
        )[0]
        colours = _tint(resized.permute(1, 2, 0).numpy().astype(np.float64), regions, model.region_names, paint)
    else:
        colours = _paint(model, positions, regions, paint)
    skin = np.isin(regions, [i for i, name in enumerate(model.region_names) if name in ("face", "head")])
    colours[skin] *= _blotches(positions[skin], np.random.default_rng([paint.seed, 3]))[:, None]
    outside = regions < 0
    nearest = distance_transform_edt(outside, return_distances=False, return_indices=True)
    colours = colours[tuple(nearest)]  # extend each chart's edge, so that look-ups do not blend with empty texels
    return torch.from_numpy(np.clip(colours, 0, 1)).permute(2, 0, 1).float().contiguous()


def _texel_surface(model: MorphableModel, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Each texel's position on the template (size, size, 3), metres, and its region (size, size), −1 for none."""
    uvs = model.uvs
    flat = torch.stack(
        [uvs[:, 0] * 2 - 1, 1 - uvs[:, 1] * 2, torch.zeros_like(uvs[:, 0]), torch.ones_like(uvs[:, 0])], -1
    )
    fragments = rasterize(flat[None], model.uv_faces, (size, size))
    positions = interpolate(model.template[None], model.faces, fragments)[0].permute(1, 2, 0)
    face_index = fragments.face_index[0]
    regions = model.vertex_regions[model.faces[:, 0]][face_index.clamp(min=0)]
    return positions.double().numpy(), torch.where(face_index < 0, -1, regions).numpy()


def _tint(albedo: np.ndarray, regions: np.ndarray, names: tuple[str, ...], paint: Paint) -> np.ndarray:
    """Change the skin, hair and eye colour of a model's own albedo; texels much darker than the skin are hair."""
    index = {name: i for i, name in enumerate(names)}
    colours = albedo.copy()
    skin = np.isin(regions, [index[name] for name in ("face", "head") if name in index])
    typical = np.median(albedo[regions == index["face"]], axis=0)
    darkness = albedo[skin].mean(1) / typical.mean()
    hairiness = 1 - _smoothstep((darkness - 0.25) / 0.3)[:, None]
    hair_typical = np.median(albedo[skin][hairiness[:, 0] > 0.5], axis=0) if (hairiness > 0.5).any() else typical
    as_skin = albedo[skin] * paint.skin / typical
    # At the edge of the hair, a texel is a mixture of skin and hair.
    as_hair = paint.hair * np.clip(albedo[skin] / hair_typical, 0.5, 1.8)
    colours[skin] = as_skin + hairiness * (as_hair - as_skin)
    for eye in ("eyeball_left", "eyeball_right"):
        if eye not in index or not (inside := regions == index[eye]).any():
            continue
        grey = albedo[inside].mean(1, keepdims=True)
        irisness = _smoothstep((0.55 - grey / grey.max()) / 0.1)
        as_iris = paint.iris * grey / np.median(grey[irisness > 0.5])
        colours[inside] = albedo[inside] + irisness * (as_iris - albedo[inside])
    return colours


_PLAIN = {
    "gums": (0.42, 0.15, 0.14), "tongue": (0.40, 0.14, 0.13), "teeth_upper": (0.66, 0.62, 0.52),
    "teeth_lower": (0.60, 0.56, 0.46), "mouth_socket": (0.10, 0.025, 0.022), "other": (0.2, 0.2, 0.2),
}  # fmt: skip


def _paint(model: MorphableModel, positions: np.ndarray, regions: np.ndarray, paint: Paint) -> np.ndarray:
    landmarks = model.landmarks_3d(model.template[None])[0].double().numpy()
    colours = np.zeros((*regions.shape, 3))
    for region, name in enumerate(model.region_names):
        inside = regions == region
        at = positions[inside]
        if name in ("face", "head"):
            colours[inside] = _painted_skin(at, landmarks, paint)
        elif name in ("eyeball_left", "eyeball_right"):
            colours[inside] = _painted_eye(at, model, name, paint)
        elif name in ("brows", "lashes"):
            colours[inside] = paint.hair
        elif name in ("eye_socket_left", "eye_socket_right"):
            colours[inside] = 0.35 * paint.skin * [1.0, 0.7, 0.7]
        else:
            # There are no shadows, so that the mouth's depth is painted into the albedo.
            depth = torch.from_numpy(landmarks[51, 2] - at[:, 2:])
            colours[inside] = np.array(_PLAIN[name]) * light_in_mouth(depth).numpy()
    lips = Polygon(landmarks[48:60, :2]).contains_points(positions[..., :2].reshape(-1, 2)).reshape(regions.shape)
    lips &= (regions == model.region_names.index("face")) & (positions[..., 2] > landmarks[[48, 54], 2].min() - 0.01)
    softness = gaussian_filter(lips.astype(np.float64), regions.shape[0] / 400)[..., None]
    colours[lips | (softness[..., 0] > 0)] *= (1 + softness * (np.array([0.80, 0.50, 0.55]) - 1))[
        lips | (softness[..., 0] > 0)
    ]
    return colours


def _painted_skin(at: np.ndarray, landmarks: np.ndarray, paint: Paint) -> np.ndarray:
    width = np.ptp(landmarks[:17, 0])  # of the face; sizes below are those of an average one of 0.14 m
    scale = width / 0.14
    redness = sum(
        height * np.exp(-np.sum((at - centre) ** 2, axis=1) / (radius * scale) ** 2)
        for centre, radius, height in (
            ((landmarks[2] + landmarks[31]) / 2, 0.028, 0.8),
            ((landmarks[14] + landmarks[35]) / 2, 0.028, 0.8),
            (landmarks[30], 0.016, 1.0),
            (landmarks[8], 0.02, 0.35),
        )
    )[:, None]
    colours = paint.skin * (1 + redness * np.array([0.05, -0.14, -0.12]))
    hair = np.zeros(len(at))
    for polyline, thickness in ((landmarks[17:22], 0.0024), (landmarks[22:27], 0.0024)):
        hair = np.maximum(hair, 0.85 * _smoothstep(1.6 - _distance(at, polyline) / (thickness * scale)))
    for lid in (landmarks[36:40], landmarks[42:46]):
        hair = np.maximum(hair, 0.75 * _smoothstep(1.8 - _distance(at, lid) / (0.0012 * scale)))
    for lid in (landmarks[[39, 40, 41, 36]], landmarks[[45, 46, 47, 42]]):
        hair = np.maximum(hair, 0.35 * _smoothstep(1.8 - _distance(at, lid) / (0.0009 * scale)))
    # A hairline: a plane that falls from the forehead to the nape, and slightly lower in front of the ears.
    top = landmarks[27, 1] + 0.058 * scale
    line = top + 0.75 * (at[:, 2] - landmarks[27, 2] + 0.01)
    above = at[:, 1] - np.where(at[:, 2] > 0, np.minimum(line, top), line)
    ears = (np.abs(at[:, 0] - landmarks[27, 0]) > 0.5 * width) & (at[:, 1] < landmarks[27, 1] + 0.02 * scale)
    scalp = np.where(ears, 0.0, 0.95 * _smoothstep(above / (0.012 * scale) + 0.5))
    hair = np.maximum(hair, scalp)[:, None]
    return colours + hair * (paint.hair - colours)


def _painted_eye(at: np.ndarray, model: MorphableModel, region: str, paint: Paint) -> np.ndarray:
    eyeball = model.template[model.region(region)].double().numpy()
    centre = (eyeball.min(0) + eyeball.max(0)) / 2
    # Irises have almost the same size on all people (11.7 mm, for pupils 63 mm apart), eyeballs of models do not.
    outward = np.linalg.norm((at - centre)[:, :2], axis=1) / (2 * abs(centre[0])) * 63.0
    outward = np.where(at[:, 2] > centre[2], outward, 12.0)[:, None]
    sclera = np.array([0.66, 0.62, 0.58]) * (1 - 0.45 * _smoothstep((outward - 6.5) / 5))
    angle = np.arctan2((at - centre)[:, 1], (at - centre)[:, 0])[:, None]
    rays = 1 + 0.25 * np.sin(angle * 23) * _smoothstep((outward - 2) / 2)
    iris = paint.iris * rays * (1 - 0.6 * _smoothstep((outward - 4.6) / 1.0))
    colours = iris + _smoothstep((outward - 5.5) / 0.7) * (sclera - iris)
    return colours * _smoothstep((outward - 1.8) / 0.5) + 0.004


def _blotches(at: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """A factor around 1 on the skin: low-frequency blotches and a few moles, as texture."""
    num_waves = 48
    directions = generator.normal(size=(num_waves, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    frequencies = 2 * np.pi / np.exp(generator.uniform(np.log(0.004), np.log(0.03), num_waves))
    phases = generator.uniform(0, 2 * np.pi, num_waves)
    waves = np.zeros(len(at))
    for direction, frequency, phase in zip(directions, frequencies, phases, strict=True):
        waves += np.sin(frequency * (at @ direction) + phase)
    factor = 1 + 0.035 * waves / np.sqrt(num_waves / 2)
    for centre in at[generator.integers(len(at), size=int(generator.integers(6, 16)))]:
        mole = generator.uniform(0.0006, 0.0014)
        factor *= 1 - 0.5 * np.exp(-np.sum((at - centre) ** 2, axis=1) / mole**2)
    return factor


def _distance(points: np.ndarray, polyline: np.ndarray) -> np.ndarray:
    """From each point to a polyline."""
    nearest = np.full(len(points), np.inf)
    for start, end in pairwise(polyline):
        along = np.clip((points - start) @ (end - start) / np.sum((end - start) ** 2), 0, 1)
        nearest = np.minimum(nearest, np.linalg.norm(points - start - along[:, None] * (end - start), axis=1))
    return nearest


def _smoothstep(value: np.ndarray) -> np.ndarray:
    value = np.clip(value, 0, 1)
    return value * value * (3 - 2 * value)
