"""How much painted faces look like the person: a proxy, since no face recogniser's weights are among the assets.

Faces are laid over each other by eyes, nose and mouth corners, at a resolution at which a soft picture and a sharp one
are the same, and the features of VGG16 (LPIPS brings it) are compared place by place inside both faces' landmarks: what
``animate`` leaves of the footage, hair and room, is the person's own. Such a likeness also sees light and expression,
so that it says little by itself: it is read between that of other people to the person and that of the person's real
frames to each other. On 96 frames of six people it told every pair of different clips of one of two MEAD actors from
every pair with somebody else (0.89 against 0.58, at most 0.73), and frames that had lost half their resolution kept
87 % of that distance; deeper layers and faces twice as large kept 0 to 80 %.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from readavatar.benchmarks.appearance.baselines import as_complex, moved, similarity
from readavatar.benchmarks.appearance.likeness import landmark_hull
from readavatar.data.store import ClipStore
from readavatar.detection.landmark_sets import to_landmarks_68
from readavatar.metrics.lpips import ARCHITECTURES, Backbone, read_lpips_weights

FACE_SIZE = 64
"""Pixels of an aligned face's sides."""
_TEMPLATE = (
    torch.tensor([[38.29, 51.70], [73.53, 51.50], [56.03, 71.74], [41.55, 92.37], [70.73, 92.20]]) * FACE_SIZE / 112
)
"""Eyes, nose tip and mouth corners in an aligned face: ArcFace's 112² template (Deng et al. 2019)."""
_RIGHT_EYE, _LEFT_EYE, _NOSE_TIP, _MOUTH_CORNERS = slice(36, 42), slice(42, 48), 30, (48, 54)
_ENLARGEMENT = 2
"""Before the network, which was trained on larger faces."""
_NUM_LAYERS = 3
"""Of VGG16's five compared layers, the last one of these is looked at: parts of faces."""
_RIM = 2
"""Pixels at the hull's edge that do not count: they hold what is behind the face."""
_BATCH = 16


@dataclass(frozen=True)
class AlignedFaces:
    """N faces, upright, at a size of their own."""

    images: Float[Tensor, "N 3 64 64"]
    """In [0, 1]; the face's mean colour outside it."""
    masks: Float[Tensor, "N 1 64 64"]
    """1 inside the hull of the landmarks, else 0."""


class RealFaces(NamedTuple):
    """Faces of N filmed frames."""

    faces: AlignedFaces
    times: Float[Tensor, " N"]
    """In their clips, seconds."""
    sources: list[int]
    """Which clip each is from."""


@dataclass(frozen=True)
class Embedded:
    """What the network sees of N faces."""

    features: Float[Tensor, "N D"]
    """At each of P places a unit vector, zeros outside the face."""
    places: Float[Tensor, "N P"]
    """1 inside the face, else 0."""


Embed = Callable[[AlignedFaces], Embedded]


def load_embedding() -> Embed:
    """VGG16's features of faces.

    Raises:
        UserError: LPIPS' weights on VGG16 are not on this machine.
    """
    backbone = Backbone(ARCHITECTURES["vgg"], read_lpips_weights("vgg"), _NUM_LAYERS).eval()

    @torch.inference_mode()
    def embed(faces: AlignedFaces) -> Embedded:
        large = F.interpolate(faces.images, scale_factor=_ENLARGEMENT, mode="bilinear", align_corners=False)
        found = F.normalize(torch.cat([backbone(batch)[-1] for batch in large.split(_BATCH)]), dim=1)
        inside = (F.adaptive_avg_pool2d(faces.masks, found.shape[-2:]) > 0.99).float()
        return Embedded((found * inside).flatten(1), inside.flatten(1))

    return embed


def aligned_face(image: Float[Tensor, "3 H W"], landmarks: Float[Tensor, "L 2"]) -> AlignedFaces:
    """One face laid over the template.

    Args:
        image: In [0, 1].
        landmarks: MediaPipe's 478 or the 68, pixels.
    """
    points = to_landmarks_68(landmarks)
    eyes = [points[part].mean(0) for part in (_RIGHT_EYE, _LEFT_EYE)]
    five = torch.stack([*eyes, points[_NOSE_TIP], *points[list(_MOUTH_CORNERS)]])
    scale, shift = similarity(as_complex(five), as_complex(_TEMPLATE))
    # Bilinear reading skips pixels where it shrinks by two or more: those are averaged before.
    factor = max(int(1 / float(scale.abs())), 1)
    if factor > 1:
        image = F.avg_pool2d(image[None], factor, ceil_mode=True, count_include_pad=False)[0]
    face = moved(image, scale * factor, shift, (FACE_SIZE, FACE_SIZE))
    placed = scale * as_complex(landmarks) + shift
    hull = landmark_hull(torch.stack([placed.real, placed.imag], 1), FACE_SIZE, FACE_SIZE)
    mask = 1 - F.max_pool2d(1 - hull, 2 * _RIM + 1, stride=1, padding=_RIM)
    colour = (face * mask).sum((1, 2), keepdim=True) / mask.sum().clamp(min=1)
    return AlignedFaces((face * mask + colour * (1 - mask))[None], mask[None])


def join_faces(faces: Sequence[AlignedFaces]) -> AlignedFaces:
    """One batch of several."""
    return AlignedFaces(torch.cat([face.images for face in faces]), torch.cat([face.masks for face in faces]))


def real_faces(clips: Sequence[ClipStore], count: int) -> RealFaces:
    """About ``count`` frames' faces, spread evenly over clips."""
    faces, times, sources = [], [], []
    for source, store in enumerate(clips):
        seen = store.landmarks()
        places = torch.nonzero(seen.landmark_confidence > 0)[:, 0]
        number = min(max(count // len(clips), 1), len(places))
        for place in places[torch.linspace(0, len(places) - 1, number).round().long()].tolist():
            faces.append(aligned_face(store.frames(range(place, place + 1))[0], seen.landmarks_2d[place]))
            times.append(place / store.fps)
            sources.append(source)
    return RealFaces(join_faces(faces), torch.tensor(times), sources)


def likeness(ours: Embedded, theirs: Embedded) -> Float[Tensor, "B N"]:
    """Mean cosine over the places inside both faces, of each of ours to each of theirs."""
    return ours.features @ theirs.features.T / (ours.places @ theirs.places.T).clamp(min=1)


def likeness_to(references: Embedded, embedded: Embedded) -> Float[Tensor, " B"]:
    """That to the most alike of the references, which has about the same expression."""
    return likeness(embedded, references).amax(1)


def likeness_among(references: Embedded, real: RealFaces, apart: int | float = 1.0) -> Float[Tensor, " n"]:
    """The same of each reference to those in another clip or ``apart`` seconds away; where none is, it is left out."""
    source, times = torch.tensor(real.sources), real.times
    far = (source[:, None] != source) | ((times[:, None] - times).abs() >= apart)
    found = likeness(references, references).masked_fill(~far, -torch.inf).amax(1)
    return found[found.isfinite()]
