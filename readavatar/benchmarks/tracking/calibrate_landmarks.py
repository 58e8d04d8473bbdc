"""Measure where a detector sees a morphable model's landmarks, on digital actors; write the table for the tracker.

The detector's 68 points and the model's have slightly different definitions, for example of where a brow ends. The
difference is about the same for all faces, so it is measured on actors whose geometry is known. The command
``python -m readavatar.benchmarks.tracking.calibrate_landmarks ict`` films actors and writes the table that
``tracking.detector_priors`` reads.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from readavatar.data.preparation.prepare import prepare_clip
from readavatar.data.store import ClipStore
from readavatar.detection.landmark_sets import to_landmarks_68
from readavatar.emotion import MEAD_EMOTIONS, EmotionSpace, EmotionTrack
from readavatar.morphable import load_morphable_model
from readavatar.morphable.model import MorphableModel
from readavatar.progress import track
from readavatar.rendering.camera import axis_angle_to_matrix, head_to_world, project
from readavatar.synthetic import write_actor_clip
from readavatar.tracking.detector_priors import MIRRORED, calibration_path, write_calibration
from readavatar.types import TrackedFace

FIRST_SEED, NUM_ACTORS = 9000, 10
"""No benchmark uses these seeds."""
SECONDS, SIZE, TURN = 4.0, 384, 20.0


def measure_actor(name: str, model: MorphableModel, seed: int) -> Float[Tensor, "68 3"]:
    """Mean displacement of each detected landmark from the model's for one actor; head frame, metres."""
    emotion = MEAD_EMOTIONS[seed % len(MEAD_EMOTIONS)]
    track_of = EmotionTrack.parse(f"0s neutral, 1s neutral, 2s {emotion}", EmotionSpace())
    with tempfile.TemporaryDirectory() as folder:
        film = write_actor_clip(
            Path(folder) / "film", seed=seed, emotion=track_of, size=SIZE, duration=SECONDS,
            morphable_model=name, noise=0.008, compress=23, turn=TURN,
        )  # fmt: skip
        clip = prepare_clip(film.source, Path(folder) / "clip", size=SIZE, say=lambda line: None)
        return _displacement(model, film.truth(), clip)


def _displacement(model: MorphableModel, truth: TrackedFace, clip: ClipStore) -> Float[Tensor, "68 3"]:
    """Least squares over the frames: the image displacement is the projection of one that is fixed in the head."""
    landmarks = clip.landmarks()
    crop, size = clip.info.crop, clip.info.size
    scale = size / crop.size
    detected = to_landmarks_68(landmarks.landmarks_2d) / scale + torch.tensor([crop.left, crop.top])
    coefficients = truth.coefficients
    head = torch.cat(
        [
            model.landmarks_3d(model(coefficients.shape_coefficients[None], part.expression_coefficients, part.gaze))
            for part in map(coefficients.frames, torch.arange(coefficients.num_frames).split(32))
        ]
    )
    world = head_to_world(head, coefficients.rotation, coefficients.translation)
    found = landmarks.landmark_confidence > 0
    difference = (detected - project(world, truth.camera))[found]
    focal = truth.camera.intrinsics[0, 0] / -world[found, :, 2]
    rotation = axis_angle_to_matrix(coefficients.rotation[found])
    by_offset = focal[..., None, None] * rotation[:, None, :2] * torch.tensor([1.0, -1.0])[:, None]
    # Damped a little, since only rotated heads determine the depth.
    moments = torch.einsum("tlpi,tlpj->lij", by_offset, by_offset)
    moments = moments + 0.02 * moments.diagonal(dim1=1, dim2=2).mean(1)[:, None, None] * torch.eye(3)
    return torch.linalg.solve(moments, torch.einsum("tlpi,tlp->li", by_offset, difference))


def main() -> None:
    """Film actors, measure them, average over actors and over both sides of the face, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("morphable_model", help="builtin or ict")
    parser.add_argument("--actors", type=int, default=NUM_ACTORS)
    arguments = parser.parse_args()
    model = load_morphable_model(arguments.morphable_model)
    seeds = range(FIRST_SEED, FIRST_SEED + arguments.actors)
    bar = track(seeds, "filming", enabled=True, transient=False)
    measured = torch.stack([measure_actor(arguments.morphable_model, model, seed) for seed in bar])
    mean = measured.mean(0)
    mean = (mean + mean[MIRRORED] * torch.tensor([-1.0, 1.0, 1.0])) / 2
    spread = (measured - mean).square().mean().sqrt()
    write_calibration(calibration_path(model.name), mean, float(spread), arguments.actors)
    print(f"mean {mean.norm(dim=1).mean() * 1000:.2f} mm, spread over people {spread * 1000:.2f} mm an axis")


if __name__ == "__main__":
    main()
