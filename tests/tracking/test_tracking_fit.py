"""The whole fit on a tiny clip that is rendered from known coefficients."""

from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np
import pytest
import pytorch_lightning as pl
import safetensors.torch
import torch

from readavatar.data.clip_store import ClipInfo, ClipStore, Crop, writing_clip_store
from readavatar.data.resume import ExactResume
from readavatar.data.tracking_data import FrameBatches, TrackingData
from readavatar.errors import UserError
from readavatar.morphable import MorphableModel, load_morphable_model
from readavatar.rendering.camera import head_to_world, project
from readavatar.tracking import Stage, TrackingModule
from readavatar.tracking.objective import ENERGIES, Objective
from readavatar.tracking.parameters import FaceParameters
from readavatar.tracking.results import compare_with_truth, tracked_face
from readavatar.tracking.start import start_fit
from readavatar.types import Landmarks

SIZE, NUM_FRAMES, MISSING = 96, 8, 5
WEIGHTS = dict.fromkeys(ENERGIES, 0.02) | {
    "landmarks": 1.0,
    "gaps": 0.5,
    "photometric": 1.0,
    "albedo_smoothness": 0.001,
}
STAGES = [
    Stage("pose", ["rotation", "position"], 10, 0.1),
    Stage("landmarks", ["shape", "expression", "rotation", "position"], 80, 0.15),
    Stage("appearance", ["albedo", "lighting"], 5, 0.1, frames="keyframes", photometric=True, batch=4),
    Stage("photometric", ["albedo", "lighting", "expression", "rotation", "position"], 2, 0.005, "all", True, 4),
]


@pytest.fixture(scope="module")
def model() -> MorphableModel:
    return load_morphable_model("builtin")


def write_clip(path: Path, model: MorphableModel, missing: int | None = None) -> ClipStore:
    """Eight frames of a turning, talking head, with its truth; in frame ``missing`` the detector saw nothing."""
    info = ClipInfo(NUM_FRAMES, "25", SIZE, None, "", None, SIZE, SIZE, Crop(0.0, 0.0, float(SIZE)), False)
    blank = np.zeros((SIZE, SIZE, 3), np.uint8)
    empty = Landmarks(
        torch.rand(NUM_FRAMES, 68, 2), torch.ones(NUM_FRAMES), torch.zeros(NUM_FRAMES, 52),
        torch.eye(4).expand(NUM_FRAMES, 4, 4),
    )  # fmt: skip
    with writing_clip_store(path) as writer:
        for _ in range(NUM_FRAMES):
            writer.add_frame(blank, blank[..., 0])
        writer.write_landmarks(empty)
        writer.finish(info)
    data = TrackingData(str(path), SIZE)
    data.setup("fit")
    objective = Objective(model, data.observations, WEIGHTS, 64)
    truth = FaceParameters(data.observations, model.num_shape, model.num_expressions, objective.albedo_prior.mean)
    time = torch.linspace(0, 1, NUM_FRAMES)
    with torch.no_grad():
        truth.shape.copy_(torch.randn(model.num_shape, generator=torch.Generator().manual_seed(0)) * 0.5)
        for name, values in (("jawOpen", 0.4 * time), ("mouthSmile_L", 0.5 * (1 - time))):
            truth.expression[:, model.expression_names.index(name)] = values
        truth.rotation[:, 1] = 0.3 * (time - 0.5)
        truth.set_translation(torch.tensor([[0.0, 0.01, -0.65]]).repeat(NUM_FRAMES, 1))
        truth.lighting[:, 0], truth.lighting[:, 2] = 0.9, 0.15
        everything = torch.arange(NUM_FRAMES)
        frames, covered = objective.render(truth, everything, SIZE)
        predicted, _ = objective.predict_landmarks(truth, everything)
    confidence = torch.ones(NUM_FRAMES)
    points = predicted.clone() * SIZE
    if missing is not None:
        confidence[missing], points[missing] = 0, 0
    with writing_clip_store(path) as writer:
        for frame, mask in zip(frames, covered, strict=True):
            image = (frame.permute(1, 2, 0) * 255).round().byte().numpy()
            writer.add_frame(image, (mask[0] * 255).byte().numpy())
        writer.write_landmarks(Landmarks(points, confidence, torch.zeros(NUM_FRAMES, 52), empty.head_to_camera))
        writer.write_truth(tracked_face(truth, model, data.observations, 0, SIZE))
        writer.finish(info)
    return ClipStore(path)


