"""The tracking scorecard on digital actors, filmed like a real camera would; all coefficients are known."""

from __future__ import annotations

import hashlib
import json
import logging
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from readavatar.benchmarks.scorecard import Row, Values
from readavatar.benchmarks.tracking.fit import LIKENESS_ROWS, fit_person, measure_likeness
from readavatar.data.preparation.prepare import prepare_clip
from readavatar.data.store import ClipStore
from readavatar.emotion import EmotionSpace, EmotionTrack
from readavatar.metrics import closure_recall, fast_motion_ratio, rigid_alignment, vertex_error
from readavatar.morphable import MorphableModel
from readavatar.rendering.camera import axis_angle_to_matrix
from readavatar.synthetic import write_actor_clip
from readavatar.tracking.results import degrees_of_turn, head_vertices, neutral_vertices
from readavatar.types import TrackedFace

_LOGGER = logging.getLogger(__name__)

FIRST_SEED = 101
EMOTIONS = (
    "0s neutral, 4s neutral, 5s happy, 7s happy, 8s surprised:0.8",
    "0s neutral, 3s neutral, 4s angry, 7s angry, 8s disgusted",
    "0s neutral, 3s neutral, 4s sad, 7s sad, 8s fear:0.7",
    "0s neutral, 3s neutral, 4s contempt, 7s contempt, 8s happy:0.5",
)
"""Emotion tracks of the actors, in turn."""
FILM = {"size": 512, "duration": 10, "noise": 0.01, "compress": 23, "turn": 25}
"""Sensor noise, the compression of a web video, head rotation by 25° to either side."""

VERTICES, SCALED_VERTICES = "face vertices, rigidly aligned", "face vertices, scaled, too"
LIP_MOTION, ROTATION, TRANSLATION = "lip motion from own neutral", "head rotation", "translation direction"
GAZE, CLOSURE, JITTER = "gaze", "lip closures found, at 5 % false", "lip motion above 8 Hz, over true"
TRUTH_ROWS = {
    VERTICES: Row("mm", at_most=1.0),
    SCALED_VERTICES: Row("mm"),
    LIP_MOTION: Row("mm", at_most=0.6),
    ROTATION: Row("°", at_most=0.7),
    TRANSLATION: Row("%", at_most=1.0),
    GAZE: Row("°", at_most=3.0),
    CLOSURE: Row("of 1", at_least=0.9),
    JITTER: Row("ratio", at_least=0.8, at_most=1.25),
}
ACTOR_ROWS = {**TRUTH_ROWS, **LIKENESS_ROWS}

CLOSED_GAP = 0.0005
"""Metres between the middles of the inner lips, beyond the gap of the person's lips at rest."""
UPPER_LIP, LOWER_LIP = 62, 66
"""Of the 68 landmarks."""
_BATCH = 32


def film_actor(seed: int, morphable_model: str, work: Path, film: dict | None = None) -> tuple[ClipStore, ClipStore]:
    """A digital actor's film (with its truth), and the clip that ``prepare`` makes from its video.

    Both are kept in ``work`` under a hash of their settings.

    Args:
        seed: The actor's.
        morphable_model: What ``load_morphable_model`` takes.
        work: Folder for both.
        film: Arguments of ``write_actor_clip`` that replace ``FILM``'s.
    """
    options = {**FILM, **(film or {})}
    emotion = EMOTIONS[(seed - FIRST_SEED) % len(EMOTIONS)]
    settings = json.dumps([seed, morphable_model, emotion, options], sort_keys=True)
    folder = work / "films" / f"{seed}-{hashlib.sha256(settings.encode()).hexdigest()[:8]}"
    if not (folder / "film" / "clip.json").exists():
        _LOGGER.info("actor %d: filming", seed)
        track = EmotionTrack.parse(emotion, EmotionSpace())
        write_actor_clip(folder / "film", seed=seed, emotion=track, morphable_model=morphable_model, **options)
    store = ClipStore(folder / "film")
    if not (folder / "clip" / "clip.json").exists():
        prepare_clip(store.source, folder / "clip", size=options["size"], say=lambda line: None)
    return store, ClipStore(folder / "clip")


