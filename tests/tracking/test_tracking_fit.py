"""The whole fit on a tiny clip that is rendered from known coefficients."""

from __future__ import annotations

import contextlib
import logging
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import pytorch_lightning as pl
import safetensors.torch
import torch
from other_device import other_device

from readavatar.cli import main
from readavatar.data.datasets.tracking import FrameBatches, TrackingData
from readavatar.data.store import ClipInfo, ClipStore, Crop, writing_clip_store
from readavatar.errors import UserError
from readavatar.morphable import MorphableModel, load_morphable_model
from readavatar.rendering.camera import head_to_world, project
from readavatar.tracking import FitStage, TrackingModule
from readavatar.tracking.detector_priors import read_calibration
from readavatar.tracking.objective import TERMS, FitObjective
from readavatar.tracking.parameters import FaceParameters
from readavatar.tracking.results import compare_with_truth, tracked_face
from readavatar.tracking.solver import Solver
from readavatar.training import connect
from readavatar.training.resume import ExactResume
from readavatar.types import Landmarks

SIZE, NUM_FRAMES, MISSING = 96, 8, 5
WEIGHTS = dict.fromkeys(TERMS, 0.01) | {
    "landmarks": 1.0,
    "gaps": 0.5,
    "irises": 0.2,
    "photometric": 2.0,
    "shape": 1.0,
    "focal": 15.0,
    "offsets": 10.0,
}
GEOMETRY = ["expression", "rotation", "position", "gaze"]
STAGES = [
    FitStage("pose", ["rotation", "position"], 1),
    FitStage("identity", ["shape", *GEOMETRY], 1, iterations=8, frames="keyframes"),
    FitStage("landmarks", GEOMETRY, 2, batch=4),
    FitStage("appearance", ["albedo", "lighting"], 1, 4, "keyframes", SIZE),
    FitStage("photometric", ["shape", "albedo", "lighting", *GEOMETRY], 1, 4, "keyframes", SIZE),
    FitStage("all", ["lighting", *GEOMETRY], 2, 2, "all", SIZE, 4),
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
    objective = FitObjective(model, data.observations, WEIGHTS, 64)
    truth = FaceParameters(data.observations, model.num_shape, model.num_expressions, objective.albedo_prior.mean)
    time = torch.linspace(0, 1, NUM_FRAMES)
    with torch.no_grad():
        truth.shape.copy_(torch.randn(model.num_shape, generator=torch.Generator().manual_seed(0)) * 0.5)
        for name, values in (("jawOpen", 0.4 * time), ("mouthSmile_L", 0.5 * (1 - time))):
            truth.expression[:, model.expression_names.index(name)] = values
        truth.rotation[:, 1] = 0.3 * (time - 0.5)
        truth.set_translation(torch.tensor([[0.0, 0.01, -0.65]]).repeat(NUM_FRAMES, 1))
        truth.lighting[:, 0], truth.lighting[:, 2] = 0.9, 0.15
        truth.gaze[:, 0] = 0.2 * torch.sin(5 * time)
        truth.offsets.copy_(objective.typical_offsets)  # the detector's landmarks lie beside the model's
        everything = torch.arange(NUM_FRAMES)
        frames, covered = objective.render(truth, everything, SIZE)
        predicted, _ = objective.predict_landmarks(truth, everything)
    confidence = torch.ones(NUM_FRAMES)
    points = predicted * SIZE
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
    data = TrackingData(clips, SIZE)
    connect(module, data)
    trainer.fit(module, datamodule=data, ckpt_path=checkpoint)


@pytest.fixture(scope="module")
def fitted(model, tmp_path_factory) -> ClipStore:
    store = write_clip(tmp_path_factory.mktemp("fitted") / "clip", model)
    fit(str(store.path))
    return store


def test_known_coefficients_are_recovered(fitted, model):
    errors = compare_with_truth(fitted.tracking(), fitted.truth(), model)
    assert errors.vertices < 0.8 and errors.lip_motion < 0.6
    assert errors.rotation < 0.5 and errors.translation < 0.003


def test_a_fit_that_is_the_truth_has_no_error(fitted, model):
    errors = compare_with_truth(fitted.truth(), fitted.truth(), model)
    assert max(vars(errors).values()) < 1e-3


def at_the_truth(store: ClipStore, model: MorphableModel) -> tuple[FitObjective, FaceParameters, TrackingData]:
    """What a fit of the clip minimises, irises included, and the parameters that it should find."""
    data = TrackingData(str(store.path), SIZE)
    data.setup("fit")
    seen, truth, everything = data.observations, store.truth(), torch.arange(NUM_FRAMES)
    parameters = FaceParameters(seen, model.num_shape, model.num_expressions, truth.albedo)
    parameters.shape.copy_(truth.coefficients.shape_coefficients)
    for name, values in (("expression", "expression_coefficients"), ("rotation", "rotation"), ("gaze", "gaze")):
        getattr(parameters, name).copy_(getattr(truth.coefficients, values))
    parameters.set_translation(truth.coefficients.translation)
    parameters.lighting.copy_(truth.lighting)
    objective = FitObjective(model, seen, WEIGHTS, 64)
    parameters.offsets.copy_(objective.typical_offsets)
    objective.fix_units(parameters)
    _, irises = objective.predict_landmarks(parameters, everything)
    objective.observations = replace(seen, irises=irises, has_irises=torch.ones(NUM_FRAMES))
    return objective, parameters, data


def test_the_energies_of_landmarks_and_pixels_are_zero_at_the_truth_and_nowhere_else(fitted, model):
    objective, parameters, data = at_the_truth(fitted, model)
    batch = FrameBatches(data.stores, [(torch.arange(NUM_FRAMES), SIZE)])[0]
    found = Solver(objective, 500).step(parameters, batch, [], consecutive=True)
    assert max(found[name] for name in ("landmarks", "gaps", "irises")) < 1e-4
    assert found["photometric"] < 1e-4  # 8-bit frames, 40 dB
    parameters.rotation[:, 1] += 0.1
    found = Solver(objective, 500).step(parameters, batch, [], consecutive=True)
    assert found["landmarks"] > 1 and found["irises"] > 0.1 and found["photometric"] > 3e-4


@pytest.mark.parametrize("kind", ["cuda", "mps"])
def test_the_solver_takes_the_same_steps_on_another_device(fitted, model, kind):
    def solved(move) -> dict[str, torch.Tensor]:
        objective, parameters, data = at_the_truth(fitted, model)
        parameters.rotation[:, 1] += 0.05
        batch = FrameBatches(data.stores, [(torch.arange(NUM_FRAMES), SIZE)])[0]
        objective, parameters, batch = move(objective), move(parameters), move(batch)
        solver = Solver(objective, 500)
        solver.step(parameters, batch, ["shape", "focal", "albedo", "lighting", *GEOMETRY], consecutive=False)
        solver.step(parameters, batch, GEOMETRY, consecutive=True)
        return {name: value.detach().cpu() for name, value in parameters.named_parameters()}

    expected = solved(lambda part: part)
    with other_device(kind) as (device, _):
        found = solved(lambda part: part.to(device))
    assert (expected["rotation"][:, 1] - fitted.truth().coefficients.rotation[:, 1]).abs().max() < 0.04, "it moved back"
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, atol=2e-2, rtol=0)  # single precision on mps


