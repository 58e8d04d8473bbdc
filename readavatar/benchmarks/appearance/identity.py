"""How similar a rendered face is to the person: a proxy, since the assets include no face recogniser.

Faces are aligned by eyes, nose and mouth corners at a low resolution, at which blur makes no difference. Features of
VGG16 (from LPIPS) are then compared at each place inside both faces' landmarks; hair and background do not count, since
``animate`` takes them from the footage. This likeness also depends on light and expression, so that a single value
means
little: compare it with the likeness of other people to the person, and of the person's real frames to each other.

On 96 frames of six people, the likeness of different clips of one of two MEAD actors (0.89) was always higher than that
to another person (0.58, at most 0.73). Frames at half the resolution kept 87 % of that difference; deeper layers and
faces of twice the size kept 0 to 80 %.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from readavatar.benchmarks.appearance.likeness import landmark_hull
from readavatar.benchmarks.appearance.painting import as_complex, moved, similarity
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
"""The last of so many layers (of five in VGG16) is compared: it responds to parts of faces."""
_RIM = 2
"""Pixels at the hull's edge that do not count, since they show the background."""
_BATCH = 16


@dataclass(frozen=True)
class AlignedFaces:
    """N aligned faces of ``FACE_SIZE`` pixels."""

    images: Float[Tensor, "N 3 64 64"]
    """In [0, 1]; outside the face, its mean colour."""
    masks: Float[Tensor, "N 1 64 64"]
    """1 inside the hull of the landmarks, else 0."""


class RealFaces(NamedTuple):
    """Faces of N filmed frames."""

    faces: AlignedFaces
    times: Float[Tensor, " N"]
    """Seconds in the clip."""
    sources: list[int]
    """Index of each frame's clip."""


@dataclass(frozen=True)
class Embedded:
    """The network's features of N faces."""

    features: Float[Tensor, "N D"]
    """A unit vector at each of P places; zeros outside the face."""
    places: Float[Tensor, "N P"]
    """1 inside the face, else 0."""


Embed = Callable[[AlignedFaces], Embedded]


def load_embedding() -> Embed:
    """VGG16's features of faces.

    Raises:
        UserError: The weights of LPIPS on VGG16 are not installed.
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
    """Align one face with the template.

    Args:
        image: In [0, 1].
        landmarks: MediaPipe's 478 or the 68, pixels.
    """
    points = to_landmarks_68(landmarks)
    eyes = [points[part].mean(0) for part in (_RIGHT_EYE, _LEFT_EYE)]
    five = torch.stack([*eyes, points[_NOSE_TIP], *points[list(_MOUTH_CORNERS)]])
    scale, shift = similarity(as_complex(five), as_complex(_TEMPLATE))
    # Bilinear sampling skips pixels when it shrinks by two or more, so the image is averaged first.
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
    """Join several faces into one batch."""
    return AlignedFaces(torch.cat([face.images for face in faces]), torch.cat([face.masks for face in faces]))


def real_faces(clips: Sequence[ClipStore], count: int) -> RealFaces:
    """The faces of about ``count`` frames, spread evenly over clips."""
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
    """Mean cosine over the places inside both faces, for every pair of the two sets."""
    return ours.features @ theirs.features.T / (ours.places @ theirs.places.T).clamp(min=1)


def likeness_to(references: Embedded, embedded: Embedded) -> Float[Tensor, " B"]:
    """The likeness to the most similar reference, which has about the same expression."""
    return likeness(embedded, references).amax(1)


def likeness_among(references: Embedded, real: RealFaces, apart: int | float = 1.0) -> Float[Tensor, " n"]:
    """The same for each reference, compared with those of another clip or at least ``apart`` seconds away."""
    source, times = torch.tensor(real.sources), real.times
    far = (source[:, None] != source) | ((times[:, None] - times).abs() >= apart)
    found = likeness(references, references).masked_fill(~far, -torch.inf).amax(1)
    return found[found.isfinite()]