def score_actor(seed: int, morphable_model: str, work: Path, config: str, film: dict | None = None) -> Values:
    """Film an actor (if needed), fit the video like footage, and measure ``ACTOR_ROWS``."""
    filmed, clip = film_actor(seed, morphable_model, work, film)
    _LOGGER.info("actor %d: fitting %d frames", seed, clip.num_frames)
    fitted = fit_person(f"actor_{seed}", [clip.path], work, config, morphable_model)
    errors = measure_against_truth(fitted.stores[0].tracking(), filmed.truth(), fitted.model, clip.fps)
    return {**{name: [value] for name, value in errors.items()}, **measure_likeness(fitted)}


@torch.no_grad()
def measure_against_truth(face: TrackedFace, truth: TrackedFace, model: MorphableModel, fps: float) -> dict[str, float]:
    """``TRUTH_ROWS`` of a fit, means over all frames.

    A single camera cannot measure the size of a head: a second row gives the vertex error after removing one scale that
    all frames share.

    Lips count as closed if the gap between landmarks 62 and 66 of the true mesh is less than 0.5 mm beyond that of the
    same person's neutral face, whose lips touch. The neutral gap is subtracted because it differs between people: the
    two landmarks are on the edges of the lips that annotators see, 0.6 to 1.1 mm apart on lips that touch. The fit's
    gap needs no correction, since ``closure_recall`` chooses a threshold for it.
    """
    fitted, true = face.coefficients, truth.coefficients
    on_face, lips = model.vertex_mask("face"), model.vertex_mask("lips")
    rest = [neutral_vertices(part, model) for part in (fitted, true)]
    shapes: list[list[Tensor]] = [[], []]
    motions: list[list[Tensor]] = [[], []]
    gaps: list[list[Tensor]] = [[], []]
    for index in torch.arange(true.num_frames).split(_BATCH):
        for which, part in enumerate((fitted, true)):
            vertices = head_vertices(part.frames(index), model)
            shapes[which].append(vertices[:, on_face])
            motions[which].append((vertices - rest[which])[:, lips])
            gaps[which].append(lip_gap(vertices, model))
    predicted, target = (torch.cat(parts) for parts in shapes)
    fitted_motion, true_motion = (torch.cat(parts) for parts in motions)
    turn = axis_angle_to_matrix(fitted.rotation).mT @ axis_angle_to_matrix(true.rotation)
    directions = [part.translation / part.translation.norm(dim=-1, keepdim=True) for part in (fitted, true)]
    fitted_gap, true_gap = (torch.cat(parts) for parts in gaps)
    return {
        VERTICES: 1000 * float(vertex_error(predicted, target).mean()),
        SCALED_VERTICES: 1000 * float(vertex_error(best_scale(predicted, target) * predicted, target).mean()),
        LIP_MOTION: 1000 * float((fitted_motion - true_motion).norm(dim=-1).mean()),
        ROTATION: float(degrees_of_turn(turn).mean()),
        TRANSLATION: 100 * float((directions[0] - directions[1]).norm(dim=-1).mean()),
        GAZE: float((fitted.gaze - true.gaze).norm(dim=-1).rad2deg().mean()),
        CLOSURE: closure_recall(fitted_gap, true_gap - lip_gap(rest[1], model), CLOSED_GAP),
        JITTER: fast_motion_ratio(fitted_motion.flatten(1), true_motion.flatten(1), fps),
    }


def lip_gap(vertices: Float[Tensor, "B V 3"], model: MorphableModel) -> Float[Tensor, " B"]:
    """Distance between the middles of the inner lips, metres."""
    landmarks = model.landmarks_3d(vertices)
    return (landmarks[:, UPPER_LIP] - landmarks[:, LOWER_LIP]).norm(dim=-1)


def best_scale(source: Float[Tensor, "B N 3"], target: Float[Tensor, "B N 3"]) -> Float[Tensor, ""]:
    """The one factor that, after each frame's own rigid alignment, brings ``source`` closest (Umeyama 1991, eq. 42)."""
    rotation, _ = rigid_alignment(source, target)
    source, target = (points - points.mean(1, keepdim=True) for points in (source, target))
    return ((source @ rotation.mT) * target).sum() / source.square().sum()