def test_a_terms_log_key_is_its_weight_key(fitted, model):
    objective, parameters, data = at_the_truth(fitted, model)
    batch = FrameBatches(data.stores, [(torch.arange(NUM_FRAMES), SIZE)])[0]
    solver = Solver(objective, 500)
    shared = solver.step(parameters, batch, ["shape"], consecutive=False)
    over_time = solver.step(parameters, batch, ["expression"], consecutive=True)
    assert shared.keys() | over_time.keys() == set(TERMS)


@pytest.mark.parametrize("resolution", [0, SIZE])
@pytest.mark.parametrize(
    ("name", "column", "error"),
    [("rotation", 1, 0.08), ("position", 0, 0.02), ("expression", "jawOpen", 0.25), ("gaze", 0, 0.15), ("shape", 0, 1)],
)
def test_a_step_from_a_disturbed_truth_leads_back(name, column, error, resolution, fitted, model):
    objective, parameters, data = at_the_truth(fitted, model)
    column = model.expression_names.index(column) if isinstance(column, str) else column
    batch = FrameBatches(data.stores, [(torch.arange(NUM_FRAMES), resolution)])[0]
    truth = getattr(parameters, name)[..., column].clone()
    getattr(parameters, name)[..., column] += error
    for _ in range(2):
        Solver(objective, 800).step(parameters, batch, [name], consecutive=False)
    left = (getattr(parameters, name)[..., column] - truth).abs().mean() / error
    assert left < 0.35