class Killed(pl.Callback):
    """Ends a run after so many steps, just after its checkpoint was written."""

    def __init__(self, num_steps: int, checkpoint: Path) -> None:
        self.num_steps, self.checkpoint = num_steps, checkpoint

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        if batch_idx + 1 == self.num_steps:
            trainer.save_checkpoint(self.checkpoint)
            raise RuntimeError("killed")


def fit(clips: list[str] | str, *callbacks: pl.Callback, checkpoint: Path | None = None, **options) -> None:
    """Run the fit, from a checkpoint if one is given."""
    pl.seed_everything(0, verbose=False)
    module = TrackingModule(**{"stages": STAGES, "weights": WEIGHTS, "texture_size": 64, "keyframes": 4, **options})
    trainer = pl.Trainer(
        accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, num_sanity_val_steps=0, limit_val_batches=0, max_epochs=1,
        callbacks=[ExactResume(), *callbacks],
    )  # fmt: skip
    trainer.fit(module, datamodule=TrackingData(clips, SIZE), ckpt_path=checkpoint)


@pytest.fixture(scope="module")
def fitted(model, tmp_path_factory) -> ClipStore:
    store = write_clip(tmp_path_factory.mktemp("fitted") / "clip", model)
    fit(str(store.path))
    return store


def test_known_coefficients_are_recovered(fitted, model):
    errors = compare_with_truth(fitted.tracking(), fitted.truth(), model)
    assert errors.vertices < 1.0 and errors.lip_motion < 1.6
    assert errors.rotation < 1.5 and errors.translation < 0.01


def test_a_fit_that_is_the_truth_has_no_error(fitted, model):
    errors = compare_with_truth(fitted.truth(), fitted.truth(), model)
    assert max(vars(errors).values()) < 1e-3


def test_the_energies_of_landmarks_and_pixels_are_zero_at_the_truth(fitted, model):
    data = TrackingData(str(fitted.path), SIZE)
    data.setup("fit")
    objective = Objective(model, data.observations, WEIGHTS, 64)
    truth = fitted.truth()
    parameters = FaceParameters(data.observations, model.num_shape, model.num_expressions, truth.albedo)
    with torch.no_grad():
        parameters.shape.copy_(truth.coefficients.shape_coefficients)
        parameters.expression.copy_(truth.coefficients.expression_coefficients)
        parameters.rotation.copy_(truth.coefficients.rotation)
        parameters.set_translation(truth.coefficients.translation)
        parameters.lighting.copy_(truth.lighting)
    objective.fix_units(parameters)
    batch = FrameBatches(data.stores, [(torch.arange(NUM_FRAMES), True)], SIZE)[0]
    found = objective.energies(parameters, batch, consecutive=True)
    assert found["landmarks"] < 1e-4 and found["gaps"] < 1e-4
    assert found["photometric"] < 0.02  # 8-bit frames, and the mask's edge
    start_fit(parameters, objective)
    assert objective.energies(parameters, batch, consecutive=True)["landmarks"] > 1


