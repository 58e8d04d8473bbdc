"""How well a fit explains what was seen of it: the detector's landmarks, the pixels, and how calmly it does."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from readavatar.benchmarks.scorecard import Row, Values
from readavatar.benchmarks.tracking.fit import Fitted
from readavatar.data.store import ClipStore
from readavatar.detection.landmark_sets import to_landmarks_68
from readavatar.metrics import high_frequency_energy, psnr
from readavatar.rendering.camera import head_to_world, project
from readavatar.tracking.model_part import LandmarkModel
from readavatar.tracking.results import inner_landmark_errors
from readavatar.types import Camera, TrackedFace
from readavatar.viewer.rendering import FaceRenderer, over

LANDMARKS, OWN_LANDMARKS = "landmark error", "landmark error without offsets"
PSNR, SECONDS = "PSNR in the mask, held out", "seconds a frame, fit"
REJECTED = "frames without a face"
JITTER, SEEN_JITTER = "lip energy above 8 Hz, fit", "lip energy above 8 Hz, detector"

LIKENESS_ROWS = {
    LANDMARKS: Row("%", at_most=1.0),
    OWN_LANDMARKS: Row("%"),
    PSNR: Row("dB", at_least=28.0),
    SECONDS: Row("s", at_most=0.15),
}
STEADINESS_ROWS = {REJECTED: Row("%"), JITTER: Row("%"), SEEN_JITTER: Row("%")}

SCORED_FRAMES = 24
"""Of a clip, compared with its pixels: spread evenly over those that the albedo was not fitted to."""
FAST = 8.0
"""Hz: faster than lips move in speech."""
LIPS, NOSE = slice(48, 68), slice(27, 36)
"""Of the 68 landmarks."""
SHORTEST = 16
"""Frames; of fewer there is no spectrum to speak of."""


@torch.no_grad()
def measure_likeness(fitted: Fitted) -> Values:
    """``LIKENESS_ROWS`` and ``STEADINESS_ROWS`` of a person's clips, one value a clip (seconds: one a person).

    The landmark error is that of the 51 points within the face, per cent of the inter-ocular distance, over the frames
    with a face: with the offsets that the fit found between the detector's idea of the person's points and the model's,
    and without. Where the fit left no such offsets the first of the two is not measured.
    """
    face = fitted.face()
    renderer, landmark_model = FaceRenderer(fitted.model, face), LandmarkModel(fitted.model)
    values: Values = {name: [] for name in (*LIKENESS_ROWS, *STEADINESS_ROWS)}
    values[SECONDS].append(fitted.seconds / fitted.num_frames)
    first = 0
    for store, is_keyframe in zip(fitted.stores, fitted.keyframes, strict=True):
        own, camera = slice(first, first + store.num_frames), store.tracking().camera
        first += store.num_frames
        seen = store.landmarks()
        points, found = to_landmarks_68(seen.landmarks_2d), seen.landmark_confidence > 0
        bare = project_landmarks(landmark_model, face, own, camera, torch.zeros(68, 3))
        if fitted.offsets is not None:
            predicted = project_landmarks(landmark_model, face, own, camera, fitted.offsets)
            values[LANDMARKS].append(float(inner_landmark_errors(predicted, points)[found].mean()))
        values[OWN_LANDMARKS].append(float(inner_landmark_errors(bare, points)[found].mean()))
        values[PSNR].append(held_out_psnr(renderer, store, own.start, camera, found & ~is_keyframe))
        values[REJECTED].append(100 * float((~found).float().mean()))
        run = longest_run(found)
        values[JITTER].append(lip_jitter(bare[run], store.fps))
        values[SEEN_JITTER].append(lip_jitter(points[run], store.fps))
    return values


def project_landmarks(
    model: LandmarkModel, face: TrackedFace, frames: slice, camera: Camera, offsets: Float[Tensor, "68 3"]
) -> Float[Tensor, "T 68 2"]:
    """Where a fit has its landmarks in some frames, pixels."""
    part = face.coefficients.frames(frames)
    landmarks, _ = model(part.shape_coefficients[None], part.expression_coefficients, part.gaze)
    return project(head_to_world(landmarks + offsets, part.rotation, part.translation), camera)


def held_out_psnr(
    renderer: FaceRenderer, store: ClipStore, first: int, camera: Camera, allowed: Bool[Tensor, " T"]
) -> float:
    """Mean PSNR of the re-rendered face inside the clip's face mask; NaN where no frame is allowed.

    Args:
        renderer: Of the person's joined clips.
        store: One of the clips.
        first: Which of the joined frames is the clip's first.
        camera: The clip's.
        allowed: Which of the clip's frames may be compared.
    """
    places = torch.nonzero(allowed)[:, 0]
    chosen = places[torch.linspace(0, len(places) - 1, min(len(places), SCORED_FRAMES)).round().long()]
    likeness = []
    for frame in chosen.tolist():
        surfaces, one = renderer.surfaces(slice(first + frame, first + frame + 1)), range(frame, frame + 1)
        seen = renderer.see(surfaces, 0, first + frame, camera)
        picture, covered = store.frames(one)[0], torch.zeros(camera.height * camera.width)
        covered[seen.pixels] = 1
        mask = covered.view(1, 1, camera.height, camera.width) * (store.masks(one) > 0.5)
        if mask.any():
            likeness.append(float(psnr(over(picture, seen.pixels, renderer.lit(seen))[None], picture[None], mask)))
    return sum(likeness) / len(likeness) if likeness else float("nan")


def lip_jitter(points: Float[Tensor, "T 68 2"], fps: float) -> float:
    """Per cent of the lip landmarks' movement (against the nose's) that is faster than ``FAST``; NaN in short clips."""
    if len(points) < SHORTEST:
        return float("nan")
    lips = points[:, LIPS] - points[:, NOSE].mean(1, keepdim=True)
    # Weighted by how much each coordinate moves, so that one that stands still does not count with its noise alone.
    power = lips.var(0)
    return 100 * float((high_frequency_energy(lips, fps, FAST) * power).sum() / power.sum().clamp(min=1e-12))


def longest_run(found: Bool[Tensor, " T"]) -> slice:
    """The longest stretch of frames with a face."""
    edges = torch.nonzero(torch.cat([found.new_zeros(1), found, found.new_zeros(1)]).int().diff())[:, 0].view(-1, 2)
    if len(edges) == 0:
        return slice(0, 0)
    start, stop = edges[(edges[:, 1] - edges[:, 0]).argmax()].tolist()
    return slice(start, stop)