@pytest.mark.parametrize(("name", "error"), [("rotation", 0.03), ("position", 0.004)])
def test_pixels_alone_lead_back_to_the_pose(name, error, fitted, model):
    objective, parameters, data = at_the_truth(fitted, model)
    objective.weights |= {"landmarks": 0.0, "gaps": 0.0, "irises": 0.0}
    batch = FrameBatches(data.stores, [(torch.arange(NUM_FRAMES), SIZE)])[0]
    truth = getattr(parameters, name)[:, 1].clone()
    getattr(parameters, name)[:, 1] += error
    for _ in range(3):
        Solver(objective, 1500).step(parameters, batch, [name], consecutive=False)
    assert (getattr(parameters, name)[:, 1] - truth).abs().mean() < 0.5 * error


def test_what_is_not_free_stays_and_expressions_stay_in_their_bounds(fitted, model):
    objective, parameters, data = at_the_truth(fitted, model)
    parameters.expression.fill_(0.9)
    before = {name: value.clone() for name, value in parameters.named_parameters()}
    batch = FrameBatches(data.stores, [(torch.arange(NUM_FRAMES), SIZE)])[0]
    Solver(objective, 500).step(parameters, batch, ["expression", "lighting"], consecutive=True)
    changed = {name for name, value in parameters.named_parameters() if not torch.equal(value, before[name])}
    assert changed == {"expression", "lighting"}
    low, high = model.expression_bounds.unbind(1)
    assert ((parameters.expression >= low) & (parameters.expression <= high)).all()


def test_the_stored_fit_projects_onto_the_detectors_landmarks(fitted, model):
    face = fitted.tracking()
    coefficients = face.coefficients
    head = model(coefficients.shape_coefficients[None], coefficients.expression_coefficients)
    points = model.landmarks_3d(head) + read_calibration(model.name)[0]  # where the detector sees them
    world = head_to_world(points, coefficients.rotation, coefficients.translation)
    distance = (project(world, face.camera) - fitted.landmarks().landmarks_2d).norm(dim=-1)
    assert distance[:, 17:].mean() < 0.5  # pixels


def test_frames_without_a_face_are_interpolated_and_counted(model, tmp_path, caplog):
    caplog.set_level("INFO", "readavatar")
    store = write_clip(tmp_path / "clip", model, missing=MISSING)
    with caplog.at_level(logging.INFO, logger="readavatar"):
        fit(str(store.path))
    rotation = store.tracking().coefficients.rotation
    torch.testing.assert_close(rotation[MISSING], (rotation[MISSING - 1] + rotation[MISSING + 1]) / 2)
    assert "1 frame(s) without a face interpolated" in caplog.text


def test_a_fit_that_was_stopped_and_resumed_ends_as_one_that_was_not(model, tmp_path, fitted):
    store = write_clip(tmp_path / "clip", model)
    with pytest.raises(RuntimeError, match="killed"):
        fit(str(store.path), Killed(7, tmp_path / "half.ckpt"))
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
    data = TrackingData(str(fitted.path), SIZE)
    connect(module, data)
    (scores,) = trainer.test(module, datamodule=data, verbose=False)
    assert {"landmark_error_percent", "psnr_db", "truth/vertices", "truth/gaze"} <= scores.keys()


def test_weights_that_match_no_energy_are_refused(fitted):
    with pytest.raises(UserError, match="landmrks"):
        fit(str(fitted.path), weights={**WEIGHTS, "landmrks": 1.0})


def test_readavatar_fit_leaves_a_checkpoint_that_readavatar_test_scores(model, tmp_path, capsys):
    store = write_clip(tmp_path / "clip", model)
    options = ["--config", "configs/tracking/default.yaml", "--config", "configs/tracking/quick.yaml"]
    options += ["--data.clips", str(store.path), "--avatar", str(tmp_path / "avatar"), "--trainer.accelerator", "cpu"]
    options += ["--trainer.enable_progress_bar", "false"]
    assert main(["fit", *options]) == 0
    last = tmp_path / "avatar" / "training" / "tracking" / "checkpoints" / "last.ckpt"
    checkpoint = torch.load(last, weights_only=False)
    assert checkpoint["global_step"] == int(checkpoint["state_dict"]["num_done"]) > 5
    stored = store.tracking().coefficients
    torch.testing.assert_close(checkpoint["state_dict"]["parameters_.expression"], stored.expression_coefficients)
    capsys.readouterr()
    assert main(["test", *options]) == 0
    printed = capsys.readouterr().out
    error = float(re.search(r"landmark_error_percent\D+([\d.]+)", printed)[1])
    assert error < 1.0, "scored from the checkpoint, not from where a fit starts"
    assert "truth/vertices" in printed


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
