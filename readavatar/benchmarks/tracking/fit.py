"""Fit one person's clips by the user's command, and measure how well the fit explains what was observed.

Measured are the detector's landmarks, the pixels, the time, and how steady the fit is.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from readavatar.benchmarks.scorecard import Row, Values
from readavatar.data.datasets.tracking import read_observations
from readavatar.data.store import ClipStore
from readavatar.detection.landmark_sets import to_landmarks_68
from readavatar.files import replacing_folder
from readavatar.metrics import high_frequency_energy, psnr
from readavatar.morphable import MorphableModel, load_morphable_model
from readavatar.rendering.camera import head_to_world, project
from readavatar.tracking.model_part import LandmarkModel
from readavatar.tracking.results import inner_landmark_errors
from readavatar.tracking.schedule import choose_keyframes
from readavatar.training import train
from readavatar.types import Camera, TrackedFace
from readavatar.viewer.rendering import FaceRenderer, over

_LOGGER = logging.getLogger(__name__)

DEFAULT_CONFIG = "configs/tracking/default.yaml"
_NOT_LINKED = ("tracking.safetensors", "cache")
"""Files that a fit writes, or that depend on a fit."""


@dataclass(frozen=True)
class Fitted:
    """A person's clips after the fit."""

    stores: list[ClipStore]
    model: MorphableModel
    seconds: float
    """Wall-clock time of the whole command: reading, fitting and writing, without the detection, which is in
    ``prepare``."""
    offsets: Float[Tensor, "68 3"] | None
    """Displacement of the detector's landmarks from the model's, as fitted to the person; head frame, metres. None if
    the fit left no checkpoint."""
    keyframes: list[Bool[Tensor, " T"]]
    """For each clip, the frames that the albedo was fitted to."""

    @property
    def num_frames(self) -> int:
        """In all clips."""
        return sum(store.num_frames for store in self.stores)

    def face(self) -> TrackedFace:
        """All clips' frames, one clip after the other; the camera is the first clip's."""
        faces = [store.tracking() for store in self.stores]
        parts = [face.coefficients for face in faces]
        names = ("expression_coefficients", "rotation", "translation", "gaze")
        joined = {name: torch.cat([getattr(part, name) for part in parts]) for name in names}
        lighting = torch.cat([face.lighting for face in faces])
        return replace(faces[0], coefficients=replace(parts[0], **joined), lighting=lighting)


def fit_person(name: str, clips: Sequence[Path], work: Path, config: str, morphable_model: str) -> Fitted:
    """Fit a person's clips together, without changing the clips themselves.

    Args:
        name: Of the person, for the folders.
        clips: Prepared clip stores.
        work: Folder for links to the clips, and for the fit's own files.
        config: Applied over ``DEFAULT_CONFIG``.
        morphable_model: What ``load_morphable_model`` takes.
    """
    links = [link_clip(clip, work / "fits" / name / f"{number:03d}") for number, clip in enumerate(clips)]
    run = work / "avatars" / name / "training" / "tracking"
    shutil.rmtree(run, ignore_errors=True)  # no checkpoint of an earlier run may remain
    start = time.perf_counter()
    configs = [] if config == DEFAULT_CONFIG else [config]
    overrides = {"model.morphable_model": morphable_model}
    train(
        "tracking",
        links,
        configs=configs,
        overrides=overrides,
        avatar=work / "avatars" / name,
        fresh=True,
        progress=True,
    )
    seconds = time.perf_counter() - start
    stores, model = [ClipStore(link) for link in links], load_morphable_model(morphable_model)
    offsets = _landmark_offsets(run)
    if offsets is None:
        _LOGGER.warning("%s: the fit left no checkpoint, so its landmark offsets are not measured", name)
    return Fitted(stores, model, seconds, offsets, _keyframes(stores, run))


def link_clip(clip: Path, target: Path) -> Path:
    """A clip store of links to another's files, without its fit, so that fitting does not change the other."""
    with replacing_folder(target) as folder:
        for entry in sorted(Path(clip).resolve().iterdir()):
            if entry.name not in _NOT_LINKED:
                os.symlink(entry, folder / entry.name)
    return target


def _landmark_offsets(run: Path) -> Float[Tensor, "68 3"] | None:
    # A clip store does not hold the offsets: only the fit's checkpoint does.
    checkpoint = run / "checkpoints" / "last.ckpt"
    if not checkpoint.exists():
        return None
    return torch.load(checkpoint, map_location="cpu", weights_only=False)["state_dict"]["parameters_.offsets"]


def _keyframes(stores: list[ClipStore], run: Path) -> list[Bool[Tensor, " T"]]:
    """The keyframes, chosen in the same way as by the fit."""
    observations = read_observations(stores)
    settings = run / "settings.json"
    count = json.loads(settings.read_text())["model"]["init_args"]["keyframes"] if settings.exists() else 0
    is_keyframe = torch.zeros(observations.num_frames, dtype=torch.bool)
    if count:
        is_keyframe[choose_keyframes(observations.landmarks_2d, observations.confidence, count)] = True
    return list(is_keyframe.split([store.num_frames for store in stores]))


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
"""Frames of a clip that are compared with its pixels: spread evenly over those that the albedo was not fitted to."""
FAST = 8.0
"""Hz: faster than lips move in speech."""
LIPS, NOSE = slice(48, 68), slice(27, 36)
"""Of the 68 landmarks."""
SHORTEST = 16
"""Frames; shorter stretches are too short for a spectrum."""


@torch.no_grad()
def measure_likeness(fitted: Fitted) -> Values:
    """``LIKENESS_ROWS`` and ``STEADINESS_ROWS`` of a person's clips, one value a clip (seconds: one a person).

    The landmark error covers the 51 points inside the face over the frames with a face, in per cent of the inter-ocular
    distance. It is measured with the fitted offsets between the detector's and the model's landmarks, and without them.
    The first is not measured if the fit left no offsets.
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
    """The fitted landmarks in some frames, pixels."""
    part = face.coefficients.frames(frames)
    landmarks, _ = model(part.shape_coefficients[None], part.expression_coefficients, part.gaze)
    return project(head_to_world(landmarks + offsets, part.rotation, part.translation), camera)


def held_out_psnr(
    renderer: FaceRenderer, store: ClipStore, first: int, camera: Camera, allowed: Bool[Tensor, " T"]
) -> float:
    """Mean PSNR of the re-rendered face inside the clip's face mask; NaN if no frame is allowed.

    Args:
        renderer: Of all the person's clips, joined.
        store: One of the clips.
        first: Index of the clip's first frame among the joined frames.
        camera: The clip's.
        allowed: The frames of the clip that may be compared.
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
    """Per cent of the lip landmarks' motion relative to the nose that is faster than ``FAST``; NaN in short clips."""
    if len(points) < SHORTEST:
        return float("nan")
    lips = points[:, LIPS] - points[:, NOSE].mean(1, keepdim=True)
    # Weighted by each coordinate's variance, so that the noise of one that does not move does not count.
    power = lips.var(0)
    return 100 * float((high_frequency_energy(lips, fps, FAST) * power).sum() / power.sum().clamp(min=1e-12))


def longest_run(found: Bool[Tensor, " T"]) -> slice:
    """The longest stretch of frames with a face."""
    edges = torch.nonzero(torch.cat([found.new_zeros(1), found, found.new_zeros(1)]).int().diff())[:, 0].view(-1, 2)
    if len(edges) == 0:
        return slice(0, 0)
    start, stop = edges[(edges[:, 1] - edges[:, 0]).argmax()].tolist()
    return slice(start, stop)