def test_the_fit_has_gradients_that_agree_with_finite_differences(fitted, model):
    data = TrackingData(str(fitted.path), SIZE)
    data.setup("fit")
    objective = Objective(model, data.observations, WEIGHTS, 64)
    parameters = FaceParameters(data.observations, model.num_shape, model.num_expressions, objective.albedo_prior.mean)
    start_fit(parameters, objective)
    batch = FrameBatches(data.stores, [(torch.arange(NUM_FRAMES), False)], SIZE)[0]

    def total() -> torch.Tensor:
        return objective.total(objective.energies(parameters, batch, consecutive=True))

    total().backward()
    for name, place in (("rotation", (2, 1)), ("position", (3, 2)), ("expression", (1, 5)), ("shape", (0,))):
        parameter, step = getattr(parameters, name), 1e-3
        value = parameter.data[place].item()
        sides = []
        for sign in (1, -1):
            parameter.data[place] = value + sign * step
            sides.append(total().item())
        parameter.data[place] = value
        slope = (sides[0] - sides[1]) / (2 * step)
        assert float(parameter.grad[place]) == pytest.approx(slope, rel=0.05, abs=0.02), name


def test_the_stored_fit_projects_onto_the_detectors_landmarks(fitted, model):
    face = fitted.tracking()
    coefficients = face.coefficients
    head = model(coefficients.shape_coefficients[None], coefficients.expression_coefficients)
    world = head_to_world(model.landmarks_3d(head), coefficients.rotation, coefficients.translation)
    distance = (project(world, face.camera) - fitted.landmarks().landmarks_2d).norm(dim=-1)
    assert distance[:, 17:].mean() < 0.5  # pixels


def test_frames_without_a_face_are_interpolated_and_counted(model, tmp_path, capsys):
    store = write_clip(tmp_path / "clip", model, missing=MISSING)
    fit(str(store.path))
    rotation = store.tracking().coefficients.rotation
    torch.testing.assert_close(rotation[MISSING], (rotation[MISSING - 1] + rotation[MISSING + 1]) / 2)
    assert "1 frame(s) without a face interpolated" in capsys.readouterr().out


def test_a_fit_that_was_stopped_and_resumed_ends_as_one_that_was_not(model, tmp_path, fitted):
    store = write_clip(tmp_path / "clip", model)
    with pytest.raises(RuntimeError, match="killed"):
        fit(str(store.path), Killed(73, tmp_path / "half.ckpt"))
    assert not store.is_tracked
    fit(str(store.path), checkpoint=tmp_path / "half.ckpt")
    ours, theirs = (safetensors.torch.load_file(clip.path / "tracking.safetensors") for clip in (store, fitted))
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)


def test_clips_of_one_person_share_identity_albedo_and_camera(model, tmp_path):
    stores = [write_clip(tmp_path / name, model) for name in "ab"]
    fit([str(store.path) for store in stores], stages=STAGES[:2])
    first, second = (store.tracking() for store in stores)
    assert torch.equal(first.coefficients.shape_coefficients, second.coefficients.shape_coefficients)
    assert torch.equal(first.albedo, second.albedo)
    assert torch.equal(first.camera.intrinsics, second.camera.intrinsics)


def test_a_test_run_scores_landmarks_pixels_and_the_truth(fitted):
    module = TrackingModule(STAGES, WEIGHTS, texture_size=64, keyframes=4)
    trainer = pl.Trainer(accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False)
    (scores,) = trainer.test(module, datamodule=TrackingData(str(fitted.path), SIZE), verbose=False)
    assert {"landmark_error_percent", "psnr_db", "truth/vertices", "truth/gaze"} <= scores.keys()


def test_weights_that_match_no_energy_are_refused(fitted):
    with pytest.raises(UserError, match="landmrks"):
        fit(str(fitted.path), weights={**WEIGHTS, "landmrks": 1.0})


def test_a_clip_that_was_never_fitted_says_how_to(model, tmp_path):
    store = write_clip(tmp_path / "clip", model)
    with pytest.raises(UserError, match="readavatar fit --config configs/tracking"):
        store.tracking()


def test_a_damaged_clip_is_refused_and_leaves_no_fit(model, tmp_path):
    store = write_clip(tmp_path / "clip", model)
    (store.path / "landmarks.safetensors").write_bytes(b"broken")
    with pytest.raises(UserError, match="prepare the clip again"):
        fit(str(store.path))
    with contextlib.suppress(UserError):
        store.tracking()
    assert not store.is_tracked
